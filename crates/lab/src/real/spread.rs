//! Lengths of time that were measured.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// The quantiles of a measurement, in milliseconds. With few values, the upper ones are the largest.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    /// How many there were.
    pub count: usize,
    /// The median.
    pub p50_ms: f64,
    /// What 95 of a hundred do not exceed.
    pub p95_ms: f64,
    /// What 99 of a hundred do not exceed.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// The smallest length that is not below so many percent of them (nearest rank); none of none.
pub(crate) fn quantile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

impl Spread {
    /// Of these lengths.
    #[must_use]
    pub fn of(mut lengths: Vec<Duration>) -> Self {
        lengths.sort_unstable();
        let at = |percent| {
            quantile(&lengths, percent).map_or(f64::NAN, |length| length.as_secs_f64() * 1_000.0)
        };
        Self {
            count: lengths.len(),
            p50_ms: at(50),
            p95_ms: at(95),
            p99_ms: at(99),
            max_ms: at(100),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, p50_ms, p95_ms, p99_ms, max_ms } = self;
        write!(
            f,
            "p50 {p50_ms:.1} ms, p95 {p95_ms:.1} ms, p99 {p99_ms:.1} ms, max {max_ms:.1} ms \
             (of {count})"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let spread = Spread::of((1..=20).rev().map(Duration::from_millis).collect());
        assert_eq!((spread.p50_ms, spread.p95_ms, spread.max_ms), (10.0, 19.0, 20.0));
        assert_eq!(Spread::of(vec![Duration::from_millis(3)]).p50_ms, 3.0);
        assert!(Spread::of(Vec::new()).max_ms.is_nan());
    }
}
