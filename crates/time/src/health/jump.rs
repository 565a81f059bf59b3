//! Steps of the wall clock.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::interval::{Offset, drift};
use crate::timestamp::Timestamp;

/// Compares each pair of readings with the one before: the wall clock should have gone as far as
/// the monotonic one, give or take drift. A suspended machine whose monotonic clock stood still
/// shows as a jump forward, which for whoever holds a lease it is.
#[derive(Clone, Debug)]
pub struct Jumps {
    tolerance: Duration,
    drift_ppm: u32,
    last: Option<(Monotonic, Timestamp)>,
}

impl Jumps {
    /// Steps above `tolerance` count; below, and up to `drift_ppm` of the time between two
    /// readings, they do not.
    #[must_use]
    pub fn new(tolerance: Duration, drift_ppm: u32) -> Self {
        Self { tolerance, drift_ppm, last: None }
    }

    /// Two readings taken together. Answers how far the wall clock has stepped since the last two.
    pub fn observe(&mut self, monotonic: Monotonic, wall: Timestamp) -> Option<Offset> {
        let (before, wall_before) = self.last.replace((monotonic, wall))?;
        let elapsed = monotonic - before;
        let by = Offset::between(wall, wall_before + elapsed);
        (by.abs() > self.tolerance + drift(self.drift_ppm, elapsed)).then_some(by)
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
}
