//! How a breaker stands, for whoever looks.

use std::fmt;
use std::time::Duration;

use steadfast_time::Monotonic;

use super::{Counts, State};
use crate::Share;
use crate::figures::Brief;

/// How a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Where it stands. What is open turns half-open with the first call after its wait.
    pub state: State,
    /// Since when.
    pub since: Monotonic,
    /// What its window has counted; half-open, what its probes came to so far. While it is open,
    /// the figures that it opened on.
    pub counts: Counts,
    /// Probes that have not answered yet.
    pub probes_out: u32,
    /// When it sends the next probe, if it is open.
    pub next_probe: Option<Duration>,
    /// How often it has opened by itself.
    pub opened: u64,
    /// How often it was told that the retry budget is spent.
    pub budget_spent: u64,
}

impl Snapshot {
    /// The share of the counted calls that failed.
    #[must_use]
    pub fn failure_rate(&self) -> Share {
        Share::of(self.counts.failed, self.counts.calls)
    }

    /// The share of the counted calls that were slow.
    #[must_use]
    pub fn slow_call_rate(&self) -> Share {
        Share::of(self.counts.slow, self.counts.calls)
    }
}

/// `OPEN, 57 of 100 calls failed, 3 slow, next probe in 42 s`
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { calls, failed, slow } = self.counts;
        let what = if self.state == State::HalfOpen { "probes" } else { "calls" };
        write!(f, "{}, {failed} of {calls} {what} failed, {slow} slow", self.state)?;
        if self.probes_out > 0 {
            write!(f, ", {} probes out", self.probes_out)?;
        }
        match self.next_probe {
            Some(wait) => write!(f, ", next probe in {}", Brief(wait)),
            None => Ok(()),
        }
    }
}
