//! A lease table in PostgreSQL, for those who run one anyway.
//!
//! Many teams have a PostgreSQL server that is looked after well, and no etcd. This engine keeps
//! sessions, entries and registers in five tables of a schema of its own, made on first use.
//!
//! # Why tables, and not advisory locks
//!
//! An advisory lock lives as long as a connection: it has no deadline that a holder could count to,
//! no token, it goes when a pooler or a network closes the connection, and stays when the
//! connection is half open. A row has an expiry that the *server's* clock decides, and a number.
//!
//! # How
//!
//! Every call is one function of the schema: one statement, one transaction, one round trip. Why
//! each is right at READ COMMITTED stands beside it in `schema.sql`. Tokens come from a sequence
//! that is drawn while the queue's row is locked, so that the order of tokens is the order of
//! commits and hence of turns. A sequence is logged ahead of its use and, as the transaction is
//! answered after its commit is on disk, never gives a number again after a crash; the numbers have
//! gaps.
//!
//! A waiting client hears of a release by LISTEN and NOTIFY on one connection. As notifying
//! transactions commit one after the other, only those notify that have somebody to tell. The end
//! of a session is not notified: who waits for it asks when it is due. What a notice does not
//! reach, [`Options::poll`] does.
//!
//! # Limits
//!
//! - **The server's wall clock decides when a session ends**, for PostgreSQL has no other. When it
//!   is stepped forward, sessions end early: a holder may lose its entries before its own deadline,
//!   and the next holder has a higher token, so the storage refuses the first one's writes. When it
//!   is stepped back, the sessions of clients that fall silent last longer by the step; those that
//!   are renewed are right again at the next renewal. A session that anybody was told is over has
//!   been deleted, so no step brings one back. Let the server's NTP slew, not step.
//! - **One primary.** With asynchronous replication, a failover can lose the last answered entries
//!   and give tokens again. With synchronous standbys (`synchronous_standby_names`), which our
//!   connections wait for, it does not.
//! - `fsync = off` on the server breaks its word to us; a warning says so.
//! - **No pooler in transaction mode** in between: prepared statements, settings and LISTEN belong
//!   to a connection.
//! - No TLS in this build; the connection string `sslmode=require` is refused.
//! - The driver's tasks, and one that listens, run on the tokio runtime in which
//!   [`Postgres::connect`] was called. They end when the last handle is dropped.

mod fault;
mod listener;
mod options;
mod pool;
mod schema;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use steadfast_fencing::FencingToken;
use tokio::task::AbortHandle;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use self::fault::{explain, unavailable};
use self::pool::{Op, Pool};
use self::schema::status;
use super::wakes::{Wake, Wakes};
use crate::limits::{LENGTH_MAX, POSTGRES_LENGTH_MIN, QUEUE_ENTRIES_MAX};
use crate::port::{
    Answer, Capabilities, Coordinator, Entry, Error, Listing, Mode, Name, Notification, Opened,
    Place, Register, Request, SessionId, check_value,
};

pub use self::options::Options;

const ENGINE: &str = "postgres";

/// A coordinator in PostgreSQL. Cheap to clone.
#[derive(Clone)]
pub struct Postgres {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Arc<Pool>,
    wakes: Arc<Wakes>,
    listener: AbortHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Postgres").field(&self.inner.pool.options).finish()
    }
}

