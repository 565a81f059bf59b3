//! How long calls took lately.
//!
//! A timeout, a hedge and an alarm all ask the same: what do 95, or 99.8, of a hundred calls not
//! exceed *at present*? The mean does not say, and a quantile over all time no longer listens. So
//! durations are counted in buckets, and the counts are kept in a ring of slices that covers the
//! last [`Options::window`]: the oldest slice is emptied and becomes the newest.
//!
//! - [`Window`] is the machine: `record(now, duration)`, `quantile(now, share)`, `count(now)`.
//! - [`Shared`] is the same for many threads, and [`Watch`] one quantile of it, kept at hand.
//! - [`Histogram`] is what both count in, without its time.
//!
//! **Exactness.** A quantile is the upper edge of its bucket: never below the true value, and at
//! most 1/32 (3.1 %) above it; below 4 µs, at most 128 ns above. Durations beyond 549 s count as
//! 549 s. A duration stays for at least the window and leaves at most one slice later.
//!
//! **Cost.** 3.5 KiB per slice: 24.5 KiB with the defaults. Recording takes 6 ns on one thread, 10
//! to 20 on two that meet in the same bucket (they hand a cache line back and forth). Computing a
//! quantile takes 3 µs, asking a [`Watch`] 1 ns (`benches/timeout.rs`, 2 virtual cores). More
//! than 2³² calls of about the same duration within one slice would overflow its counter: with the
//! longest slice (half an hour) that takes 2.3 million a second.
//!
//! Not for reports over days (merge histograms elsewhere), nor where calls are rare: a quantile of
//! 99.8 % needs 500 of them within the window to be more than the maximum.
//!
//! ```
//! use std::time::Duration;
//! use steadfast_resilience::{Share, latency};
//! use steadfast_time::Monotonic;
//!
//! let mut lately = latency::Window::new(latency::Options::default())?;
//! let start = Monotonic::default();
//! for ms in 1..=100 {
//!     lately.record(start, Duration::from_millis(ms));
//! }
//! let p95 = lately.quantile(start, Share::percent(95)).ok_or("nothing observed")?;
//! assert!((95..=98).contains(&p95.as_millis()));
//!
//! let later = start + Duration::from_secs(120);
//! assert_eq!(lately.quantile(later, Share::percent(95)), None); // old news
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bucket;
mod cached;
mod histogram;
#[cfg(all(test, steadfast_loom))]
mod loom_tests;
mod shared;
#[cfg(test)]
#[cfg(not(steadfast_loom))]
mod tests;
mod window;

use std::time::Duration;

pub(crate) use cached::{Cached, UNKNOWN};
pub use histogram::Histogram;
pub use shared::{Shared, Watch};
pub use window::Window;

use crate::Invalid;
use crate::limits::{LATENCY_SLICES_MAX, LATENCY_WINDOW_MAX};
use crate::window::nanos_in;

/// What a window holds at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// All of it.
    pub all: Histogram,
    /// The two newest slices: how it is at present.
    pub recent: Histogram,
}

/// What "lately" means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Options {
    /// How long a duration counts at least.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length"))]
    pub window: Duration,
    /// In how many steps old durations leave: the more, the smoother, and the more memory (3.5 KiB
    /// each).
    pub slices: u32,
}

/// A minute in six slices: at ten calls a second, 600 durations.
impl Default for Options {
    fn default() -> Self {
        Self { window: Duration::from_secs(60), slices: 6 }
    }
}

impl Options {
    /// Whether they make sense.
    ///
    /// # Errors
    /// The window is below 1 ms or above [`LATENCY_WINDOW_MAX`], or there are fewer than 2 slices
    /// or more than [`LATENCY_SLICES_MAX`].
    pub fn check(&self) -> Result<(), Invalid> {
        if !(Duration::from_millis(1)..=LATENCY_WINDOW_MAX).contains(&self.window) {
            let allowed = format!("from 1 ms to {LATENCY_WINDOW_MAX:?}");
            return Err(Invalid::new("window", format!("{:?}", self.window), allowed));
        }
        if !(2..=LATENCY_SLICES_MAX).contains(&self.slices) {
            let allowed = format!("from 2 to {LATENCY_SLICES_MAX}");
            return Err(Invalid::new("slices", self.slices, allowed));
        }
        Ok(())
    }

    /// Slices in the ring: the one that is being filled, and those that make up the window.
    const fn ring(&self) -> usize {
        self.slices as usize + 1
    }

    /// Length of a slice in nanoseconds, rounded up so that the window is never short.
    fn slice(&self) -> u64 {
        nanos_in(self.window).div_ceil(u64::from(self.slices)).max(1)
    }
}

/// The place of a slice in a ring.
#[expect(clippy::cast_possible_truncation, reason = "below the ring's length")]
const fn place(number: u64, ring: usize) -> usize {
    (number % ring as u64) as usize
}
