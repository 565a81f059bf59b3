//! What a concurrency limit decides, with its figures.

use std::fmt;
use std::time::Duration;

/// A call beyond the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{in_flight} in flight, and the limit is {limit} now")]
pub struct Refused {
    /// Calls under way.
    pub in_flight: u32,
    /// How many the other side has been able to take.
    pub limit: u32,
    /// When to try again.
    pub retry_after: Duration,
}

/// A limit that moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// What it was.
    pub from: u32,
    /// What it is.
    pub to: u32,
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limit {}→{}", self.from, self.to)
    }
}
