//! What happened, as somebody sees it who can look everywhere at once.
//!
//! The history has what clients did and heard, and is what a verdict rests on. Figures and pictures
//! need more: who had the lock when, and what came to the storage too late.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use steadfast_time::Clock;

use super::storage::{Grant, Operation};

/// What a worker did, or what became of what it asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// It wants the lock.
    Asks,
    /// It has it.
    Holds(Grant),
    /// Its write was answered as done.
    Acknowledged(Operation),
    /// The storage let its write in though a later holder had been there.
    WritesStale,
    /// The storage refused it, for a later holder had been there.
    Refused,
    /// It gives the lock back; whether it still has it is another matter.
    LetsGo,
    /// It was killed.
    Gone,
    /// The coordinator opened a session for it.
    Opened(u64),
    /// The coordinator renewed its session.
    Renewed(u64),
}

/// What happened, to whom, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// True time since the beginning.
    pub at: Duration,
    /// Which worker, from 1.
    pub worker: u32,
    pub what: What,
}

/// Collects entries in the order in which they happen. Clones write the same journal.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    clock: Clock,
    entries: Arc<Mutex<Vec<Entry>>>,
}

impl Journal {
    /// An empty one, by the clock that is true for all.
    pub fn new(clock: Clock) -> Self {
        Self { clock, entries: Arc::default() }
    }

    /// Writes down what happens now.
    pub fn note(&self, worker: u32, what: What) {
        let at = self.clock.monotonic().since_start();
        let entry = Entry { at, worker, what };
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    /// What was written down, taken out.
    pub fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut *self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
