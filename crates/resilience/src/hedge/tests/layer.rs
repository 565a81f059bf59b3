//! Hedging around a service.

use std::cell::{Cell, RefCell};
use std::future::{Ready, ready};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as Wakeup, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use steadfast_time::sim::Simulation;
use steadfast_time::{Clock, Monotonic};
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::budget::{self, Budget};
use crate::deadline::Context;
use crate::event::{Events, Recorder};
use crate::hedge::{Delay, Hedger, Layer, Means, Options, REFRESH};
use crate::retry::{ByRule, Repeatable};
use crate::{ByError, Class, Classified, Share};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[derive(Clone, Debug, PartialEq)]
struct Broken;

impl Classified for Broken {
    fn class(&self) -> Class {
        Class::TRANSIENT
    }
}

/// A read may be repeated, a write may not. Counts how often it is copied.
#[derive(Debug)]
struct Ask {
    read: bool,
    copies: Rc<Cell<u32>>,
}

impl Clone for Ask {
    fn clone(&self) -> Self {
        self.copies.set(self.copies.get() + 1);
        Self { read: self.read, copies: Rc::clone(&self.copies) }
    }
}

/// Servers that answer in turn after these times; notes in which context they were called.
#[derive(Clone)]
struct Servers {
    clock: Clock,
    times: Rc<RefCell<Vec<u64>>>,
    repeated: Rc<RefCell<Vec<bool>>>,
    ready: bool,
}

impl Service<Ask> for Servers {
    type Response = u64;
    type Error = Broken;
    type Future = LocalBoxFuture<'static, Result<u64, Broken>>;

    fn poll_ready(&mut self, _: &mut Wakeup<'_>) -> Poll<Result<(), Broken>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Ask) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without having been polled ready");
        self.repeated.borrow_mut().push(Context::current().repeated);
        let (clock, millis) = (self.clock.clone(), self.times.borrow_mut().pop().unwrap());
        async move {
            clock.sleep(ms(millis)).await;
            Ok(millis)
        }
        .boxed_local()
    }
}

fn rule(ask: &Ask) -> Repeatable<'_> {
    if ask.read { Repeatable::Marked } else { Repeatable::No }
}

struct World {
    sim: Simulation,
    hedger: Arc<Hedger>,
    recorder: Arc<Recorder>,
    servers: Servers,
    copies: Rc<Cell<u32>>,
}

impl World {
    /// Earlier calls took as long as this.
    fn new(usual: u64) -> Self {
        let options = Options { delay: Delay::Fixed(ms(100)), ..Options::default() };
        let (mut sim, hedger) = (Simulation::new(1), Hedger::new(options).unwrap());
        for call in 0..100 {
            let started = Monotonic::from_start(ms(call));
            let plan = hedger.plan(started, true, Context::default());
            hedger.answered(started + ms(usual), &plan);
        }
        sim.run_for(ms(100 + usual) + REFRESH);
        let clock = sim.clock();
        let (times, repeated) = (Rc::default(), Rc::default());
        let servers = Servers { clock, times, repeated, ready: false };
        Self {
            sim,
            hedger: Arc::new(hedger),
            recorder: Arc::default(),
            servers,
            copies: Rc::default(),
        }
    }

    fn ask(&self, read: bool) -> Ask {
        Ask { read, copies: Rc::clone(&self.copies) }
    }

    fn call<M: Means + 'static>(&mut self, means: M, times: &[u64], read: bool) -> (u64, Duration) {
        *self.servers.times.borrow_mut() = times.iter().rev().copied().collect();
        let events = Events::to("keys", self.recorder.clone());
        let clock = self.sim.clock();
        let hedger = Arc::clone(&self.hedger);
        let rule = ByRule::new(rule);
        let layer = Layer::new(hedger, means, rule, ByError, clock.clone(), events);
        let service = ServiceBuilder::new().layer(layer).service(self.servers.clone());
        let ask = self.ask(read);
        self.sim.block_on(async move {
            let started = clock.monotonic();
            let answer = service.oneshot(ask).await.unwrap();
            (answer, clock.monotonic() - started)
        })
    }
}

