//! A whole policy, on a clock that moves only when told to.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may panic")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use steadfast_resilience::breaker::{Forced, State};
use steadfast_resilience::deadline::{Context, Deadline};
use steadfast_resilience::event::{Decision, Recorder};
use steadfast_resilience::policy::{Options, Policy};
use steadfast_resilience::timeout::{Attempt as Limit, Scope};
use steadfast_resilience::{
    Class, Classified, Error, Share, breaker, budget, bulkhead, hedge, objective, retry, timeout,
};
use steadfast_time::Clock;
use steadfast_time::sim::Simulation;

/// What the other side says when it does not say yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum No {
    OutOfStock,
    Away,
    Busy(u64),
    Broken,
}

impl Classified for No {
    fn class(&self) -> Class {
        match self {
            Self::OutOfStock => Class::Refusal,
            Self::Away => Class::TRANSIENT,
            Self::Busy(seconds) => {
                Class::Transient { retry_after: Some(Duration::from_secs(*seconds)) }
            }
            Self::Broken => Class::Permanent,
        }
    }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// 100 ms an attempt, and no end of all of them but the caller's.
fn options() -> Options {
    let attempt = Limit::Fixed(ms(100));
    Options { timeout: Some(timeout::Options { attempt, overall: None }), ..Options::default() }
}

fn policy(sim: &Simulation, options: Options) -> (Policy, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let policy = Policy::builder("stock")
        .options(options)
        .listener(Arc::new(recorder.clone()))
        .seed(7)
        .build(sim.clock())
        .unwrap();
    (policy, recorder)
}

fn decisions(recorder: &Recorder) -> Vec<String> {
    recorder.take().iter().map(|record| record.decision.kind().to_owned()).collect()
}

/// After how many milliseconds, and what.
type Scripted = (u64, Result<u32, No>);

/// Answers attempt by attempt from a script, each after a while.
#[derive(Clone)]
struct Script {
    clock: Clock,
    answers: Rc<RefCell<Vec<Scripted>>>,
    calls: Rc<Cell<u32>>,
}

impl Script {
    fn new(sim: &Simulation, answers: impl Into<Vec<Scripted>>) -> Self {
        let mut answers = answers.into();
        answers.reverse();
        Self { clock: sim.clock(), answers: Rc::new(RefCell::new(answers)), calls: Rc::default() }
    }

