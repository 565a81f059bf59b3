//! Each layer alone, around a service that insists on the contract of `tower::Service`, fails,
//! panics, or is given up.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use fastrand::Rng;
use futures::FutureExt;
use futures::future::join_all;
use steadfast_resilience::breaker::{self, Breaker, State};
use steadfast_resilience::budget::{self, Spent};
use steadfast_resilience::bulkhead::{self, Bulkhead};
use steadfast_resilience::event::Events;
use steadfast_resilience::hedge::{self, Delay, Hedger};
use steadfast_resilience::limit::{self, Bounds, Limit};
use steadfast_resilience::retry::{self, AllMarked, Allowance, Retry};
use steadfast_resilience::shed::{self, Concurrency, Gate, Priority};
use steadfast_resilience::timeout::{self, Attempt, Scope, Timeout};
use steadfast_resilience::{Class, Share};
use steadfast_time::Clock;
use steadfast_time::sim::Simulation;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt};

type Answer = Result<u32, &'static str>;
type Judge = fn(&Answer) -> Class;

/// A failure passes; of an answer of 13 it panics.
fn judge(answer: &Answer) -> Class {
    assert_ne!(*answer, Ok(13), "a judge");
    if answer.is_ok() { Class::Success } else { Class::TRANSIENT }
}

/// What a call is to do.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ask {
    /// Answer so much after 5 ms.
    Answer(u32),
    /// Fail the first time, answer the second.
    FailFirst,
    /// Take a second.
    Hang,
    PanicInCall,
    PanicInFuture,
}

/// Is not ready before it has been asked twice, and panics when it is called and was not ready.
/// A clone has to be asked anew.
struct Strict {
    clock: Clock,
    calls: Arc<AtomicU32>,
    asked: u32,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { clock: self.clock.clone(), calls: Arc::clone(&self.calls), asked: 0 }
    }
}

impl Service<Ask> for Strict {
    type Response = u32;
    type Error = &'static str;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        self.asked += 1;
        if self.asked > 1 {
            return Poll::Ready(Ok(()));
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, ask: Ask) -> Self::Future {
        assert!(self.asked > 1, "called without having been ready");
        self.asked = 0;
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        assert_ne!(ask, Ask::PanicInCall, "a call");
        let length = if ask == Ask::Hang { 1_000 } else { 5 };
        let sleep = self.clock.sleep(Duration::from_millis(length));
        Box::pin(async move {
            sleep.await;
            match ask {
                Ask::Answer(answer) => Ok(answer),
                Ask::FailFirst if call == 0 => Err("the first"),
                Ask::PanicInFuture => panic!("a future"),
                Ask::FailFirst | Ask::Hang | Ask::PanicInCall => Ok(1),
            }
        })
    }
}

/// A service behind one layer; errors as text.
type Boxed = BoxCloneSyncService<Ask, u32, String>;

struct World {
    sim: Simulation,
    calls: Arc<AtomicU32>,
    breaker: Arc<Breaker>,
    bulkhead: Arc<Bulkhead>,
    limit: Arc<Limit>,
    gate: Arc<Gate>,
}

/// That `BoxCloneSyncService` takes them says that services are `Clone`, `Send`, `Sync` and
/// `'static`, and their futures `Send`: what axum, hyper and tonic ask.
fn boxed<L, S, E>(layer: L, inner: Strict) -> Boxed
where
    L: Layer<Strict, Service = S> + Clone + Send + Sync + 'static,
    S: Service<Ask, Response = u32, Error = E> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    E: std::fmt::Display + 'static,
{
    BoxCloneSyncService::new(layer.clone().layer(inner).map_err(|error: E| error.to_string()))
}

/// Everywhere room for one.
fn world() -> World {
    let sim = Simulation::new(1);
    let clock = sim.clock();
    let probing = breaker::Options { minimum_calls: 1, probes: 1, ..Default::default() };
    let room = bulkhead::Options { limit: 1, queue: 9, wait: Duration::from_secs(9) };
    let bounds = Bounds { initial: 1, min: 1, max: 1 };
    let narrow =
        limit::Options { bounds, window: Duration::ZERO, samples: 1, ..Default::default() };
    let line = shed::Options {
        queue: 9,
        target: Duration::from_secs(8),
        interval: Duration::from_secs(9),
    };
    let adaptive = Concurrency::Adaptive(narrow);
    let gate = Gate::new(&adaptive, &line, clock.clone(), Rng::with_seed(1));
    World {
        calls: Arc::default(),
        breaker: Arc::new(Breaker::new(probing).unwrap()),
        bulkhead: Arc::new(Bulkhead::new(&room, clock).unwrap()),
        limit: Arc::new(Limit::new(&narrow, Rng::with_seed(1)).unwrap()),
        gate: Arc::new(gate.unwrap()),
        sim,
    }
}

