//! Attacks on a whole policy: what is dropped, late, nested, or under way at the wrong moment.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use steadfast_resilience::breaker::State;
use steadfast_resilience::deadline::{Context, Deadline};
use steadfast_resilience::event::{Decision, Recorder};
use steadfast_resilience::policy::{Attempt, Counters, Options, Policy, Rolling};
use steadfast_resilience::timeout::{Attempt as Limit, Scope};
use steadfast_resilience::{
    Class, Classified, Error, Share, breaker, budget, bulkhead, hedge, limit, objective, retry,
    timeout,
};
use steadfast_time::sim::Simulation;
use steadfast_time::{Clock, Monotonic};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum No {
    Refused,
    Away,
    Broken,
}

impl Classified for No {
    fn class(&self) -> Class {
        match self {
            Self::Refused => Class::Refusal,
            Self::Away => Class::TRANSIENT,
            Self::Broken => Class::Permanent,
        }
    }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
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

fn fixed(limit: u64) -> Option<timeout::Options> {
    Some(timeout::Options { attempt: Limit::Fixed(ms(limit)), overall: None })
}

/// The other side, which knows what has really reached it.
#[derive(Clone)]
struct Dependency {
    clock: Clock,
    rng: Rc<RefCell<Rng>>,
    seen: Rc<Seen>,
}

#[derive(Default)]
struct Seen {
    sent: Cell<u64>,
    failed: Cell<u64>,
    in_flight: Cell<u32>,
    most: Cell<u32>,
}

/// One more, and one less however it ends.
struct InFlight(Rc<Seen>);

impl InFlight {
    fn new(seen: &Rc<Seen>) -> Self {
        seen.sent.set(seen.sent.get() + 1);
        seen.in_flight.set(seen.in_flight.get() + 1);
        seen.most.set(seen.most.get().max(seen.in_flight.get()));
        Self(Rc::clone(seen))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
    }
}

impl Dependency {
    fn new(sim: &Simulation, seed: u64) -> Self {
        let rng = Rc::new(RefCell::new(Rng::with_seed(seed)));
        Self { clock: sim.clock(), rng, seen: Rc::default() }
    }

