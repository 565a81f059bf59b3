//! A whole policy as a `tower` layer, on a clock that moves only when told to.
#![cfg(feature = "tower")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may panic")]

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as Wakeup, Poll, Waker};
use std::time::Duration;

use steadfast_resilience::breaker::State;
use steadfast_resilience::deadline::{Context, Deadline};
use steadfast_resilience::event::Recorder;
use steadfast_resilience::policy::{self, Options, Policy};
use steadfast_resilience::retry::{AllMarked, ByRule, NoneMarked, Repeatable};
use steadfast_resilience::timeout::Attempt;
use steadfast_resilience::{
    ByError, Class, Classified, Error, breaker, bulkhead, hedge, objective, retry, timeout,
};
use steadfast_time::Clock;
use steadfast_time::sim::Simulation;
use tower::{Layer, Service, ServiceExt};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum No {
    Away,
    OutOfStock,
    NotReady,
}

impl Classified for No {
    fn class(&self) -> Class {
        match self {
            Self::OutOfStock => Class::Refusal,
            Self::Away | Self::NotReady => Class::TRANSIENT,
        }
    }
}

/// A request that counts how often it is copied.
#[derive(Debug)]
struct Ask {
    copies: Arc<AtomicU32>,
    marked: bool,
}

impl Ask {
    fn new(marked: bool) -> (Self, Arc<AtomicU32>) {
        let copies = Arc::new(AtomicU32::new(0));
        (Self { copies: Arc::clone(&copies), marked }, copies)
    }
}

impl Clone for Ask {
    fn clone(&self) -> Self {
        self.copies.fetch_add(1, Ordering::Relaxed);
        Self { copies: Arc::clone(&self.copies), ..*self }
    }
}

fn rule(ask: &Ask) -> Repeatable<'_> {
    if ask.marked { Repeatable::Marked } else { Repeatable::No }
}

type Answer = Result<u32, No>;

/// After how many milliseconds, and what.
type Scripted = (u64, Answer);

/// What clones share.
struct Shop {
    clock: Clock,
    answers: Mutex<Vec<Scripted>>,
    calls: AtomicU32,
    seen: Mutex<Vec<Context>>,
    /// So many polls say "not yet", and one of them fails.
    ready_after: u32,
    fail_ready_once: AtomicU32,
}

/// Keeps tower's contract strictly: a clone is not ready until it has been polled, and each
/// readiness is for one call.
struct Strict {
    shop: Arc<Shop>,
    polled: u32,
    ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { shop: Arc::clone(&self.shop), polled: 0, ready: false }
    }
}

impl<R> Service<R> for Strict {
    type Response = u32;
    type Error = No;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, wakeup: &mut Wakeup<'_>) -> Poll<Result<(), No>> {
        if self.polled < self.shop.ready_after {
            self.polled += 1;
            wakeup.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.shop.fail_ready_once.swap(0, Ordering::Relaxed) == 1 {
            return Poll::Ready(Err(No::NotReady));
        }
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: R) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without having been polled ready");
        self.polled = 0;
        let shop = Arc::clone(&self.shop);
        shop.calls.fetch_add(1, Ordering::Relaxed);
        shop.seen.lock().unwrap().push(Context::current());
        let (after, answer) = shop.answers.lock().unwrap().pop().expect("asked too often");
        Box::pin(async move {
            shop.clock.sleep(ms(after)).await;
            answer
        })
    }
}

fn shop(sim: &Simulation, answers: &[Scripted], ready_after: u32) -> Arc<Shop> {
    Arc::new(Shop {
        clock: sim.clock(),
        answers: Mutex::new(answers.iter().rev().copied().collect()),
        calls: AtomicU32::new(0),
        seen: Mutex::default(),
        ready_after,
        fail_ready_once: AtomicU32::new(0),
    })
}

fn strict(shop: &Arc<Shop>) -> Strict {
    Strict { shop: Arc::clone(shop), polled: 0, ready: false }
}

/// 100 ms an attempt, and no end of all of them but the caller's.
fn options() -> Options {
    let attempt = Attempt::Fixed(ms(100));
    Options { timeout: Some(timeout::Options { attempt, overall: None }), ..Options::default() }
}

fn policy(sim: &Simulation, options: Options) -> Policy {
    Policy::builder("stock").options(options).seed(7).build(sim.clock()).unwrap()
}

