//! What a breaker decides, with its figures.

use std::fmt;
use std::time::Duration;

use crate::figures::Brief;

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Calls go through and are counted.
    Closed,
    /// No call goes through.
    Open,
    /// A few calls go through, to see.
    HalfOpen,
    /// No call goes through until somebody says otherwise.
    ForcedOpen,
    /// Every call goes through, whatever comes of it, until somebody says otherwise.
    ForcedClosed,
}

impl State {
    /// Its name, as it is written in events and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Open => "OPEN",
            Self::HalfOpen => "HALF_OPEN",
            Self::ForcedOpen => "FORCED_OPEN",
            Self::ForcedClosed => "FORCED_CLOSED",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a window has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls in the window.
    pub calls: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that took too long, failed or not.
    pub slow: u64,
}

/// Why a breaker changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Too large a share of the window failed.
    Failures(Counts),
    /// Too large a share of the window was slow.
    SlowCalls(Counts),
    /// The retry budget is spent: more is failing than may be asked again.
    BudgetSpent(Counts),
    /// The wait is over: time for a probe.
    WaitOver,
    /// Enough probes succeeded.
    Probes(Counts),
    /// Too many probes failed.
    FailedProbes(Counts),
    /// Somebody said so.
    Forced,
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Where it stood.
    pub from: State,
    /// Where it stands.
    pub to: State,
    /// Why.
    pub cause: Cause,
    /// When the next probe is let through, if it is open.
    pub next_probe: Option<Duration>,
}

/// `CLOSED→OPEN, 57 of the last 100 failed, next probe in 60 s`
impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}→{}, ", self.from, self.to)?;
        match self.cause {
            Cause::Failures(c) => write!(f, "{} of the last {} failed", c.failed, c.calls)?,
            Cause::SlowCalls(c) => write!(f, "{} of the last {} were slow", c.slow, c.calls)?,
            Cause::BudgetSpent(c) => {
                write!(f, "the retry budget is spent, {} of the last {} failed", c.failed, c.calls)?
            }
            Cause::WaitOver => f.write_str("the wait is over")?,
            Cause::Probes(c) => {
                write!(f, "{} of {} probes succeeded", c.calls - c.failed, c.calls)?;
            }
            Cause::FailedProbes(c) => {
                write!(f, "{} of {} probes failed or were slow", c.failed.max(c.slow), c.calls)?;
            }
            Cause::Forced => f.write_str("by an operator")?,
        }
        match self.next_probe {
            Some(wait) => write!(f, ", next probe in {}", Brief(wait)),
            None => Ok(()),
        }
    }
}

/// A call that a breaker did not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{state}{}", after(*retry_after))]
pub struct Refused {
    /// Where it stands: open, forced open, or half-open with all its probes out.
    pub state: State,
    /// When it may let a call through; unknown when it was forced open. While its probes are out
    /// nobody knows when they answer, and this says
    /// [`BREAKER_COME_BACK`](crate::limits::BREAKER_COME_BACK).
    pub retry_after: Option<Duration>,
}

fn after(retry_after: Option<Duration>) -> String {
    retry_after.map(|wait| format!(", try again in {}", Brief(wait))).unwrap_or_default()
}

/// What somebody wants of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forced {
    /// Let nothing through.
    Open,
    /// Let everything through, and go on counting so that it can be seen what comes of it.
    Closed,
    /// Judge for itself again: what was forced open sends probes first, what was forced closed
    /// starts with an empty window.
    Auto,
}
