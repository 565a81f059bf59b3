//! The layer, in simulated time.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as Wakeup, Poll};
use std::time::Duration;

use fastrand::Rng;
use steadfast_time::sim::Simulation;
use steadfast_time::{Clock, Monotonic};
use tower::util::BoxCloneService;
use tower::{Service, ServiceExt};
use tower_layer::Layer as _;

use super::{PLAIN, ms};
use crate::budget::{self, Budget};
use crate::deadline::{Context, Deadline};
use crate::event::{Events, Recorder};
use crate::retry::layer::Layer;
use crate::retry::{AllMarked, Allowance, ByRule, Options, Repeatable, Retry};
use crate::{Class, Classify};

/// Answers from a script, each after 10 ms; with "ok" when the script is over. Keeps who asked
/// when, and with which context.
#[derive(Clone)]
struct Scripted {
    clock: Clock,
    script: Arc<Mutex<VecDeque<Result<&'static str, Class>>>>,
    asked: Arc<Mutex<Vec<(Monotonic, String, bool)>>>,
    /// As of tower's contract: a call without a ready before it is a mistake.
    ready: bool,
}

impl Scripted {
    fn new(clock: Clock, script: impl IntoIterator<Item = Result<&'static str, Class>>) -> Self {
        let script = Arc::new(Mutex::new(script.into_iter().collect()));
        Self { clock, script, asked: Arc::default(), ready: false }
    }

    fn failing(clock: Clock, times: usize) -> Self {
        Self::new(clock, vec![Err(Class::TRANSIENT); times])
    }

    fn asked_at(&self) -> Vec<u128> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(at, ..)| at.since_start().as_millis()).collect()
    }
}

impl Service<String> for Scripted {
    type Response = &'static str;
    type Error = Class;
    type Future = Pin<Box<dyn Future<Output = Result<&'static str, Class>> + Send>>;

    fn poll_ready(&mut self, _: &mut Wakeup<'_>) -> Poll<Result<(), Class>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: String) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without being ready");
        let repeated = Context::current().repeated;
        self.asked.lock().unwrap().push((self.clock.monotonic(), request, repeated));
        let outcome = self.script.lock().unwrap().pop_front().unwrap_or(Ok("ok"));
        let pause = self.clock.sleep(ms(10));
        Box::pin(async move {
            pause.await;
            assert_eq!(Context::current().repeated, repeated, "the context holds throughout");
            outcome
        })
    }
}

#[derive(Clone, Copy)]
struct ByClass;

impl Classify<&'static str, Class> for ByClass {
    fn classify(&self, outcome: &Result<&'static str, Class>) -> Class {
        outcome.err().unwrap_or(Class::Success)
    }
}

fn layer(
    sim: &Simulation,
    options: Options,
    allowance: impl Into<Allowance>,
) -> (Layer<AllMarked, ByClass>, Arc<Recorder>) {
    let retry = Arc::new(Retry::new(options, allowance, Rng::with_seed(1)).unwrap());
    let recorder = Arc::new(Recorder::default());
    let events = Events::to("stock", recorder.clone());
    (Layer::new(retry, AllMarked, ByClass, sim.clock(), events), recorder)
}

fn lines(recorder: &Recorder) -> Vec<String> {
    recorder.take().iter().map(ToString::to_string).collect()
}

#[test]
fn it_asks_again_after_each_pause_and_says_so() {
    let mut sim = Simulation::new(1);
    let (layer, recorder) = layer(&sim, PLAIN, Allowance::Unlimited);
    let inner = Scripted::failing(sim.clock(), 2);
    let service = layer.layer(inner.clone());
    let answer = sim.block_on(service.oneshot("order 1".into()));
    assert_eq!(answer, Ok("ok"));
    assert_eq!(inner.asked_at(), [0, 110, 320]);
    let asked = inner.asked.lock().unwrap().clone();
    assert!(asked.iter().all(|(_, request, _)| request == "order 1"));
    assert_eq!(
        asked.iter().map(|(.., repeated)| *repeated).collect::<Vec<_>>(),
        [false, true, true]
    );
    assert_eq!(
        lines(&recorder),
        ["retry stock: attempt 2 in 100 ms", "retry stock: attempt 3 in 200 ms"]
    );
}

#[test]
fn the_last_outcome_comes_back_with_the_reason_as_an_event() {
    let mut sim = Simulation::new(1);
    let (layer, recorder) = layer(&sim, PLAIN, Allowance::Unlimited);
    let service = layer.layer(Scripted::failing(sim.clock(), 9));
    assert_eq!(sim.block_on(service.oneshot(String::new())), Err(Class::TRANSIENT));
    assert_eq!(lines(&recorder)[3], "retry stock: no retry: 4 attempts were made");

    for class in [Class::Permanent, Class::Refusal] {
        let inner = Scripted::new(sim.clock(), [Err(class)]);
        let service = layer.layer(inner.clone());
        assert_eq!(sim.block_on(service.oneshot(String::new())), Err(class));
        assert_eq!(inner.asked_at().len(), 1);
    }
    // A refusal is an answer, and nothing was withheld.
    assert_eq!(lines(&recorder), ["retry stock: no retry: asking again would not help"]);
}

