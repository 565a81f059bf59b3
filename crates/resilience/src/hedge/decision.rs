//! What hedging decides, with its figures.

use std::fmt;
use std::time::Duration;

use crate::figures::Brief;
use crate::{Share, budget};

/// A second attempt that was issued beside the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hedged {
    /// How long the first has been under way.
    pub after: Duration,
}

impl fmt::Display for Hedged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a second attempt after {}", Brief(self.after))
    }
}

/// Why a slow call gets no second attempt beside it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Withheld {
    /// It is not marked as safe to be done twice.
    NotIdempotent,
    /// The caller is repeating itself already: repeats of repeats multiply.
    Nested,
    /// Calls are fast enough without.
    Fast {
        /// The 95th percentile.
        p95: Duration,
        /// What it must exceed.
        threshold: Duration,
    },
    /// Too little has been observed to know.
    Unknown {
        /// Calls observed.
        observed: u64,
        /// How many are needed.
        needed: u64,
    },
    /// Too much of the error budget is gone for experiments.
    ErrorBudget {
        /// What is left of it.
        left: Share,
        /// What has to be.
        needed: Share,
    },
    /// So many calls were hedged lately that the trigger is wrong.
    Share {
        /// Of the calls lately.
        share: Share,
        /// What it may be.
        max: Share,
    },
    /// The budget of retries and hedges is spent.
    Budget(budget::Spent),
    /// It could not be done in time.
    Deadline {
        /// How much time is left.
        left: Duration,
    },
}

impl Withheld {
    /// In one word, for a metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotIdempotent => "not_idempotent",
            Self::Nested => "nested",
            Self::Fast { .. } => "fast",
            Self::Unknown { .. } => "unknown",
            Self::ErrorBudget { .. } => "error_budget",
            Self::Share { .. } => "share",
            Self::Budget(_) => "budget",
            Self::Deadline { .. } => "deadline",
        }
    }
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotIdempotent => f.write_str("the call is not marked as safe to repeat"),
            Self::Nested => f.write_str("the caller is repeating itself already"),
            Self::Fast { p95, threshold } => {
                write!(f, "p95 is {}, not above {}", Brief(*p95), Brief(*threshold))
            }
            Self::Unknown { observed, needed } => {
                write!(f, "{observed} calls observed, {needed} needed")
            }
            Self::ErrorBudget { left, needed } => {
                write!(f, "{left} of the error budget left, {needed} needed")
            }
            Self::Share { share, max } => write!(f, "{share} were hedged lately, {max} allowed"),
            Self::Budget(spent) => spent.fmt(f),
            Self::Deadline { left } => write!(f, "{} left", Brief(*left)),
        }
    }
}

/// Which of the two attempts answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Won {
    /// The first; the second was cancelled.
    First,
    /// The second; the first was cancelled.
    Second,
}

impl fmt::Display for Won {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "the first attempt answered, the second is cancelled",
            Self::Second => "the second attempt answered, the first is cancelled",
        })
    }
}
