//! A server, its queue, and callers who ask again.
#![allow(clippy::expect_used, reason = "the numbers are its own")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use futures::channel::oneshot;
use steadfast_resilience::policy::{Options, Policy};
use steadfast_resilience::retry::{Backoff, Jitter};
use steadfast_resilience::timeout::Attempt as Limit;
use steadfast_resilience::{Class, Classified, budget, retry, timeout};
use steadfast_time::sim::Simulation;

/// Requests that the server can do in a second.
const CAPACITY: u32 = 300;
/// Requests that come in a second.
const LOAD: u32 = 280;
/// How long a caller waits for an answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// Requests that wait at the server at most: more work than callers have patience for.
const QUEUE: usize = 165;
/// When the server stops, and when it goes on.
const OUTAGE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(12));

/// Seconds for which it goes on after what is looked at.
const AFTER: usize = 3;

/// How callers ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// After 100 ms, once.
    FixedInterval,
    /// After 100, 200 and 400 ms, with full jitter, and without a bound.
    NoBudget,
    /// The same, for at most 5 % of the calls.
    Budget,
}

impl Variant {
    fn options(self) -> Options {
        let (attempts, backoff, jitter) = match self {
            Self::FixedInterval => (2, Backoff::constant(Duration::from_millis(100)), Jitter::None),
            Self::NoBudget | Self::Budget => (4, Backoff::default(), Jitter::Full),
        };
        let retry = retry::Options { attempts, backoff, jitter, ..retry::Options::default() };
        let timeout = timeout::Options { attempt: Limit::Fixed(PATIENCE), overall: None };
        // No breaker: what the budget does alone is to be seen.
        Options {
            timeout: Some(timeout),
            retry: Some(retry),
            budget: (self == Self::Budget).then(budget::Options::default),
            ..Options::NONE
        }
    }
}

#[derive(Debug)]
struct Full;

impl Classified for Full {
    fn class(&self) -> Class {
        Class::TRANSIENT
    }
}

/// First come, first served; it does not know who still waits.
#[derive(Clone, Default)]
struct Server {
    queue: Rc<RefCell<VecDeque<oneshot::Sender<()>>>>,
}

impl Server {
    async fn ask(&self) -> Result<(), Full> {
        let (answer, answered) = oneshot::channel();
        {
            let mut queue = self.queue.borrow_mut();
            if queue.len() == QUEUE {
                return Err(Full);
            }
            queue.push_back(answer);
        }
        answered.await.map_err(|_| Full)
    }

    fn serve_one(&self) {
        if let Some(answer) = self.queue.borrow_mut().pop_front() {
            // Whoever asked may have gone; the work has been done all the same.
            let _ = answer.send(());
        }
    }
}

/// Calls that were answered in time, second by second of the simulated time at which they came.
pub fn run(variant: Variant, seed: u64, seconds: usize) -> Vec<u32> {
    run_fed(LOAD, variant, seed, seconds)
}

/// The same with so many calls a second.
pub fn run_fed(load: u32, variant: Variant, seed: u64, seconds: usize) -> Vec<u32> {
    let mut sim = Simulation::new(seed);
    let clock = sim.clock();
    let policy = Policy::builder("server").options(variant.options()).repeatable().seed(seed);
    let policy = policy.build(clock.clone()).expect("the options make sense");
    let server = Server::default();

    let (serving, serving_clock) = (server.clone(), clock.clone());
    sim.spawn(async move {
        let (from, to) = OUTAGE;
        for tick in 1_u32.. {
            let next = Duration::from_secs(1) * tick / CAPACITY;
            serving_clock.sleep_until(steadfast_time::Monotonic::from_start(next)).await;
            if !(from..to).contains(&next) {
                serving.serve_one();
            }
        }
    });

    let goodput = Rc::new(RefCell::new(vec![0_u32; seconds]));
    // Some more come after what is looked at, so that the end is like the middle.
    for call in 0..load * u32::try_from(seconds + AFTER).expect("a short run") {
        let (server, policy, clock) = (server.clone(), policy.clone(), clock.clone());
        let goodput = Rc::clone(&goodput);
        sim.spawn(async move {
            let at = Duration::from_secs(1) * call / load;
            clock.sleep_until(steadfast_time::Monotonic::from_start(at)).await;
            if policy.call(|_| server.ask()).await.is_ok() {
                let second = usize::try_from(at.as_secs()).expect("a short run");
                if let Some(answered) = goodput.borrow_mut().get_mut(second) {
                    *answered += 1;
                }
            }
        });
    }
    sim.run_for(Duration::from_secs((seconds + AFTER) as u64));
    goodput.take()
}
