//! What can go wrong.

use std::sync::Arc;
use std::time::Duration;

use steadfast_fencing::FencingToken;

use super::{Name, NameError, SessionId};

/// Why a request was not met.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else is in, and the request was not to wait.
    #[error("{name} is held by another (token {holder})")]
    Busy {
        /// What was asked for.
        name: Name,
        /// The nearest entry ahead.
        holder: FencingToken,
    },
    /// The wait took as long as it was allowed to.
    #[error("{name} did not come free within {waited:?}")]
    Timeout {
        /// What was asked for.
        name: Name,
        /// How long was waited.
        waited: Duration,
    },
    /// The session has ended, and its entries with it.
    #[error("the session {session} has ended")]
    SessionOver {
        /// The session.
        session: SessionId,
    },
    /// The entry has gone; somebody else may hold what it held.
    #[error("the entry {token} of {name} has gone")]
    Over {
        /// The queue.
        name: Name,
        /// The entry.
        token: FencingToken,
    },
    /// The register is no longer what it was.
    #[error("the register {register} has changed")]
    Conflict {
        /// The register.
        register: Name,
        /// What it is at now; `None` when nothing was ever stored.
        version: Option<u64>,
    },
    /// Something was first used with another number than this one, and keeps it.
    #[error(
        "{name} was first used with {stored} {what} and is now asked for with {asked}; use the \
         same number everywhere, or another name"
    )]
    Differs {
        /// What there is a number of.
        what: &'static str,
        /// What was asked for.
        name: Name,
        /// The number that counts.
        stored: Arc<str>,
        /// The number that was asked for.
        asked: u32,
    },
    /// A limit is reached.
    #[error("there are {limit} {what} already, which is the limit")]
    Full {
        /// What there are too many of.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// A value does not fit.
    #[error("{what} has {bytes} bytes; at most {limit} are allowed")]
    TooLarge {
        /// What does not fit.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The engine has no sessions of that length.
    #[error("a session of {asked:?} is not possible here: {min:?} to {max:?} are")]
    Length {
        /// What was asked for.
        asked: Duration,
        /// The shortest that is possible.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// The name cannot be used.
    #[error(transparent)]
    Name(#[from] NameError),
    /// This node may hold nothing at present: its clock cannot be relied on.
    #[error("this node is quarantined: {reason}")]
    Quarantined {
        /// What is wrong with it.
        reason: Arc<str>,
    },
    /// The client has been shut down.
    #[error("the client has been shut down")]
    Closed,
    /// The server will not serve this client, however often it asks: wrong credentials, another
    /// kind of server at the address, data of another version.
    #[error("{engine} at {address} refuses: {reason}")]
    Refused {
        /// Which engine.
        engine: &'static str,
        /// Where it was looked for, without credentials.
        address: Arc<str>,
        /// What it says, and what to do about it.
        reason: Arc<str>,
    },
    /// The server cannot be asked now. Whether a request took effect is unknown.
    #[error("{engine} at {address} is not available: {reason}")]
    Unavailable {
        /// Which engine.
        engine: &'static str,
        /// Where it was looked for, without credentials.
        address: Arc<str>,
        /// What happened.
        reason: Arc<str>,
    },
}

impl Error {
    /// Whether the same request may succeed later with nothing changed by the caller.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Busy { .. }
                | Self::Timeout { .. }
                | Self::Full { .. }
                | Self::Quarantined { .. }
                | Self::Unavailable { .. }
        )
    }
}
