//! The queue at the other side, read off the round-trip time.

use fastrand::Rng;

use super::estimate::whole;
use super::{Bounds, Estimate, Sample};
use crate::Invalid;

/// How [`Vegas`] goes down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decrease {
    /// By log₁₀ of the limit.
    Log10,
    /// To this part of the limit.
    To(f64),
}

/// The settings of [`Vegas`], with the defaults of `VegasLimit` in Netflix' concurrency-limits.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Options {
    /// How much of a change is made at once. 1: all of it.
    pub smoothing: f64,
    /// The load-free round-trip time is measured anew every so many times the limit updates (a
    /// random half of that less, so that many clients do not do it together). 30.
    pub probe_multiplier: u32,
    /// How it goes down. By log₁₀ of the limit.
    pub decrease: Decrease,
}

impl Default for Options {
    fn default() -> Self {
        Self { smoothing: 1.0, probe_multiplier: 30, decrease: Decrease::Log10 }
    }
}

impl Options {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        super::check_smoothing(self.smoothing)?;
        if self.probe_multiplier == 0 {
            return Err(Invalid::new("probe_multiplier", 0, "at least 1"));
        }
        match self.decrease {
            Decrease::To(part) if !(part > 0.0 && part < 1.0) => {
                Err(Invalid::new("decrease", part, "more than 0 and less than 1"))
            }
            _ => Ok(()),
        }
    }
}

/// Estimates how many of the calls under way wait in a queue at the other side, and keeps that
/// number between 3 and 6 times log₁₀ of the limit, as TCP Vegas does (Brakmo and Peterson, 1994):
/// `queue = limit · (1 − load-free round-trip time / this one)`.
///
/// It keeps queues short without needing drops, but trusts its load-free round-trip time: one that
/// was measured under load makes it generous until the next probe. The rule is that of `VegasLimit`
/// in Netflix' concurrency-limits, with one difference: a dropped call says nothing about the
/// load-free time, because a refusal is quicker than any answer.
#[derive(Clone, Debug)]
pub struct Vegas {
    options: Options,
    bounds: Bounds,
    rng: Rng,
    limit: f64,
    /// In nanoseconds; zero until there is one.
    load_free: f64,
    updates: u32,
    /// From a half to one: what part of the probe interval this one lasts.
    jitter: f64,
}

impl Vegas {
    /// At its initial limit; `rng` is for the moments of the probes.
    #[must_use]
    pub fn new(options: Options, bounds: Bounds, mut rng: Rng) -> Self {
        let (limit, jitter) = (f64::from(bounds.initial), jitter(&mut rng));
        Self { options, bounds, rng, limit, load_free: 0.0, updates: 0, jitter }
    }

    fn probe_is_due(&self) -> bool {
        let interval = self.jitter * f64::from(self.options.probe_multiplier) * self.limit;
        f64::from(self.updates) >= interval
    }

    fn decreased(&self) -> f64 {
        match self.options.decrease {
            Decrease::Log10 => self.limit - log10(self.limit),
            Decrease::To(part) => self.limit * part,
        }
    }

    /// What the limit should be, if it should move.
    fn wanted(&self, rtt: f64, in_flight: u32) -> Option<f64> {
        if f64::from(in_flight) * 2.0 < self.limit {
            return None; // Not used: nothing is known about more.
        }
        let step = log10(self.limit);
        let queue = (self.limit * (1.0 - self.load_free / rtt)).ceil();
        if queue <= step {
            Some(self.limit + 6.0 * step)
        } else if queue < 3.0 * step {
            Some(self.limit + step)
        } else if queue > 6.0 * step {
            Some(self.decreased())
        } else {
            None
        }
    }
}

impl Estimate for Vegas {
    fn limit(&self) -> u32 {
        whole(self.limit)
    }

    fn update(&mut self, sample: &Sample) -> u32 {
        let rtt = (sample.rtt.as_secs_f64() * 1e9).max(1.0);
        self.updates = self.updates.saturating_add(1);
        let wanted = if sample.dropped {
            Some(self.decreased())
        } else if self.probe_is_due() {
            (self.updates, self.jitter) = (0, jitter(&mut self.rng));
            self.load_free = rtt;
            None
        } else if self.load_free == 0.0 || rtt < self.load_free {
            self.load_free = rtt;
            None
        } else {
            self.wanted(rtt, sample.in_flight)
        };
        if let Some(wanted) = wanted {
            let smoothing = self.options.smoothing;
            let wanted = self.bounds.clamp(wanted);
            self.limit = (1.0 - smoothing) * self.limit + smoothing * wanted;
        }
        self.limit()
    }
}

fn jitter(rng: &mut Rng) -> f64 {
    0.5 + rng.f64() / 2.0
}

/// The whole number of log₁₀, but at least one.
fn log10(limit: f64) -> f64 {
    f64::from(whole(limit).checked_ilog10().unwrap_or(0).max(1))
}
