//! Figures and curves out of a history: what clients saw is all there is.

use std::time::Duration;

use super::anomalies::{self, Found};
use super::broken;
use crate::history::{Event, Operation, Outcome, pairs};
use crate::observed::Series;
use crate::quantity::{Quantity, Unit};
use crate::system::Indicator;
use crate::{Error, Observed};

/// Points of a curve.
const POINTS: u32 = 120;

pub(super) const STALE: &str = "stale_reads.count";
pub(super) const STALE_SHARE: &str = "stale_reads.share";
pub(super) const INVERSIONS: &str = "new_old_inversions.count";
pub(super) const MADE_UP: &str = "made_up_reads.count";
pub(super) const AVAILABILITY: &str = "linearizable_op.availability";
pub(super) const WRITE_P95: &str = "quorum_write_p95_ms";
pub(super) const READ_P95: &str = "quorum_read_p95_ms";
pub(super) const MATRIX_STALE: &str = "matrix.overlapping.stale_reads.count";
pub(super) const MATRIX_AVAILABILITY: &str = "matrix.one_lost.availability";

pub(super) const INDICATORS: [Indicator; 9] = [
    Indicator {
        name: STALE,
        unit: Unit::Count,
        about: "Reads that miss a write which had ended before they began.",
    },
    Indicator {
        name: STALE_SHARE,
        unit: Unit::Share,
        about: "These, of all reads that were answered.",
    },
    Indicator {
        name: INVERSIONS,
        unit: Unit::Count,
        about: "Reads of a value older than what an earlier read had seen: new, then old.",
    },
    Indicator { name: MADE_UP, unit: Unit::Count, about: "Reads of a value that nobody wrote." },
    Indicator {
        name: AVAILABILITY,
        unit: Unit::Share,
        about: "Operations that were done, of all that were begun.",
    },
    Indicator {
        name: WRITE_P95,
        unit: Unit::Time,
        about: "How long 95 % of the writes take at most, those that were given up included.",
    },
    Indicator {
        name: READ_P95,
        unit: Unit::Time,
        about: "How long 95 % of the reads take at most, those that were given up included.",
    },
    Indicator {
        name: MATRIX_STALE,
        unit: Unit::Count,
        about: "Stale reads with all W and R of the matrix that overlap (W + R > N).",
    },
    Indicator {
        name: MATRIX_AVAILABILITY,
        unit: Unit::Share,
        about: "The lowest availability in the matrix with one replica lost, of the W and R that \
                can do without one.",
    },
];

/// How an operation went.
struct Went<'a> {
    operation: &'a Operation,
    /// When it was answered, in nanoseconds; `None` when never.
    answered: Option<u64>,
}

impl Went<'_> {
    fn took(&self) -> Option<Duration> {
        let nanos = self.answered?.saturating_sub(self.operation.from);
        Some(Duration::from_nanos(nanos))
    }

    fn is_done(&self) -> bool {
        self.operation.outcome == Outcome::Ok
    }
}

/// Figures that the trial and each cell of the matrix have in common.
pub(super) struct Figures {
    pub(super) found: Found,
    pub(super) begun: u64,
    pub(super) done: u64,
}

impl Figures {
    pub(super) fn availability(&self) -> Quantity {
        Quantity::share_of(self.done, self.begun)
    }

    pub(super) fn stale(&self) -> Quantity {
        Quantity::share_of(self.found.stale.len() as u64, self.found.reads)
    }
}

pub(super) fn figures(history: &[Event]) -> Result<Figures, Error> {
    let operations = pairs(history).map_err(broken)?;
    Ok(counted(&operations))
}

fn counted(operations: &[Operation]) -> Figures {
    let done = operations.iter().filter(|it| it.outcome == Outcome::Ok).count() as u64;
    Figures { found: anomalies::find(operations), begun: operations.len() as u64, done }
}

