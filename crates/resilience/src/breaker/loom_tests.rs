//! Every interleaving of two threads, where the word and the lock meet.
//!
//! Each promise is shown to be kept, and then shown to be broken with its protection off.

use std::time::Duration;

use loom::sync::Arc;
use loom::thread;
use steadfast_time::Monotonic;

use super::shared::Twin;
use super::{Breaker, Cause, Counts, Options, State, Transition, Window};
use crate::Share;

fn at(seconds: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_secs(seconds))
}

fn options(window: u32) -> Options {
    let window = Window::Count(window);
    Options { window, minimum_calls: 1, probes: 1, failure_rate: Share::ALL, ..Options::default() }
}

fn breaker(options: Options, good: u32, twin: Twin) -> Arc<Breaker> {
    let mut breaker = Breaker::new(options).unwrap();
    breaker.twin = twin;
    for _ in 0..good {
        assert_eq!(call(&breaker, 0, false), None);
    }
    Arc::new(breaker)
}

fn call(breaker: &Breaker, second: u64, failed: bool) -> Option<Transition> {
    let (granted, _) = breaker.acquire(at(second));
    breaker.record(at(second), granted.unwrap(), failed)
}

/// Good calls are written down in the tally, a failure takes the lock: each counts once.
fn every_call_counts_once(twin: Twin) {
    loom::model(move || {
        let breaker = breaker(options(8), 1, twin);
        let other = Arc::clone(&breaker);
        let good = thread::spawn(move || {
            call(&other, 0, false);
            call(&other, 0, false);
        });
        call(&breaker, 0, true);
        call(&breaker, 0, false);
        good.join().unwrap();
        let expected = Counts { calls: 5, failed: 1, slow: 0 };
        assert_eq!(breaker.snapshot(at(0)).counts, expected);
    });
}

#[test]
fn no_call_is_lost_or_counted_twice() {
    every_call_counts_once(Twin::None);
}

#[test]
#[should_panic(expected = "left: Counts")]
fn adding_blindly_loses_calls() {
    every_call_counts_once(Twin::AddsBlindly);
}

#[test]
#[should_panic(expected = "left: Counts")]
fn a_tally_that_stays_open_while_it_is_collected_loses_calls() {
    every_call_counts_once(Twin::StaysOpen);
}

/// From clean to dirty and back: after a failure has been recorded good calls are written down,
/// and push it out after exactly as many as the window holds.
#[test]
fn a_clean_window_notices_a_failure() {
    loom::model(|| {
        let breaker = breaker(options(2), 2, Twin::None);
        let other = Arc::clone(&breaker);
        let good = thread::spawn(move || {
            call(&other, 0, false);
        });
        call(&breaker, 0, true);
        assert_eq!(breaker.snapshot(at(0)).counts.calls, 2);
        call(&breaker, 0, false);
        good.join().unwrap();
        assert!(breaker.snapshot(at(0)).counts.failed <= 1);
        call(&breaker, 0, false);
        assert_eq!(breaker.snapshot(at(0)).counts, Counts { calls: 2, failed: 0, slow: 0 });
    });
}

#[test]
fn one_change_of_state_is_told_once() {
    loom::model(|| {
        let half = Options { failure_rate: Share::percent(50), ..options(4) };
        let breaker = breaker(half, 1, Twin::None);
        let other = Arc::clone(&breaker);
        // Both were let through before either answered.
        let (mine, theirs) = (breaker.acquire(at(0)).0.unwrap(), breaker.acquire(at(0)).0.unwrap());
        let told = thread::spawn(move || other.record(at(0), theirs, true));
        let mine = breaker.record(at(0), mine, true);
        let theirs = told.join().unwrap();
        let told: Vec<Transition> = mine.into_iter().chain(theirs).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].cause, Cause::Failures(Counts { calls: 2, failed: 1, slow: 0 }));
        assert_eq!(breaker.state(), State::Open);
        assert_eq!(breaker.snapshot(at(0)).opened, 1);
    });
}

#[test]
fn never_more_probes_than_allowed_also_when_one_is_given_back() {
    loom::model(|| {
        let breaker = breaker(options(2), 0, Twin::None);
        assert!(call(&breaker, 0, true).is_some());
        let other = Arc::clone(&breaker);
        let theirs = thread::spawn(move || other.acquire(at(60)));
        let (mine, told) = breaker.acquire(at(60));
        let (theirs, also_told) = theirs.join().unwrap();
        assert_eq!(u8::from(mine.is_ok()) + u8::from(theirs.is_ok()), 1);
        assert_eq!(u8::from(told.is_some()) + u8::from(also_told.is_some()), 1);
        let Some(probe) = mine.ok().or(theirs.ok()) else { panic!("nobody was let through") };
        assert!(probe.is_probe());

        let other = Arc::clone(&breaker);
        let given_back = thread::spawn(move || other.cancel(probe));
        let early = breaker.acquire(at(60)).0;
        given_back.join().unwrap();
        let late = breaker.acquire(at(60)).0;
        assert_eq!(u8::from(early.is_ok()) + u8::from(late.is_ok()), 1);
        assert_eq!(breaker.snapshot(at(60)).probes_out, 1);
    });
}

/// A call was let through, then the circuit opened, and closed again after a probe: its outcome is
/// of no period that is.
fn what_is_late_does_not_count(twin: Twin) {
    loom::model(move || {
        let breaker = breaker(options(2), 0, twin);
        let late = breaker.acquire(at(0)).0.unwrap();
        let other = Arc::clone(&breaker);
        let late = thread::spawn(move || other.record(at(60), late, false));
        // Fails if the late success was counted before it.
        let opened = call(&breaker, 0, true);
        if opened.is_some() {
            call(&breaker, 60, false);
        }
        late.join().unwrap();
        if opened.is_some() {
            assert_eq!(breaker.snapshot(at(60)).counts.calls, 0);
        }
    });
}

#[test]
fn an_outcome_counts_in_its_own_period_only() {
    what_is_late_does_not_count(Twin::None);
}

#[test]
#[should_panic(expected = "left: 1")]
fn without_periods_a_late_outcome_counts_in_the_wrong_one() {
    what_is_late_does_not_count(Twin::MixesPeriods);
}

/// Two threads at the edge of a slice: what is counted in the word is put into the slice that it
/// was counted in.
#[test]
fn a_time_window_loses_nothing_at_the_edge_of_a_slice() {
    loom::model(|| {
        let window = Window::Time(Duration::from_secs(1_000));
        let breaker = breaker(Options { window, ..options(1) }, 1, Twin::None);
        let other = Arc::clone(&breaker);
        let good = thread::spawn(move || {
            call(&other, 0, false);
            call(&other, 1, false);
        });
        call(&breaker, 1, false);
        good.join().unwrap();
        assert_eq!(breaker.snapshot(at(1)).counts.calls, 4);
        // The first second leaves: the call made up front, and at most the one of that second,
        // which counts as later if the other thread's second had begun.
        let left = breaker.snapshot(at(1_000)).counts.calls;
        assert!(left == 2 || left == 3, "{left}");
        assert_eq!(breaker.snapshot(at(1_001)).counts.calls, 0);
    });
}
