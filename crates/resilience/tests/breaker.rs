//! What a breaker promises, with the published values.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::time::Duration;

use steadfast_resilience::breaker::{
    Acquired, Breaker, Cause, Counts, Forced, Grant, Machine, Options, Permit, Refused, State,
    Transition, Window,
};
use steadfast_resilience::{Class, Share};
use steadfast_time::Monotonic;

fn at(seconds: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_secs(seconds))
}

fn millis(millis: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_millis(millis))
}

fn granted(acquired: Acquired) -> Grant {
    acquired.0.unwrap()
}

/// A call that is asked for and answered at the same moment.
fn call(breaker: &Breaker, now: Monotonic, failed: bool) -> Option<Transition> {
    let grant = granted(breaker.acquire(now));
    breaker.record(now, grant, failed)
}

/// Opens it with failures alone.
fn open(breaker: &Breaker, now: Monotonic) -> Transition {
    loop {
        if let Some(opened) = call(breaker, now, true) {
            assert_eq!(opened.to, State::Open);
            return opened;
        }
    }
}

/// Resilience4j, `CircuitBreakerStateMachineTest`: a time window of 20 s, at least 5 calls, 50 %;
/// one call a second.
#[test]
fn two_failures_of_five_leave_it_closed_and_the_third_opens_it() {
    let window = Window::Time(Duration::from_secs(20));
    let options = Options { window, minimum_calls: 5, ..Options::default() };
    let breaker = Breaker::new(options).unwrap();
    for (second, failed) in [(0, false), (1, false), (2, false), (3, true), (4, true)] {
        assert_eq!(call(&breaker, at(second), failed), None);
    }
    assert_eq!(breaker.state(), State::Closed);
    let opened = call(&breaker, at(5), true).unwrap();
    assert_eq!(opened.cause, Cause::Failures(Counts { calls: 6, failed: 3, slow: 0 }));
    assert_eq!(breaker.state(), State::Open);
}

/// Resilience4j, `CircuitBreakerStateMachineTest`: half-open lets exactly the permitted number
/// through, there four, whether or not they have been answered.
#[test]
fn half_open_lets_exactly_the_permitted_number_through() {
    let options = Options { probes: 4, minimum_calls: 5, ..Options::default() };
    let breaker = Breaker::new(options).unwrap();
    open(&breaker, at(0));
    assert!(breaker.acquire(millis(59_999)).0.is_err());

    let (first, half_open) = breaker.acquire(at(60));
    assert_eq!(half_open.unwrap().cause, Cause::WaitOver);
    let mut probes = vec![first.unwrap()];
    probes.extend((0..3).map(|_| granted(breaker.acquire(at(60)))));
    assert!(probes.iter().all(Grant::is_probe));
    let refused = breaker.acquire(at(60)).0.unwrap_err();
    let soon = Some(Duration::from_secs(1));
    assert_eq!(refused, Refused { state: State::HalfOpen, retry_after: soon });

    // Answers make no room for more: four in all, not four at a time.
    let last = probes.pop().unwrap();
    for probe in probes {
        assert_eq!(breaker.record(at(61), probe, false), None);
        assert!(breaker.acquire(at(61)).0.is_err());
    }
    let closed = breaker.record(at(61), last, true).unwrap();
    assert_eq!(closed.to_string(), "HALF_OPEN→CLOSED, 3 of 4 probes succeeded");
    assert!(breaker.acquire(at(61)).0.is_ok());
}

/// Resilience4j, `FixedSizeSlidingWindowMetricsTest`: two slow calls of five are 40 %.
#[test]
fn two_slow_calls_of_five_are_forty_percent() {
    let options = Options {
        window: Window::Count(5),
        minimum_calls: 5,
        slow_call: Some(Duration::from_secs(2)),
        slow_call_rate: Share::percent(40),
        ..Options::default()
    };
    let breaker = Breaker::new(options).unwrap();
    let mut told = Vec::new();
    // Exactly two seconds is not slow yet.
    for (start, took) in [(0, 2_000), (3_000, 2_001), (6_000, 1), (9_000, 5_000), (15_000, 0)] {
        assert!(told.is_empty());
        let grant = granted(breaker.acquire(millis(start)));
        told.extend(breaker.record(millis(start + took), grant, false));
    }
    let counts = Counts { calls: 5, failed: 0, slow: 2 };
    assert_eq!(told.first().map(|told| told.cause), Some(Cause::SlowCalls(counts)));
    assert_eq!(breaker.snapshot(at(15)).slow_call_rate(), Share::percent(40));
}