#[test]
fn the_callers_deadline_is_kept() {
    let mut sim = Simulation::new(1);
    let (layer, recorder) = layer(&sim, PLAIN, Allowance::Unlimited);
    let inner = Scripted::failing(sim.clock(), 9);
    let service = layer.layer(inner.clone());
    let context = Context::until(Deadline::within(sim.clock().monotonic(), ms(200)));
    let call = context.scope(service.oneshot(String::new()));
    assert_eq!(sim.block_on(call), Err(Class::TRANSIENT));
    assert_eq!(inner.asked_at(), [0, 110]);
    assert_eq!(lines(&recorder)[1], "retry stock: no retry: 80 ms left, 201 ms needed");
}

#[test]
fn what_may_not_be_repeated_is_neither_copied_nor_asked_twice() {
    /// Cannot be cloned without anybody noticing.
    struct Once;
    impl Clone for Once {
        fn clone(&self) -> Self {
            panic!("copied")
        }
    }
    let mut sim = Simulation::new(1);
    let retry = Arc::new(Retry::new(PLAIN, Allowance::Unlimited, Rng::with_seed(1)).unwrap());
    let recorder = Arc::new(Recorder::default());
    let repeat = ByRule::new(|_: &Once| Repeatable::No);
    let events = Events::to("payment", recorder.clone());
    let layer = Layer::new(retry, repeat, ByClass, sim.clock(), events);
    let inner = Scripted::failing(sim.clock(), 9);
    let service = layer.layer(inner.clone().map_request(|_: Once| "once".to_owned()));
    assert_eq!(sim.block_on(service.oneshot(Once)), Err(Class::TRANSIENT));
    assert_eq!(inner.asked_at(), [0]);
    let expected = "retry payment: no retry: the call is not marked as safe to repeat";
    assert_eq!(lines(&recorder), [expected]);
}

/// Dropped while an attempt is under way, while it waits, and at each moment between: nothing is
/// asked afterwards, no timer is left behind, and what was taken from the budget stays taken.
#[test]
fn dropping_it_at_any_moment_ends_it() {
    for (dropped_at, asked, taken) in [(5, 1, 0), (11, 1, 1), (50, 1, 1), (115, 2, 1), (130, 2, 2)]
    {
        let mut sim = Simulation::new(1);
        let options = budget::Options { ratio: 10.0, ..Default::default() };
        let budget = Arc::new(Budget::new(&options).unwrap());
        let (layer, _) = layer(&sim, PLAIN, Arc::clone(&budget));
        let inner = Scripted::failing(sim.clock(), 9);
        let call = layer.layer(inner.clone()).oneshot(String::new());
        let clock = sim.clock();
        let gone = sim.block_on(async move { clock.timeout(ms(dropped_at), call).await.is_err() });
        assert!(gone);
        assert_eq!(sim.sim_clock().next_wake(), None, "a timer is left");
        sim.run_for(Duration::from_secs(5));
        assert_eq!(inner.asked_at().len(), asked, "dropped at {dropped_at} ms");
        assert_eq!(budget.figures(sim.clock().monotonic()).extra, taken);
    }
}

#[test]
fn calls_and_retries_are_counted_in_the_budget() {
    let mut sim = Simulation::new(1);
    let options = budget::Options { ratio: 0.1, floor_per_second: 0.0, ..Default::default() };
    let budget = Arc::new(Budget::new(&options).unwrap());
    let (layer, recorder) = layer(&sim, PLAIN, Arc::clone(&budget));
    let inner = Scripted::new(sim.clock(), vec![Ok("ok"); 19]);
    for _ in 0..19 {
        assert!(sim.block_on(layer.layer(inner.clone()).oneshot(String::new())).is_ok());
    }
    *inner.script.lock().unwrap() = vec![Err(Class::TRANSIENT); 9].into();
    assert!(sim.block_on(layer.layer(inner.clone()).oneshot(String::new())).is_err());
    // 20 calls, 2 extra attempts.
    assert_eq!(inner.asked_at().len(), 22);
    let spent = "retry stock: no retry: the budget is spent: 2 of 2 extra attempts on 20 calls";
    assert_eq!(lines(&recorder)[2], spent);
}

type Stack = BoxCloneService<String, &'static str, Class>;

/// Calls that arrive at the bottom of so many layers when everything there fails.
fn calls_through(layers: usize, attempts: u32, nested: bool) -> usize {
    let mut sim = Simulation::new(1);
    let inner = Scripted::failing(sim.clock(), 10_000);
    let options = Options { attempts, nested, ..PLAIN };
    let mut stack: Stack = BoxCloneService::new(inner.clone());
    for _ in 0..layers {
        let (layer, _) = layer(&sim, options, Allowance::Unlimited);
        stack = BoxCloneService::new(layer.layer(stack));
    }
    assert!(sim.block_on(stack.oneshot(String::new())).is_err());
    inner.asked_at().len()
}

/// Layered retries multiply: 3 layers × 3 attempts = 27 calls, × 4 = 64 (the second from Google's
/// *Site Reliability Engineering*, chapter 22). Where layers hold back, the lowest makes all its
/// attempts once and every retry above it adds one call: 1 + 3·2 = 7, and 1 + 3·3 = 10.
#[test]
fn layers_multiply_and_with_the_default_they_add() {
    assert_eq!([calls_through(3, 3, true), calls_through(3, 4, true)], [27, 64]);
    assert_eq!([calls_through(3, 3, false), calls_through(3, 4, false)], [7, 10]);
    assert_eq!([calls_through(1, 4, true), calls_through(1, 4, false)], [4, 4]);
}