    async fn ask(&self) -> Result<u32, No> {
        self.calls.set(self.calls.get() + 1);
        let (after, answer) = self.answers.borrow_mut().pop().expect("asked too often");
        self.clock.sleep(ms(after)).await;
        answer
    }
}

#[test]
fn what_passes_is_asked_again_and_what_does_not_is_not() {
    let rows: [(&[Scripted], Result<u32, No>, u32); 5] = [
        (&[(1, Err(No::Away)), (1, Err(No::Away)), (1, Ok(7))], Ok(7), 3),
        (&[(1, Err(No::OutOfStock))], Err(No::OutOfStock), 1),
        (&[(1, Err(No::Broken))], Err(No::Broken), 1),
        (&[(1, Err(No::Away)); 4], Err(No::Away), 4),
        (&[(1, Err(No::Away)), (1, Err(No::Broken))], Err(No::Broken), 2),
    ];
    for (answers, expected, calls) in rows {
        let mut sim = Simulation::new(1);
        let (policy, _) = policy(&sim, options());
        let script = Script::new(&sim, answers);
        let asked = script.clone();
        let got =
            sim.block_on(async move { policy.request().key("k1").call(|_| asked.ask()).await });
        assert_eq!(got.map_err(|error| error.into_call().unwrap()), expected);
        assert_eq!(script.calls.get(), calls, "{answers:?}");
    }
}

#[test]
fn without_a_key_nothing_is_asked_twice() {
    let mut sim = Simulation::new(1);
    let (policy, recorder) = policy(&sim, options());
    let script = Script::new(&sim, [(1, Err(No::Away))]);
    let got = sim.block_on(async move { policy.call(|_| script.ask()).await });
    assert_eq!(got, Err(Error::Call(No::Away)));
    let withheld = Decision::RetryWithheld(retry::Withheld::NotIdempotent);
    assert_eq!(recorder.records()[0].decision, withheld);
}

#[test]
fn an_attempt_without_an_answer_is_given_up_and_made_again() {
    let mut sim = Simulation::new(1);
    let (policy, recorder) = policy(&sim, options());
    let script = Script::new(&sim, [(5_000, Ok(1)), (1, Ok(2))]);
    let guarded = policy.clone();
    let got = sim.block_on(async move { guarded.request().key("k").call(|_| script.ask()).await });
    assert_eq!(got, Ok(2));
    assert_eq!(decisions(&recorder), ["timed_out", "retrying"]);
    let counters = policy.counters();
    assert_eq!((counters.calls, counters.attempts), (1, 2));
    assert_eq!((counters.timeouts, counters.retries, counters.failures), (1, 1, 1));
}

#[test]
fn a_retry_that_does_not_fit_before_the_deadline_is_not_made() {
    let mut sim = Simulation::new(1);
    let (policy, recorder) = policy(&sim, options());
    let clock = sim.clock();
    let script = Script::new(&sim, [(80, Err(No::Busy(1)))]);
    let got = sim.block_on(async move {
        let deadline = Deadline::within(clock.monotonic(), ms(350));
        let call = policy.request().key("k").call(|_| script.ask());
        Context::until(deadline).scope(call).await
    });
    assert_eq!(got, Err(Error::Call(No::Busy(1))));
    let Decision::RetryWithheld(retry::Withheld::Deadline { left, needed, .. }) =
        recorder.records()[0].decision
    else {
        panic!("{:?}", recorder.records())
    };
    assert_eq!(left, ms(270));
    assert!(needed > ms(1_000), "{needed:?}");
}

#[test]
fn nothing_is_begun_after_the_deadline() {
    let mut sim = Simulation::new(1);
    let (policy, _) = policy(&sim, options());
    let clock = sim.clock();
    let script = Script::new(&sim, []);
    let error = sim.block_on(async move {
        let deadline = Deadline::at(clock.monotonic());
        Context::until(deadline).scope(policy.call(|_| script.ask())).await.unwrap_err()
    });
    assert_eq!(error.policy(), Some("deadline"));
    assert!(matches!(&error, Error::Refused { refusal, .. } if refusal.status() == 504));
}

#[test]
fn an_attempt_sees_its_own_deadline_and_whether_it_is_a_repetition() {
    let mut sim = Simulation::new(1);
    let (policy, _) = policy(&sim, options());
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (clock, noted) = (sim.clock(), Rc::clone(&seen));
    let got = sim.block_on(async move {
        let call = |attempt: steadfast_resilience::policy::Attempt| {
            let (clock, noted) = (clock.clone(), Rc::clone(&noted));
            async move {
                let context = Context::current();
                let left = context.deadline.unwrap().left(clock.monotonic());
                noted.borrow_mut().push((attempt.number, left, context.repeated));
                if attempt.number < 2 { Err(No::Away) } else { Ok(()) }
            }
        };
        policy.request().key("k").call(call).await
    });
    assert_eq!(got, Ok(()));
    assert_eq!(*seen.borrow(), [(1, ms(100), false), (2, ms(100), true)]);
}

/// Three layers, each with its own policy.
fn layered(nested: bool) -> u32 {
    let mut sim = Simulation::new(1);
    let retry = Some(retry::Options { attempts: 3, nested, ..retry::Options::default() });
    let options = Options { retry, budget: None, breaker: None, timeout: None, ..options() };
    let [outer, middle, inner] = [(); 3].map(|()| policy(&sim, options).0);
    let calls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&calls);
    let failed = sim.block_on(async move {
        outer
            .request()
            .key("k")
            .call(|_| async {
                let middle = middle.request().key("k").call(|_| async {
                    let inner = inner.request().key("k").call(|_| {
                        counted.set(counted.get() + 1);
                        async { Err::<(), _>(No::Away) }
                    });
                    inner.await.map_err(|error| error.into_call().unwrap())
                });
                middle.await.map_err(|error| error.into_call().unwrap())
            })
            .await
    });
    assert_eq!(failed, Err(Error::Call(No::Away)));
    calls.get()
}

