//! Lengths of time that were measured.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// The quantiles of a measurement, in milliseconds. With few values, the upper ones are the largest.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    pub count: usize,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

impl Spread {
    pub fn of(mut lengths: Vec<Duration>) -> Self {
        lengths.sort_unstable();
        // The smallest value that is not below so many percent of them (nearest rank).
        let quantile = |percent: usize| {
            let rank = (lengths.len() * percent).div_ceil(100).max(1);
            lengths.get(rank - 1).map_or(f64::NAN, |length| length.as_secs_f64() * 1_000.0)
        };
        Self {
            count: lengths.len(),
            p50_ms: quantile(50),
            p95_ms: quantile(95),
            p99_ms: quantile(99),
            max_ms: quantile(100),
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
