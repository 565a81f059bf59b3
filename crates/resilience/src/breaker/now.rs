//! A moment, or somebody to ask for it.

use steadfast_time::{Clock, Monotonic};

/// A moment, or a clock that is read only where the moment matters. A reading costs more than
/// the rest of a breaker that has nothing to do.
pub trait Now {
    /// The moment.
    fn now(&self) -> Monotonic;
}

impl Now for Monotonic {
    fn now(&self) -> Monotonic {
        *self
    }
}

impl Now for &Clock {
    fn now(&self) -> Monotonic {
        self.monotonic()
    }
}
