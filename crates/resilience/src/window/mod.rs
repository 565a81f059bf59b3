//! What happened lately: over the last calls, or over the last seconds.
//!
//! Breakers, budgets and limits all judge by the recent past, and a past that is thrown away
//! whole (a counter that restarts every minute, or every hundred calls) forgets at the worst
//! moment. Both windows here slide:
//!
//! - [`Count`]: the last *n* calls, exactly. Two bits a call; recording is a handful of
//!   instructions and does not depend on *n*.
//! - [`Time`]: sums over the last seconds. It slides in steps of a thousandth of its length
//!   ([`SLICES`]) and is exact at each step. Recording is O(1) amortised, memory is bounded, and
//!   nothing is allocated after it was made.
//!
//! Choose by what a stale answer would mean. A count window judges a busy service within
//! moments, but remembers a quiet one's bad night until breakfast; a time window forgets by
//! itself, but says little about a service that is called twice a minute.
//!
//! Neither reads a clock or locks; whoever shares one brings both.
//!
//! ```
//! use std::time::Duration;
//! use steadfast_resilience::window::{Count, SLICES, Time};
//! use steadfast_time::Monotonic;
//!
//! let mut calls = Count::new(100);
//! for _ in 0..10_000 {
//!     calls.record(false, false);
//! }
//! for _ in 0..50 {
//!     calls.record(true, false);
//! }
//! assert_eq!(calls.counts().failed, 50); // of the last 100, not of 10,050
//!
//! let at = |seconds| Monotonic::from_start(Duration::from_secs(seconds));
//! let mut sums = Time::<2>::new(Duration::from_secs(10), SLICES);
//! sums.add(at(1), [1, 0]);
//! sums.add(at(8), [1, 1]);
//! assert_eq!(sums.totals(at(9)), [2, 1]);
//! assert_eq!(sums.totals(at(12)), [1, 1]);
//! assert_eq!(sums.totals(at(60)), [0, 0]);
//! ```

mod count;
mod time;

pub use count::Count;
pub use time::{SLICES, Time};

use std::time::Duration;

use steadfast_time::Monotonic;

/// The nanoseconds since the clock's start, without 128-bit arithmetic. Enough for 584 years.
pub(crate) const fn nanos(now: Monotonic) -> u64 {
    now.as_nanos()
}

/// A length in nanoseconds, without 128-bit arithmetic; at most 584 years.
pub(crate) const fn nanos_in(length: Duration) -> u64 {
    Monotonic::from_start(length).as_nanos()
}
