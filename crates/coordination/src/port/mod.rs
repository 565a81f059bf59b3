//! The port: what an engine can do, and nothing that can be built from it.
//!
//! Every coordination service that is worth using has three things, under different names: a
//! *session* that ends by itself when its owner falls silent (etcd's lease, ZooKeeper's session, a
//! row with an expiry), *entries* that live as long as their session and are ordered by a number
//! that only rises (create revision, czxid, a sequence), and *registers* that are written by
//! compare-and-set. Locks, semaphores, elections, membership and sequences are arrangements of these,
//! written once on top, so an engine is a few hundred lines and cannot get a recipe wrong.
//!
//! The number of an entry is its [`FencingToken`]: entries get their turn in the order of their
//! numbers, so whoever holds later holds a higher token, and the protected storage can tell
//! (see `steadfast-fencing`).
//!
//! # Promises of every engine
//!
//! `conformance` holds the tests; [`Capabilities`] says where an engine promises less.
//!
//! 1. **Tokens** are unique in the engine and rise: an [`enter`](Coordinator::enter) that is sent
//!    after another one was answered gets the higher token, also across restarts of the server.
//! 2. **Entries** go when they are [left](Coordinator::leave), or with their session, and in no
//!    other way. Leaving names the token, so it never ends somebody else's entry.
//! 3. **Sessions** live at least [`Opened::length`] from the moment at which the server takes an
//!    [`open`](Coordinator::open) or [`renew`](Coordinator::renew), so a holder that counts from
//!    the *sending* of its request stops first. A session that is over stays over.
//! 4. **Repetition is safe**: every call may be sent again after an answer was lost. `enter` is the
//!    same entry under the same [`EntryId`]; `leave` and `close` of what is gone are fine.
//! 5. **A session is used through the client that opened it**: where it is a connection, no other
//!    one can.
//! 6. **Dropping** a call's future at any point leaks nothing in the client. What it had asked of
//!    the server may or may not have happened.

mod capability;
mod error;
mod name;

use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use steadfast_fencing::FencingToken;
use steadfast_time::Uuid;

pub use capability::{Answer, Capabilities, Notification};
pub use error::Error;
pub use name::{Name, NameError};

use crate::limits::VALUE_BYTES_MAX;

/// A session, as its engine numbers it. Never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub u64);

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What makes a repeated [`Coordinator::enter`] the same entry: chosen at random by the caller,
/// once per entry.
pub type EntryId = Uuid;

/// A session that has been opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its number.
    pub session: SessionId,
    /// How long it lives without a renewal, as the server counts: at least what was asked for, and
    /// more where the server has a coarser measure or a minimum.
    pub length: Duration,
}

/// Who may be in at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nobody else: blocked by every entry ahead.
    Exclusive,
    /// Others that share: blocked by the exclusive entries ahead.
    Shared,
}

impl Mode {
    /// Whether an entry of this mode has to wait for one of that mode that is ahead of it.
    #[must_use]
    pub const fn waits_for(self, ahead: Self) -> bool {
        matches!((self, ahead), (Self::Exclusive, _) | (_, Self::Exclusive))
    }
}

/// A request for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// With which it goes.
    pub session: SessionId,
    /// The same in every repetition.
    pub id: EntryId,
    /// Whom it waits for.
    pub mode: Mode,
    /// What others can read: who this is, or what the leader proclaims. At most
    /// [`VALUE_BYTES_MAX`].
    pub value: &'a [u8],
    /// Whether to stand in line when it is not its turn at once. If not, nothing is left behind.
    pub wait: bool,
}

/// An entry's place in its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The entry's number.
    pub token: FencingToken,
    /// The nearest entry ahead that it has to wait for; `None` when it is its turn.
    pub ahead: Option<FencingToken>,
    /// How many entries are ahead that it has to wait for, or the least that is known.
    pub depth: u32,
}

/// An entry, as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number.
    pub token: FencingToken,
    /// The session with which it goes.
    pub session: SessionId,
    /// Whom it waits for.
    pub mode: Mode,
    /// What its owner has written there.
    pub value: Vec<u8>,
}

/// A queue at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Tells contents of one queue apart: it is another one whenever the entries or their values are
    /// others. Means nothing else; an empty queue looks as any other empty one.
    pub version: u64,
    /// The entries in order, at most [`LIST_MAX`](crate::limits::LIST_MAX) of them.
    pub entries: Vec<Entry>,
}

