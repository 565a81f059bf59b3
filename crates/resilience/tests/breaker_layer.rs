//! The breaker around a `tower` service, in simulated time.
#![cfg(feature = "tower")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, poll_fn};
use steadfast_resilience::breaker::{Breaker, Layer, Options, Service, State};
use steadfast_resilience::event::{Events, Recorder};
use steadfast_resilience::{Class, Error};
use steadfast_time::Clock;
use steadfast_time::sim::Simulation;
use tower::{Layer as _, Service as _};

/// Takes as long as it is told, and answers what it is told.
#[derive(Clone)]
struct Dependency(Clock);

type Answer = Result<u64, &'static str>;

impl tower::Service<(u64, Answer)> for Dependency {
    type Response = u64;
    type Error = &'static str;
    type Future = BoxFuture<'static, Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (seconds, answer): (u64, Answer)) -> Self::Future {
        let sleep = self.0.sleep(Duration::from_secs(seconds));
        sleep.map(move |()| answer).boxed()
    }
}

type Judge = fn(&Answer) -> Class;

fn judge(answer: &Answer) -> Class {
    match answer {
        Ok(_) => Class::Success,
        Err("out of stock") => Class::Refusal,
        Err(_) => Class::TRANSIENT,
    }
}

struct Stock {
    service: Service<Dependency, Judge>,
    breaker: Arc<Breaker>,
    recorder: Arc<Recorder>,
    clock: Clock,
}

fn stock(simulation: &Simulation) -> Stock {
    let options = Options {
        minimum_calls: 4,
        probes: 2,
        slow_call: Some(Duration::from_secs(5)),
        ..Options::default()
    };
    let breaker = Arc::new(Breaker::new(options).unwrap());
    let recorder = Arc::new(Recorder::default());
    let events = Events::to("stock", Arc::new(Arc::clone(&recorder)));
    let clock = simulation.clock();
    let layer = Layer::new(Arc::clone(&breaker), clock.clone(), events, judge as Judge);
    let service = layer.layer(Dependency(clock.clone()));
    Stock { service, breaker, recorder, clock }
}

impl Stock {
    async fn call(&mut self, seconds: u64, answer: Answer) -> Result<u64, Error<&'static str>> {
        poll_fn(|context| self.service.poll_ready(context)).await?;
        self.service.call((seconds, answer)).await
    }

    fn lines(&self) -> Vec<String> {
        self.recorder.take().iter().map(ToString::to_string).collect()
    }
}

#[test]
fn it_opens_refuses_probes_and_closes_and_says_so() {
    let mut simulation = Simulation::new(1);
    let mut stock = stock(&simulation);
    simulation.block_on(async move {
        for _ in 0..2 {
            assert_eq!(stock.call(1, Ok(7)).await, Ok(7));
            assert_eq!(stock.call(1, Err("reset")).await, Err(Error::Call("reset")));
        }
        let refused = stock.call(1, Ok(7)).await.unwrap_err();
        assert_eq!(refused.to_string(), "breaker stock: OPEN, try again in 60 s");
        assert!(refused.is_refusal());
        stock.clock.sleep(Duration::from_secs(60)).await;
        assert_eq!(stock.call(1, Err("out of stock")).await, Err(Error::Call("out of stock")));
        assert_eq!(stock.call(1, Ok(7)).await, Ok(7));
        let expected = [
            "breaker stock: CLOSED→OPEN, 2 of the last 4 failed, next probe in 60 s",
            "breaker stock: OPEN, try again in 60 s",
            "breaker stock: OPEN→HALF_OPEN, the wait is over",
            "breaker stock: HALF_OPEN→CLOSED, 2 of 2 probes succeeded",
        ];
        assert_eq!(stock.lines(), expected);
    });
}

#[test]
fn what_answers_late_is_slow() {
    let mut simulation = Simulation::new(2);
    let mut stock = stock(&simulation);
    simulation.block_on(async move {
        for _ in 0..4 {
            assert_eq!(stock.call(6, Ok(7)).await, Ok(7));
        }
        let expected = "breaker stock: CLOSED→OPEN, 4 of the last 4 were slow, next probe in 60 s";
        assert_eq!(stock.lines(), [expected]);
    });
}

/// Dropping the future at any point (before its first poll, while it waits) gives the probe's
/// place back, and counts for nothing.
#[test]
fn a_dropped_probe_gives_its_place_back() {
    let mut simulation = Simulation::new(3);
    let mut stock = stock(&simulation);
    simulation.block_on(async move {
        for _ in 0..4 {
            assert!(stock.call(1, Err("reset")).await.is_err());
        }
        stock.clock.sleep(Duration::from_secs(60)).await;
        for polled in [false, true] {
            let mut first = stock.service.call((3_600, Ok(1)));
            let second = stock.service.call((3_600, Ok(2)));
            if polled {
                assert!((&mut first).now_or_never().is_none());
            }
            assert!(stock.call(1, Ok(3)).await.is_err_and(|error| error.is_refusal()));
            drop(first);
            let out = stock.breaker.snapshot(&stock.clock).probes_out;
            assert_eq!(out, 1);
            drop(second);
        }
        let snapshot = stock.breaker.snapshot(&stock.clock);
        assert_eq!((snapshot.probes_out, snapshot.counts.calls), (0, 0));
        assert_eq!(stock.call(1, Ok(3)).await, Ok(3));
        assert_eq!(stock.call(1, Ok(3)).await, Ok(3));
        assert_eq!(stock.breaker.state(), State::Closed);
    });
}

/// Clones of the service, and whatever else the layer wraps, are behind the same breaker.
#[test]
fn clones_share_the_breaker() {
    let mut simulation = Simulation::new(4);
    let mut stock = stock(&simulation);
    simulation.block_on(async move {
        let mut other = stock.service.clone();
        for _ in 0..2 {
            assert!(stock.call(0, Err("reset")).await.is_err());
            assert!(other.call((0, Err("reset"))).await.is_err());
        }
        assert!(stock.call(0, Ok(1)).await.is_err_and(|error| error.is_refusal()));
        assert!(other.call((0, Ok(1))).await.is_err_and(|error| error.is_refusal()));
    });
}
