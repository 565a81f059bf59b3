//! The percentiles that are reported.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Percentiles in milliseconds, of a histogram of microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Millis {
    /// Half were at most this long.
    pub p50: f64,
    /// 95 of 100 were at most this long.
    pub p95: f64,
    /// 99 of 100 were at most this long.
    pub p99: f64,
}

impl Millis {
    /// Of a histogram of microseconds.
    pub fn of(micros: &Histogram<u64>) -> Self {
        let at = |percentile| as_f64(micros.value_at_percentile(percentile)) / 1e3;
        Self { p50: at(50.0), p95: at(95.0), p99: at(99.0) }
    }
}

/// Percentiles in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Micros {
    /// Half were at most this long.
    pub p50: u64,
    /// 99 of 100 were at most this long.
    pub p99: u64,
}

/// A count as a number that can be divided. Exact up to 2⁵³.
#[expect(clippy::cast_precision_loss, reason = "counts and microseconds stay far below 2^53")]
pub fn as_f64(count: u64) -> f64 {
    count as f64
}

/// A histogram of up to ten minutes in microseconds, with three digits.
///
/// # Panics
/// Never: the bounds are constants that the library accepts.
pub fn histogram() -> Histogram<u64> {
    match Histogram::new_with_bounds(1, 600_000_000, 3) {
        Ok(histogram) => histogram,
        Err(error) => unreachable!("constant bounds: {error}"),
    }
}
