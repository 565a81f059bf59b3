//! The last times between heartbeats.

use std::time::Duration;

use crate::limits::SAMPLES_MAX;

/// The last times between heartbeats of one peer, and their mean and deviation.
///
/// Samples are whole microseconds in 32 bits, the sums are integers: they are exact after any
/// number of heartbeats, where sums of floating point numbers drift. A time above 71 minutes
/// counts as 71 minutes. Memory is taken as samples come: four bytes each.
#[derive(Clone, Debug)]
pub struct History {
    samples: Vec<u32>,
    /// Which one is the oldest, once all places are taken.
    oldest: usize,
    max: usize,
    sum: u64,
    squares: u128,
}

impl History {
    /// Room for the last `max` samples, but at least one and at most [`SAMPLES_MAX`].
    #[must_use]
    pub fn keeping(max: usize) -> Self {
        let max = max.clamp(1, SAMPLES_MAX);
        Self { samples: Vec::new(), oldest: 0, max, sum: 0, squares: 0 }
    }

    /// Takes a sample in; the oldest one goes when there is no room.
    pub fn push(&mut self, interval: Duration) {
        let sample = u32::try_from(interval.as_micros()).unwrap_or(u32::MAX);
        if self.samples.len() < self.max {
            self.samples.push(sample);
        } else if let Some(place) = self.samples.get_mut(self.oldest) {
            let gone = std::mem::replace(place, sample);
            self.sum -= u64::from(gone);
            self.squares -= square(gone);
            self.oldest = (self.oldest + 1) % self.max;
        }
        self.sum += u64::from(sample);
        self.squares += square(sample);
    }

    /// How many samples there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Their mean; nothing of nothing.
    #[must_use]
    pub fn mean(&self) -> Duration {
        micros(self.mean_micros())
    }

    /// Their standard deviation (that of the samples themselves, divided by their number).
    #[must_use]
    pub fn deviation(&self) -> Duration {
        micros(self.deviation_micros())
    }

    #[expect(clippy::cast_precision_loss, reason = "a mean needs no 53 bits")]
    pub(super) fn mean_micros(&self) -> f64 {
        if self.is_empty() { 0.0 } else { self.sum as f64 / self.len() as f64 }
    }

    #[expect(clippy::cast_precision_loss, reason = "a deviation needs no 53 bits")]
    pub(super) fn deviation_micros(&self) -> f64 {
        if self.is_empty() {
            return 0.0;
        }
        let count = self.len() as u128;
        // Exact: both products are below 2⁹⁶, and the first is never the smaller one.
        let spread = count * self.squares - u128::from(self.sum) * u128::from(self.sum);
        (spread as f64).sqrt() / self.len() as f64
    }
}

fn square(sample: u32) -> u128 {
    u128::from(u64::from(sample) * u64::from(sample))
}

/// From microseconds to a length of time, to the nanosecond.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturating")]
pub(super) fn micros(micros: f64) -> Duration {
    Duration::from_nanos((micros * 1e3).round() as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Akka's and Pekko's `AccrualFailureDetectorSpec`, "Statistics for heartbeats".
    #[test]
    fn mean_and_variance_are_those_of_the_published_examples() {
        let check = |history: &History, mean: f64, variance: f64| {
            assert!((history.mean_micros() / 1e3 - mean).abs() < 1e-5, "{mean}");
            assert!(((history.deviation_micros() / 1e3).powi(2) - variance).abs() < 1e-5);
        };
        let mut history = History::keeping(20);
        [100, 200, 125, 340, 130].into_iter().for_each(|sample| history.push(ms(sample)));
        check(&history, 179.0, 7_584.0);
        assert_eq!(history.mean(), ms(179));

        let mut one = History::keeping(600);
        one.push(ms(1_000));
        check(&one, 1_000.0, 0.0);

        let mut history = History::keeping(3);
        [100, 110, 90].into_iter().for_each(|sample| history.push(ms(sample)));
        check(&history, 100.0, 66.666_666_7);
        history.push(ms(140));
        check(&history, 113.333_333, 422.222_222);
        history.push(ms(80));
        check(&history, 103.333_333, 688.888_888_89);
    }

    #[test]
    fn it_is_still_exact_after_a_million_steps() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut history = History::keeping(16);
        let mut model: VecDeque<u64> = VecDeque::new();
        for step in 0..1_000_000 {
            // From microseconds to hours in turn, which is what makes running sums drift.
            let bits = rng.u32(1..34);
            let sample = rng.u64(..1 << bits);
            history.push(Duration::from_micros(sample));
            if model.len() == 16 {
                model.pop_front();
            }
            model.push_back(sample.min(u64::from(u32::MAX)));
            let count = model.len() as f64;
            let mean = model.iter().sum::<u64>() as f64 / count;
            assert_eq!(history.mean_micros(), mean, "step {step}");
            if step % 16 == 0 {
                let squares = model.iter().map(|&sample| (sample as f64 - mean).powi(2));
                let deviation = (squares.sum::<f64>() / count).sqrt();
                let off = (history.deviation_micros() - deviation).abs();
                assert!(off <= 1e-9 * deviation.max(1.0), "step {step}: {off} of {deviation}");
            }
        }
    }

    #[test]
    fn nothing_has_neither_mean_nor_deviation() {
        let history = History::keeping(0);
        assert_eq!((history.mean(), history.deviation()), (Duration::ZERO, Duration::ZERO));
        let mut history = history;
        history.push(Duration::MAX);
        history.push(ms(5));
        assert_eq!((history.len(), history.mean()), (1, ms(5)));
    }
}
