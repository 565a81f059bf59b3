//! How the round-trip time changes against what it has been for long.

use super::estimate::whole;
use super::{Bounds, Estimate, Sample};
use crate::Invalid;

/// For so many updates the long average is a plain mean (`Gradient2Limit`).
const WARM_UP: u32 = 10;

/// However slow a window was, the limit is not cut to less than this part of itself, before
/// smoothing (`Gradient2Limit`).
const GRADIENT_MIN: f64 = 0.5;

/// The settings of [`Gradient`], with the defaults of `Gradient2Limit` in Netflix'
/// concurrency-limits.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Options {
    /// How much of a change is made at once. 0.2.
    pub smoothing: f64,
    /// Updates over which the long average runs. 600: ten minutes of windows of a second.
    pub long_window: u32,
    /// How many times the long average a round-trip time may be before the limit falls. 1.5.
    pub tolerance: f64,
    /// How many calls may wait in a queue at the other side; what the limit grows by when all is
    /// well, before smoothing. 4.
    pub queue: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { smoothing: 0.2, long_window: 600, tolerance: 1.5, queue: 4 }
    }
}

impl Options {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        super::check_smoothing(self.smoothing)?;
        if self.long_window == 0 {
            return Err(Invalid::new("long_window", 0, "at least 1"));
        }
        if !(1.0..=100.0).contains(&self.tolerance) {
            return Err(Invalid::new("tolerance", self.tolerance, "from 1 to 100"));
        }
        Ok(())
    }
}

/// Compares each window's round-trip time with a long average, and lets the limit fall by the
/// ratio where it is worse than the tolerance:
///
/// ```text
/// gradient = tolerance · long / short, within [0.5, 1]
/// limit   ← (1 − smoothing) · limit + smoothing · (gradient · limit + queue)
/// ```
///
/// It needs neither drops nor a load-free moment, and a server that becomes slower for good is
/// accepted after a while: under *lasting* overload the long average creeps up, and the limit with
/// it, up to its maximum; so set that. The rule is that of `Gradient2Limit` in Netflix'
/// concurrency-limits, with one difference: a window with a drop counts as one of the worst
/// gradient (with the defaults, a tenth less, as [`super::Aimd`] does), and its time is not averaged.
/// The original looks at times alone, so that a server which refuses quickly seems fast.
#[derive(Clone, Debug)]
pub struct Gradient {
    options: Options,
    bounds: Bounds,
    pub(super) limit: f64,
    /// In nanoseconds.
    pub(super) long: f64,
    updates: u32,
}

impl Gradient {
    /// At its initial limit.
    #[must_use]
    pub fn new(options: Options, bounds: Bounds) -> Self {
        Self { options, bounds, limit: f64::from(bounds.initial), long: 0.0, updates: 0 }
    }

    /// Takes a round-trip time into the long average, and says what that is.
    fn average(&mut self, short: f64) -> f64 {
        let weight = if self.updates < WARM_UP {
            self.updates += 1;
            1.0 / f64::from(self.updates)
        } else {
            2.0 / (f64::from(self.options.long_window) + 1.0)
        };
        self.long += (short - self.long) * weight;
        let long = self.long;
        // All is well again after a long bad time: forget that faster.
        if long > 2.0 * short {
            self.long *= 0.95;
        }
        long
    }
}

impl Estimate for Gradient {
    fn limit(&self) -> u32 {
        whole(self.limit)
    }

    fn update(&mut self, sample: &Sample) -> u32 {
        let Options { smoothing, tolerance, queue, .. } = self.options;
        let gradient = if sample.dropped {
            GRADIENT_MIN
        } else {
            let short = (sample.rtt.as_secs_f64() * 1e9).max(1.0);
            let long = self.average(short);
            if f64::from(sample.in_flight) < self.limit / 2.0 {
                return self.limit(); // Not used: nothing is known about more.
            }
            (tolerance * long / short).clamp(GRADIENT_MIN, 1.0)
        };
        let room = if sample.dropped { 0.0 } else { f64::from(queue) };
        let wanted = self.limit * gradient + room;
        self.limit = self.bounds.clamp(self.limit * (1.0 - smoothing) + wanted * smoothing);
        self.limit()
    }
}
