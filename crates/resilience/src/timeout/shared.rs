//! Timeouts that many threads share: the shell.

use std::sync::OnceLock;
use std::time::Duration;

use steadfast_time::Monotonic;

use super::adaptive::{CENSORED, estimate};
use super::{Attempt, options};
use crate::Invalid;
use crate::latency::{self, Cached, UNKNOWN};
use crate::window::{nanos, nanos_in};

/// How old an adaptive limit may be. Computing one takes 4 µs, or 11 µs where the
/// other side reports its work.
pub const REFRESH: Duration = Duration::from_millis(100);

/// How long an attempt may take. Share it in an [`Arc`](std::sync::Arc) among all calls of one
/// dependency.
#[derive(Debug)]
pub enum Timeout {
    /// Always as long.
    Fixed(Duration),
    /// As long as nearly all take at present.
    Adaptive(Box<Shared>),
}

impl Timeout {
    /// From its options.
    ///
    /// # Errors
    /// They make no sense.
    pub fn new(options: Attempt) -> Result<Self, Invalid> {
        options.check()?;
        Ok(match options {
            Attempt::Fixed(limit) => Self::Fixed(limit),
            Attempt::Adaptive(options) => Self::Adaptive(Box::new(Shared::new(options)?)),
        })
    }

    /// How long an attempt that begins now may take.
    #[must_use]
    pub fn limit(&self, now: Monotonic) -> Duration {
        match self {
            Self::Fixed(limit) => *limit,
            Self::Adaptive(shared) => shared.limit(now),
        }
    }

    /// Counts an answer, if that makes any difference: see [`super::Adaptive::observe`].
    pub fn observe(&self, now: Monotonic, round_trip: Duration, processing: Option<Duration>) {
        if let Self::Adaptive(shared) = self {
            shared.observe(now, round_trip, processing);
        }
    }

    /// Counts an attempt that got no answer within `limit`: see [`super::Adaptive::timed_out`].
    pub fn timed_out(&self, now: Monotonic, limit: Duration) {
        if let Self::Adaptive(shared) = self {
            shared.timed_out(now, limit);
        }
    }

    /// Whether it wants to be told how long answers take.
    #[must_use]
    pub const fn observes(&self) -> bool {
        matches!(self, Self::Adaptive(_))
    }
}

/// [`super::Adaptive`] for many threads. Its limit is computed anew every [`REFRESH`] by whoever
/// asks first.
#[derive(Debug)]
pub struct Shared {
    options: options::Adaptive,
    whole: latency::Shared,
    /// Made when the first call reports how long it was worked on.
    parts: OnceLock<[latency::Shared; 2]>,
    limit: Cached<1>,
}

impl Shared {
    /// One that has observed nothing.
    ///
    /// # Errors
    /// An option makes no sense.
    pub fn new(options: options::Adaptive) -> Result<Self, Invalid> {
        options.check()?;
        let whole = latency::Shared::new(options.lately)?;
        Ok(Self { options, whole, parts: OnceLock::new(), limit: Cached::new() })
    }

    /// Counts an answer: see [`super::Adaptive::observe`].
    pub fn observe(&self, now: Monotonic, round_trip: Duration, processing: Option<Duration>) {
        self.whole.record(now, round_trip);
        let Some(parts) = super::split(round_trip, processing) else { return };
        if self.parts.get().is_none() {
            // The options have been checked, so this cannot fail.
            let window = || latency::Shared::new(self.options.lately);
            if let (Ok(way), Ok(work)) = (window(), window()) {
                // Somebody else may have been quicker, then that one is taken.
                let _ = self.parts.set([way, work]);
            }
        }
        for (window, part) in self.parts.get().into_iter().flatten().zip(parts) {
            window.record(now, part);
        }
    }

    /// Counts an attempt that got no answer within `limit`: see [`super::Adaptive::timed_out`].
    pub fn timed_out(&self, now: Monotonic, limit: Duration) {
        self.whole.record(now, limit.saturating_mul(CENSORED));
    }

    /// How long an attempt that begins now may take, as of [`REFRESH`] ago at most.
    #[must_use]
    pub fn limit(&self, now: Monotonic) -> Duration {
        let compute = || [nanos_in(self.compute(now))];
        match self.limit.get(nanos(now), nanos_in(REFRESH), compute) {
            [UNKNOWN] => self.options.ceiling,
            [limit] => Duration::from_nanos(limit),
        }
    }

    fn compute(&self, now: Monotonic) -> Duration {
        let parts = self.parts.get().map(|windows| windows.each_ref().map(|w| w.read(now)));
        estimate(&self.options, &self.whole.read(now), parts.as_ref())
    }
}
