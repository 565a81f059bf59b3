//! Counted durations, without their times.

use std::time::Duration;

use super::bucket::{self, BUCKETS};
use crate::Share;

/// How often which duration occurred. 3.5 KiB, wherever it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: [u32; BUCKETS],
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], total: 0 }
    }
}

impl Histogram {
    /// How many durations it holds.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.total
    }

    /// The smallest duration that at least `share` of all do not exceed (the nearest rank), as the
    /// upper edge of its bucket: never below the true value, and at most 1/32 (or 128 ns) above.
    /// `None` when it holds none.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and a count, and a rank needs no 53 bits"
    )]
    pub fn quantile(&self, share: Share) -> Option<Duration> {
        // 0.998 · 500 may come out a hair above 499, which must not become rank 500.
        let rank = (share.get() * self.total as f64 - 1e-6).ceil().max(1.0) as u64;
        // From the top: it is high quantiles that are asked for.
        let mut above = self.total.checked_sub(rank)?;
        for (index, &count) in self.counts.iter().enumerate().rev() {
            match above.checked_sub(u64::from(count)) {
                Some(rest) => above = rest,
                None => return Some(Duration::from_nanos(bucket::bounds(index).1)),
            }
        }
        None
    }

    /// How far the durations lie from their mean, on average (the mean deviation of Jacobson and
    /// Karels, SIGCOMM 1988). `None` when it holds none.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, below 2^40, and an average needs no 53 bits"
    )]
    pub fn deviation(&self) -> Option<Duration> {
        if self.total == 0 {
            return None;
        }
        let average = |of: &dyn Fn(f64) -> f64| {
            let filled = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
            let sum: f64 = filled.map(|(i, &n)| f64::from(n) * of(bucket::middle(i))).sum();
            sum / self.total as f64
        };
        let mean = average(&|value| value);
        let deviation = average(&|value| (value - mean).abs());
        Some(Duration::from_nanos(deviation as u64))
    }

    pub(super) fn add(&mut self, index: usize, count: u32) {
        self.counts[index] = self.counts[index].saturating_add(count);
        self.total += u64::from(count);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (index, &count) in other.counts.iter().enumerate() {
            self.add(index, count);
        }
    }

    pub(super) fn remove(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine = mine.saturating_sub(theirs);
        }
        self.total = self.total.saturating_sub(other.total);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
#[cfg(not(steadfast_loom))]
mod tests {
    use super::*;

    fn of(millis: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        for ms in millis {
            histogram.add(bucket::index(ms * 1_000_000), 1);
        }
        histogram
    }

    fn millis(duration: Option<Duration>) -> f64 {
        duration.unwrap().as_secs_f64() * 1e3
    }

    #[test]
    fn the_quantile_is_the_nearest_rank() {
        let histogram = of(1..=1_000);
        for (share, rank) in [(0.0, 1.0), (0.5, 500.0), (0.95, 950.0), (0.998, 998.0), (1.0, 1e3)] {
            let found = millis(histogram.quantile(Share::new(share).unwrap()));
            assert!(found >= rank && found <= rank * (1.0 + 1.0 / 32.0), "{share}: {found}");
        }
    }

    #[test]
    fn the_highest_rank_of_few_samples_is_not_rounded_up() {
        // 0.998 of 500 is rank 499, not the one outlier above it.
        let histogram = of((0..499).map(|_| 10).chain([400]));
        assert!(millis(histogram.quantile(Share::new(0.998).unwrap())) < 11.0);
        assert!(millis(histogram.quantile(Share::ALL)) > 399.0);
    }

    #[test]
    fn nothing_observed_has_neither_quantile_nor_deviation() {
        let empty = Histogram::default();
        assert_eq!((empty.quantile(Share::ALL), empty.deviation()), (None, None));
    }

    #[test]
    fn the_deviation_is_the_mean_distance_from_the_mean() {
        // 10 and 30: mean 20, each 10 away.
        let found = millis(of([10, 30, 10, 30]).deviation());
        assert!((found - 10.0).abs() < 0.4, "{found}");
        assert!(millis(of([20, 20]).deviation()) < 0.001);
    }
}