#[test]
fn it_repeats_what_may_be_repeated_and_copies_nothing_else() {
    let away = Err(No::Away);
    // Marked or not, the answers, what comes of it, calls, copies.
    let rows: [(bool, &[Scripted], Answer, u32, u32); 5] = [
        (true, &[(1, away), (1, away), (1, Ok(7))], Ok(7), 3, 3),
        (true, &[(1, Ok(7))], Ok(7), 1, 1),
        (true, &[(1, Err(No::OutOfStock))], Err(No::OutOfStock), 1, 1),
        (false, &[(1, away)], away, 1, 0),
        (false, &[(1, Ok(7))], Ok(7), 1, 0),
    ];
    for (marked, answers, expected, calls, copied) in rows {
        // A service that is ready at once, and one whose clones take a few polls.
        for ready_after in [0, 3] {
            let mut sim = Simulation::new(1);
            let shop = shop(&sim, answers, ready_after);
            let layer = policy::Layer::new(policy(&sim, options()), ByRule::new(rule), ByError);
            let service = layer.layer(strict(&shop));
            let (ask, copies) = Ask::new(marked);
            let got = sim.block_on(service.oneshot(ask));
            assert_eq!(got.map_err(|error| error.into_call().unwrap()), expected);
            assert_eq!(shop.calls.load(Ordering::Relaxed), calls, "{answers:?}");
            assert_eq!(copies.load(Ordering::Relaxed), copied, "{answers:?}");
        }
    }
}

#[test]
fn without_retries_and_hedges_nothing_is_copied() {
    let mut sim = Simulation::new(1);
    let shop = shop(&sim, &[(1, Err(No::Away))], 0);
    let once = Some(retry::Options { attempts: 1, ..retry::Options::default() });
    let policy = policy(&sim, Options { retry: once, ..options() });
    let service = policy::Layer::new(policy, AllMarked, ByError).layer(strict(&shop));
    let (ask, copies) = Ask::new(true);
    let got = sim.block_on(service.oneshot(ask));
    assert_eq!(got, Err(Error::Call(No::Away)));
    assert_eq!(copies.load(Ordering::Relaxed), 0);
}

/// The broken twin: what a layer does that clones and calls.
#[test]
fn the_service_notices_a_call_without_readiness() {
    let sim = Simulation::new(1);
    let shop = shop(&sim, &[(1, Ok(7))], 0);
    let mut service = strict(&shop);
    let ready = Service::<()>::poll_ready(&mut service, &mut Wakeup::from_waker(Waker::noop()));
    assert!(ready.is_ready());
    let naive = AssertUnwindSafe(|| drop(service.clone().call(())));
    assert!(catch_unwind(naive).is_err());
}

#[test]
fn a_clone_that_is_not_to_be_had_is_a_failure_like_any_other() {
    let mut sim = Simulation::new(1);
    let shop = shop(&sim, &[(1, Err(No::Away)), (1, Ok(7))], 0);
    let policy = policy(&sim, options());
    let mut service = policy::Layer::new(policy.clone(), AllMarked, ByError).layer(strict(&shop));
    let ready = Service::<()>::poll_ready(&mut service, &mut Wakeup::from_waker(Waker::noop()));
    assert!(ready.is_ready());
    let call = service.call(());
    shop.fail_ready_once.store(1, Ordering::Relaxed);
    assert_eq!(sim.block_on(call), Ok(7));
    let counters = policy.counters();
    assert_eq!((counters.calls, counters.attempts, counters.failures), (1, 3, 2));

    // Polled by the caller, it is the caller's to see.
    shop.fail_ready_once.store(1, Ordering::Relaxed);
    let ready = Service::<()>::poll_ready(&mut service, &mut Wakeup::from_waker(Waker::noop()));
    assert_eq!(ready, Poll::Ready(Err(Error::Call(No::NotReady))));
}

#[test]
fn each_attempt_is_called_with_its_own_deadline() {
    let mut sim = Simulation::new(1);
    let shop = shop(&sim, &[(500, Ok(1)), (500, Ok(2)), (1, Ok(3))], 0);
    let service = policy::Layer::new(policy(&sim, options()), AllMarked, ByError);
    let service = service.layer(strict(&shop));
    let start = sim.clock().monotonic();
    let caller = Context::until(Deadline::within(start, ms(2_000)));
    assert_eq!(sim.block_on(caller.scope(service.oneshot(()))), Ok(3));
    let seen = shop.seen.lock().unwrap();
    assert_eq!(seen[0].deadline, Some(Deadline::within(start, ms(100))));
    assert!(seen[1].deadline > seen[0].deadline && seen[2].deadline > seen[1].deadline);
    assert_eq!([0, 1, 2].map(|n: usize| seen[n].repeated), [false, true, true]);
}

#[test]
fn an_open_circuit_is_an_error_that_says_so_and_nothing_is_sent() {
    let mut sim = Simulation::new(1);
    let shop = shop(&sim, &[(1, Err(No::Away)); 2], 0);
    let breaker = Some(breaker::Options { minimum_calls: 2, ..breaker::Options::default() });
    let policy = policy(&sim, Options { breaker, ..options() });
    // What cannot be copied goes through all the same.
    struct Stream;
    let service = policy::Layer::new(policy, NoneMarked, ByError).layer(strict(&shop));
    for _ in 0..2 {
        let call = service.clone().oneshot(Stream);
        assert_eq!(sim.block_on(call), Err(Error::Call(No::Away)));
    }
    let error = sim.block_on(service.oneshot(Stream)).unwrap_err();
    assert_eq!(error.policy(), Some("breaker"));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    assert_eq!(shop.calls.load(Ordering::Relaxed), 2);
}

