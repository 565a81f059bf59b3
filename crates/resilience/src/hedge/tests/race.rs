//! Who wins, who is dropped, and what is said about it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use steadfast_time::sim::Simulation;
use steadfast_time::{Clock, Monotonic};

use crate::budget::Spent;
use crate::deadline::{Context, Deadline};
use crate::event::{Events, Recorder};
use crate::hedge::{Around, Delay, Hedger, Options, REFRESH, race};
use crate::{Class, Share};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

type Log = Rc<RefCell<Vec<String>>>;

/// Logs when it is dropped before its end.
struct Attempt {
    name: &'static str,
    log: Log,
    ended: bool,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.ended {
            self.log.borrow_mut().push(format!("{} dropped", self.name));
        }
    }
}

/// How an attempt goes: after so many milliseconds, well or not.
type Script = (u64, Result<(), ()>);

async fn attempt(name: &'static str, script: Script, clock: Clock, log: Log) -> Outcome {
    log.borrow_mut().push(format!("{name} begins"));
    let mut attempt = Attempt { name, log, ended: false };
    clock.sleep(ms(script.0)).await;
    attempt.ended = true;
    script.1.map(|()| name).map_err(|()| name)
}

type Outcome = Result<&'static str, &'static str>;

fn judge(outcome: &Outcome) -> Class {
    if outcome.is_ok() { Class::Success } else { Class::TRANSIENT }
}

/// Everything about a call that a test may vary.
#[derive(Clone, Copy)]
struct Case {
    first: Script,
    second: Script,
    repeatable: bool,
    left: Option<u64>,
    error_budget: u8,
    budget: bool,
    /// How long earlier calls took.
    usual: u64,
}

const CASE: Case = Case {
    first: (1_000, Ok(())),
    second: (20, Ok(())),
    repeatable: true,
    left: None,
    error_budget: 100,
    budget: true,
    usual: 400,
};

/// What came of it, after how many milliseconds, what the attempts did, and what was said.
fn run(case: Case) -> (Outcome, u64, Vec<String>, Vec<String>) {
    let mut sim = Simulation::new(1);
    let (clock, log, recorder) = (sim.clock(), Log::default(), Arc::new(Recorder::default()));
    let options = Options { delay: Delay::Fixed(ms(100)), ..Options::default() };
    let hedger = Hedger::new(options).unwrap();
    for call in 0..100 {
        let started = Monotonic::from_start(ms(call));
        let plan = hedger.plan(started, true, Context::default());
        hedger.answered(started + ms(case.usual), &plan);
    }
    sim.run_for(ms(100 + case.usual) + REFRESH);
    let (events, logged) = (Events::to("stock", recorder.clone()), Rc::clone(&log));
    let (outcome, took) = sim.block_on(async move {
        let started = clock.monotonic();
        let deadline = case.left.map(|left| Deadline::within(started, ms(left)));
        let plan = hedger.plan(started, case.repeatable, Context { deadline, repeated: false });
        let spent = Spent { calls: 100, extra: 5, allowed: 5 };
        let means = (
            move |_| Share::percent(case.error_budget),
            move |_| if case.budget { Ok(()) } else { Err(spent) },
        );
        let around = Around { hedger: &hedger, clock: &clock, events: &events, means: &means };
        let first = attempt("first", case.first, clock.clone(), Rc::clone(&logged));
        let second = attempt("second", case.second, clock.clone(), logged);
        let outcome = race(around, plan, first, Some(second), judge).await;
        (outcome, clock.monotonic() - started)
    });
    assert_eq!(sim.sim_clock().next_wake(), None, "no attempt and no timer is left");
    let said = recorder.take().iter().map(ToString::to_string).collect();
    let log = log.take();
    (outcome, u64::try_from(took.as_millis()).unwrap(), log, said)
}

#[test]
fn the_second_wins_and_the_first_is_dropped() {
    let (outcome, took, log, said) = run(CASE);
    assert_eq!((outcome, took), (Ok("second"), 120));
    assert_eq!(log, ["first begins", "second begins", "first dropped"]);
    assert_eq!(
        said,
        [
            "hedge stock: a second attempt after 100 ms",
            "hedge stock: the second attempt answered, the first is cancelled"
        ]
    );
}

#[test]
fn the_first_wins_and_the_second_is_dropped() {
    let (outcome, took, log, said) = run(Case { first: (110, Ok(())), ..CASE });
    assert_eq!((outcome, took), (Ok("first"), 110));
    assert_eq!(log, ["first begins", "second begins", "second dropped"]);
    let won = "hedge stock: the first attempt answered, the second is cancelled";
    assert_eq!(said[1], won);
}