/// The content of a register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// What was stored.
    pub value: Vec<u8>,
    /// Changes with every store; what the next one is compared with. Never zero.
    pub version: u64,
}

/// An engine. See the module for what it promises.
///
/// Methods are called by many tasks at once. A call that cannot be answered ends in
/// [`Error::Unavailable`] or is dropped by its caller at a deadline; engines have no retries of
/// their own beyond finding their server again.
pub trait Coordinator: Send + Sync + 'static {
    /// What this engine is and does.
    fn capabilities(&self) -> Capabilities;

    /// Opens a session.
    ///
    /// # Errors
    /// [`Error::Length`] when the engine cannot have one so short or so long.
    fn open(&self, length: Duration) -> BoxFuture<'_, Result<Opened, Error>>;

    /// Starts the length of a session anew.
    ///
    /// # Errors
    /// [`Error::SessionOver`] when it has ended.
    fn renew(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>>;

    /// Ends a session, and its entries with it.
    ///
    /// # Errors
    /// Only those of the connection: that it has ended already is fine.
    fn close(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>>;

    /// Enters a queue.
    ///
    /// # Errors
    /// [`Error::SessionOver`]; [`Error::Busy`] when `wait` is false and it is not its turn;
    /// [`Error::Full`].
    fn enter<'a>(
        &'a self,
        queue: &'a Name,
        request: Request<'a>,
    ) -> BoxFuture<'a, Result<Place, Error>>;

    /// Where an entry stands now. The answer is as of a moment after the call, never from a stale
    /// copy: an entry that hears that it is its turn was in the queue, and first, at that moment.
    ///
    /// # Errors
    /// [`Error::Over`] when the entry is gone.
    fn place<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<Place, Error>>;

    /// Waits until an entry is gone. May complete early; ask [`Coordinator::place`] again then.
    /// Only those who wait for this entry are woken.
    ///
    /// # Errors
    /// Those of the connection. The wait is to be repeated.
    fn gone<'a>(&'a self, queue: &'a Name, token: FencingToken)
    -> BoxFuture<'a, Result<(), Error>>;

    /// Takes an entry out of its queue, whoever asks.
    ///
    /// # Errors
    /// Only those of the connection: that it is gone already is fine.
    fn leave<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Changes the value of an entry.
    ///
    /// # Errors
    /// [`Error::Over`] when the entry is gone.
    fn set<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
        value: &'a [u8],
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// The entries of a queue: at once without `since`, else as soon as the version is another one
    /// than that. Changes in between may be skipped, the last one is not.
    ///
    /// # Errors
    /// Those of the connection.
    fn list<'a>(
        &'a self,
        queue: &'a Name,
        since: Option<u64>,
    ) -> BoxFuture<'a, Result<Listing, Error>>;

    /// Names of queues that have entries, in order, after a given one; at most
    /// [`LIST_MAX`](crate::limits::LIST_MAX) of them.
    ///
    /// # Errors
    /// Those of the connection.
    fn queues<'a>(&'a self, after: Option<&'a Name>) -> BoxFuture<'a, Result<Vec<Name>, Error>>;

    /// Reads a register; never from a stale copy. Registers have names of their own: one may be
    /// called like a queue. They stay until they are overwritten.
    ///
    /// # Errors
    /// Those of the connection.
    fn load<'a>(&'a self, register: &'a Name) -> BoxFuture<'a, Result<Option<Register>, Error>>;

    /// Writes a register if its version is still `expected` (`None`: if nothing was ever stored),
    /// and answers the new version. After [`Error::Unavailable`] it may have been written or not.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the version is another one.
    fn store<'a>(
        &'a self,
        register: &'a Name,
        expected: Option<u64>,
        value: &'a [u8],
    ) -> BoxFuture<'a, Result<u64, Error>>;
}

/// Refuses a value that is too large, so that it is not even sent. `what` names it.
pub(crate) const fn check_value(what: &'static str, value: &[u8]) -> Result<(), Error> {
    let (bytes, limit) = (value.len(), VALUE_BYTES_MAX);
    if bytes > limit { Err(Error::TooLarge { what, bytes, limit }) } else { Ok(()) }
}
