//! What the machine is told and asked, and what it answers. All of it can be written to a log or
//! sent over a wire.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use steadfast_fencing::FencingToken;

use crate::limits::{ENTRIES_MAX, LENGTH_MAX, LENGTH_MIN, QUEUE_ENTRIES_MAX, VALUE_BYTES_MAX};
use crate::port::{EntryId, Error, Listing, Mode, Name, Place, Register, Request, SessionId};

/// A point in the machine's own time, in nanoseconds. It moves only with the log, and only
/// forward; it stands still while no server runs.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct MachineTime(pub u64);

impl std::ops::Add<Duration> for MachineTime {
    type Output = Self;

    /// Saturates after 584 years.
    fn add(self, length: Duration) -> Self {
        let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

/// The time from the right point to the left one; zero when the right one is later.
impl std::ops::Sub for MachineTime {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A change. Everything that changes the machine is one of these, in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Opens a session: [`Output::Opened`].
    Open {
        /// How long it lives without a renewal.
        length: Duration,
    },
    /// Starts a session's length anew.
    Renew {
        /// Which.
        session: SessionId,
    },
    /// Ends a session and its entries.
    Close {
        /// Which.
        session: SessionId,
    },
    /// Enters a queue: [`Output::Place`].
    Enter {
        /// Which queue.
        queue: Name,
        /// With which the entry goes.
        session: SessionId,
        /// The same in every repetition.
        id: EntryId,
        /// Whom it waits for.
        mode: Mode,
        /// What others can read.
        value: Vec<u8>,
        /// Whether to stand in line.
        wait: bool,
    },
    /// Takes an entry out.
    Leave {
        /// Of which queue.
        queue: Name,
        /// Which.
        token: FencingToken,
    },
    /// Changes an entry's value.
    Set {
        /// Of which queue.
        queue: Name,
        /// Which.
        token: FencingToken,
        /// What others can read from now on.
        value: Vec<u8>,
    },
    /// Compares and sets a register: [`Output::Version`].
    Store {
        /// Which.
        register: Name,
        /// What its version must be; `None` when it must not exist.
        expected: Option<u64>,
        /// Its new content.
        value: Vec<u8>,
    },
    /// A server has started. Logged before anything else that it does: machine time stood still
    /// since the last command, but its clients' clocks did not, and a renewal may have been
    /// answered that the log has lost. So every session has its whole length before it again, and
    /// no holder counts longer than the server does.
    Restart,
    /// Time has passed: ends the sessions that are due and does nothing else. Every other command
    /// does that first, too.
    Expire,
}

impl Command {
    /// The command for a [`Request`].
    #[must_use]
    pub fn enter(queue: &Name, request: Request<'_>) -> Self {
        let Request { session, id, mode, value, wait } = request;
        Self::Enter { queue: queue.clone(), session, id, mode, value: value.to_vec(), wait }
    }
}

/// A question. It changes nothing, so it is not logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// Where an entry stands: [`Output::Place`].
    Place {
        /// In which queue.
        queue: Name,
        /// Which.
        token: FencingToken,
    },
    /// The entries of a queue: [`Output::Listing`].
    List {
        /// Which queue.
        queue: Name,
    },
    /// The names of queues that have entries: [`Output::Queues`].
    Queues {
        /// Only those after it.
        after: Option<Name>,
    },
    /// The content of a register: [`Output::Register`].
    Load {
        /// Which.
        register: Name,
    },
}

/// What a command or query that was met answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Done; there is nothing to say.
    Done,
    /// A new session. It lives for exactly as long as was asked for.
    Opened(SessionId),
    /// An entry's place.
    Place(Place),
    /// A queue's entries.
    Listing(Listing),
    /// Names of queues.
    Queues(Vec<Name>),
    /// A register, if anything was ever stored.
    Register(Option<Register>),
    /// The version under which a register was stored.
    Version(u64),
}

/// What there can be too many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bounded {
    /// Sessions.
    Sessions,
    /// Entries in one queue.
    EntriesOfQueue,
    /// Entries in all queues.
    Entries,
    /// Registers.
    Registers,
}

impl Bounded {
    /// What they are called in a message.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::EntriesOfQueue => "entries in the queue",
            Self::Entries => "entries",
            Self::Registers => "registers",
        }
    }

    /// How many there may be.
    #[must_use]
    pub const fn limit(self) -> usize {
        match self {
            Self::EntriesOfQueue => QUEUE_ENTRIES_MAX,
            Self::Sessions | Self::Entries | Self::Registers => ENTRIES_MAX,
        }
    }
}

/// Why a command or query was not met; nothing has changed then. Each is one [`Error`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// [`Error::SessionOver`].
    SessionOver(SessionId),
    /// [`Error::Busy`].
    Busy {
        /// The queue.
        queue: Name,
        /// The nearest entry ahead.
        holder: FencingToken,
    },
    /// [`Error::Over`].
    Over {
        /// The queue.
        queue: Name,
        /// The entry that is not in it.
        token: FencingToken,
    },
    /// [`Error::Conflict`].
    Conflict {
        /// The register.
        register: Name,
        /// Its version now.
        version: Option<u64>,
    },
    /// [`Error::Full`].
    Full(Bounded),
    /// [`Error::TooLarge`]: a value of so many bytes.
    TooLarge(usize),
    /// [`Error::Length`]: a session of such a length.
    Length(Duration),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::SessionOver(session) => Self::SessionOver { session },
            Refusal::Busy { queue, holder } => Self::Busy { name: queue, holder },
            Refusal::Over { queue, token } => Self::Over { name: queue, token },
            Refusal::Conflict { register, version } => Self::Conflict { register, version },
            Refusal::Full(what) => Self::Full { what: what.name(), limit: what.limit() },
            Refusal::TooLarge(bytes) => {
                Self::TooLarge { what: "the value", bytes, limit: VALUE_BYTES_MAX }
            }
            Refusal::Length(asked) => Self::Length { asked, min: LENGTH_MIN, max: LENGTH_MAX },
        }
    }
}

/// What becomes of a command or query.
pub type Answer = Result<Output, Refusal>;

/// A session's end is due, so a question cannot be answered yet: [`Command::Expire`] comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session is due to end first")]
pub struct Due;

/// A change that somebody may be waiting for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The queue whose entries, or their values, are others now.
    pub queue: Name,
    /// The entry that is gone; `None` when one has come or has another value.
    pub gone: Option<FencingToken>,
}
