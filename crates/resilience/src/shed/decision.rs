//! What load shedding decides, with its figures.

use std::time::Duration;

use super::Priority;
use crate::figures::Brief;

/// Why work was thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The queue was full of work that is at least as important (and, under overload, newer).
    QueueFull,
    /// More important work came, and there was no other place for it.
    Displaced,
    /// Its deadline passed while it waited.
    Deadline,
    /// It waited for longer than the queue keeps anybody waiting: [`super::Options::target`] under
    /// overload, otherwise [`super::Options::interval`].
    WaitedTooLong,
}

/// Work that was thrown away before it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{priority} work after waiting {}: {}", Brief(*waited), self.words())]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// How important it was.
    pub priority: Priority,
    /// How long it waited.
    pub waited: Duration,
    /// How much was waiting.
    pub waiting: u32,
    /// When to try again.
    pub retry_after: Duration,
}

impl Refused {
    const fn words(&self) -> &'static str {
        match self.reason {
            Reason::QueueFull => "the queue is full",
            Reason::Displaced => "more important work came",
            Reason::Deadline => "its deadline passed",
            Reason::WaitedTooLong => "overloaded",
        }
    }
}
