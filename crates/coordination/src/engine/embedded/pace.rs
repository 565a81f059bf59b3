//! Machine time from a real clock: how much of the time that passes counts.
//!
//! Machine time goes on from where the log ended, as fast as the host's monotonic clock. With one
//! exception: when the server itself stood still (its process was stopped, its disk did not answer)
//! it could not hear the renewals that were sent to it meanwhile. To count that time would end
//! sessions whose owners did everything right, all at once. So a stall does not count, and what is
//! about to end after it has [`STALL`] more to be heard of. Sessions get longer by that, never
//! shorter, which is what the port promises; the hand-over after a holder that died is later by the
//! stall.
//!
//! A host so slow that every wait of the server is late by [`STALL`] ends no sessions at all.

use std::time::Duration;

use steadfast_time::Monotonic;

use crate::engine::machine::MachineTime;

/// How late the server may be before it counts as having stood still. Far above what a scheduler
/// or a healthy disk does, below the lengths of sessions that are in use.
pub(super) const STALL: Duration = Duration::from_millis(250);

/// Counts machine time.
#[derive(Debug)]
pub(super) struct Pace {
    now: MachineTime,
    read: Monotonic,
}

impl Pace {
    /// Goes on at `now`; the host's clock says `read`.
    pub(super) const fn new(now: MachineTime, read: Monotonic) -> Self {
        Self { now, read }
    }

    pub(super) const fn now(&self) -> MachineTime {
        self.now
    }

    /// The host's clock says `read`, after something that was to take at most `planned` (`None`:
    /// for ever). Answers for how long the server stood still, if it did.
    pub(super) fn advance(
        &mut self,
        read: Monotonic,
        planned: Option<Duration>,
    ) -> Option<Duration> {
        let elapsed = read - self.read;
        self.read = self.read.max(read);
        let planned = planned.unwrap_or(Duration::MAX);
        if elapsed <= planned.saturating_add(STALL) {
            self.now = self.now + elapsed;
            return None;
        }
        let counted = planned.saturating_sub(STALL);
        self.now = self.now + counted;
        Some(elapsed - counted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_start(MS(ms))
    }

    #[test]
    fn time_goes_on_from_the_log_as_the_clock_goes() {
        let mut pace = Pace::new(MachineTime(7_000_000), at(100));
        assert_eq!(pace.advance(at(103), Some(MS(10))), None);
        assert_eq!(pace.now(), MachineTime(10_000_000));
        assert_eq!(
            pace.advance(at(3_600_000), None),
            None,
            "nothing was planned, so nothing is late"
        );
        assert_eq!(pace.advance(at(1), None), None, "a clock that goes back counts as standing");
        assert_eq!(pace.now(), MachineTime(3_599_907_000_000));
    }

    #[test]
    fn a_stall_does_not_count_and_leaves_time_to_be_heard_of() {
        let mut pace = Pace::new(MachineTime(0), at(0));
        // Woken for a session that ends at 2 s, but only at 12 s.
        assert_eq!(pace.advance(at(12_000), Some(MS(2_000))), Some(MS(10_250)));
        assert_eq!(pace.now(), MachineTime(1_750_000_000));
        // A sync that took 3 s.
        assert_eq!(pace.advance(at(15_000), Some(MS(0))), Some(MS(3_000)));
        assert_eq!(pace.now(), MachineTime(1_750_000_000));
        assert_eq!(pace.advance(at(15_250), Some(MS(0))), None);
        assert_eq!(pace.now(), MachineTime(2_000_000_000));
    }
}
