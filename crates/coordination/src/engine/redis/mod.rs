//! Sessions and queues in one Redis server: quick, and weaker than the other engines.
//!
//! For those who run Redis already and whose storage checks tokens. Every call is one run of one
//! Lua script (`engine.lua`); Redis runs one script at a time, so within one living server the
//! engine is linearizable and fair.
//!
//! # What is weaker, and how much is saved
//!
//! Redis answers before others know. Unless the server has `appendfsync always`, a crash takes the
//! last second with it; a failover to a replica takes what was not replicated yet. Then an entry
//! that its holder counts on may be gone, and somebody else gets in: two holders. What remains is
//! the fence: a token is one more than the last, **but never below the server's clock in
//! microseconds**. So also a server that has lost its counter gives higher tokens than before, and
//! the storage refuses the first holder's late writes, unless the new server's clock is behind
//! the old one's by more than the loss. That is a condition on clocks, which a fence should not
//! have, so [`Capabilities::fenced`] is not "yes". Use PostgreSQL, etcd or the embedded engine
//! where it must be.
//!
//! # How
//!
//! Sessions are keys with an expiry; a key that has expired is deleted by the server when it is
//! asked for, and stays deleted. All keys of a deployment have one hash tag. Nothing grows for
//! ever: there is one counter, not one per lock; empty queues have no keys but a version, for ten
//! minutes; whoever opens a session clears away some that are over.
//!
//! A waiting client hears of a release through one channel per deployment, to which is published
//! only while somebody waits for that queue; no server setting is needed. The end of a session is
//! not published: who waits for it asks when it is due. What is not heard, [`Options::poll`]
//! finds.
//!
//! # Limits
//!
//! - One server, not a cluster, not a replica; both are refused. So is a server that evicts keys.
//! - Expiry follows the server's wall clock: a step forward ends sessions early, a step back
//!   prolongs those that are not renewed.
//! - `place` counts at most 128 entries ahead.
//! - No TLS in this build.
//! - The driver's tasks, and one that listens, run on the tokio runtime in which
//!   [`Redis::connect`] was called.

mod check;
mod link;
mod listener;
mod options;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::redis::{FromRedisValue, Value};
use futures::FutureExt;
use futures::future::BoxFuture;
use steadfast_fencing::FencingToken;
use tokio::task::AbortHandle;

use self::link::Link;
use super::wakes::{Wake, Wakes};
use crate::limits::{LENGTH_MAX, LENGTH_MIN, LIST_MAX, QUEUE_ENTRIES_MAX};
use crate::port::{
    Answer, Capabilities, Coordinator, Entry, Error, Listing, Mode, Name, Notification, Opened,
    Place, Register, Request, SessionId, check_value,
};

pub use self::options::Options;
#[cfg(feature = "redlock")]
pub(crate) use self::options::client;

const ENGINE: &str = "redis";

/// What the script answers.
mod status {
    pub(super) const DONE: i64 = 0;
    pub(super) const BUSY: i64 = 1;
    pub(super) const SESSION_OVER: i64 = 2;
    pub(super) const OVER: i64 = 3;
    pub(super) const FULL: i64 = 4;
}

/// A coordinator in one Redis server. Cheap to clone.
#[derive(Clone)]
pub struct Redis {
    inner: Arc<Inner>,
}

struct Inner {
    link: Arc<Link>,
    wakes: Arc<Wakes>,
    listener: AbortHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Redis").field(&self.inner.link.options).finish()
    }
}

