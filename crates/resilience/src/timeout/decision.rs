//! What a timeout decides, with its figures.

use std::time::Duration;

use crate::figures::Brief;

/// Whose limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// That of one attempt.
    Attempt,
    /// That of all attempts together.
    Overall,
    /// The caller's deadline.
    Deadline,
}

impl Scope {
    /// In one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attempt => "attempt",
            Self::Overall => "overall",
            Self::Deadline => "deadline",
        }
    }
}

/// A call that got no answer in time. What was sent may have been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer within {} ({})", Brief(*limit), self.whose())]
pub struct TimedOut {
    /// How long it was given.
    pub limit: Duration,
    /// Whose limit that is.
    pub scope: Scope,
    /// Which attempt was under way; the first is 1.
    pub attempt: u32,
}

impl TimedOut {
    fn whose(&self) -> String {
        match self.scope {
            Scope::Attempt => format!("attempt {}", self.attempt),
            scope => format!("{}, attempt {}", scope.as_str(), self.attempt),
        }
    }
}