fn plenty() -> impl Means {
    (|_| Share::ALL, |_| Ok(()))
}

#[test]
fn a_slow_read_is_hedged_on_another_server_in_a_context_that_says_so() {
    let mut world = World::new(400);
    assert_eq!(world.call(plenty(), &[1_000, 20], true), (20, ms(120)));
    assert_eq!(*world.servers.repeated.borrow(), [false, true]);
    assert_eq!(world.copies.get(), 1);
    let kinds: Vec<_> = world.recorder.take().iter().map(|it| it.decision.kind()).collect();
    assert_eq!(kinds, ["hedged", "won"]);
    assert_eq!(world.sim.sim_clock().next_wake(), None, "the loser is gone");
}

#[test]
fn a_write_is_neither_hedged_nor_copied() {
    let mut world = World::new(400);
    assert_eq!(world.call(plenty(), &[1_000], false), (1_000, ms(1_000)));
    assert_eq!(world.copies.get(), 0);
    let said = world.recorder.take()[0].to_string();
    assert_eq!(said, "hedge keys: no hedge: the call is not marked as safe to repeat");
}

#[test]
fn while_calls_are_fast_nothing_is_copied_and_no_timer_is_made() {
    let mut world = World::new(20);
    assert_eq!(world.call(plenty(), &[25], true), (25, ms(25)));
    assert_eq!(world.copies.get(), 0);
    assert!(world.recorder.take().is_empty());
}

#[test]
fn hedges_are_paid_from_the_budget_that_retries_use() {
    let options = budget::Options { ratio: 0.05, floor_per_second: 0.0, ..Default::default() };
    let budget = Arc::new(Budget::new(&options).unwrap());
    let mut world = World::new(400);
    let now = world.sim.clock().monotonic();
    for _ in 0..20 {
        budget.deposit(now);
    }
    let means = || {
        let budget = Arc::clone(&budget);
        (|_| Share::ALL, move |now| budget.take(now))
    };
    assert_eq!(world.call(means(), &[1_000, 20], true).0, 20);
    assert_eq!(budget.figures(now).extra, 1);
    assert_eq!(world.call(means(), &[1_000], true).0, 1_000);
    let said = world.recorder.take().pop().unwrap().to_string();
    assert!(said.starts_with("hedge keys: no hedge: the budget is spent: 1 of 1"), "{said}");
}

/// A service that is ready at once and never again.
#[derive(Clone)]
struct Once {
    used: bool,
}

impl Service<Ask> for Once {
    type Response = u64;
    type Error = Broken;
    type Future = futures::future::Either<
        std::future::Pending<Result<u64, Broken>>,
        Ready<Result<u64, Broken>>,
    >;

    fn poll_ready(&mut self, _: &mut Wakeup<'_>) -> Poll<Result<(), Broken>> {
        if std::mem::replace(&mut self.used, true) { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn call(&mut self, ask: Ask) -> Self::Future {
        if ask.read { std::future::pending().left_future() } else { ready(Ok(1)).right_future() }
    }
}

#[test]
fn a_call_that_is_dropped_while_its_hedge_waits_for_a_server_leaves_nothing_behind() {
    let mut world = World::new(400);
    let events = Events::to("keys", world.recorder.clone());
    let hedger = Arc::clone(&world.hedger);
    let clock = world.sim.clock();
    let rule = ByRule::new(rule);
    let layer = Layer::new(hedger, plenty(), rule, ByError, clock, events);
    let service = ServiceBuilder::new().layer(layer).service(Once { used: false });
    let mut call = service.oneshot(world.ask(true)).boxed_local();
    assert!((&mut call).now_or_never().is_none());
    world.sim.run_for(ms(100));
    assert!((&mut call).now_or_never().is_none());
    assert_eq!(world.recorder.take().len(), 1, "hedged");
    drop(call);
    assert_eq!(world.sim.sim_clock().next_wake(), None);
    assert_eq!(Rc::strong_count(&world.copies), 1, "both requests are gone");
}
