//! Additive increase, multiplicative decrease.

use std::time::Duration;

use super::estimate::whole;
use super::{Bounds, Estimate, Sample};
use crate::Invalid;

/// The settings of [`Aimd`], with the defaults of `AIMDLimit` in Netflix' concurrency-limits.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Options {
    /// What a drop leaves of the limit. 0.9.
    pub backoff: f64,
    /// A round-trip time above this is a drop. 5 s.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length"))]
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { backoff: 0.9, timeout: Duration::from_secs(5) }
    }
}

impl Options {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        if !(0.5..1.0).contains(&self.backoff) {
            return Err(Invalid::new("backoff", self.backoff, "from 0.5 to less than 1"));
        }
        if self.timeout.is_zero() {
            return Err(Invalid::new("timeout", "0s", "more than 0"));
        }
        Ok(())
    }
}

/// One more after each success, a tenth less after each drop, as TCP Reno does.
///
/// It learns from drops alone, so it needs somebody who drops: a server that refuses, or a timeout.
/// Until then it fills every queue there is. The rule is that of `AIMDLimit` in Netflix'
/// concurrency-limits: no growth while less than half of the limit is used.
#[derive(Clone, Debug)]
pub struct Aimd {
    options: Options,
    bounds: Bounds,
    limit: u32,
}

impl Aimd {
    /// At its initial limit.
    #[must_use]
    pub const fn new(options: Options, bounds: Bounds) -> Self {
        Self { options, bounds, limit: bounds.initial }
    }
}

impl Estimate for Aimd {
    fn limit(&self) -> u32 {
        self.limit
    }

    fn update(&mut self, sample: &Sample) -> u32 {
        if sample.dropped || sample.rtt > self.options.timeout {
            self.limit = whole(f64::from(self.limit) * self.options.backoff);
        } else if sample.in_flight.saturating_mul(2) >= self.limit {
            self.limit = self.limit.saturating_add(1);
        }
        self.limit = whole(self.bounds.clamp(f64::from(self.limit)));
        self.limit
    }
}