/// Everything that a history says, but the history itself.
pub(super) fn observed(history: &[Event], duration: Duration) -> Result<Observed, Error> {
    let operations = pairs(history).map_err(broken)?;
    let figures = counted(&operations);
    let mut observed = Observed::default();
    let found = &figures.found;
    observed.indicator(STALE, Quantity::count(found.stale.len() as u64));
    observed.indicator(STALE_SHARE, figures.stale());
    observed.indicator(INVERSIONS, Quantity::count(found.inverted));
    observed.indicator(MADE_UP, Quantity::count(found.made_up));
    observed.indicator(AVAILABILITY, figures.availability());
    let went = |operation| Went { operation, answered: answered(operation, history) };
    let went: Vec<_> = operations.iter().map(went).collect();
    observed.indicator(WRITE_P95, Quantity::time(p95(&went, "write")));
    observed.indicator(READ_P95, Quantity::time(p95(&went, "read")));
    curves(&mut observed, &went, found, duration);
    Ok(observed)
}

fn answered(operation: &Operation, history: &[Event]) -> Option<u64> {
    Some(history.get(operation.completed?)?.time)
}

/// An operation that was never answered took longer than all others: it is the last of them.
fn p95(went: &[Went<'_>], f: &str) -> Duration {
    let mut took: Vec<_> = went
        .iter()
        .filter(|it| it.operation.f == f)
        .map(|it| it.took().unwrap_or(Duration::MAX))
        .collect();
    percentile(&mut took, 95)
}

/// The nearest rank: the shortest that is at least as long as so many of a hundred.
fn percentile(lengths: &mut [Duration], percent: usize) -> Duration {
    lengths.sort_unstable();
    let rank = (lengths.len() * percent).div_ceil(100).max(1) - 1;
    lengths.get(rank).copied().unwrap_or_default()
}

fn curves(observed: &mut Observed, went: &[Went<'_>], found: &Found, duration: Duration) {
    let step = (duration / POINTS).max(Duration::from_millis(1));
    let bucket = |nanos: u64| {
        let number = Duration::from_nanos(nanos).as_nanos() / step.as_nanos();
        usize::try_from(number).unwrap_or(usize::MAX)
    };
    let places = POINTS as usize;
    let (mut done, mut failed, mut stale) = (vec![0_u64; places], vec![0; places], vec![0; places]);
    let mut writes: Vec<Vec<Duration>> = vec![Vec::new(); places];
    for it in went {
        let Some(answered) = it.answered else { continue };
        let place = bucket(answered);
        let counts = if it.is_done() { &mut done } else { &mut failed };
        if let Some(count) = counts.get_mut(place) {
            *count += 1;
        }
        if it.operation.f == "write"
            && let (Some(writes), Some(took)) = (writes.get_mut(place), it.took())
        {
            writes.push(took);
        }
    }
    for nanos in &found.stale {
        if let Some(count) = stale.get_mut(bucket(*nanos)) {
            *count += 1;
        }
    }
    let rate = |panel: &str, name: &str, counts: &[u64]| {
        let mut series = Series::new(panel, name, Unit::Rate);
        for (number, count) in (0..).zip(counts) {
            series.push(step * number, *count as f64 / step.as_secs_f64());
        }
        series
    };
    let mut latency = Series::new("latency", "write p95", Unit::Time);
    for (number, writes) in (0..).zip(&mut writes) {
        if !writes.is_empty() {
            latency.push(step * number, percentile(writes, 95).as_secs_f64());
        }
    }
    observed.series = vec![
        rate("throughput", "done", &done),
        rate("throughput", "not done", &failed),
        latency,
        rate("stale reads", "stale reads", &stale),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let ms = Duration::from_millis;
        let mut lengths: Vec<_> = (1..=100).rev().map(ms).collect();
        assert_eq!(percentile(&mut lengths, 95), ms(95));
        assert_eq!(percentile(&mut lengths[..1], 95), ms(1));
        assert_eq!(percentile(&mut [], 95), Duration::ZERO);
    }
}