impl Postgres {
    /// Connects with the default options. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// See [`Postgres::connect_with`].
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::connect_with(Options::new(url)?).await
    }

    /// Connects once, to see that the server will do, and makes the tables if they are not there.
    ///
    /// # Errors
    /// [`Error::Refused`] for wrong credentials, an unknown database, a server of another kind, a
    /// standby, a schema of another version or of somebody else, or missing rights;
    /// [`Error::Unavailable`] when the server cannot be reached.
    pub async fn connect_with(options: Options) -> Result<Self, Error> {
        options.check()?;
        let pool = Arc::new(Pool::new(options));
        pool.call(Op::Load, &[&""]).await?;
        let wakes = Arc::new(Wakes::default());
        let listening = listener::run(Arc::clone(&pool), Arc::clone(&wakes));
        let listener = tokio::spawn(listening).abort_handle();
        Ok(Self { inner: Arc::new(Inner { pool, wakes, listener }) })
    }

    fn pool(&self) -> &Pool {
        &self.inner.pool
    }

    fn field<'r, T: FromSql<'r>>(&self, row: &'r Row, at: usize) -> Result<T, Error> {
        row.try_get(at).map_err(|error| explain(&self.pool().address, &error))
    }

    fn first<'r>(&self, rows: &'r [Row]) -> Result<&'r Row, Error> {
        rows.first().ok_or_else(|| unavailable(&self.pool().address, "an answer without rows"))
    }

    fn token(&self, number: i64) -> Result<FencingToken, Error> {
        u64::try_from(number)
            .ok()
            .and_then(FencingToken::new)
            .ok_or_else(|| unavailable(&self.pool().address, format!("a token of {number}")))
    }

    /// Waits for a notice, or until it is time to ask again anyway; says whether it was a notice.
    async fn news(&self, wake: &Wake, due: Option<Duration>) -> bool {
        let options = &self.pool().options;
        wake.news(&options.clock, options.poll, due).await
    }

    /// One listing, and the time until the next session in it ends.
    async fn listing(
        &self,
        queue: &Name,
        watch: bool,
    ) -> Result<(Listing, Option<Duration>), Error> {
        let rows = self.pool().call(Op::List, &[&queue.as_str(), &watch]).await?;
        let head = self.first(&rows)?;
        let mut digest = mix(self.field::<i64>(head, 0)?.unsigned_abs());
        digest = mix(digest ^ self.field::<i64>(head, 1)?.unsigned_abs());
        let left: Option<i64> = self.field(head, 2)?;
        let mut entries = Vec::with_capacity(rows.len() - 1);
        for row in rows.iter().skip(1) {
            let token = self.token(self.field(row, 3)?)?;
            let revision: i64 = self.field(row, 6)?;
            digest = mix(mix(digest ^ token.get()) ^ revision.unsigned_abs());
            entries.push(Entry {
                token,
                session: SessionId(self.field::<i64>(row, 4)?.unsigned_abs()),
                mode: if self.field(row, 5)? { Mode::Shared } else { Mode::Exclusive },
                value: self.field(row, 7)?,
            });
        }
        let left = left.map(|micros| Duration::from_micros(micros.unsigned_abs()));
        Ok((Listing { version: digest, entries }, left))
    }

    /// Reads the answer of `enter` and `place`.
    fn placed(
        &self,
        row: &Row,
        queue: &Name,
        session: SessionId,
        token: Option<FencingToken>,
    ) -> Result<Place, Error> {
        let ahead: Option<i64> = self.field(row, 2)?;
        let ahead = ahead.map(|ahead| self.token(ahead)).transpose()?;
        match self.field::<i32>(row, 0)? {
            status::DONE => Ok(Place {
                token: self.token(self.field(row, 1)?)?,
                ahead,
                depth: u32::try_from(self.field::<i64>(row, 3)?).unwrap_or(u32::MAX),
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
            other => Err(unavailable(&self.pool().address, format!("an answer of {other}"))),
        }
    }
}

/// A number as the database has it. One that is too large for it names nothing there.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(-1)
}

/// Scrambles 64 bits (the finaliser of SplitMix64; Steele, Lea, Flood 2014). A listing's version
/// is a digest of what it is made of, as sessions that end do not touch the queue's row.
const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl Postgres {
    /// What it is and does.
    pub const CAPABILITIES: Capabilities = Capabilities {
        engine: ENGINE,
        linearizable: Answer::Yes,
        fair: Answer::Yes,
        fenced: Answer::Yes,
        survives_restart: Answer::If("the server runs with fsync = on, its default"),
        survives_leader_loss: Answer::If("standbys are synchronous"),
        notification: Notification::Pushed,
        session_min: POSTGRES_LENGTH_MIN,
        session_max: LENGTH_MAX,
        note: "sessions end by the server's wall clock: a step forward ends them early, a \
               step back prolongs them",
    };
}

