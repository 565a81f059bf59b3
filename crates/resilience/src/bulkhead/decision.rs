//! What a bulkhead decides, with its figures.

use std::time::Duration;

use super::Options;
use crate::figures::Brief;
use crate::limits::RETRY_AFTER_MIN;

/// Why there was no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// All places are taken, and the caller would not wait.
    Busy,
    /// All places are taken, and so are those in the queue.
    QueueFull,
    /// The caller's deadline has passed, or came while it waited.
    Deadline,
    /// It waited as long as it may.
    WaitedTooLong,
    /// It has been closed.
    Closed,
}

/// A call that a bulkhead had no place for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{in_use} of {limit} at work, {waiting} of {queue} waiting: {}", self.words())]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// Calls at work.
    pub in_use: u32,
    /// Most of them at once.
    pub limit: u32,
    /// Calls that wait.
    pub waiting: u32,
    /// Most of them at once.
    pub queue: u32,
    /// How long this one waited.
    pub waited: Duration,
    /// When to try again.
    pub retry_after: Duration,
}

impl Refused {
    /// By a bulkhead with these settings, in which so many are at work and so many wait. Worth
    /// trying again once everybody who waits now has a place or has gone: after the longest wait.
    pub(super) fn new(
        reason: Reason,
        options: &Options,
        in_use: u32,
        waiting: u32,
        waited: Duration,
    ) -> Self {
        let Options { limit, queue, wait } = *options;
        let retry_after = wait.max(RETRY_AFTER_MIN);
        Self { reason, in_use, limit, waiting, queue, waited, retry_after }
    }

    fn words(&self) -> String {
        match self.reason {
            Reason::Busy => "no place free".to_owned(),
            Reason::QueueFull => "no place to wait".to_owned(),
            Reason::Deadline if self.waited.is_zero() => "the deadline has passed".to_owned(),
            Reason::Deadline => {
                format!("the deadline came first, after waiting {}", Brief(self.waited))
            }
            Reason::WaitedTooLong => format!("waited {}", Brief(self.waited)),
            Reason::Closed => "closed".to_owned(),
        }
    }
}
