//! The timeout around a service.

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use steadfast_time::sim::Simulation;
use steadfast_time::{Clock, Monotonic};
use tower::{ServiceBuilder, ServiceExt, service_fn};

use crate::deadline::{Context, Deadline};
use crate::event::{Decision, Events, Recorder};
use crate::timeout::{Attempt, Layer, Scope, TimedOut, Timeout, options};
use crate::{ByError, Class, Classified, Error, Refusal};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A service that takes as many milliseconds as it is asked to, and reports half of them.
#[derive(Debug, PartialEq)]
struct Answer {
    work: Duration,
}

#[derive(Debug, PartialEq)]
struct Broken;

impl Classified for Broken {
    fn class(&self) -> Class {
        Class::TRANSIENT
    }
}

fn slow(
    clock: &Clock,
) -> impl tower::Service<u64, Response = Answer, Error = Broken, Future: 'static> + Clone + 'static
{
    let clock = clock.clone();
    service_fn(move |millis: u64| {
        let clock = clock.clone();
        async move {
            if millis % 2 == 1 {
                return Err(Broken);
            }
            clock.sleep(ms(millis)).await;
            Ok(Answer { work: ms(millis / 2) })
        }
    })
}

struct World {
    sim: Simulation,
    recorder: Arc<Recorder>,
    timeout: Arc<Timeout>,
}

impl World {
    fn new(attempt: Attempt) -> Self {
        let timeout = Arc::new(Timeout::new(attempt).unwrap());
        Self { sim: Simulation::new(1), recorder: Arc::default(), timeout }
    }

    fn layer(&self) -> Layer<ByError> {
        let events = Events::to("stock", self.recorder.clone());
        let timeout = Arc::clone(&self.timeout);
        Layer::new(timeout, Scope::Attempt, self.sim.clock(), events, ByError)
    }

    fn call(&mut self, context: Context, millis: u64) -> Result<Answer, Error<Broken>> {
        let service = ServiceBuilder::new().layer(self.layer()).service(slow(&self.sim.clock()));
        self.sim.block_on(context.scope(async move { service.oneshot(millis).await }))
    }

    fn events(&self) -> Vec<String> {
        self.recorder.take().iter().map(ToString::to_string).collect()
    }
}

#[test]
fn an_answer_in_time_passes_and_one_that_is_late_is_given_up_and_told() {
    let mut world = World::new(Attempt::Fixed(ms(100)));
    assert_eq!(world.call(Context::default(), 98), Ok(Answer { work: ms(49) }));
    assert_eq!(world.call(Context::default(), 1), Err(Error::Call(Broken)));
    assert_eq!(world.events(), [""; 0]);

    let error = world.call(Context::default(), 102).unwrap_err();
    let reached = TimedOut { limit: ms(100), scope: Scope::Attempt, attempt: 1 };
    assert!(matches!(&error, Error::TimedOut { timeout, .. } if *timeout == reached));
    assert_eq!(error.policy(), Some("timeout"));
    let records = world.recorder.take();
    assert_eq!(records[0].decision, Decision::TimedOut(reached));
    assert_eq!(records[0].to_string(), "timeout stock: no answer within 100 ms (attempt 1)");
    assert_eq!(world.sim.sim_clock().next_wake(), None, "the inner call is gone");
}

#[test]
fn the_callers_deadline_counts_where_it_comes_first() {
    let mut world = World::new(Attempt::Fixed(ms(100)));
    let until =
        |world: &World, left| Context::until(Deadline::within(world.sim.clock().monotonic(), left));
    let (loose, tight) = (until(&world, ms(5_000)), until(&world, ms(30)));
    let Err(Error::TimedOut { timeout, .. }) = world.call(tight, 50) else { panic!() };
    assert_eq!((timeout.limit, timeout.scope), (ms(30), Scope::Deadline));
    let Err(Error::TimedOut { timeout, .. }) = world.call(loose, 200) else { panic!() };
    assert_eq!((timeout.limit, timeout.scope), (ms(100), Scope::Attempt));
}

