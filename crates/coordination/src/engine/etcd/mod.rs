//! Coordination by an etcd cluster (feature `etcd`).
//!
//! Why: etcd is what most who coordinate already run. It survives the loss of a minority of its
//! members, and its store numbers every change, which is all that a fence needs.
//!
//! | port | etcd |
//! |---|---|
//! | session | lease; its length in whole seconds, at least about 2 s |
//! | entry | a key under that lease: session, mode and id in the key, the user's value as its value |
//! | token | the key's create revision |
//! | `enter` | one transaction: create the key if it is not there, and look who is ahead |
//! | `gone` | a watch on that one key, from the revision at which it was seen |
//! | `leave`, `set` | a transaction that compares the create revision first |
//! | register | a key; its version is the mod revision |
//!
//! The server is spoken to in its public gRPC interface with messages written by hand (`proto`):
//! the usual client generates them with a protocol compiler, which a build here must not need.
//!
//! # What is done about etcd's own weak points
//!
//! - A leader that has lost its majority, or was frozen until another one led, renews leases for a
//!   moment longer, and the new leader never hears of it. A renewal here counts only once the same
//!   member has answered a linearizable read after it, in the same term.
//! - A member that is frozen or cut off keeps its connection. Whoever waits in vain, or drops a
//!   call, puts it under suspicion, and the next member takes over (`pool`).
//! - Watches are told from a revision on, so one that was lost with its connection is taken up
//!   without a gap, and one whose revision is compacted or long past ends early: its caller looks
//!   again, which is linearizable.
//! - Reads are linearizable, so a member in a minority answers none.
//!
//! # Limits
//!
//! etcd 3.4 or later. Finding who is ahead costs the server a pass over the queue, as with etcd's
//! own locks: queues of thousands are slow. Waiting needs a tokio runtime: one task reads the
//! events. The length of sessions is rounded up to whole seconds and to the server's minimum (1.5
//! election timeouts); [`Opened::length`] says to what. A cluster that is restored from a backup goes
//! back to the backup's revision, and its tokens with it: give it another prefix and storage whose
//! fences begin anew.

mod banner;
mod failure;
mod keys;
mod link;
mod listing;
mod options;
mod pool;
mod proto;
mod queue;
mod register;
mod seen;
mod session;
mod table;
mod txn;
mod watches;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use steadfast_fencing::FencingToken;
use steadfast_time::Clock;

use self::keys::Keys;
use self::pool::Pool;
use self::proto::{RangeResponse, TxnRequest, TxnResponse, path};
use self::seen::Seen;
use self::watches::Watches;
use crate::limits::{ETCD_SEEN_MAX, LENGTH_MAX};
use crate::port::{
    Answer, Capabilities, Coordinator, Error, Listing, Name, Notification, Opened, Place, Register,
    Request, SessionId,
};

pub use self::options::{Credentials, Invalid, Options, Tls};

/// The engine's name.
const ENGINE: &str = "etcd";

/// An etcd cluster as an engine.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use steadfast_coordination::engine::etcd::{Etcd, Options};
/// use steadfast_time::Clock;
///
/// let options: Options = "etcd://user:password@10.0.0.1:2379,10.0.0.2:2379/orders".parse()?;
/// let etcd = Etcd::connect(options, Clock::system()).await?;
/// # Ok(())
/// # }
/// ```
pub struct Etcd {
    pool: Arc<Pool>,
    keys: Keys,
    seen: Mutex<Seen>,
    watches: Arc<Watches>,
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Etcd").field("options", &self.pool.options).finish_non_exhaustive()
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.watches.close();
    }
}

impl Etcd {
    /// An engine that connects when it is first used.
    ///
    /// # Errors
    /// [`Invalid`] says which option cannot be used.
    pub fn new(options: Options, clock: Clock) -> Result<Self, Invalid> {
        options.check()?;
        for index in 0..options.endpoints.len() {
            link::endpoint(&options, index)?;
        }
        let keys = Keys::new(&options.prefix);
        let probe = keys.queues_after(None).key;
        let pool = Arc::new(Pool::new(options, clock));
        let watches = Arc::new(Watches::new(Arc::clone(&pool), probe));
        Ok(Self { pool, keys, seen: Mutex::new(Seen::new(ETCD_SEEN_MAX)), watches })
    }

