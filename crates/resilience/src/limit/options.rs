//! The settings of a concurrency limit.

use std::time::Duration;

use fastrand::Rng;

use super::{Aimd, Estimate, Gradient, Vegas, aimd, gradient, vegas};
use crate::Invalid;
use crate::limits::{PLACES_MAX, QUEUE_WAIT_MAX};

/// How the limit follows what it sees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Algorithm {
    /// By drops alone: [`Aimd`].
    Aimd(aimd::Options),
    /// By the queue that the round-trip time betrays: [`Vegas`].
    Vegas(vegas::Options),
    /// By how the round-trip time changes: [`Gradient`].
    Gradient(gradient::Options),
}

/// Where a limit begins, and between what it stays. 20, 20 and 200, as `AIMDLimit` and
/// `Gradient2Limit` of Netflix' concurrency-limits have it. A dependency that cannot even take 20
/// at once needs a smaller minimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Bounds {
    /// Where it begins.
    pub initial: u32,
    /// What it does not fall below.
    pub min: u32,
    /// What it does not rise above.
    pub max: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { initial: 20, min: 20, max: 200 }
    }
}

impl Bounds {
    /// Whether they make sense.
    ///
    /// # Errors
    /// They are not in order, or beyond [`PLACES_MAX`].
    pub fn check(&self) -> Result<(), Invalid> {
        let Self { initial, min, max } = *self;
        if !(1..=PLACES_MAX).contains(&max) {
            return Err(Invalid::new("max", max, format!("from 1 to {PLACES_MAX}")));
        }
        if !(1..=max).contains(&min) {
            return Err(Invalid::new("min", min, format!("from 1 to max = {max}")));
        }
        if !(min..=max).contains(&initial) {
            let allowed = format!("from min = {min} to max = {max}");
            return Err(Invalid::new("initial", initial, allowed));
        }
        Ok(())
    }

    /// Whatever they are: an algorithm may be made with bounds that nobody has checked.
    pub(super) fn clamp(&self, limit: f64) -> f64 {
        limit.max(f64::from(self.min)).min(f64::from(self.max))
    }
}

/// The settings of a concurrency limit.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Options {
    /// How it follows what it sees. [`Gradient`], which needs neither drops nor a load-free
    /// moment.
    pub algorithm: Algorithm,
    /// Between what it stays.
    pub bounds: Bounds,
    /// How long samples are gathered before the limit is reconsidered. 1 s, as `WindowedLimit` of
    /// concurrency-limits has it. Zero: every sample counts by itself.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length"))]
    pub window: Duration,
    /// How many samples there must be; with fewer the window goes on. 10, from there too.
    pub samples: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Gradient(gradient::Options::default()),
            bounds: Bounds::default(),
            window: Duration::from_secs(1),
            samples: 10,
        }
    }
}

impl Options {
    /// Whether they make sense.
    ///
    /// # Errors
    /// Those of the algorithm and of the bounds; a window beyond reason, or one without samples.
    pub fn check(&self) -> Result<(), Invalid> {
        let Self { algorithm, bounds, window, samples } = self;
        bounds.check()?;
        match algorithm {
            Algorithm::Aimd(options) => options.check(),
            Algorithm::Vegas(options) => options.check(),
            Algorithm::Gradient(options) => options.check(),
        }?;
        if *window > QUEUE_WAIT_MAX {
            let allowed = format!("at most {QUEUE_WAIT_MAX:?}");
            return Err(Invalid::new("window", format!("{window:?}"), allowed));
        }
        if *samples == 0 {
            return Err(Invalid::new("samples", samples, "at least 1"));
        }
        Ok(())
    }

    pub(super) fn estimate(&self, rng: Rng) -> Box<dyn Estimate> {
        let Self { algorithm, bounds, .. } = *self;
        match algorithm {
            Algorithm::Aimd(options) => Box::new(Aimd::new(options, bounds)),
            Algorithm::Vegas(options) => Box::new(Vegas::new(options, bounds, rng)),
            Algorithm::Gradient(options) => Box::new(Gradient::new(options, bounds)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::vegas::Decrease;

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let sound = Options::default();
        assert_eq!(sound.check(), Ok(()));
        let bounds = |initial, min, max| Options { bounds: Bounds { initial, min, max }, ..sound };
        let algorithm = |algorithm| Options { algorithm, ..sound };
        let aimd = aimd::Options::default();
        let vegas = vegas::Options::default();
        let gradient = gradient::Options::default();
        let wrong = [
            (bounds(1, 1, 0), "max"),
            (bounds(1, 0, 5), "min"),
            (bounds(6, 7, 5), "min"),
            (bounds(6, 1, 5), "initial"),
            (Options { window: Duration::from_secs(61), ..sound }, "window"),
            (Options { samples: 0, ..sound }, "samples"),
            (algorithm(Algorithm::Aimd(aimd::Options { backoff: 1.0, ..aimd })), "backoff"),
            (algorithm(Algorithm::Aimd(aimd::Options { backoff: 0.4, ..aimd })), "backoff"),
            (
                algorithm(Algorithm::Aimd(aimd::Options { timeout: Duration::ZERO, ..aimd })),
                "timeout",
            ),
            (algorithm(Algorithm::Vegas(vegas::Options { smoothing: 0.0, ..vegas })), "smoothing"),
            (
                algorithm(Algorithm::Vegas(vegas::Options { probe_multiplier: 0, ..vegas })),
                "probe_multiplier",
            ),
            (
                algorithm(Algorithm::Vegas(vegas::Options {
                    decrease: Decrease::To(1.0),
                    ..vegas
                })),
                "decrease",
            ),
            (
                algorithm(Algorithm::Gradient(gradient::Options { tolerance: 0.9, ..gradient })),
                "tolerance",
            ),
            (
                algorithm(Algorithm::Gradient(gradient::Options { long_window: 0, ..gradient })),
                "long_window",
            ),
            (
                algorithm(Algorithm::Gradient(gradient::Options {
                    smoothing: f64::NAN,
                    ..gradient
                })),
                "smoothing",
            ),
        ];
        for (options, key) in wrong {
            assert_eq!(options.check().unwrap_err().key, key, "{options:?}");
        }
    }
}
