//! A call's deadline, the same for every engine.

use std::future::Future;
use std::time::Duration;

use steadfast_dispatch::provider::{Call, Failure};
use steadfast_time::Clock;

use crate::limits::CALL_LENGTH_MAX;

/// What is left of a call's time; nothing when its deadline has come.
pub(crate) fn left(clock: &Clock, call: &Call) -> Option<Duration> {
    let left = call.deadline - clock.monotonic();
    (!left.is_zero()).then(|| left.min(CALL_LENGTH_MAX))
}

/// Runs the work of a call within its time.
///
/// A call that comes too late is not begun, so it surely has no effect. One that runs out of time
/// may have had its effect, and so may one whose success arrives late: the caller has stopped
/// counting on it, and must ask again.
pub(crate) async fn in_time<T>(
    clock: &Clock,
    call: &Call,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let Some(left) = left(clock, call) else {
        return Err(Failure::unavailable("the deadline had passed before the call was made"));
    };
    let late = || Failure::Unknown { reason: format!("no answer within {left:?}") };
    match clock.timeout(left, work).await {
        Ok(Ok(_)) if clock.monotonic() > call.deadline => Err(late()),
        Ok(result) => result,
        Err(_) => Err(late()),
    }
}

#[cfg(test)]
mod tests {
    use steadfast_time::Monotonic;
    use steadfast_time::sim::Simulation;

    use super::*;

    fn call(after: Duration) -> Call {
        Call::first("k", Monotonic::from_start(after))
    }

    #[test]
    fn a_late_call_is_not_begun() {
        let mut sim = Simulation::new(1);
        let clock = sim.clock();
        let result = sim.block_on(async move {
            let work = async { panic!("begun after its deadline") };
            in_time::<()>(&clock, &call(Duration::ZERO), work).await
        });
        assert!(matches!(result, Err(Failure::Unavailable { .. })), "{result:?}");
    }

    #[test]
    fn a_success_that_arrives_late_is_not_one() {
        let mut sim = Simulation::new(1);
        let (clock, jump) = (sim.clock(), sim.sim_clock());
        let result = sim.block_on(async move {
            // The process is paused while it works, so the work is done and the time is over.
            let work = async {
                jump.advance(Duration::from_millis(11));
                Ok(7)
            };
            in_time(&clock, &call(Duration::from_millis(10)), work).await
        });
        assert!(matches!(result, Err(Failure::Unknown { .. })), "{result:?}");
    }

    #[test]
    fn a_refusal_stays_one_however_late() {
        let mut sim = Simulation::new(1);
        let (clock, jump) = (sim.clock(), sim.sim_clock());
        let refused = Failure::Refused { code: "c".to_owned(), reason: "r".to_owned() };
        let given = refused.clone();
        let result = sim.block_on(async move {
            let work = async {
                jump.advance(Duration::from_secs(1));
                Err::<(), _>(given)
            };
            in_time(&clock, &call(Duration::from_millis(10)), work).await
        });
        assert_eq!(result, Err(refused));
    }

    #[test]
    fn a_deadline_beyond_all_bounds_is_cut() {
        let sim = Simulation::new(1);
        assert_eq!(left(&sim.clock(), &call(Duration::MAX)), Some(CALL_LENGTH_MAX));
    }
}
