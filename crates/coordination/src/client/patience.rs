//! How long to wait.

use steadfast_time::Monotonic;

/// How long an attempt may wait for its turn. It ends then, whether or not the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Not at all: refused when it is not its turn at once. The request itself is waited for, at
    /// most for [`Options::call_limit`](crate::Options::call_limit).
    Try,
    /// Until a moment of the client's clock.
    Until(Monotonic),
    /// Until it is its turn.
    Forever,
}

impl Patience {
    /// The moment at which a wait ends, if it ends.
    #[must_use]
    pub const fn end(self) -> Option<Monotonic> {
        match self {
            Self::Until(end) => Some(end),
            Self::Try | Self::Forever => None,
        }
    }

    /// Whether a wait of this patience is over.
    #[must_use]
    pub fn is_over(self, now: Monotonic) -> bool {
        self.end().is_some_and(|end| now >= end)
    }
}