/// A window that slides: size 100, 50 %; after 10,000 successes 50 failures in a row open it.
#[test]
fn fifty_failures_open_it_after_ten_thousand_successes_and_forty_nine_do_not() {
    for failures in [49, 50] {
        let breaker = Breaker::new(Options::default()).unwrap();
        for _ in 0..10_000 {
            assert_eq!(call(&breaker, at(0), false), None);
        }
        let told: Vec<_> = (0..failures).filter_map(|_| call(&breaker, at(1), true)).collect();
        assert_eq!(told.len(), usize::from(failures == 50), "after {failures}");
        let state = if failures == 50 { State::Open } else { State::Closed };
        assert_eq!(breaker.state(), state);
    }
}

/// The broken twin of the test above: a window that starts anew after every hundred calls forgets
/// what it has just seen.
#[test]
fn a_window_that_starts_anew_would_not_open() {
    let (mut calls, mut failed, mut opened) = (0, 0, false);
    // Fifty failures that fall on both sides of a new beginning.
    for outcome in (0..10_125).map(|call| call >= 10_075) {
        if calls == 100 {
            (calls, failed) = (0, 0);
        }
        calls += 1;
        failed += u32::from(outcome);
        opened |= calls == 100 && failed * 2 >= calls;
    }
    assert!(!opened);
}

#[test]
fn the_minimum_holds_from_the_first_call_on_and_the_window_need_not_be_full() {
    let breaker = Breaker::new(Options::default()).unwrap();
    for _ in 0..19 {
        assert_eq!(call(&breaker, at(0), true), None);
    }
    let opened = call(&breaker, at(0), true).unwrap();
    let line = "CLOSED→OPEN, 20 of the last 20 failed, next probe in 60 s";
    assert_eq!(opened.to_string(), line);
}

#[test]
fn at_least_the_rate_and_not_only_more_opens_it() {
    for (failed, opens) in [(6, false), (7, true)] {
        let options =
            Options { failure_rate: Share::percent(7), minimum_calls: 100, ..Options::default() };
        let breaker = Breaker::new(options).unwrap();
        let mut told = None;
        for call_number in 0..100 {
            told = told.or(call(&breaker, at(0), call_number < failed));
        }
        assert_eq!(told.is_some(), opens, "{failed} of 100");
    }
}

#[test]
fn a_refusal_says_when_to_come_back() {
    let breaker = Breaker::new(Options::default()).unwrap();
    open(&breaker, at(10));
    let refused = breaker.acquire(at(30)).0.unwrap_err();
    assert_eq!(refused.to_string(), "OPEN, try again in 40 s");
    assert_eq!(breaker.force(at(30), Forced::Open).unwrap().cause, Cause::Forced);
    assert_eq!(breaker.acquire(at(30)).0.unwrap_err().to_string(), "FORCED_OPEN");
}

#[test]
fn a_late_answer_counts_neither_while_open_nor_as_a_probe_nor_after_closing() {
    let options = Options { probes: 1, ..Options::default() };
    let breaker = Breaker::new(options).unwrap();
    let mut late: Vec<Grant> = (0..4).map(|_| granted(breaker.acquire(at(0)))).collect();
    open(&breaker, at(0));
    assert_eq!(breaker.record(at(1), late.pop().unwrap(), false), None);
    assert_eq!(breaker.snapshot(at(1)).counts.calls, 20);

    let probe = granted(breaker.acquire(at(60)));
    assert_eq!(breaker.record(at(60), late.pop().unwrap(), false), None);
    assert_eq!(breaker.state(), State::HalfOpen);
    assert!(breaker.record(at(61), probe, false).is_some());
    assert_eq!(breaker.record(at(62), late.pop().unwrap(), true), None);
    breaker.cancel(late.pop().unwrap());
    assert_eq!(breaker.snapshot(at(62)).counts, Counts::default());
}

