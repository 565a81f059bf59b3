//! What a breaker remembers: one of the two windows.

use steadfast_time::Monotonic;

use super::{Counts, Window};
use crate::window::{Count, SLICES, Time};

/// The calls that are judged.
#[derive(Clone, Debug)]
pub(super) enum Past {
    Count(Count),
    Time(Time<3>),
}

impl Past {
    pub(super) fn new(window: Window) -> Self {
        match window {
            Window::Count(calls) => Self::Count(Count::new(calls)),
            Window::Time(length) => Self::Time(Time::new(length, SLICES)),
        }
    }

    pub(super) fn record(&mut self, now: Monotonic, failed: bool, slow: bool) {
        match self {
            Self::Count(window) => window.record(failed, slow),
            Self::Time(window) => window.add(now, [1, u64::from(failed), u64::from(slow)]),
        }
    }

    /// Adds calls that neither failed nor were slow. In a time window they belong to the newest
    /// slice.
    pub(super) fn record_good(&mut self, calls: u32) {
        match self {
            Self::Count(window) => window.record_good(calls),
            Self::Time(window) => window.add(Monotonic::default(), [u64::from(calls), 0, 0]),
        }
    }

    /// Forgets what has become too old.
    pub(super) fn slide(&mut self, now: Monotonic) {
        if let Self::Time(window) = self {
            window.totals(now);
        }
    }

    /// The sums, as of the newest moment that was seen.
    pub(super) fn counts(&self) -> Counts {
        match self {
            Self::Count(window) => window.counts(),
            Self::Time(window) => {
                let [calls, failed, slow] = window.sums();
                Counts { calls, failed, slow }
            }
        }
    }

    /// Whether another good call would change nothing at all.
    pub(super) const fn is_clean(&self) -> bool {
        match self {
            Self::Count(window) => window.is_clean(),
            Self::Time(_) => false,
        }
    }

    /// Until when, in nanoseconds since the clock's start, another call joins the newest ones and
    /// pushes none out. For ever in a count window, where time does nothing.
    pub(super) const fn same_slice_until(&self) -> u64 {
        match self {
            Self::Count(_) => u64::MAX,
            Self::Time(window) => window.newest_end(),
        }
    }

    pub(super) fn clear(&mut self) {
        match self {
            Self::Count(window) => window.clear(),
            Self::Time(window) => window.clear(),
        }
    }
}
