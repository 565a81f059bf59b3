//! Whether the process stood still.

use std::time::Duration;

use steadfast_time::Monotonic;

/// Knows of the moments at which the whole process stood still: stopped, swapped out, suspended
/// with its machine.
///
/// A holder that stood still cannot have noticed that its session ended, and a clock that stood
/// still with it does not tell. So a stall that is longer than
/// [`Options::stall_max`](crate::Options::stall_max), or than what is left of the session by the
/// clock, ends a client's session before any further work.
///
/// Asked within each operation, under the client's lock: it must be quick, and must not use the
/// client.
pub trait Stalls: Send + Sync + 'static {
    /// The longest stall that ended at `since` or later, or is still going on at `now`; zero when
    /// there was none.
    fn since(&self, since: Monotonic, now: Monotonic) -> Duration;
}