impl Redis {
    /// Connects with the default options. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// See [`Redis::connect_with`].
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::connect_with(Options::new(url)?).await
    }

    /// Connects once, to see that the server will do.
    ///
    /// # Errors
    /// [`Error::Refused`] for wrong credentials, missing rights, a server of another kind, a
    /// cluster, a replica, one that evicts keys, or keys of another version;
    /// [`Error::Unavailable`] when the server cannot be reached.
    pub async fn connect_with(options: Options) -> Result<Self, Error> {
        options.check()?;
        let link = Arc::new(Link::new(options));
        link.call("load", &[b""]).await?;
        let wakes = Arc::new(Wakes::default());
        let listening = listener::run(Arc::clone(&link), Arc::clone(&wakes));
        let listener = tokio::spawn(listening).abort_handle();
        Ok(Self { inner: Arc::new(Inner { link, wakes, listener }) })
    }

    /// Runs a call and reads its answer.
    async fn call<T: FromRedisValue>(&self, call: &str, with: &[&[u8]]) -> Result<T, Error> {
        let answer = self.inner.link.call(call, with).await?;
        ::redis::from_redis_value(answer)
            .map_err(|error| self.inner.link.explain(&::redis::RedisError::from(error)))
    }

    fn token(&self, number: u64) -> Result<FencingToken, Error> {
        FencingToken::new(number).ok_or_else(|| self.inner.link.unavailable("a token of 0"))
    }

    /// Waits for a notice, or until it is time to ask again anyway; says whether it was a notice.
    async fn news(&self, wake: &Wake, due: Option<Duration>) -> bool {
        let options = &self.inner.link.options;
        wake.news(&options.clock, options.poll, due).await
    }

    async fn listing(
        &self,
        queue: &Name,
        watch: bool,
    ) -> Result<(Listing, Option<Duration>), Error> {
        type Listed = (u64, i64, Vec<(u64, u64, String, Vec<u8>)>);
        let watch: &[u8] = if watch { b"1" } else { b"0" };
        let first = LIST_MAX.to_string();
        let arguments = [queue.as_str().as_bytes(), watch, first.as_bytes()];
        let (version, left, listed): Listed = self.call("list", &arguments).await?;
        let mut entries = Vec::with_capacity(listed.len());
        for (token, session, mode, value) in listed {
            let mode = if mode == "s" { Mode::Shared } else { Mode::Exclusive };
            let (token, session) = (self.token(token)?, SessionId(session));
            entries.push(Entry { token, session, mode, value });
        }
        let left = u64::try_from(left).ok().map(Duration::from_millis);
        Ok((Listing { version, entries }, left))
    }

    /// Reads the answer of `enter` and `place`.
    fn placed(
        &self,
        answer: &[Value],
        queue: &Name,
        session: SessionId,
        token: Option<FencingToken>,
    ) -> Result<Place, Error> {
        let number = |at: usize| {
            let value = answer.get(at).cloned().unwrap_or(Value::Int(0));
            ::redis::from_redis_value::<u64>(value)
                .map_err(|error| self.inner.link.explain(&::redis::RedisError::from(error)))
        };
        let ahead = FencingToken::new(number(2)?);
        match i64::try_from(number(0)?).unwrap_or(i64::MAX) {
            status::DONE => Ok(Place {
                token: self.token(number(1)?)?,
                ahead,
                depth: u32::try_from(number(3)?).unwrap_or(u32::MAX),
            }),
            status::BUSY => Err(Error::Busy {
                name: queue.clone(),
                holder: ahead.unwrap_or(FencingToken::FIRST),
            }),
            status::OVER => match token {
                Some(token) => Err(Error::Over { name: queue.clone(), token }),
                None => Err(Error::SessionOver { session }),
            },
            status::FULL => {
                Err(Error::Full { what: "entries in the queue", limit: QUEUE_ENTRIES_MAX })
            }
            status::SESSION_OVER => Err(Error::SessionOver { session }),
            other => Err(self.inner.link.unavailable(format!("an answer of {other}"))),
        }
    }
}

impl Redis {
    /// What it is and does.
    pub const CAPABILITIES: Capabilities = Capabilities {
        engine: ENGINE,
        linearizable: Answer::If("no crash or failover loses what was answered"),
        fair: Answer::Yes,
        fenced: Answer::If("after a loss of data, the server's clock is not set back"),
        survives_restart: Answer::If("the server has appendonly yes and appendfsync always"),
        survives_leader_loss: Answer::No(
            "replication is asynchronous: a failover can let a second holder in",
        ),
        notification: Notification::Pushed,
        session_min: LENGTH_MIN,
        session_max: LENGTH_MAX,
        note: "one server; sessions end by its wall clock",
    };
}

impl Coordinator for Redis {
    fn capabilities(&self) -> Capabilities {
        Self::CAPABILITIES
    }

    fn open(&self, length: Duration) -> BoxFuture<'_, Result<Opened, Error>> {
        async move {
            if length < LENGTH_MIN || length > LENGTH_MAX {
                return Err(Error::Length { asked: length, min: LENGTH_MIN, max: LENGTH_MAX });
            }
            // Whole milliseconds, which is what the server counts in.
            let millis = u64::try_from(length.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
            let session: u64 = self.call("open", &[millis.to_string().as_bytes()]).await?;
            Ok(Opened { session: SessionId(session), length: Duration::from_millis(millis) })
        }
        .boxed()
    }