/// Source: layered retries multiply (the reference's 3 layers × 3 attempts = 27 calls).
#[test]
fn layers_multiply_unless_they_hold_back() {
    assert_eq!(layered(true), 27);
    assert_eq!(layered(false), 7);
}

#[test]
fn the_budget_is_shared_counted_when_issued_and_the_breaker_is_told() {
    let mut sim = Simulation::new(1);
    let spare = budget::Options { ratio: 0.0, floor_per_second: 0.2, ..budget::Options::default() };
    let breaker = breaker::Options {
        open_when_budget_spent: true,
        minimum_calls: 100,
        ..breaker::Options::default()
    };
    let options = Options { budget: Some(spare), breaker: Some(breaker), ..options() };
    let (policy, recorder) = policy(&sim, options);
    let guarded = policy.clone();
    // Two extra attempts in ten seconds are all there is.
    sim.block_on(async move {
        for _ in 0..3 {
            let call = |_| async { Err::<(), _>(No::Away) };
            let _ = guarded.request().key("k").call(call).await;
        }
    });
    let counters = policy.counters();
    assert_eq!((counters.calls, counters.retries), (3, 2));
    let kinds = decisions(&recorder);
    let expected = ["retrying", "retrying", "changed", "withheld", "refused", "refused"];
    assert_eq!(kinds, expected);
    assert_eq!(policy.snapshot().breaker.unwrap().state, State::Open);
}

#[test]
fn somebody_elses_retries_are_paid_from_the_same_budget() {
    let mut sim = Simulation::new(1);
    let one = budget::Options { ratio: 0.0, floor_per_second: 0.1, ..budget::Options::default() };
    let (policy, _) = policy(&sim, Options { budget: Some(one), ..options() });
    let guarded = policy.clone();
    let got = sim.block_on(async move {
        let mut got = Vec::new();
        for attempt in 1..=3 {
            let call = |attempt: steadfast_resilience::policy::Attempt| async move {
                assert!(Context::current().repeated == (attempt.number > 1));
                Err::<(), _>(No::Away)
            };
            let request = guarded.request().key("k").attempt(attempt);
            got.push(request.once(call).await.unwrap_err());
        }
        got
    });
    assert_eq!(got[..2], [Error::Call(No::Away), Error::Call(No::Away)]);
    assert_eq!(got[2].policy(), Some("budget"));
    assert_eq!(got[2].retry_after(), Some(Duration::from_secs(1)));
    let counters = policy.counters();
    assert_eq!((counters.attempts, counters.retries, counters.refusals), (2, 1, 1));
}

#[test]
fn an_open_circuit_lets_nothing_through_and_says_until_when() {
    let mut sim = Simulation::new(1);
    let (policy, recorder) = policy(&sim, Options { retry: None, ..options() });
    let script = Script::new(&sim, vec![(1, Err(No::Broken)); 20]);
    let (guarded, asked) = (policy.clone(), script.clone());
    let error = sim.block_on(async move {
        for _ in 0..20 {
            let _ = guarded.call(|_| asked.ask()).await;
        }
        guarded.call(|_| asked.ask()).await.unwrap_err()
    });
    assert_eq!(script.calls.get(), 20);
    assert_eq!(error.to_string_of(), "breaker stock: OPEN, try again in 60 s");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    let lines: Vec<String> = recorder.take().iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "breaker stock: CLOSED→OPEN, 20 of the last 20 failed, next probe in 60 s",
            "breaker stock: OPEN, try again in 60 s",
        ]
    );
    assert!(policy.force_breaker(Forced::Closed));
    assert_eq!(policy.snapshot().breaker.unwrap().state, State::ForcedClosed);
}