#[test]
fn a_cancelled_probe_gives_its_place_back() {
    let breaker = Breaker::new(Options { probes: 2, ..Options::default() }).unwrap();
    open(&breaker, at(0));
    let (first, _) = breaker.permit(at(60));
    let (second, _) = breaker.permit(at(60));
    assert!(breaker.permit(at(60)).0.is_err());
    drop(first.unwrap());
    let (third, _) = breaker.permit(at(60));
    assert!(third.as_ref().is_ok_and(Permit::is_probe));
    assert!(breaker.permit(at(60)).0.is_err());
    assert_eq!(second.unwrap().success(at(60)), None);
    // The twin: a place that is not given back stays taken.
    let other = Breaker::new(Options { probes: 1, ..Options::default() }).unwrap();
    open(&other, at(0));
    std::mem::forget(other.permit(at(60)).0.unwrap());
    assert!(other.permit(at(61)).0.is_err());

    assert_eq!(third.unwrap().success(at(60)).map(|told| told.to), Some(State::Closed));
}

/// Resilience4j issue 1389 asks about breakers that stay half-open for ever.
#[test]
fn probes_that_never_answer_do_not_keep_it_half_open() {
    let options = Options { probes: 4, ..Options::default() };
    for (answered, to) in [(1, State::Open), (3, State::Closed)] {
        let breaker = Breaker::new(options).unwrap();
        open(&breaker, at(0));
        let mut probes: Vec<_> = (0..4).map(|_| granted(breaker.acquire(at(60)))).collect();
        for probe in probes.drain(..answered) {
            assert_eq!(breaker.record(at(61), probe, false), None);
        }
        assert!(breaker.acquire(millis(119_999)).0.is_err());
        let (next, decided) = breaker.acquire(at(120));
        assert_eq!(decided.map(|told| told.to), Some(to));
        assert_eq!(next.is_ok(), to == State::Closed);
        // Those who were missing come too late.
        for probe in probes {
            assert_eq!(breaker.record(at(121), probe, false), None);
        }
        assert_eq!(breaker.state(), to);
    }
}

#[test]
fn few_calls_do_not_open_it_again_for_want_of_probes() {
    let breaker = Breaker::new(Options { probes: 3, ..Options::default() }).unwrap();
    open(&breaker, at(0));
    for hour in 1..=2 {
        assert_eq!(call(&breaker, at(hour * 3_600), false).map(|told| told.to), None);
        assert_eq!(breaker.state(), State::HalfOpen);
    }
    let closed = call(&breaker, at(3 * 3_600), false).unwrap();
    assert_eq!(closed.cause, Cause::Probes(Counts { calls: 3, failed: 0, slow: 0 }));
}

#[test]
fn slow_probes_open_it_again() {
    let options =
        Options { probes: 1, slow_call: Some(Duration::from_secs(1)), ..Options::default() };
    let breaker = Breaker::new(options).unwrap();
    open(&breaker, at(0));
    let probe = granted(breaker.acquire(at(60)));
    let opened = breaker.record(at(62), probe, false).unwrap();
    assert_eq!(opened.cause, Cause::FailedProbes(Counts { calls: 1, failed: 0, slow: 1 }));
    assert_eq!(opened.next_probe, Some(Duration::from_secs(60)));
}

#[test]
fn a_refusal_by_the_business_is_no_failure() {
    let breaker = Breaker::new(Options::default()).unwrap();
    for class in [Class::Success, Class::Refusal, Class::TRANSIENT, Class::Permanent] {
        let (permit, _) = breaker.permit(at(0));
        assert_eq!(permit.unwrap().record(at(0), class), None);
    }
    assert_eq!(breaker.snapshot(at(0)).counts, Counts { calls: 4, failed: 2, slow: 0 });
}