    fn renew(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            let alive: bool = self.call("renew", &[session.0.to_string().as_bytes()]).await?;
            if alive { Ok(()) } else { Err(Error::SessionOver { session }) }
        }
        .boxed()
    }

    fn close(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>> {
        async move { self.call("close", &[session.0.to_string().as_bytes()]).await }.boxed()
    }

    fn enter<'a>(
        &'a self,
        queue: &'a Name,
        request: Request<'a>,
    ) -> BoxFuture<'a, Result<Place, Error>> {
        async move {
            let Request { session, id, mode, value, wait } = request;
            check_value("the value of an entry", value)?;
            let (number, id) = (session.0.to_string(), id.to_string());
            let mode: &[u8] = if mode == Mode::Shared { b"s" } else { b"x" };
            let wait: &[u8] = if wait { b"1" } else { b"0" };
            let most = QUEUE_ENTRIES_MAX.to_string();
            let arguments = [
                queue.as_str().as_bytes(),
                number.as_bytes(),
                id.as_bytes(),
                mode,
                value,
                wait,
                most.as_bytes(),
            ];
            let answer: Vec<Value> = self.call("enter", &arguments).await?;
            self.placed(&answer, queue, session, None)
        }
        .boxed()
    }

    fn place<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<Place, Error>> {
        async move {
            let number = token.to_string();
            let arguments = [queue.as_str().as_bytes(), number.as_bytes()];
            let answer: Vec<Value> = self.call("place", &arguments).await?;
            self.placed(&answer, queue, SessionId(0), Some(token))
        }
        .boxed()
    }

    fn gone<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let wake = self.inner.wakes.register(queue.as_str(), Some(token));
            let number = token.to_string();
            let arguments = [queue.as_str().as_bytes(), number.as_bytes()];
            loop {
                let left: i64 = self.call("remaining", &arguments).await?;
                let Ok(left) = u64::try_from(left) else { return Ok(()) };
                if self.news(&wake, Some(Duration::from_millis(left))).await {
                    return Ok(());
                }
            }
        }
        .boxed()
    }

    fn leave<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let number = token.to_string();
            self.call("leave", &[queue.as_str().as_bytes(), number.as_bytes()]).await
        }
        .boxed()
    }

    fn set<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
        value: &'a [u8],
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            check_value("the value of an entry", value)?;
            let number = token.to_string();
            let arguments = [queue.as_str().as_bytes(), number.as_bytes(), value];
            let there: bool = self.call("set", &arguments).await?;
            if there { Ok(()) } else { Err(Error::Over { name: queue.clone(), token }) }
        }
        .boxed()
    }

    fn list<'a>(
        &'a self,
        queue: &'a Name,
        since: Option<u64>,
    ) -> BoxFuture<'a, Result<Listing, Error>> {
        async move {
            let Some(since) = since else { return Ok(self.listing(queue, false).await?.0) };
            let wake = self.inner.wakes.register(queue.as_str(), None);
            loop {
                let (listing, left) = self.listing(queue, true).await?;
                if listing.version != since {
                    return Ok(listing);
                }
                self.news(&wake, left).await;
            }
        }
        .boxed()
    }

    fn queues<'a>(&'a self, after: Option<&'a Name>) -> BoxFuture<'a, Result<Vec<Name>, Error>> {
        async move {
            let after = after.map_or("", Name::as_str);
            let first = LIST_MAX.to_string();
            let names: Vec<String> =
                self.call("queues", &[after.as_bytes(), first.as_bytes()]).await?;
            names.into_iter().map(|name| Ok(Name::new(name)?)).collect()
        }
        .boxed()
    }

    fn load<'a>(&'a self, register: &'a Name) -> BoxFuture<'a, Result<Option<Register>, Error>> {
        async move {
            let (value, version): (Option<Vec<u8>>, Option<u64>) =
                self.call("load", &[register.as_str().as_bytes()]).await?;
            Ok(value.zip(version).map(|(value, version)| Register { value, version }))
        }
        .boxed()
    }

    fn store<'a>(
        &'a self,
        register: &'a Name,
        expected: Option<u64>,
        value: &'a [u8],
    ) -> BoxFuture<'a, Result<u64, Error>> {
        async move {
            check_value("the value of a register", value)?;
            // Nothing stored is "0" there, which as an expected version can never be met.
            let wanted = match expected {
                None => "0".to_owned(),
                Some(0) => "never".to_owned(),
                Some(version) => version.to_string(),
            };
            let arguments = [register.as_str().as_bytes(), wanted.as_bytes(), value];
            let (stored, version): (bool, u64) = self.call("store", &arguments).await?;
            if stored {
                return Ok(version);
            }
            let version = (version > 0).then_some(version);
            Err(Error::Conflict { register: register.clone(), version })
        }
        .boxed()
    }
}