/// `Display` of an error whose inner error has none.
trait Words {
    fn to_string_of(&self) -> String;
}

impl Words for Error<No> {
    fn to_string_of(&self) -> String {
        self.clone().map(|no| format!("{no:?}")).to_string()
    }
}

#[test]
fn the_bulkhead_is_held_by_attempts_and_not_through_pauses() {
    let mut sim = Simulation::new(1);
    let bulkhead = bulkhead::Options { limit: 1, queue: 0, ..bulkhead::Options::default() };
    let (policy, _) = policy(&sim, Options { bulkhead: Some(bulkhead), ..options() });
    let script = Script::new(&sim, [(10, Err(No::Busy(1))), (10, Ok(1)), (10, Ok(2))]);
    let (first, asked) = (policy.clone(), script.clone());
    sim.spawn(async move {
        assert_eq!(first.request().key("a").call(|_| asked.ask()).await, Ok(2));
    });
    let (second, asked, clock) = (policy.clone(), script.clone(), sim.clock());
    let done = Rc::new(Cell::new(false));
    let seen = Rc::clone(&done);
    sim.spawn(async move {
        clock.sleep(ms(5)).await;
        let full = second.call(|_| asked.ask()).await.unwrap_err();
        assert_eq!(full.policy(), Some("bulkhead"));
        // Now the first one waits for its retry.
        clock.sleep(ms(100)).await;
        assert_eq!(second.call(|_| asked.ask()).await, Ok(1));
        seen.set(true);
    });
    sim.run_for(Duration::from_secs(5));
    assert!(done.get());
    assert_eq!(script.calls.get(), 3);
    assert_eq!(policy.snapshot().bulkhead, Some((0, 0)));
}

#[test]
fn a_call_that_is_dropped_gives_everything_back() {
    // Dropped at each millisecond of its life: in the queue, under way, in the pause.
    for at in 0..400 {
        let mut sim = Simulation::new(1);
        let bulkhead = bulkhead::Options { limit: 1, queue: 4, ..bulkhead::Options::default() };
        let open_for = ms(50);
        let breaker = breaker::Options {
            window: breaker::Window::Count(2),
            minimum_calls: 2,
            probes: 1,
            open_for,
            ..breaker::Options::default()
        };
        let (bulkhead, breaker) = (Some(bulkhead), Some(breaker));
        let (policy, _) = policy(&sim, Options { bulkhead, breaker, ..options() });
        // The circuit opens, and the next call is its only probe.
        let opening = policy.clone();
        sim.block_on(async move {
            for _ in 0..2 {
                let _ = opening.call(|_| async { Err::<(), _>(No::Broken) }).await;
            }
        });
        sim.run_for(open_for);
        let (dropped, clock) = (policy.clone(), sim.clock());
        sim.spawn(async move {
            let slow = |_| async {
                clock.sleep(ms(30)).await;
                Err::<(), _>(No::Away)
            };
            let call = dropped.request().key("k").call(slow);
            let _ = clock.timeout(ms(at), call).await;
        });
        sim.run_for(Duration::from_secs(2));
        let snapshot = policy.snapshot();
        assert_eq!(snapshot.bulkhead, Some((0, 0)), "dropped after {at} ms");
        assert_eq!(snapshot.breaker.unwrap().probes_out, 0, "dropped after {at} ms");
    }
}