#[test]
fn a_call_whose_deadline_has_passed_is_not_made() {
    let mut world = World::new(Attempt::Fixed(ms(100)));
    let passed = Context::until(Deadline::at(Monotonic::default()));
    let error = world.call(passed, 2).unwrap_err();
    assert!(matches!(error, Error::Refused { refusal: Refusal::Deadline(_), .. }), "{error:?}");
    assert_eq!(world.events(), ["deadline stock: the deadline has passed"]);
    assert_eq!(world.sim.clock().monotonic(), Monotonic::default(), "nothing ran");
}

fn adaptive() -> options::Adaptive {
    options::Adaptive { samples_min: 100, ..options::Adaptive::default() }
}

#[test]
fn it_adapts_to_answers_and_not_to_failures() {
    let mut world = World::new(Attempt::Adaptive(adaptive()));
    for _ in 0..150 {
        world.call(Context::default(), 40).unwrap();
        // Twice as many that fail at once.
        assert!(world.call(Context::default(), 1).is_err());
        assert!(world.call(Context::default(), 1).is_err());
    }
    let limit = world.timeout.limit(world.sim.clock().monotonic());
    assert!(limit >= ms(40) && limit < ms(43), "{limit:?}");
}

#[test]
fn it_takes_the_reported_work_apart_from_the_way() {
    let world = World::new(Attempt::Adaptive(adaptive()));
    let work = |answer: &Answer| Some(answer.work);
    let service =
        ServiceBuilder::new().layer(world.layer().reported(work)).service(slow(&world.sim.clock()));
    let World { mut sim, timeout, .. } = world;
    sim.block_on(async move {
        for millis in [20, 60].repeat(100) {
            service.clone().oneshot(millis).await.unwrap();
        }
    });
    let limit = timeout.limit(sim.clock().monotonic());
    // 2d and r are 10 or 30 ms each, and each deviates by 10 ms.
    assert!(limit >= ms(80) && limit < ms(83), "{limit:?}");
}

#[test]
fn time_outs_raise_it_and_deadlines_that_came_first_do_not() {
    let mut world = World::new(Attempt::Adaptive(adaptive()));
    for _ in 0..200 {
        world.call(Context::default(), 20).unwrap();
    }
    let now = |world: &World| world.sim.clock().monotonic();
    let before = world.timeout.limit(now(&world));
    for _ in 0..20 {
        let tight = Context::until(Deadline::within(now(&world), ms(5)));
        assert!(world.call(tight, 20).is_err());
    }
    world.sim.run_for(ms(200));
    assert_eq!(world.timeout.limit(now(&world)), before);
    assert!(world.call(Context::default(), 60).is_err());
    world.sim.run_for(ms(200));
    let after = world.timeout.limit(now(&world));
    assert!(after >= before * 2, "{before:?} → {after:?}");
}

/// Says when it is dropped.
struct Dropped(Rc<Cell<bool>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

#[test]
fn a_call_that_is_dropped_half_way_leaves_nothing_behind_and_teaches_nothing() {
    let world = World::new(Attempt::Adaptive(adaptive()));
    let dropped = Rc::new(Cell::new(false));
    let guard = Dropped(Rc::clone(&dropped));
    let mut guard = Some(guard);
    let service = ServiceBuilder::new().layer_fn(|inner| {
        tower_layer::Layer::layer(
            &Layer::new(
                Arc::clone(&world.timeout),
                Scope::Attempt,
                world.sim.clock(),
                Events::to("stock", world.recorder.clone()),
                |_: &Result<(), Infallible>| Class::Success,
            ),
            inner,
        )
    });
    let mut service = service.service(service_fn(move |()| {
        let guard = guard.take();
        async move {
            let _guard = guard;
            std::future::pending::<Result<(), Infallible>>().await
        }
    }));
    let mut call = Box::pin(tower::Service::call(&mut service, ()));
    assert!((&mut call).now_or_never().is_none());
    assert!(world.sim.sim_clock().next_wake().is_some(), "a timer runs");
    drop(call);
    assert!(dropped.get());
    assert_eq!(world.sim.sim_clock().next_wake(), None);
    assert_eq!(world.events(), [""; 0]);
}
