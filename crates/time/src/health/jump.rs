//! Steps of the wall clock.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::interval::{Offset, drift};
use crate::timestamp::Timestamp;

/// How far back steps are added up, so that many small ones are seen as well as a large one.
const WINDOW: Duration = Duration::from_secs(64);

/// Compares each pair of readings with the one before, and with one of up to about a minute ago:
/// the wall clock should have gone as far as the monotonic one, give or take drift. A suspended
/// machine whose monotonic clock stood still shows as a jump forward, which for whoever holds a
/// lease it is. A clock that runs too fast or too slow by more than about 2,300 ppm shows as a step
/// each time that it has gained or lost as much as one.
#[derive(Clone, Debug)]
pub struct Jumps {
    tolerance: Duration,
    drift_ppm: u32,
    /// The last readings, and those of a while ago.
    seen: Option<(Pair, Pair)>,
}

type Pair = (Monotonic, Timestamp);

impl Jumps {
    /// Steps above `tolerance` count; below, and up to `drift_ppm` of the time between two
    /// readings, they do not.
    #[must_use]
    pub fn new(tolerance: Duration, drift_ppm: u32) -> Self {
        Self { tolerance, drift_ppm, seen: None }
    }

    /// Two readings taken together. Answers how far the wall clock has stepped since the last two,
    /// or within about a minute.
    pub fn observe(&mut self, monotonic: Monotonic, wall: Timestamp) -> Option<Offset> {
        let now = (monotonic, wall);
        let Some((last, anchor)) = self.seen else {
            self.seen = Some((now, now));
            return None;
        };
        let step = self.step(last, now).or_else(|| self.step(anchor, now));
        let stale = step.is_some() || monotonic - anchor.0 >= WINDOW;
        self.seen = Some((now, if stale { now } else { anchor }));
        step
    }

    fn step(&self, (before, wall_before): Pair, (now, wall): Pair) -> Option<Offset> {
        let elapsed = now - before;
        let by = Offset::between(wall, wall_before + elapsed);
        (by.abs() > self.tolerance.saturating_add(drift(self.drift_ppm, elapsed))).then_some(by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_millis(millis))
    }

    fn wall(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000 + millis)
    }

    #[test]
    fn steps_count_both_ways_and_drift_does_not() {
        let mut jumps = Jumps::new(Duration::from_millis(100), 700);
        assert_eq!(jumps.observe(at(0), wall(0)), None);
        assert_eq!(jumps.observe(at(1_000), wall(1_100)), None, "within the tolerance");
        assert_eq!(jumps.observe(at(2_000), wall(2_300)), Some(Offset::from_millis(200)));
        assert_eq!(jumps.observe(at(3_000), wall(3_300)), None, "once");
        assert_eq!(jumps.observe(at(4_000), wall(1_300)), Some(Offset::from_millis(-3_000)));
        // 500 ppm of slewing over 1,000 s are 500 ms, and no step.
        assert_eq!(jumps.observe(at(1_004_000), wall(1_001_800)), None);
    }

    #[test]
    fn a_clock_that_creeps_away_in_small_steps_is_seen() {
        let mut jumps = Jumps::new(Duration::from_millis(100), 700);
        // Five per cent too fast: 50 ms a second, no step of them above the tolerance.
        let found = (0..10).find(|second: &u64| {
            let fast = i64::try_from(second * 1_050).unwrap();
            jumps.observe(at(second * 1_000), wall(fast)).is_some()
        });
        assert_eq!(found, Some(3));
        // A thousand ppm are drift, for ever.
        let mut jumps = Jumps::new(Duration::from_millis(100), 700);
        for second in 0..10_000_u64 {
            let fast = i64::try_from(second * 1_001).unwrap();
            assert_eq!(jumps.observe(at(second * 1_000), wall(fast)), None, "{second}");
        }
    }
}
