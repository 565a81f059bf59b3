//! Commit-wait: dates in the order in which things happened, for the price of waiting.
//!
//! Two commits on two machines, the second begun after the first was answered, must have dates
//! in that order, or a snapshot "as of" a date can hold the second without the first. Clocks that
//! are off by some milliseconds invert them. Spanner's rule: a commit takes `s = now().latest` as
//! its date, and is answered only once `now().earliest > s`, when `s` has certainly passed
//! everywhere. Whoever begins afterwards then takes a later date.
//!
//! The wait is about twice the clock's error: with Spanner's 1 to 7 ms hardly noticed, with an
//! assumed ±100 ms it is 200 ms. It relies on the intervals: a clock that lies about its error
//! inverts dates as before, which is what [`crate::health`] is for.

use std::time::Duration;

use crate::clock::Clock;
use crate::timestamp::Timestamp;

/// The clock's error is larger than the caller can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the clock is only sure to ±{error:?}, so a commit would wait longer than {limit:?}")]
pub struct TooUncertain {
    /// The clock's error now.
    pub error: Duration,
    /// How long the commit may wait.
    pub limit: Duration,
}

/// Takes a date and waits until it has passed on every clock. Make the commit durable *under that
/// date* between the two ([`assign`], [`wait_past`]) where the wait can overlap the write.
///
/// The wait has no end of its own: a wall clock that is set back by an hour makes it an hour.
/// Bound it with [`Clock::timeout`] or use [`commit_wait_within`].
pub async fn commit_wait(clock: &Clock) -> Timestamp {
    let stamp = assign(clock);
    wait_past(clock, stamp).await;
    stamp
}

/// [`commit_wait`], refused beforehand when it would take longer than `limit` with the clock's
/// present error, and given up when it takes longer all the same (the date must not be used then).
///
/// # Errors
/// [`TooUncertain`], at once or after `limit`.
pub async fn commit_wait_within(clock: &Clock, limit: Duration) -> Result<Timestamp, TooUncertain> {
    let interval = clock.interval();
    let refused = |clock: &Clock| TooUncertain { error: clock.interval().error(), limit };
    if interval.width() > limit {
        return Err(refused(clock));
    }
    let waited = clock.timeout(limit.saturating_add(TICK), wait_past(clock, interval.latest)).await;
    waited.map(|()| interval.latest).map_err(|_| refused(clock))
}

/// The date for something that commits now: not before the true time, whatever the error.
#[must_use]
pub fn assign(clock: &Clock) -> Timestamp {
    clock.interval().latest
}

/// The resolution of dates.
const TICK: Duration = Duration::from_micros(1);

/// Waits until `stamp` has certainly passed.
pub async fn wait_past(clock: &Clock, stamp: Timestamp) {
    loop {
        let earliest = clock.interval().earliest;
        if earliest > stamp {
            return;
        }
        clock.sleep(stamp.since(earliest) + TICK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Simulation;

    #[test]
    fn any_limit_can_be_given_and_a_clock_without_error_waits_a_tick() {
        let mut sim = Simulation::new(1);
        let clock = sim.clock();
        let (stamp, waited) = sim.block_on(async move {
            let began = clock.monotonic();
            let stamp = commit_wait_within(&clock, Duration::MAX).await.unwrap();
            assert!(clock.interval().earliest > stamp);
            (stamp, clock.monotonic() - began)
        });
        assert_eq!((stamp, waited), (crate::sim::DEFAULT_START, TICK));
    }
}
