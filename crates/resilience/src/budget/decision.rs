//! What a budget decides, with its figures.

use std::fmt;

use crate::Share;

/// A budget that has nothing left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Calls within the budget's window.
    pub calls: u64,
    /// Retries and hedges issued within it.
    pub extra: u64,
    /// How many of them the calls allow, the floor included.
    pub allowed: u64,
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, extra, allowed } = self;
        write!(f, "the budget is spent: {extra} of {allowed} extra attempts on {calls} calls")
    }
}

/// How a budget stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Calls within the window.
    pub calls: u64,
    /// Retries and hedges issued within it.
    pub extra: u64,
    /// How many of them the calls allow, the floor included. Below `extra` when calls have left
    /// the window sooner than the attempts that they had paid for.
    pub allowed: u64,
}

impl Figures {
    /// How many extra attempts could be issued now.
    #[must_use]
    pub const fn left(self) -> u64 {
        self.allowed.saturating_sub(self.extra)
    }

    /// Extra attempts as a share of calls, at most all of them.
    #[must_use]
    pub fn share(self) -> Share {
        Share::of(self.extra, self.calls)
    }
}

impl From<Figures> for Spent {
    fn from(Figures { calls, extra, allowed }: Figures) -> Self {
        Self { calls, extra, allowed }
    }
}