impl World {
    fn layers(&self) -> [(&'static str, Boxed); 7] {
        let clock = self.sim.clock();
        let events = || Events::silent("strict");
        let inner = || Strict { clock: clock.clone(), calls: Arc::clone(&self.calls), asked: 0 };
        let judge = judge as Judge;
        let (breaker, limit) = (Arc::clone(&self.breaker), Arc::clone(&self.limit));
        let breaker = breaker::Layer::new(breaker, clock.clone(), events(), judge);
        let limit = limit::Layer::new(limit, clock.clone(), events(), judge);
        let bulkhead = bulkhead::Layer::new(Arc::clone(&self.bulkhead), events());
        let priority = |_: &Ask| Priority::Normal;
        let gate = shed::Layer::new(Arc::clone(&self.gate), events(), priority, judge);
        let time = Arc::new(Timeout::new(Attempt::Fixed(Duration::from_millis(100))).unwrap());
        let time = timeout::Layer::new(time, Scope::Attempt, clock.clone(), events(), judge);
        let again = Retry::new(Default::default(), Allowance::Unlimited, Rng::with_seed(1));
        let again = Arc::new(again.unwrap());
        let again = retry::layer::Layer::new(again, AllMarked, judge, clock.clone(), events());
        let means = (|_| Share::ALL, |_| Ok::<(), Spent>(()));
        let hedger = Arc::new(self.seasoned());
        let hedge = hedge::Layer::new(hedger, means, AllMarked, judge, clock.clone(), events());
        [
            ("breaker", boxed(breaker, inner())),
            ("limit", boxed(limit, inner())),
            ("bulkhead", boxed(bulkhead, inner())),
            ("shed", boxed(gate, inner())),
            ("timeout", boxed(time, inner())),
            ("retry", boxed(again, inner())),
            ("hedge", boxed(hedge, inner())),
        ]
    }

    /// A hedger that hedges after 1 ms.
    fn seasoned(&self) -> Hedger {
        let options = hedge::Options {
            p95_above: Duration::from_nanos(1),
            share_max: Share::ALL,
            delay: Delay::Fixed(Duration::from_millis(1)),
            ..Default::default()
        };
        let hedger = Hedger::new(options).unwrap();
        let now = self.sim.clock().monotonic();
        for _ in 0..100 {
            let plan = hedger.plan(now, true, Default::default());
            hedger.answered(now + Duration::from_millis(1), &plan);
        }
        hedger
    }

    /// Nobody has a place, and nobody waits.
    fn assert_idle(&self, what: &str) {
        assert_eq!((self.bulkhead.in_use(), self.bulkhead.waiting()), (0, 0), "{what}");
        assert_eq!((self.gate.in_flight(), self.gate.waiting()), (0, 0), "{what}");
        assert_eq!(self.limit.in_flight(), 0, "{what}");
    }

    /// Makes the breaker half-open, with room for one probe.
    fn half_open(&self) {
        let now = self.sim.clock().monotonic();
        self.breaker.force(now, breaker::Forced::Open);
        self.breaker.force(now, breaker::Forced::Auto);
        assert_eq!(self.breaker.state(), State::HalfOpen);
    }

    fn assert_probe_is_free(&self, what: &str) {
        let snapshot = self.breaker.snapshot(self.sim.clock().monotonic());
        assert_eq!((snapshot.state, snapshot.probes_out), (State::HalfOpen, 0), "{what}");
    }
}

#[test]
fn no_layer_calls_what_was_not_ready_nor_loses_what_it_was_given() {
    let mut world = world();
    for (name, service) in world.layers() {
        world.calls.store(0, Ordering::Relaxed);
        let again = service.clone();
        world.sim.block_on(async move {
            // Two at once: with room for one, the second waits, or is refused.
            let both = (0..2).map(|_| service.clone().oneshot(Ask::Answer(7)));
            let outcomes = join_all(both).await;
            assert_eq!(outcomes[0], Ok(7), "{name}");
            let refused = outcomes[1].as_ref().err();
            assert_eq!(refused.is_some(), name == "limit", "{name}: {refused:?}");
        });
        // And one that is repeated, where there is something that repeats.
        world.calls.store(0, Ordering::Relaxed);
        let answer = world.sim.block_on(async move { again.oneshot(Ask::FailFirst).await });
        assert_eq!(answer.is_ok(), ["retry", "hedge"].contains(&name), "{name}: {answer:?}");
        world.assert_idle(name);
        world.breaker.force(world.sim.clock().monotonic(), breaker::Forced::Closed);
    }
}

#[test]
fn what_a_panic_ends_gives_everything_back() {
    let mut world = world();
    for (name, service) in world.layers() {
        for ask in [Ask::PanicInCall, Ask::PanicInFuture, Ask::Answer(13)] {
            world.half_open();
            let what = format!("{name}, {ask:?}");
            let one = service.clone();
            let other = service.clone();
            world.sim.block_on(async move {
                let one = AssertUnwindSafe(one.oneshot(ask)).catch_unwind();
                // This one waits behind it, where there is a queue, and gets its place.
                let other = async {
                    futures::pending!();
                    if ["bulkhead", "shed"].contains(&name) {
                        assert_eq!(other.oneshot(Ask::Answer(7)).await, Ok(7), "{name}");
                    }
                };
                let (ended, ()) = futures::join!(one, WakeOnce::around(other));
                // Those without a judge have nothing to panic at.
                let judged = !["timeout", "bulkhead"].contains(&name);
                assert_eq!(ended.is_err(), judged || ask != Ask::Answer(13), "{name} {ask:?}");
            });
            world.assert_idle(&what);
            world.assert_probe_is_free(&what);
        }
    }
}

#[test]
fn what_is_dropped_before_its_first_poll_or_half_way_gives_everything_back() {
    let mut world = world();
    for (name, service) in world.layers() {
        world.half_open();
        for polls in 0..3 {
            let mut service = service.clone();
            let clock = world.sim.clock();
            world.sim.block_on(async move {
                service.ready().await.unwrap();
                let mut call = service.call(Ask::Hang);
                for _ in 0..polls {
                    assert!((&mut call).now_or_never().is_none(), "{name}");
                    clock.sleep(Duration::from_millis(2)).await;
                }
                drop(call);
            });
            world.assert_idle(name);
            world.assert_probe_is_free(name);
        }
    }
}

/// Polls what is inside once more right away when it is first pending.
struct WakeOnce<F>(Pin<Box<F>>, bool);

impl<F: Future> WakeOnce<F> {
    fn around(future: F) -> Self {
        Self(Box::pin(future), false)
    }
}

impl<F: Future> Future for WakeOnce<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let outcome = self.0.as_mut().poll(context);
        if outcome.is_pending() && !std::mem::replace(&mut self.1, true) {
            context.waker().wake_by_ref();
        }
        outcome
    }
}

