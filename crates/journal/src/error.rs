//! What can go wrong, split by whose turn it is.

use std::path::PathBuf;

use steadfast_fencing::Stale;
use steadfast_time::Timestamp;

use crate::store::Claimed;
use crate::{Expected, MessageRef, StreamId, Version};

/// Why a write was not committed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A check failed; the write had no effect. The journal is well.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The queue to the writer is full; the write had no effect. Try again later.
    #[error("the journal has {queued} writes waiting, which is its limit; try again shortly")]
    Overloaded {
        /// How many writes wait.
        queued: usize,
    },
    /// A part of the write is over a limit; the write had no effect.
    #[error("{what} is {actual}, over the limit of {limit}")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// Its size.
        actual: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The journal is shut down or has failed before. Whether *this* write took effect is known:
    /// it did not.
    #[error("the journal is closed")]
    Closed,
    /// The storage failed while the write was under way. It is **unknown** whether it took
    /// effect; the journal accepts no further writes, and a restart will tell.
    #[error("the journal's storage failed: {0}")]
    Storage(#[source] std::sync::Arc<StorageError>),
}

impl Error {
    /// The refusal, when it is one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

/// The check that refused a write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The key holds the answer to the same request: replay it.
    #[error("the idempotency key has been used for this request; its answer is stored")]
    Duplicate(Box<Claimed>),
    /// The key holds the answer to another request.
    #[error("the idempotency key has been used for another request")]
    KeyReused,
    /// The message has had its effect.
    #[error("{consumer} has processed {message:?} before")]
    AlreadyProcessed {
        /// Who handled it.
        consumer: String,
        /// What was handled.
        message: MessageRef,
    },
    /// A later owner has been here.
    #[error("{resource}: {stale}")]
    Stale {
        /// What is owned.
        resource: String,
        /// The tokens.
        #[source]
        stale: Stale,
    },
    /// Somebody else appended first.
    #[error("{stream} is at version {actual}, not at {expected:?}")]
    Conflict {
        /// The stream.
        stream: StreamId,
        /// The version that was expected.
        expected: Expected,
        /// The version that it has.
        actual: Version,
    },
    /// A counter would leave its bounds.
    #[error("{counter} is {value}; moving it by {delta} would leave {min}..={max}")]
    OutOfBounds {
        /// The counter.
        counter: String,
        /// Its value.
        value: i64,
        /// The move.
        delta: i64,
        /// The least that is allowed.
        min: i64,
        /// The most that is allowed.
        max: i64,
    },
}

/// What can go wrong below a journal.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Another process has the data open.
    #[error("{path} is in use by another process")]
    InUse {
        /// The directory or file.
        path: PathBuf,
    },
    /// The path does not hold a journal, or holds another one than expected.
    #[error("{path} is not a Steadfast journal: {what}")]
    Foreign {
        /// The directory or file.
        path: PathBuf,
        /// How one can tell.
        what: String,
    },
    /// The journal was written by a newer version of this program.
    #[error("{path} has format {found}; this version reads up to {supported}; use a newer one")]
    Newer {
        /// The directory or file.
        path: PathBuf,
        /// The format that was found.
        found: i64,
        /// The newest that is understood.
        supported: i64,
    },
    /// The data is damaged.
    #[error("{path} is damaged: {what}; restore it from a backup")]
    Damaged {
        /// The directory or file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// No room is left.
    #[error("no room is left on the disk that holds {path}")]
    DiskFull {
        /// The directory or file.
        path: PathBuf,
    },
    /// Something else that the database or the operating system reported.
    #[error("{context}: {source}")]
    Other {
        /// What was being done.
        context: &'static str,
        /// What was reported.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The writer died with the write in its hands.
    #[error("the writer died; a restart will tell what it had committed")]
    Died,
    /// The simulated machine has crashed (memory engine only).
    #[error("simulated crash at {at}")]
    Crashed {
        /// When.
        at: Timestamp,
    },
}
