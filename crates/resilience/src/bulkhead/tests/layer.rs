//! The bulkhead in front of a service.

use std::convert::Infallible;
use std::sync::Arc;

use steadfast_time::Clock;
use steadfast_time::sim::Simulation;
use tower::{Layer as _, Service as _, ServiceExt, service_fn};

use super::*;
use crate::bulkhead::{Bulkhead, Layer, Options, Reason};
use crate::deadline::Context;
use crate::event::{Decision, Events, Recorder};
use crate::{Error, Refusal};

fn bulkhead(clock: &Clock) -> Arc<Bulkhead> {
    let options = Options { limit: 1, queue: 1, wait: ms(50) };
    Arc::new(Bulkhead::new(&options, clock.clone()).unwrap())
}

fn slow(
    clock: &Clock,
) -> impl tower::Service<u64, Response = u64, Error = Infallible, Future: Send> + Clone + use<> {
    let clock = clock.clone();
    service_fn(move |millis: u64| {
        let clock = clock.clone();
        async move {
            clock.sleep(ms(millis)).await;
            Ok(millis)
        }
    })
}

#[test]
fn calls_wait_in_their_own_future_and_refusals_are_heard() {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let recorder = Arc::new(Recorder::default());
    let events = Events::to("stock", Arc::new(Arc::clone(&recorder)));
    let bulkhead = bulkhead(&clock);
    let mut service = Layer::new(Arc::clone(&bulkhead), events).layer(slow(&clock));
    sim.block_on(async move {
        let mut calls = Vec::new();
        for _ in 0..3 {
            calls.push(service.ready().await.unwrap().call(30));
        }
        let outcomes = futures::future::join_all(calls).await;
        assert_eq!((&outcomes[0], &outcomes[1]), (&Ok(30), &Ok(30)));
        assert_eq!(clock.monotonic(), at(60));
        let Err(Error::Refused { name, refusal: Refusal::Bulkhead(refused) }) = &outcomes[2] else {
            panic!("{outcomes:?}")
        };
        assert_eq!((&**name, refused.reason), ("stock", Reason::QueueFull));
    });
    let records = recorder.take();
    assert_eq!(records.len(), 1);
    assert!(matches!(records[0].decision, Decision::Refused(Refusal::Bulkhead(_))));
    let text = "bulkhead stock: 1 of 1 at work, 1 of 1 waiting: no place to wait";
    assert_eq!(records[0].to_string(), text);
    assert_eq!((bulkhead.in_use(), bulkhead.waiting()), (0, 0));
}

#[test]
fn the_deadline_of_the_context_bounds_the_wait() {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let bulkhead = bulkhead(&clock);
    let layer = Layer::new(Arc::clone(&bulkhead), Events::silent("stock"));
    let service = layer.layer(slow(&clock));
    sim.block_on(async move {
        let _held = bulkhead.try_acquire().unwrap();
        let call = Context::until(by(20)).scope(service.clone().oneshot(1));
        let refusal = call.await.unwrap_err();
        assert_eq!((refusal.policy(), clock.monotonic()), (Some("bulkhead"), at(20)));
        let call = Context::until(by(20)).scope(service.oneshot(1));
        assert!(call.await.unwrap_err().to_string().ends_with("the deadline has passed"));
    });
}

#[test]
fn dropping_a_call_at_any_point_gives_everything_back() {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let bulkhead = bulkhead(&clock);
    let layer = Layer::new(Arc::clone(&bulkhead), Events::silent("stock"));
    let service = layer.layer(slow(&clock));
    sim.block_on(async move {
        for cut in 0..60 {
            // One at work for 20 ms, one that waits behind it; both are dropped after `cut`.
            let calls = [service.clone().oneshot(20), service.clone().oneshot(20)];
            let _ = clock.timeout(ms(cut), futures::future::join_all(calls)).await;
            assert_eq!((bulkhead.in_use(), bulkhead.waiting()), (0, 0), "after {cut} ms");
        }
        // Done, but kept: the place is free.
        let mut call = Box::pin(service.oneshot(1));
        assert_eq!((&mut call).await, Ok(1));
        assert_eq!(bulkhead.in_use(), 0);
    });
}