impl Coordinator for Postgres {
    fn capabilities(&self) -> Capabilities {
        Self::CAPABILITIES
    }

    fn open(&self, length: Duration) -> BoxFuture<'_, Result<Opened, Error>> {
        async move {
            if length < POSTGRES_LENGTH_MIN || length > LENGTH_MAX {
                return Err(Error::Length {
                    asked: length,
                    min: POSTGRES_LENGTH_MIN,
                    max: LENGTH_MAX,
                });
            }
            // Whole microseconds, which is what the server counts in.
            let micros = length.as_nanos().div_ceil(1_000);
            let micros = i64::try_from(micros).unwrap_or(i64::MAX);
            let rows = self.pool().call(Op::Open, &[&micros]).await?;
            let id: i64 = self.field(self.first(&rows)?, 0)?;
            Ok(Opened {
                session: SessionId(id.unsigned_abs()),
                length: Duration::from_micros(micros.unsigned_abs()),
            })
        }
        .boxed()
    }

    fn renew(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            let rows = self.pool().call(Op::Renew, &[&signed(session.0)]).await?;
            let alive: bool = self.field(self.first(&rows)?, 0)?;
            if alive { Ok(()) } else { Err(Error::SessionOver { session }) }
        }
        .boxed()
    }

    fn close(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>> {
        async move { self.pool().call(Op::Close, &[&signed(session.0)]).await.map(drop) }.boxed()
    }

    fn enter<'a>(
        &'a self,
        queue: &'a Name,
        request: Request<'a>,
    ) -> BoxFuture<'a, Result<Place, Error>> {
        async move {
            let Request { session, id, mode, value, wait } = request;
            check_value("the value of an entry", value)?;
            let shared = mode == Mode::Shared;
            let number = signed(session.0);
            let rows = self
                .pool()
                .call(Op::Enter, &[&queue.as_str(), &number, &id, &shared, &value, &wait])
                .await?;
            self.placed(self.first(&rows)?, queue, session, None)
        }
        .boxed()
    }

    fn place<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<Place, Error>> {
        async move {
            let number = signed(token.get());
            let rows = self.pool().call(Op::Place, &[&queue.as_str(), &number]).await?;
            self.placed(self.first(&rows)?, queue, SessionId(0), Some(token))
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
            let number = signed(token.get());
            loop {
                let rows = self.pool().call(Op::Remaining, &[&queue.as_str(), &number]).await?;
                let left: Option<i64> = self.field(self.first(&rows)?, 0)?;
                let Some(left) = left else { return Ok(()) };
                if self.news(&wake, Some(Duration::from_micros(left.unsigned_abs()))).await {
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
            let number = signed(token.get());
            self.pool().call(Op::Leave, &[&queue.as_str(), &number]).await.map(drop)
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
            let number = signed(token.get());
            let rows = self.pool().call(Op::Set, &[&queue.as_str(), &number, &value]).await?;
            let there: bool = self.field(self.first(&rows)?, 0)?;
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
            let rows = self.pool().call(Op::Names, &[&after]).await?;
            rows.iter().map(|row| Ok(Name::new(self.field::<&str>(row, 0)?)?)).collect()
        }
        .boxed()
    }

    fn load<'a>(&'a self, register: &'a Name) -> BoxFuture<'a, Result<Option<Register>, Error>> {
        async move {
            let rows = self.pool().call(Op::Load, &[&register.as_str()]).await?;
            let Some(row) = rows.first() else { return Ok(None) };
            let version: i64 = self.field(row, 1)?;
            Ok(Some(Register { value: self.field(row, 0)?, version: version.unsigned_abs() }))
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
            let wanted = expected.map(signed);
            let rows = self.pool().call(Op::Store, &[&register.as_str(), &wanted, &value]).await?;
            let row = self.first(&rows)?;
            let version: Option<i64> = self.field(row, 1)?;
            let version = version.map(i64::unsigned_abs);
            match (self.field::<bool>(row, 0)?, version) {
                (true, Some(version)) => Ok(version),
                _ => Err(Error::Conflict { register: register.clone(), version }),
            }
        }
        .boxed()
    }
}
