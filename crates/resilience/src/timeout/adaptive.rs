//! A timeout that follows what calls take: the machine.

use std::time::Duration;

use steadfast_time::Monotonic;

use super::options;
use crate::Invalid;
use crate::latency::{Reading, Window};

/// How much longer than its limit an attempt is taken to have needed that got no answer: twice,
/// as Karn's algorithm doubles a timer that ran out (Karn and Partridge, SIGCOMM 1987).
pub(super) const CENSORED: u32 = 2;

/// A timeout that follows what calls take.
#[derive(Clone, Debug)]
pub struct Adaptive {
    options: options::Adaptive,
    /// From the request to its answer; every call, those without an answer included.
    whole: Window,
    /// The way there and back (2d), and the work (r); of calls whose work is reported.
    parts: Option<Box<[Window; 2]>>,
}

impl Adaptive {
    /// One that has observed nothing.
    ///
    /// # Errors
    /// An option makes no sense.
    pub fn new(options: options::Adaptive) -> Result<Self, Invalid> {
        options.check()?;
        Ok(Self { options, whole: Window::new(options.lately)?, parts: None })
    }

    /// Counts an answer: how long it took, and how long the other side worked on it, if it says
    /// so. Failures are not to be counted: a refused connection says nothing about how long an
    /// answer takes.
    pub fn observe(&mut self, now: Monotonic, round_trip: Duration, processing: Option<Duration>) {
        self.whole.record(now, round_trip);
        let Some(parts) = super::split(round_trip, processing) else { return };
        if self.parts.is_none() {
            // The options have been checked, so this cannot fail.
            let window = || Window::new(self.options.lately);
            self.parts = window().and_then(|way| Ok(Box::new([way, window()?]))).ok();
        }
        for (window, part) in self.parts.iter_mut().flat_map(|windows| &mut **windows).zip(parts) {
            window.record(now, part);
        }
    }

    /// Counts an attempt that got no answer within `limit`, which this timeout had set: it needed
    /// longer, and is counted as having needed twice as long. An attempt that a shorter deadline
    /// ended, or that its caller dropped, says nothing about this and is not to be counted.
    pub fn timed_out(&mut self, now: Monotonic, limit: Duration) {
        self.whole.record(now, limit.saturating_mul(CENSORED));
    }

    /// How long an attempt that begins now may take.
    #[must_use]
    pub fn limit(&mut self, now: Monotonic) -> Duration {
        let whole = self.whole.read(now);
        let parts =
            self.parts.as_deref_mut().map(|windows| windows.each_mut().map(|w| w.read(now)));
        estimate(&self.options, &whole, parts.as_ref())
    }
}

/// The larger of q(whole) and q(2d) + q(r), each with its allowance for jitter, between floor and
/// ceiling.
pub(super) fn estimate(
    options: &options::Adaptive,
    whole: &Reading,
    parts: Option<&[Reading; 2]>,
) -> Duration {
    let reach = |reading: &Reading| {
        let enough = reading.all.count() >= options.samples_min;
        let quantile = reading.all.quantile(options.quantile).filter(|_| enough)?;
        let deviation = reading.recent.deviation().unwrap_or_default();
        Some(quantile.saturating_add(deviation.mul_f64(options.jitter)))
    };
    let Some(whole) = reach(whole) else { return options.ceiling };
    // While too few say how long they worked, the whole has to do.
    let sum = parts.and_then(|[way, work]| Some(reach(way)?.saturating_add(reach(work)?)));
    whole.max(sum.unwrap_or_default()).clamp(options.floor, options.ceiling)
}