#[test]
fn a_slow_attempt_gets_a_second_one_on_a_clone_that_is_ready() {
    let mut sim = Simulation::new(1);
    let mut answers = vec![(400, Ok(0)); 30];
    answers.extend([(5_000, Ok(1)), (1, Ok(2))]);
    let shop = shop(&sim, &answers, 2);
    let hedge = hedge::Options { observed_min: 20, share_max: part(1.0), ..Default::default() };
    let options = Options {
        hedge: Some(hedge),
        objective: Some(objective::Options::default()),
        budget: Options::default().budget,
        ..Options::NONE
    };
    let recorder = Arc::new(Recorder::default());
    let policy = Policy::builder("stock").options(options).listener(Arc::new(recorder.clone()));
    let policy = policy.build(sim.clock()).unwrap();
    let service = policy::Layer::new(policy.clone(), AllMarked, ByError).layer(strict(&shop));
    for _ in 0..30 {
        assert_eq!(sim.block_on(service.clone().oneshot(())), Ok(0));
    }
    assert_eq!(sim.block_on(service.oneshot(())), Ok(2), "{:?}", recorder.records());
    assert_eq!((policy.counters().hedges, policy.counters().hedges_won), (1, 1));
}

fn part(share: f64) -> steadfast_resilience::Share {
    steadfast_resilience::Share::new(share).unwrap()
}

/// A call that waits in the bulkhead, is sent, fails, pauses, and is sent again as a probe, dropped
/// at each moment of its life: it leaves nothing behind.
#[test]
fn dropped_at_any_moment_it_gives_back_what_it_holds() {
    let mut moments = 0;
    for cancelled_at in (0..300).step_by(5) {
        let mut sim = Simulation::new(1);
        let shop = shop(&sim, &[(40, Err(No::Away)), (40, Err(No::Away)), (40, Ok(7))], 1);
        let places = bulkhead::Options { limit: 1, queue: 1, wait: ms(50) };
        let judged = breaker::Options {
            minimum_calls: 1,
            window: breaker::Window::Count(1),
            open_for: ms(1),
            probes: 1,
            ..Default::default()
        };
        let options = Options { bulkhead: Some(places), breaker: Some(judged), ..options() };
        let policy = policy(&sim, options);
        let service = policy::Layer::new(policy.clone(), AllMarked, ByError).layer(strict(&shop));
        let clock = sim.clock();
        let done = sim.block_on(async move {
            let call = pin!(service.clone().oneshot(()));
            let limit = clock.timeout(ms(cancelled_at), call).await;
            limit.is_ok()
        });
        moments += u32::from(!done);
        let snapshot = policy.snapshot();
        assert_eq!(snapshot.bulkhead, Some((0, 0)), "dropped after {cancelled_at} ms");
        // If the circuit is open or half-open, its only probe is to be had.
        sim.run_for(ms(10));
        let again = self::shop(&sim, &[(1, Ok(9))], 0);
        let probe = policy::Layer::new(policy.clone(), NoneMarked, ByError).layer(strict(&again));
        assert_eq!(sim.block_on(probe.oneshot(())), Ok(9), "dropped after {cancelled_at} ms");
        assert_eq!(policy.snapshot().breaker.unwrap().state, State::Closed);
    }
    assert!(moments > 20, "{moments}");
}

/// The broken twin: a call that is neither finished nor dropped.
#[test]
fn the_check_notices_what_is_not_given_back() {
    let sim = Simulation::new(1);
    let shop = shop(&sim, &[(40, Ok(7))], 0);
    let options = Options { bulkhead: Some(bulkhead::Options::default()), ..options() };
    let policy = policy(&sim, options);
    let service = policy::Layer::new(policy.clone(), AllMarked, ByError).layer(strict(&shop));
    let mut call = Box::pin(service.oneshot(()));
    assert!(call.as_mut().poll(&mut Wakeup::from_waker(Waker::noop())).is_pending());
    std::mem::forget(call);
    assert_eq!(policy.snapshot().bulkhead, Some((1, 0)));
}

/// A failed answer may hold on to a connection: it must be gone while the next attempt is waited
/// for.
#[test]
fn a_failed_answer_is_not_kept_through_the_pause() {
    let mut sim = Simulation::new(1);
    let backoff = retry::Backoff::constant(ms(100));
    let retry = retry::Options { backoff, jitter: retry::Jitter::None, ..Default::default() };
    let policy = policy(&sim, Options { retry: Some(retry), ..Options::NONE });
    let connection = Arc::new(());
    let (clock, held) = (sim.clock(), Arc::clone(&connection));
    sim.spawn(async move {
        let call = async |_| {
            clock.sleep(ms(10)).await;
            Ok::<_, No>(Arc::clone(&held))
        };
        let busy = |_: &Result<Arc<()>, No>| Class::TRANSIENT;
        let _ = policy.request().key("k").classify(busy).call(call).await;
    });
    sim.run_for(ms(5));
    let before = Arc::strong_count(&connection);
    sim.run_for(ms(50));
    assert_eq!(Arc::strong_count(&connection), before, "in the pause");
}