/// Thirty calls of 350 ms each, then one whose first attempt is stuck and whose second is quick.
fn hedged(marked: bool, objective: objective::Options) -> (Duration, Policy, Vec<String>) {
    let mut sim = Simulation::new(1);
    let attempt = Limit::Fixed(Duration::from_secs(2));
    let hedge = hedge::Options { observed_min: 20, share_max: Share::ALL, ..Default::default() };
    let options = Options {
        timeout: Some(timeout::Options { attempt, overall: None }),
        hedge: Some(hedge),
        objective: Some(objective),
        ..Options::default()
    };
    let (policy, recorder) = policy(&sim, options);
    let mut answers = vec![(350, Ok(1)); 30];
    answers.extend([(1_900, Ok(2)), (10, Ok(3))]);
    let script = Script::new(&sim, answers);
    let (guarded, clock) = (policy.clone(), sim.clock());
    let took = sim.block_on(async move {
        let key = if marked { "k" } else { "" };
        for _ in 0..30 {
            guarded.request().key(key).call(|_| script.ask()).await.unwrap();
            clock.sleep(ms(100)).await;
        }
        let start = clock.monotonic();
        guarded.request().key(key).call(|_| script.ask()).await.unwrap();
        clock.monotonic() - start
    });
    let last = recorder.take().iter().rev().take(2).map(ToString::to_string).collect();
    (took, policy, last)
}

#[test]
fn a_slow_call_gets_a_second_attempt_where_every_gate_agrees() {
    let (took, policy, last) = hedged(true, objective::Options::default());
    assert!((ms(350)..ms(400)).contains(&took), "{took:?}");
    let counters = policy.counters();
    assert_eq!((counters.hedges, counters.hedges_won, counters.attempts), (1, 1, 32));
    assert_eq!(counters.indicators().hedged_share, Share::of(1, 32));
    assert!(last[0].contains("the second attempt answered, the first is cancelled"), "{last:?}");
    assert!(last[1].contains("a second attempt after 3"), "{last:?}");
}

#[test]
fn what_is_not_marked_as_safe_is_never_hedged() {
    let (took, policy, last) = hedged(false, objective::Options::default());
    assert_eq!(took, ms(1_900));
    assert_eq!(policy.counters().hedges, 0);
    assert!(last[0].ends_with("no hedge: the call is not marked as safe to repeat"), "{last:?}");
}

#[test]
fn an_overall_limit_ends_the_attempt_under_way() {
    let mut sim = Simulation::new(1);
    let timeout = timeout::Options { attempt: Limit::Fixed(ms(100)), overall: Some(ms(150)) };
    let (policy, _) = policy(&sim, Options { timeout: Some(timeout), ..options() });
    let script = Script::new(&sim, [(90, Err(No::Away)), (500, Ok(1))]);
    let (clock, asked) = (sim.clock(), script.clone());
    let (error, took) = sim.block_on(async move {
        let start = clock.monotonic();
        let error = policy.request().key("k").call(|_| asked.ask()).await.unwrap_err();
        (error, clock.monotonic() - start)
    });
    match error {
        // Seed 7 waits for less than what is left; the second attempt has only that.
        Error::TimedOut { timeout, .. } => {
            assert_eq!((timeout.scope, timeout.attempt), (Scope::Overall, 2));
            assert_eq!(took, ms(150));
        }
        other => assert_eq!(other, Error::Call(No::Away)),
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let sim = Simulation::new(1);
    let build = |options: Options| {
        Policy::builder("stock").options(options).build(sim.clock()).unwrap_err().to_string()
    };
    let attempt = Limit::Fixed(ms(100));
    let timeout = Some(timeout::Options { attempt, overall: Some(ms(99)) });
    let message = build(Options { timeout, ..Options::NONE });
    assert!(message.starts_with("timeout.overall = 99 ms: must be at least 100 ms"), "{message}");
    let hedge = Some(hedge::Options::default());
    let message = build(Options { hedge, ..Options::default() });
    assert!(message.starts_with("objective = none: must be set where"), "{message}");
    let breaker = Some(breaker::Options { minimum_calls: 0, ..breaker::Options::default() });
    let message = build(Options { breaker, ..Options::NONE });
    assert!(message.starts_with("breaker.minimum_calls = 0: must be 1"), "{message}");
}
