//! A wall clock from the last synchronisation on.
//!
//! From then on the date is counted on the *monotonic* clock, so that neither a step nor a slew
//! of the machine's wall clock moves it, and the bound grows by the drift of the oscillator. The
//! machine's wall clock is watched all the same: if it and the monotonic clock part by more than
//! drift explains, one of the two is wrong (a step, or a suspended machine whose monotonic clock
//! stood still), and the bound covers both until the next synchronisation.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::poll::Options;
use super::select::Selection;
use crate::clock::Monotonic;
use crate::interval::{Interval, Offset, drift};
use crate::timestamp::Timestamp;
use crate::wall::{Estimate, Reading, Status, Uncertainty};

/// A point from which dates are counted.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    reading: Reading,
    offset: Offset,
    error: Duration,
    fresh_for: Duration,
}

/// The wall clock as several NTP servers agree on it. Clones are the same; made by
/// [`Poller::start`](super::Poller::start), which needs a first agreement, so that there is no
/// such clock without a time.
#[derive(Clone, Debug)]
pub struct Ntp {
    anchor: Arc<Mutex<Anchor>>,
    drift_ppm: u32,
}

impl Ntp {
    pub(super) fn new(start: Reading, selection: &Selection, options: &Options) -> Self {
        let anchor = Anchor {
            reading: start,
            offset: selection.offset(),
            error: selection.error(),
            fresh_for: options.every.saturating_mul(3),
        };
        Self { anchor: Arc::new(Mutex::new(anchor)), drift_ppm: options.drift_ppm }
    }

    /// Takes a later agreement. `selection` is about the machine's wall clock at `reading`.
    pub(super) fn synchronize(&self, reading: Reading, selection: &Selection) {
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        anchor.reading = reading;
        anchor.offset = selection.offset();
        anchor.error = selection.error();
    }

    /// How long ago the servers agreed last, at `now`.
    #[must_use]
    pub fn age(&self, now: Monotonic) -> Duration {
        now - self.anchor.lock().unwrap_or_else(PoisonError::into_inner).reading.monotonic
    }

    /// How far the truth is ahead of the machine's own wall clock, as last measured.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.anchor.lock().unwrap_or_else(PoisonError::into_inner).offset
    }
}

impl Uncertainty for Ntp {
    fn estimate(&self, reading: Reading) -> Estimate {
        let anchor = *self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        let since = reading.monotonic - anchor.reading.monotonic;
        let counted: Timestamp = anchor.reading.wall + since;
        let parted = reading.parted_since(anchor.reading);
        let error = anchor.error + drift(self.drift_ppm, since);
        let (error, status) = if !parted.is_zero() {
            (error.saturating_add(parted), Status::Disrupted)
        } else if since > anchor.fresh_for {
            (error, Status::FreeRunning)
        } else {
            (error, Status::Synchronized)
        };
        Estimate { interval: Interval::around(counted + anchor.offset, error), status }
    }
}
