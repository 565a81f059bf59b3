//! Lengths of the last five minutes, for their quantiles.

use std::time::Duration;

use hdrhistogram::Histogram;
use steadfast_time::Monotonic;

/// How far the window moves at once. What is seen is of the last four and a half to five minutes.
const SLOT: Duration = Duration::from_secs(30);
const SLOTS: usize = 10;

/// Longer ones count as this long, in microseconds.
const LONGEST_MICROS: u64 = 600_000_000;

/// A window that moves in slots.
pub(super) struct Recent {
    slots: [Slot; SLOTS],
    /// The number of the newest slot, since the clock's start.
    newest: u64,
}

struct Slot {
    micros: Histogram<u32>,
    marked: u64,
}

/// What is in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Seen {
    pub(super) count: u64,
    /// Those that were recorded with a mark.
    pub(super) marked: u64,
    /// To two digits; zero when there is nothing.
    pub(super) p95_ms: f64,
    pub(super) max_ms: f64,
}

fn histogram() -> Histogram<u32> {
    match Histogram::new_with_bounds(1, LONGEST_MICROS, 2) {
        Ok(histogram) => histogram,
        Err(error) => unreachable!("constant bounds: {error}"),
    }
}

fn number(now: Monotonic) -> u64 {
    now.since_start().as_secs() / SLOT.as_secs()
}

impl Recent {
    pub(super) fn new(now: Monotonic) -> Self {
        let slots = [(); SLOTS].map(|()| Slot { micros: histogram(), marked: 0 });
        Self { slots, newest: number(now) }
    }

    /// Empties the slots that have left the window.
    fn advance(&mut self, now: Monotonic) {
        let newest = number(now).max(self.newest);
        for passed in (self.newest + 1..=newest).take(SLOTS) {
            let slot = self.slot(passed);
            slot.micros.reset();
            slot.marked = 0;
        }
        self.newest = newest;
    }

    fn slot(&mut self, number: u64) -> &mut Slot {
        let place = usize::try_from(number % SLOTS as u64).unwrap_or(0);
        &mut self.slots[place]
    }

    pub(super) fn record(&mut self, now: Monotonic, length: Duration, marked: bool) {
        self.advance(now);
        let micros = u64::try_from(length.as_micros()).unwrap_or(LONGEST_MICROS);
        let newest = self.newest;
        let slot = self.slot(newest);
        slot.micros.saturating_record(micros.clamp(1, LONGEST_MICROS));
        slot.marked += u64::from(marked);
    }

    pub(super) fn within(&mut self, now: Monotonic) -> Seen {
        self.advance(now);
        let mut all = histogram();
        for slot in &self.slots {
            // The bounds are the same.
            let _ = all.add(&slot.micros);
        }
        let millis = |micros: u64| Duration::from_micros(micros).as_secs_f64() * 1e3;
        let marked = self.slots.iter().map(|slot| slot.marked).sum();
        if all.is_empty() {
            return Seen { marked, ..Seen::default() };
        }
        let p95_ms = millis(all.value_at_quantile(0.95));
        Seen { count: all.len(), marked, p95_ms, max_ms: millis(all.max()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let mut recent = Recent::new(at(1_000));
        assert_eq!(recent.within(at(1_000)), Seen::default());
        for _ in 0..95 {
            recent.record(at(1_000), Duration::from_millis(1), false);
        }
        for _ in 0..5 {
            recent.record(at(1_100), Duration::from_secs(2), true);
        }
        let seen = recent.within(at(1_200));
        assert_eq!((seen.count, seen.marked), (100, 5));
        assert!(seen.p95_ms < 1.1 && (2_000.0..2_020.0).contains(&seen.max_ms), "{seen:?}");
        // The first slot has gone, the second one has not.
        let seen = recent.within(at(1_310));
        assert_eq!((seen.count, seen.marked), (5, 5));
        assert!(seen.p95_ms >= 2_000.0, "{seen:?}");
        assert_eq!(recent.within(at(1_000_000)), Seen::default());
        // Long waits count as the longest; what is counted late counts now.
        recent.record(at(1_000), Duration::MAX, true);
        assert_eq!(
            (recent.within(at(1_000_000)).count, recent.within(at(1_000_400)).count),
            (1, 0)
        );
    }
}
