//! Work that is given up.

use std::cell::Cell;
use std::future::{pending, ready};
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use steadfast_time::Monotonic;
use steadfast_time::sim::Simulation;

use crate::deadline::Deadline;
use crate::timeout::{Limit, Scope, TimedOut, within};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn at(millis: u64) -> Monotonic {
    Monotonic::from_start(ms(millis))
}

/// Says when it is dropped.
struct Dropped(Rc<Cell<bool>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

#[test]
fn work_is_dropped_at_its_limit_and_no_timer_stays() {
    let mut sim = Simulation::new(1);
    let (clock, dropped) = (sim.clock(), Rc::new(Cell::new(false)));
    let (guard, seen) = (Dropped(Rc::clone(&dropped)), Rc::clone(&dropped));
    let outcome = sim.block_on(async move {
        let limit = Limit::new(at(0), ms(100), Scope::Attempt).attempt(2);
        let work = async move {
            let _guard = guard;
            pending::<()>().await;
        };
        let outcome = within(&clock, limit, work).await;
        assert!(seen.get(), "dropped before the caller goes on");
        (outcome, clock.monotonic())
    });
    let reached = TimedOut { limit: ms(100), scope: Scope::Attempt, attempt: 2 };
    assert_eq!(outcome, (Err(reached), at(100)));
    assert_eq!(reached.to_string(), "no answer within 100 ms (attempt 2)");
    assert_eq!(sim.sim_clock().next_wake(), None);
}

#[test]
fn an_answer_at_the_very_moment_of_the_limit_counts() {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let outcome = sim.block_on(async move {
        let limit = Limit::new(at(0), ms(100), Scope::Attempt);
        within(&clock, limit, clock.sleep(ms(100))).await
    });
    assert_eq!(outcome, Ok(()));
}

#[test]
fn work_that_is_done_at_once_needs_no_timer() {
    let sim = Simulation::new(1);
    let limit = Limit::new(at(0), Duration::ZERO, Scope::Attempt);
    // Even with no time at all.
    assert_eq!(within(&sim.clock(), limit, ready(5)).now_or_never(), Some(Ok(5)));
    assert_eq!(sim.sim_clock().next_wake(), None);
}

#[test]
fn dropped_half_way_it_leaves_nothing_behind() {
    let sim = Simulation::new(1);
    let dropped = Rc::new(Cell::new(false));
    let guard = Dropped(Rc::clone(&dropped));
    let clock = sim.clock();
    let work = async move {
        let _guard = guard;
        pending::<()>().await;
    };
    let mut waiting = Box::pin(within(&clock, Limit::new(at(0), ms(100), Scope::Attempt), work));
    assert!((&mut waiting).now_or_never().is_none());
    assert_eq!(sim.sim_clock().next_wake(), Some(at(100)));
    drop(waiting);
    assert!(dropped.get());
    assert_eq!(sim.sim_clock().next_wake(), None);
}

#[test]
fn the_earlier_of_limit_and_deadline_counts() {
    let limit = Limit::new(at(50), ms(100), Scope::Attempt).attempt(3);
    for deadline in [None, Some(Deadline::at(at(150))), Some(Deadline::at(at(900)))] {
        assert_eq!(limit.before(at(50), deadline), limit);
    }
    let capped = limit.before(at(50), Some(Deadline::at(at(80))));
    let reached = TimedOut { limit: ms(30), scope: Scope::Deadline, attempt: 3 };
    assert_eq!((capped.at(), capped.reached()), (at(80), reached));
}