/// A budget that a retry's future had taken from stays taken: it errs to the side of fewer.
#[test]
fn a_retry_that_is_dropped_while_it_waits_stays_counted() {
    let mut world = world();
    let clock = world.sim.clock();
    let budget = Arc::new(budget::Budget::new(&budget::Options::default()).unwrap());
    let again = Retry::new(Default::default(), Arc::clone(&budget), Rng::with_seed(1)).unwrap();
    let layer = retry::layer::Layer::new(
        Arc::new(again),
        AllMarked,
        judge as Judge,
        clock.clone(),
        Events::silent("strict"),
    );
    let inner = Strict { clock: clock.clone(), calls: Arc::clone(&world.calls), asked: 0 };
    let service = layer.layer(inner);
    let now = world.sim.block_on(async move {
        let mut call = Box::pin(service.oneshot(Ask::FailFirst));
        let pause = clock.sleep(Duration::from_millis(6));
        let half_way = futures::future::select(&mut call, pause).await;
        assert!(matches!(half_way, futures::future::Either::Right(_)));
        drop(half_way);
        drop(call);
        clock.monotonic()
    });
    assert_eq!(world.calls.load(Ordering::Relaxed), 1);
    assert_eq!((budget.figures(now).calls, budget.figures(now).extra), (1, 1));
}
