//! What a retry policy decides, with its figures.

use std::fmt;
use std::time::Duration;

use crate::budget;
use crate::figures::Brief;

/// A retry that was issued. Its place in the budget is taken from now on, while it waits too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retrying {
    /// The coming attempt; the first retry is attempt 2.
    pub attempt: u32,
    /// When it is made.
    pub after: Duration,
    /// Whether the other side named the time.
    pub told: bool,
}

impl fmt::Display for Retrying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = if self.told { ", as the other side asked" } else { "" };
        write!(f, "attempt {} in {}{told}", self.attempt, Brief(self.after))
    }
}

/// Why a failed call is not made again.
///
/// In the order in which they are looked at: what the outcome says, what the policy and the call
/// say, what the time says, and the budget last, so that a retry which is withheld for another
/// reason costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// It failed in a way that asking again will not mend.
    Permanent,
    /// It was made as often as it may be.
    Attempts {
        /// How often that is.
        made: u32,
    },
    /// It may have been done, and doing it twice would do harm: it has no idempotency key and is
    /// not marked as safe to repeat.
    NotIdempotent,
    /// The caller is retrying already: repeats of repeats multiply.
    Nested,
    /// The other side wants to be left alone for longer than this policy waits.
    RetryAfter {
        /// For how long.
        asked: Duration,
        /// How long it waits at most.
        max: Duration,
    },
    /// The next attempt could not be done in time.
    Deadline {
        /// How much time is left.
        left: Duration,
        /// The pause, and what an attempt takes at least.
        needed: Duration,
        /// Whether it was the other side that named the pause.
        told: bool,
    },
    /// The budget is spent.
    Budget(budget::Spent),
    /// Too many calls failed lately.
    Throttled(budget::Throttled),
}

impl Withheld {
    /// In one word, for a metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Attempts { .. } => "attempts",
            Self::NotIdempotent => "not_idempotent",
            Self::Nested => "nested",
            Self::RetryAfter { .. } => "retry_after",
            Self::Deadline { .. } => "deadline",
            Self::Budget(_) => "budget",
            Self::Throttled(_) => "throttled",
        }
    }
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permanent => f.write_str("asking again would not help"),
            Self::Attempts { made: 1 } => f.write_str("1 attempt was made"),
            Self::Attempts { made } => write!(f, "{made} attempts were made"),
            Self::NotIdempotent => f.write_str("the call is not marked as safe to repeat"),
            Self::Nested => f.write_str("the caller is retrying already"),
            Self::RetryAfter { asked, max } => {
                let (asked, max) = (Brief(*asked), Brief(*max));
                write!(f, "the other side asks for a pause of {asked}, {max} is the most")
            }
            Self::Deadline { left, needed, told } => {
                let told = if *told { ", as the other side asked" } else { "" };
                write!(f, "{} left, {} needed{told}", Brief(*left), Brief(*needed))
            }
            Self::Budget(spent) => spent.fmt(f),
            Self::Throttled(throttled) => throttled.fmt(f),
        }
    }
}

impl From<budget::Spent> for Withheld {
    fn from(spent: budget::Spent) -> Self {
        Self::Budget(spent)
    }
}

impl From<budget::Throttled> for Withheld {
    fn from(throttled: budget::Throttled) -> Self {
        Self::Throttled(throttled)
    }
}