    /// Begins when it is called, not when it is polled, as a client that hands the request to
    /// another task does.
    fn ask(
        &self,
        attempt: Attempt,
        outer: Option<Deadline>,
    ) -> impl Future<Output = Result<(), No>> + use<> {
        let in_flight = InFlight::new(&self.seen);
        let context = Context::current();
        let now = self.clock.monotonic();
        assert_eq!(context.deadline, attempt.deadline, "where the call is made");
        assert!(attempt.deadline.is_none_or(|deadline| !deadline.has_passed(now)), "too late");
        if let Some(outer) = outer {
            assert!(attempt.deadline.unwrap() <= outer, "later than the caller's");
        }
        assert!(context.repeated || (attempt.number == 1 && !attempt.hedge));
        let mut rng = self.rng.borrow_mut();
        let takes = match rng.u32(0..20) {
            0 => Duration::ZERO,
            1..12 => ms(rng.u64(1..40)),
            12..18 => ms(rng.u64(40..130)),
            _ => ms(rng.u64(500..5_000)),
        };
        let answer = match rng.u32(0..20) {
            0..15 => Ok(()),
            15 => Err(No::Refused),
            16..19 => Err(No::Away),
            _ => Err(No::Broken),
        };
        drop(rng);
        let (clock, seen) = (self.clock.clone(), Rc::clone(&self.seen));
        async move {
            let _in_flight = in_flight;
            assert_eq!(Context::current(), context, "while it is at work");
            if !takes.is_zero() {
                clock.sleep(takes).await;
            }
            if matches!(answer, Err(No::Away | No::Broken)) {
                seen.failed.set(seen.failed.get() + 1);
            }
            answer
        }
    }
}

/// Options of every part at once, some of them turned off by chance.
fn anything(rng: &mut Rng) -> Options {
    let breaker = breaker::Options {
        window: breaker::Window::Count(20),
        minimum_calls: 10,
        probes: rng.u32(1..4),
        open_for: ms(rng.u64(50..500)),
        open_when_budget_spent: rng.bool(),
        ..breaker::Options::default()
    };
    let bulkhead = bulkhead::Options {
        limit: rng.u32(1..12),
        queue: rng.u32(0..12),
        wait: ms(rng.u64(1..200)),
    };
    let bounds = limit::Bounds { initial: 8, min: 2, max: 16 };
    let hedge = hedge::Options {
        p95_above: ms(60),
        observed_min: 20,
        share_max: Share::percent(20),
        error_budget_above: Share::NONE,
        ..hedge::Options::default()
    };
    let objective = objective::Options { target: Share::percent(1), ..Default::default() };
    let overall = rng.bool().then_some(ms(rng.u64(150..600)));
    let attempt = Limit::Fixed(ms(rng.u64(80..150)));
    let mut one_in = |n| rng.u32(0..n) == 0;
    Options {
        timeout: (!one_in(6)).then_some(timeout::Options { attempt, overall }),
        retry: (!one_in(4)).then(retry::Options::default),
        budget: Some(budget::Options { ratio: 0.2, floor_per_second: 2.0, ..Default::default() }),
        breaker: (!one_in(4)).then_some(breaker),
        bulkhead: (!one_in(4)).then_some(bulkhead),
        limit: one_in(3).then(|| limit::Options { bounds, ..limit::Options::default() }),
        hedge: (!one_in(3)).then_some(hedge),
        objective: Some(objective),
    }
}

/// One life of a policy: so many calls, a third of which their callers lose interest in.
fn live(seed: u64, calls: u64) -> Counters {
    let mut sim = Simulation::new(seed);
    let mut rng = Rng::with_seed(seed);
    let options = anything(&mut rng);
    let (policy, _) = policy(&sim, options);
    let dependency = Dependency::new(&sim, seed ^ 0x5eed);
    let (mut begins, mut firsts) = (sim.clock().monotonic(), 0);
    for _ in 0..calls {
        if rng.u32(0..4) > 0 {
            begins = begins + Duration::from_micros(rng.u64(0..12_000));
        }
        let patience = match rng.u32(0..3) {
            0 => Duration::from_micros(rng.u64(0..250_000)),
            _ => Duration::from_secs(60),
        };
        let outer = (rng.u32(0..3) == 0).then(|| Deadline::within(begins, ms(rng.u64(0..300))));
        let number = (rng.u32(0..8) == 0).then(|| rng.u32(1..4));
        firsts += u64::from(number.is_none_or(|number| number == 1));
        let (keyed, once) = (rng.bool(), rng.u32(0..4) == 0);
        let (policy, asked, clock) = (policy.clone(), dependency.clone(), sim.clock());
        sim.spawn(async move {
            clock.sleep_until(begins).await;
            let ask = |attempt| asked.ask(attempt, outer);
            let request = policy.request().key(if keyed { "k" } else { "" });
            let request = match number {
                Some(number) => request.attempt(number),
                None => request,
            };
            let call =
                async { if once { request.once(ask).await } else { request.call(ask).await } };
            let context = Context { deadline: outer, repeated: false };
            let ended = clock.timeout(patience, context.scope(call)).await;
            if let (Ok(Err(Error::TimedOut { timeout, .. })), Some(outer)) = (&ended, outer)
                && timeout.scope == Scope::Deadline
            {
                assert_eq!(clock.monotonic(), outer.moment());
            }
        });
    }
    sim.run_for(Duration::from_secs(300));
    let (seen, counters, snapshot) = (&dependency.seen, policy.counters(), policy.snapshot());
    let at = format!("seed {seed}: {counters:?} of {options:?}");
    assert_eq!(seen.in_flight.get(), 0, "{at}");
    assert!(snapshot.bulkhead.is_none_or(|places| places == (0, 0)), "{at}");
    assert!(snapshot.limit.is_none_or(|(in_flight, _)| in_flight == 0), "{at}");
    assert!(snapshot.breaker.is_none_or(|breaker| breaker.probes_out == 0), "{at}");
    if let Some(bulkhead) = options.bulkhead {
        assert!(seen.most.get() <= bulkhead.limit, "{} at once; {at}", seen.most.get());
    }
    if options.limit.is_some() {
        assert!(seen.most.get() <= 16, "{} at once; {at}", seen.most.get());
    }
    assert_eq!(counters.calls, firsts, "{at}");
    assert_eq!(counters.attempts, seen.sent.get(), "{at}");
    assert_eq!(counters.failures, seen.failed.get() + counters.timeouts, "{at}");
    assert!(counters.hedges_won <= counters.hedges, "{at}");
    let budget::Options { ratio, floor_per_second, window, .. } = options.budget.unwrap();
    let seconds = (sim.clock().monotonic().since_start() + window).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let (extra, calls) = ((counters.retries + counters.hedges) as f64, counters.calls as f64);
    assert!(extra <= calls.mul_add(ratio, floor_per_second * seconds), "{at}");
    counters
}

#[test]
fn a_quarter_of_a_million_calls_leave_nothing_behind_and_are_counted_as_they_were() {
    let mut sum = Counters::default();
    for seed in 0..100 {
        let counters = live(seed, 2_500);
        sum.retries += counters.retries;
        sum.hedges += counters.hedges;
        sum.hedges_won += counters.hedges_won;
        sum.refusals += counters.refusals;
        sum.timeouts += counters.timeouts;
    }
    // It has seen all of it.
    for count in [sum.retries, sum.hedges, sum.hedges_won, sum.refusals, sum.timeouts] {
        assert!(count > 100, "{sum:?}");
    }
}

#[test]
fn one_seed_twice_is_the_same() {
    assert_eq!(live(3, 500), live(3, 500));
}

/// A call that never ends, dropped after a while.
async fn drop_after(clock: Clock, after: Duration, policy: Policy) {
    let call = policy.request().key("k").call(|_| std::future::pending::<Result<(), No>>());
    let _ = clock.timeout(after, call).await;
}

#[test]
fn a_call_that_was_dropped_in_the_queue_has_not_reached_the_other_side() {
    let mut sim = Simulation::new(1);
    let bulkhead = bulkhead::Options { limit: 1, queue: 4, wait: ms(500) };
    let (policy, _) = policy(&sim, Options { bulkhead: Some(bulkhead), ..Options::NONE });
    for after in [100, 50] {
        sim.spawn(drop_after(sim.clock(), ms(after), policy.clone()));
    }
    sim.run_for(Duration::from_secs(1));
    let counters = policy.counters();
    assert_eq!((counters.calls, counters.attempts, counters.refusals), (2, 1, 0));
}

#[test]
fn a_retry_that_was_dropped_in_its_pause_has_not_reached_the_other_side() {
    let mut sim = Simulation::new(1);
    let backoff = retry::Backoff { base: ms(400), ..retry::Backoff::default() };
    let jitter = retry::Jitter::None;
    let retry = Some(retry::Options { backoff, jitter, ..retry::Options::default() });
    let (policy, _) = policy(&sim, Options { retry, ..Options::NONE });
    let (guarded, clock) = (policy.clone(), sim.clock());
    sim.block_on(async move {
        let call = guarded.request().key("k").call(|_| async { Err::<(), _>(No::Away) });
        assert!(clock.timeout(ms(200), call).await.is_err());
    });
    let counters = policy.counters();
    assert_eq!((counters.retries, counters.attempts), (1, 1));
}

#[test]
fn whoever_decides_on_retries_himself_gets_one_attempt_from_the_first_on() {
    let mut sim = Simulation::new(1);
    let (policy, _) = policy(&sim, Options::default());
    let asked = Rc::new(Cell::new(0));
    let counted = Rc::clone(&asked);
    sim.block_on(async move {
        for number in 1..=2 {
            let call = policy.request().key("k").attempt(number).call(|attempt| {
                assert_eq!(attempt.number, number);
                counted.set(counted.get() + 1);
                async { Err::<(), _>(No::Away) }
            });
            assert_eq!(call.await, Err(Error::Call(No::Away)));
        }
    });
    assert_eq!(asked.get(), 2);
}

#[test]
fn the_context_holds_where_the_call_is_made_and_not_only_where_it_is_polled() {
    let mut sim = Simulation::new(1);
    let (policy, _) = policy(&sim, Options { timeout: fixed(100), ..Options::NONE });
    let clock = sim.clock();
    sim.block_on(async move {
        let left = || Context::current().deadline.map(|deadline| deadline.left(clock.monotonic()));
        let made = policy.call(|_| std::future::ready(Ok::<_, No>(left()))).await;
        assert_eq!(made, Ok(Some(ms(100))));
        assert_eq!(left(), None);
    });
}

/// Thirty answers after 400 ms, so that hedging is worth while; then whatever comes.
async fn make_slow(policy: &Policy, clock: &Clock) {
    for _ in 0..30 {
        let slow = |_| async {
            clock.sleep(ms(400)).await;
            Ok::<_, No>(())
        };
        policy.request().key("k").call(slow).await.unwrap();
    }
}

fn hedging() -> Options {
    let hedge = hedge::Options { observed_min: 20, share_max: Share::ALL, ..Default::default() };
    Options {
        budget: Some(budget::Options::default()),
        hedge: Some(hedge),
        objective: Some(objective::Options::default()),
        ..Options::NONE
    }
}

#[test]
fn who_is_asked_by_a_hedge_knows_that_it_is_a_repetition() {
    let mut sim = Simulation::new(1);
    let (policy, _) = policy(&sim, hedging());
    let (guarded, clock) = (policy.clone(), sim.clock());
    let seen = Rc::new(RefCell::new(Vec::new()));
    let noted = Rc::clone(&seen);
    sim.block_on(async move {
        make_slow(&guarded, &clock).await;
        let call = async |attempt: Attempt| {
            noted.borrow_mut().push((attempt.hedge, Context::current().repeated));
            clock.sleep(ms(900)).await;
            Ok::<_, No>(())
        };
        guarded.request().key("k").call(call).await.unwrap();
    });
    assert_eq!(*seen.borrow(), [(false, false), (true, true)]);
}

#[test]
fn waiting_for_a_place_is_not_taken_for_slowness_of_the_other_side() {
    let mut sim = Simulation::new(1);
    let bulkhead = bulkhead::Options { limit: 1, queue: 50, wait: Duration::from_secs(20) };
    let (policy, recorder) = policy(&sim, Options { bulkhead: Some(bulkhead), ..hedging() });
    // The other side is quick; it is only asked by one at a time.
    for _ in 0..50 {
        let (guarded, clock) = (policy.clone(), sim.clock());
        sim.spawn(async move {
            let quick = |_| async {
                clock.sleep(ms(100)).await;
                Ok::<_, No>(())
            };
            guarded.request().key("k").call(quick).await.unwrap();
        });
    }
    sim.run_for(Duration::from_secs(10));
    let (guarded, clock) = (policy.clone(), sim.clock());
    sim.block_on(async move {
        let stuck = async |attempt: Attempt| {
            clock.sleep(ms(if attempt.hedge { 1 } else { 8_000 })).await;
            Ok::<_, No>(())
        };
        guarded.request().key("k").call(stuck).await.unwrap();
    });
    let figures = policy.counters();
    assert_eq!((figures.hedges, figures.refusals), (0, 0), "{:?}", recorder.records().last());
}

#[test]
fn a_call_that_waits_for_a_place_gets_no_hedge_before_it_has_one() {
    let mut sim = Simulation::new(1);
    let bulkhead = bulkhead::Options { limit: 1, queue: 4, wait: Duration::from_secs(20) };
    let (policy, _) = policy(&sim, Options { bulkhead: Some(bulkhead), ..hedging() });
    let (guarded, clock) = (policy.clone(), sim.clock());
    sim.block_on(async move { make_slow(&guarded, &clock).await });
    // One without a key has the only place for a second; the other waits for it.
    let (first, second, clock) = (policy.clone(), policy.clone(), sim.clock());
    sim.spawn(async move {
        let long = first.call(|_| async {
            clock.sleep(Duration::from_secs(1)).await;
            Ok::<_, No>(())
        });
        long.await.unwrap();
    });
    let before = policy.snapshot().budget.unwrap().extra;
    sim.block_on(async move {
        let quick = second.request().key("k").call(|_| async { Ok::<_, No>(()) });
        quick.await.unwrap();
    });
    let counters = policy.counters();
    assert_eq!((counters.hedges, counters.refusals), (0, 0));
    assert_eq!(policy.snapshot().budget.unwrap().extra, before, "paid for nothing");
}

#[test]
fn the_limit_of_all_attempts_is_told_from_the_callers_deadline() {
    let rows = [
        (None, Scope::Overall, ms(150), ms(150)),
        (Some(150), Scope::Overall, ms(150), ms(150)),
        (Some(120), Scope::Deadline, ms(60), ms(120)),
    ];
    for (outer, scope, limit, ended) in rows {
        let mut sim = Simulation::new(1);
        let timeout = timeout::Options { attempt: Limit::Fixed(ms(100)), overall: Some(ms(150)) };
        let backoff = retry::Backoff { base: ms(10), ..retry::Backoff::default() };
        let jitter = retry::Jitter::None;
        let retry = Some(retry::Options { backoff, jitter, ..retry::Options::default() });
        let (policy, recorder) =
            policy(&sim, Options { timeout: Some(timeout), retry, ..Options::NONE });
        let clock = sim.clock();
        let (error, took) = sim.block_on(async move {
            let start = clock.monotonic();
            let deadline = outer.map(|outer| Deadline::within(start, ms(outer)));
            let call = policy.request().key("k").call(async |attempt: Attempt| {
                if attempt.number == 1 {
                    clock.sleep(ms(50)).await;
                    return Err(No::Away);
                }
                std::future::pending::<Result<(), No>>().await
            });
            let error = Context { deadline, repeated: false }.scope(call).await.unwrap_err();
            (error, clock.monotonic() - start)
        });
        let Error::TimedOut { timeout, .. } = error else { panic!("{error:?}") };
        assert_eq!((timeout.scope, timeout.limit, timeout.attempt), (scope, limit, 2));
        assert_eq!(took, ended);
        let told = recorder.take().into_iter().map(|record| record.decision);
        assert!(told.into_iter().any(|decision| decision == Decision::TimedOut(timeout)));
    }
}

#[test]
fn a_probe_that_the_budget_has_nothing_for_is_given_back() {
    let mut sim = Simulation::new(1);
    let breaker = breaker::Options {
        window: breaker::Window::Count(2),
        minimum_calls: 2,
        probes: 1,
        open_for: ms(50),
        ..breaker::Options::default()
    };
    let nothing = budget::Options { ratio: 0.0, floor_per_second: 0.0, ..Default::default() };
    let (breaker, budget) = (Some(breaker), Some(nothing));
    let (policy, _) = policy(&sim, Options { breaker, budget, ..Options::NONE });
    let (guarded, clock) = (policy.clone(), sim.clock());
    sim.block_on(async move {
        for _ in 0..2 {
            let _ = guarded.call(|_| async { Err::<(), _>(No::Away) }).await;
        }
        clock.sleep(ms(50)).await;
        for _ in 0..3 {
            let again = guarded.request().key("k").attempt(2);
            let refused = again.call(|_| async { Ok::<_, No>(()) }).await.unwrap_err();
            assert_eq!(refused.policy(), Some("budget"));
        }
        assert_eq!(guarded.snapshot().breaker.unwrap().state, State::HalfOpen);
        // A first attempt finds the probe's place free.
        assert_eq!(guarded.call(|_| async { Ok::<_, No>(()) }).await, Ok(()));
    });
    assert_eq!(policy.snapshot().breaker.unwrap().state, State::Closed);
}

#[test]
fn the_breaker_hears_of_attempts_without_an_answer() {
    let mut sim = Simulation::new(1);
    let options = Options {
        timeout: fixed(100),
        breaker: Some(breaker::Options::default()),
        ..Options::NONE
    };
    let (policy, _) = policy(&sim, options);
    let guarded = policy.clone();
    sim.block_on(async move {
        for _ in 0..20 {
            let mute = guarded.call(|_| std::future::pending::<Result<(), No>>());
            assert!(matches!(mute.await, Err(Error::TimedOut { .. })));
        }
    });
    assert_eq!(policy.snapshot().breaker.unwrap().state, State::Open);
}

#[test]
fn three_policies_deep_nobody_works_past_the_outermost_deadline() {
    for outer in [1, 30, 79, 80, 81, 200] {
        let mut sim = Simulation::new(1);
        let [first, second, third] = [100, 120, 80]
            .map(|limit| policy(&sim, Options { timeout: fixed(limit), ..Options::NONE }).0);
        let clock = sim.clock();
        let (left, took) = sim.block_on(async move {
            let start = clock.monotonic();
            let context = Context::until(Deadline::within(start, ms(outer)));
            let left = Rc::new(Cell::new(ms(0)));
            let (now, seen) = (clock.clone(), Rc::clone(&left));
            let call = first.call(|_| async {
                let inner = second.call(|_| async {
                    let innermost = third.call(|attempt| {
                        seen.set(attempt.deadline.unwrap().left(now.monotonic()));
                        std::future::pending::<Result<(), No>>()
                    });
                    innermost.await.map_err(|_| No::Away)
                });
                inner.await.map_err(|_| No::Away)
            });
            assert!(context.scope(call).await.is_err());
            (left.get(), clock.monotonic() - start)
        });
        assert_eq!((left, took), (ms(outer.min(80)), ms(outer.min(80))));
    }
}

#[test]
fn a_rolling_window_is_as_long_as_it_says_however_late_it_begins_and_whoever_slept() {
    let at = |seconds| Monotonic::from_start(Duration::from_secs(seconds));
    let counted = |calls| Counters { calls, ..Counters::default() };
    let mut rolling = Rolling::new(Duration::from_secs(300), 30);
    // The process has been up for a while before anybody looks.
    let started = 10_000;
    rolling.sample(at(started), counted(7));
    assert_eq!(rolling.within(&counted(9)).calls, 9, "all that is known");
    for second in (started + 10..started + 600).step_by(10) {
        rolling.sample(at(second), counted(7 + second - started));
    }
    let within = rolling.within(&counted(7 + 600)).calls;
    assert!((300..=310).contains(&within), "{within}");
    // Nobody samples for an hour; nothing is called either.
    rolling.sample(at(started + 4_200), counted(597));
    assert_eq!(rolling.within(&counted(597)).calls, 0, "an hour ago is not lately");
}