    /// An engine whose cluster has been found and takes its credentials.
    ///
    /// # Errors
    /// [`Error::Refused`] when the options cannot be used, the credentials are wrong, or another
    /// kind of server is there; [`Error::Unavailable`] when no member answers in time.
    pub async fn connect(options: Options, clock: Clock) -> Result<Self, Error> {
        let address = options.endpoints.join(",").into();
        let etcd = Self::new(options, clock).map_err(|invalid| Error::Refused {
            engine: ENGINE,
            address,
            reason: invalid.to_string().into(),
        })?;
        let probe = txn::count(etcd.keys.queues_after(None).key);
        let _: RangeResponse = etcd.pool.call(path::RANGE, probe).await?;
        Ok(etcd)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn transact(&self, request: TxnRequest) -> Result<TxnResponse, Error> {
        let answer: TxnResponse = self.pool.call(path::TXN, request).await?;
        self.pool.saw(answer.revision());
        Ok(answer)
    }

    fn strange(&self) -> Error {
        self.pool.unavailable("it gave an answer that does not fit the question")
    }

    fn token(&self, revision: i64) -> Result<FencingToken, Error> {
        let number = u64::try_from(revision).ok().and_then(FencingToken::new);
        number.ok_or_else(|| self.strange())
    }
}

impl Etcd {
    /// What it is and does.
    pub const CAPABILITIES: Capabilities = Capabilities {
        engine: ENGINE,
        linearizable: Answer::Yes,
        fair: Answer::Yes,
        fenced: Answer::Yes,
        survives_restart: Answer::Yes,
        survives_leader_loss: Answer::If("the cluster has three members or more"),
        notification: Notification::Pushed,
        session_min: Duration::from_secs(2),
        session_max: LENGTH_MAX,
        note: "sessions are rounded up to whole seconds and to 1.5 election timeouts of the \
               server, 2 s by default; after a change of leader they start anew",
    };
}

impl Coordinator for Etcd {
    fn capabilities(&self) -> Capabilities {
        Self::CAPABILITIES
    }

    fn open(&self, length: Duration) -> BoxFuture<'_, Result<Opened, Error>> {
        self.open_session(length).boxed()
    }

    fn renew(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>> {
        self.renew_session(session).boxed()
    }

    fn close(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>> {
        self.close_session(session).boxed()
    }

    fn enter<'a>(
        &'a self,
        queue: &'a Name,
        request: Request<'a>,
    ) -> BoxFuture<'a, Result<Place, Error>> {
        self.enter_queue(queue, request).boxed()
    }

    fn place<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<Place, Error>> {
        self.place_of(queue, token).boxed()
    }

    fn gone<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.await_gone(queue, token).boxed()
    }

    fn leave<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.leave_queue(queue, token).boxed()
    }

    fn set<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
        value: &'a [u8],
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.set_value(queue, token, value).boxed()
    }

    fn list<'a>(
        &'a self,
        queue: &'a Name,
        since: Option<u64>,
    ) -> BoxFuture<'a, Result<Listing, Error>> {
        self.list_queue(queue, since).boxed()
    }

    fn queues<'a>(&'a self, after: Option<&'a Name>) -> BoxFuture<'a, Result<Vec<Name>, Error>> {
        self.list_queues(after).boxed()
    }

    fn load<'a>(&'a self, register: &'a Name) -> BoxFuture<'a, Result<Option<Register>, Error>> {
        self.load_register(register).boxed()
    }

    fn store<'a>(
        &'a self,
        register: &'a Name,
        expected: Option<u64>,
        value: &'a [u8],
    ) -> BoxFuture<'a, Result<u64, Error>> {
        self.store_register(register, expected, value).boxed()
    }
}