#[test]
fn a_spent_retry_budget_is_counted_and_opens_it_where_it_is_told_to() {
    let breaker = Breaker::new(Options::default()).unwrap();
    assert_eq!(breaker.budget_spent(at(1)), None);
    assert_eq!(breaker.snapshot(at(1)).budget_spent, 1);
    assert_eq!(breaker.state(), State::Closed);

    let options = Options { open_when_budget_spent: true, ..Options::default() };
    let breaker = Breaker::new(options).unwrap();
    for failed in [true, true, false] {
        assert_eq!(call(&breaker, at(0), failed), None);
    }
    let opened = breaker.budget_spent(at(1)).unwrap();
    let line = "CLOSED→OPEN, the retry budget is spent, 2 of the last 3 failed, next probe in 60 s";
    assert_eq!(opened.to_string(), line);
    assert_eq!(breaker.budget_spent(at(2)), None);
    assert_eq!(
        breaker.snapshot(at(2)).to_string(),
        "OPEN, 2 of 3 calls failed, 0 slow, next probe in 59 s"
    );
}

#[test]
fn an_operator_has_the_last_word() {
    let breaker = Breaker::new(Options { probes: 1, ..Options::default() }).unwrap();
    let forced = breaker.force(at(0), Forced::Closed).unwrap();
    assert_eq!(forced.to_string(), "CLOSED→FORCED_CLOSED, by an operator");
    assert_eq!(breaker.force(at(0), Forced::Closed), None);
    for _ in 0..500 {
        assert_eq!(call(&breaker, at(1), true), None);
    }
    // It goes on counting, so that whoever forced it sees what comes of it.
    assert_eq!(breaker.snapshot(at(1)).failure_rate(), Share::ALL);

    assert_eq!(breaker.force(at(2), Forced::Auto).map(|told| told.to), Some(State::Closed));
    assert_eq!(breaker.snapshot(at(2)).counts, Counts::default());
    assert_eq!(breaker.force(at(2), Forced::Auto), None);

    assert!(breaker.force(at(3), Forced::Open).is_some());
    assert!(breaker.acquire(at(3_600)).0.is_err());
    // What was closed to all is tried out first.
    assert_eq!(breaker.force(at(3_600), Forced::Auto).map(|told| told.to), Some(State::HalfOpen));
    assert_eq!(call(&breaker, at(3_600), false).map(|told| told.to), Some(State::Closed));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let options = Options { minimum_calls: 200, ..Options::default() };
    let expected = "breaker.minimum_calls = 200: must be at most the window's 100, or it could \
                    never open";
    assert_eq!(Breaker::new(options).unwrap_err().to_string(), expected);
    assert_eq!(Machine::new(options).unwrap_err().to_string(), expected);
}

/// Forty thousand calls by two threads, one in a hundred of them a failure: nothing gets lost.
#[test]
fn two_threads_count_every_call() {
    let options = Options {
        window: Window::Count(50_000),
        failure_rate: Share::ALL,
        minimum_calls: 1_000,
        ..Options::default()
    };
    let breaker = Breaker::new(options).unwrap();
    let turns = || {
        for turn in 0..20_000 {
            let told = call(&breaker, at(0), turn % 100 == 0 && turn > 0);
            assert_eq!(told, None);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(turns);
        scope.spawn(turns);
    });
    assert_eq!(breaker.snapshot(at(0)).counts, Counts { calls: 40_000, failed: 398, slow: 0 });
}

/// The same by time, where what was written down belongs to the slice that it was written in.
#[test]
fn two_threads_count_every_call_also_by_time() {
    let options = Options {
        window: Window::Time(Duration::from_secs(100)),
        failure_rate: Share::ALL,
        minimum_calls: 1_000,
        ..Options::default()
    };
    let breaker = Breaker::new(options).unwrap();
    let turns = || {
        for turn in 0..20_000 {
            let told = call(&breaker, millis(turn), turn % 100 == 7);
            assert_eq!(told, None);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(turns);
        scope.spawn(turns);
    });
    let all = Counts { calls: 40_000, failed: 400, slow: 0 };
    assert_eq!(breaker.snapshot(at(99)).counts, all);
    assert_eq!(breaker.snapshot(at(121)).counts, Counts::default());
}