#[test]
fn a_first_attempt_that_answers_before_the_delay_has_no_second() {
    for (script, expected) in [((99, Ok(())), Ok("first")), ((100, Ok(())), Ok("first"))] {
        let (outcome, _, log, said) = run(Case { first: script, ..CASE });
        assert_eq!(outcome, expected);
        assert_eq!((log, said.len()), (vec!["first begins".to_owned()], 0));
    }
}

#[test]
fn an_attempt_that_fails_leaves_the_outcome_to_the_other() {
    let failed = |millis| (millis, Err(()));
    for (first, second, outcome, took) in [
        // One fails, the other answers.
        (failed(110), (500, Ok(())), Ok("second"), 600),
        ((700, Ok(())), failed(20), Ok("first"), 700),
        // Both fail: the last failure is the outcome.
        (failed(110), failed(500), Err("second"), 600),
        (failed(700), failed(20), Err("first"), 700),
        // The first fails before the second began: a hedge is no retry.
        (failed(50), (20, Ok(())), Err("first"), 50),
    ] {
        let (found, after, ..) = run(Case { first, second, ..CASE });
        assert_eq!((found, after), (outcome, took), "{first:?}, {second:?}");
    }
}

#[test]
fn what_is_withheld_says_why_and_the_first_goes_on() {
    for (case, took, why) in [
        (Case { error_budget: 50, ..CASE }, 1_000, "50 % of the error budget left, 50 % needed"),
        (
            Case { budget: false, ..CASE },
            1_000,
            "the budget is spent: 5 of 5 extra attempts on 100 calls",
        ),
        (Case { repeatable: false, ..CASE }, 1_000, "the call is not marked as safe to repeat"),
        (Case { usual: 20, ..CASE }, 1_000, "p95 is 20.4 ms, not above 300 ms"),
        (Case { left: Some(450), ..CASE }, 1_000, "450 ms left"),
    ] {
        let (outcome, after, log, said) = run(case);
        assert_eq!((outcome, after), (Ok("first"), took), "{why}");
        assert_eq!(log, ["first begins"], "{why}");
        assert_eq!(said, [format!("hedge stock: no hedge: {why}")]);
    }
    // A fast call has nothing to explain.
    let (.., said) = run(Case { repeatable: false, first: (50, Ok(())), ..CASE });
    assert!(said.is_empty(), "{said:?}");
}

#[test]
fn dropped_half_way_both_attempts_are_gone_and_nothing_is_learned() {
    for (after, dropped) in [(50, 1), (110, 2)] {
        let mut sim = Simulation::new(1);
        let (clock, log) = (sim.clock(), Log::default());
        let options =
            Options { p95_above: ms(1), delay: Delay::Fixed(ms(100)), ..Options::default() };
        let hedger = Rc::new(Hedger::new(options).unwrap());
        for _ in 0..100 {
            let plan = hedger.plan(Monotonic::default(), true, Context::default());
            hedger.answered(Monotonic::from_start(ms(30)), &plan);
        }
        sim.run_for(ms(500));
        let observed = hedger.figures(clock.monotonic()).observed;
        let (shared, inner_clock, logged) = (Rc::clone(&hedger), clock.clone(), Rc::clone(&log));
        let mut call = async move {
            let plan = shared.plan(inner_clock.monotonic(), true, Context::default());
            let means = (|_| Share::ALL, |_| Ok(()));
            let events = Events::silent("stock");
            let around =
                Around { hedger: &shared, clock: &inner_clock, events: &events, means: &means };
            let first = attempt("first", CASE.first, inner_clock.clone(), Rc::clone(&logged));
            let second = attempt("second", CASE.second, inner_clock.clone(), logged);
            race(around, plan, first, Some(second), judge).await
        }
        .boxed_local();
        assert!((&mut call).now_or_never().is_none());
        sim.run_for(ms(after));
        assert!((&mut call).now_or_never().is_none());
        drop(call);
        let gone = log.borrow().iter().filter(|line| line.ends_with("dropped")).count();
        assert_eq!(gone, dropped, "{:?}", log.borrow());
        assert_eq!(sim.sim_clock().next_wake(), None);
        assert_eq!(hedger.figures(clock.monotonic() + REFRESH).observed, observed);
    }
}
