//! Walking the whole chain of hashes.
//!
//! Each event's hash covers the event and the hash before it, and the head is stored apart. So
//! whoever changes, removes or inserts an event leaves a break that [`verify`] finds and names:
//! the first event that does not fit, or the place where the history ends too early.
//!
//! # Limits
//! Whoever can write to the storage can also compute a new chain and a new head. To notice that,
//! keep a [`Head`] elsewhere from time to time and pass it as `from`, or compare it with the one
//! that [`verify`] returns.

use crate::hash::{self, ChainBreak};
use crate::limits::VERIFY_PAGE_EVENTS;
use crate::{Head, Position, StorageError, Store};

/// How far a verification has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The last event that has been checked.
    pub checked: Position,
    /// The last event that will be.
    pub head: Position,
}

/// Why the journal cannot be trusted, or could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An event does not fit to the one before. Everything before it is sound.
    #[error("the chain is broken at {0}")]
    Broken(#[from] ChainBreak),
    /// Events are missing at the end.
    #[error("the journal ends at event {found}, and its head says {head}: events are missing")]
    Truncated {
        /// The last event that is there.
        found: Position,
        /// The last event that should be.
        head: Position,
    },
    /// The chain is sound, but it is not the chain that the head was taken from.
    #[error(
        "event {position} does not have the hash that the head says: either the head or the \
         history has been replaced"
    )]
    OtherHistory {
        /// Where head and history differ.
        position: Position,
    },
    /// There are events behind the head, so the head has been set back.
    #[error("event {found} is stored although the head says that the journal ends at {head}")]
    Beyond {
        /// The event behind the head.
        found: Position,
        /// The last event that should be.
        head: Position,
    },
    /// The storage failed.
    #[error("could not read events after {after}: {source}")]
    Storage {
        /// What has been checked until then.
        after: Position,
        /// What failed.
        #[source]
        source: StorageError,
    },
}

/// Checks every event after `from` up to the head as it is now; [`Head::default`] checks the
/// whole history. Reads in pages, so memory stays bounded and commits go on meanwhile; `progress`
/// hears of each page.
///
/// # Errors
/// The first break, or a failure of the storage. See [`Error`].
pub fn verify(
    store: &dyn Store,
    from: Head,
    mut progress: impl FnMut(Progress),
) -> Result<Head, Error> {
    let storage = |after| move |source| Error::Storage { after, source };
    let head = store.head().map_err(storage(from.position))?;
    let mut last = from;
    while last.position < head.position {
        let after = last.position;
        let left = usize::try_from(head.position.0 - after.0).unwrap_or(usize::MAX);
        let events = store.events(after, left.min(VERIFY_PAGE_EVENTS)).map_err(storage(after))?;
        if events.is_empty() {
            return Err(Error::Truncated { found: after, head: head.position });
        }
        for event in events {
            hash::check(last.hash, last.position, &event)?;
            last = Head { position: event.position, hash: event.hash };
        }
        progress(Progress { checked: last.position, head: head.position });
    }
    if last != head {
        if last.position > head.position {
            return Err(Error::Truncated { found: head.position, head: last.position });
        }
        return Err(Error::OtherHistory { position: head.position });
    }
    // Read in this order: a commit in between moves the head, too.
    let beyond = store.events(head.position, 1).map_err(storage(head.position))?;
    let now = store.head().map_err(storage(head.position))?;
    match beyond.first() {
        Some(event) if event.position > now.position => {
            Err(Error::Beyond { found: event.position, head: now.position })
        }
        _ => Ok(head),
    }
}
