//! The way in, in simulated time: who is let in, who is not and what he is told, and that every
//! place comes back.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::Request;
use serde_json::Value;
use steadfast_api::gateway::Reads;
use steadfast_api::{Api, Gateway, Lifecycle, Options, router};
use steadfast_dispatch::policies;
use steadfast_dispatch::service::{Options as ServiceOptions, Services};
use steadfast_journal::{Journal, memory};
use steadfast_resilience::bulkhead::pool;
use steadfast_resilience::event::{Events, Recorder};
use steadfast_resilience::policy::Policy;
use steadfast_resilience::shed::{self, Concurrency, Gate};
use steadfast_resilience::{breaker, limit, policy};
use steadfast_time::sim::Simulation;
use steadfast_time::{Clock, Ids, Monotonic};
use tower::ServiceExt;

const ORDER: &str = r#"{"merchant":"r1","pickup":{"x":1,"y":2},"dropoff":{"x":3,"y":4},"items":[{"sku":"bento","quantity":1}],"amount":{"currency":"KRW","minor":18000}}"#;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Public routes behind a gateway, over a disk that writes when it is told to.
struct World {
    sim: Simulation,
    clock: Clock,
    gateway: Gateway,
    router: Router,
    heard: Arc<Recorder>,
    /// The disk writes nothing before then.
    stuck: Rc<Cell<Monotonic>>,
}

impl World {
    fn new(concurrency: &Concurrency, queue: u32) -> Self {
        Self::with(concurrency, queue, policy::Options::NONE)
    }

    fn with(concurrency: &Concurrency, queue: u32, reads: policy::Options) -> Self {
        let sim = Simulation::new(1);
        let clock = sim.clock();
        let (journal, mut writer) = Journal::new(memory::Engine::new(), clock.clone());
        let policy = Policy::builder("journal").options(policies::journal(ms(250)));
        let policy = policy.build(clock.clone()).unwrap();
        let options = ServiceOptions { journal: Some(policy), ..ServiceOptions::default() };
        let services = Services::new(journal, clock.clone(), Ids::seeded(1), options);
        let stuck = Rc::new(Cell::new(clock.monotonic()));
        let (until, waits) = (Rc::clone(&stuck), clock.clone());
        sim.spawn(async move {
            loop {
                waits.sleep(ms(1)).await;
                if waits.monotonic() >= until.get() {
                    writer.run_once().unwrap();
                }
            }
        });
        let heard = Arc::new(Recorder::default());
        let events = Events::to("gateway", Arc::new(Arc::clone(&heard)));
        let options = shed::Options { queue, ..shed::Options::default() };
        let rng = fastrand::Rng::with_seed(1);
        let gate = Gate::new(concurrency, &options, clock.clone(), rng).unwrap();
        let threads = pool::Options { threads: 1, queue: 1 };
        let pool = pool::Pool::new("read", &threads, clock.clone()).unwrap();
        // No thread answers in simulated time: a closed pool does, at once.
        pool.close();
        let policy = Policy::builder("reads").options(reads).build(clock.clone()).unwrap();
        let reads = Reads { pool, policy, hedged: vec!["get_order"] };
        let gateway = Gateway::new(gate, events, reads);
        let lifecycle = Lifecycle::default();
        let api = Api::new(services, clock.clone(), lifecycle, Options::default());
        let router = router(api.behind(gateway.clone()));
        Self { sim, clock, gateway, router, heard, stuck }
    }

    /// Sends a request; its client goes away after a while.
    fn send_for(&self, request: Request<Body>, patience: Duration) -> Sent {
        let (router, clock, sent) = (self.router.clone(), self.clock.clone(), Sent::default());
        let answer = Rc::clone(&sent.0);
        self.sim.spawn(async move {
            let start = clock.monotonic();
            let Ok(response) = clock.timeout(patience, router.oneshot(request)).await else {
                return;
            };
            let (head, body) = response.unwrap().into_parts();
            let body = to_bytes(body, 1 << 20).await.unwrap();
            let after = head.headers.get("retry-after");
            *answer.borrow_mut() = Some(Answer {
                status: head.status.as_u16(),
                body: serde_json::from_slice(&body).unwrap_or_default(),
                retry_after: after.map(|value| value.to_str().unwrap().to_owned()),
                took: clock.monotonic() - start,
            });
        });
        sent
    }

    fn send(&self, request: Request<Body>) -> Sent {
        self.send_for(request, Duration::from_secs(3_600))
    }

    fn run(&mut self, length: Duration) {
        self.sim.run_for(length);
    }

    /// The disk writes nothing for so long.
    fn stick(&self, length: Duration) {
        self.stuck.set(self.clock.monotonic() + length);
    }

    /// Takes a place for so long.
    fn occupy(&self, length: Duration) -> Sent {
        self.stick(length);
        self.send(place("busy", Some(length)))
    }
}

#[derive(Clone, Default)]
struct Sent(Rc<RefCell<Option<Answer>>>);

struct Answer {
    status: u16,
    body: Value,
    retry_after: Option<String>,
    took: Duration,
}

impl Sent {
    fn answer(&self) -> Answer {
        self.0.take().unwrap()
    }

    /// Turned away: after how long, with what words, and told when to come back.
    fn turned_away(&self) -> (Duration, String) {
        let Answer { status, body, retry_after, took } = self.answer();
        assert_eq!((status, body["code"].as_str()), (503, Some("overloaded")), "{body}");
        assert!(retry_after.unwrap().parse::<u64>().unwrap() >= 1);
        (took, body["detail"].as_str().unwrap().to_owned())
    }
}

fn timed(request: http::request::Builder, within: Option<Duration>) -> http::request::Builder {
    match within {
        Some(within) => {
            request.header("x-envoy-expected-rq-timeout-ms", within.as_millis().to_string())
        }
        None => request,
    }
}

fn place(key: &str, within: Option<Duration>) -> Request<Body> {
    let request = Request::post("/orders").header("content-type", "application/json");
    timed(request, within).header("idempotency-key", key).body(Body::from(ORDER)).unwrap()
}

fn list(within: Duration) -> Request<Body> {
    timed(Request::get("/orders"), Some(within)).body(Body::empty()).unwrap()
}

fn cancel() -> Request<Body> {
    let nobody = "/orders/01890a5d-ac96-774b-bcce-b302099a8057/cancel";
    Request::post(nobody).body(Body::empty()).unwrap()
}

#[test]
fn what_is_more_important_goes_first_and_what_is_less_goes_home() {
    let mut world = World::new(&Concurrency::Fixed(1), 2);
    let busy = world.occupy(ms(50));
    let (background, normal) = (world.send(list(ms(450))), world.send(place("second", None)));
    world.run(ms(1));
    assert_eq!(world.gateway.figures(), (1, 2, 1));
    let critical = world.send(cancel());
    world.run(ms(10));
    let (took, words) = background.turned_away();
    assert_eq!(took, ms(1));
    assert!(words.starts_with("shed gateway: background work"), "{words}");
    assert!(words.ends_with("more important work came"), "{words}");
    world.run(ms(100));
    assert_eq!(busy.answer().status, 504);
    let (critical, normal) = (critical.answer(), normal.answer());
    assert_eq!((critical.status, normal.status), (404, 201));
    assert!(critical.took < normal.took);
    assert_eq!(world.gateway.figures(), (0, 0, 1));
    assert_eq!(world.heard.records().len(), 1);
}

/// The sources: the gateway spends at most 100 ms of its own.
#[test]
fn nobody_waits_at_the_gate_for_longer_than_the_gateway_has() {
    let mut world = World::new(&Concurrency::Fixed(1), 8);
    world.occupy(ms(240));
    let patient = world.send(place("a", Some(Duration::from_secs(30))));
    let hasty = world.send(place("b", Some(ms(30))));
    world.run(Duration::from_secs(2));
    let (took, words) = patient.turned_away();
    assert!((ms(99)..=ms(100)).contains(&took), "{took:?}: {words}");
    let (took, words) = hasty.turned_away();
    assert_eq!((took, words.ends_with("its deadline passed")), (ms(30), true), "{words}");
    assert_eq!(world.gateway.figures(), (0, 0, 1));
}

#[test]
fn together_the_hops_answer_within_the_time_of_the_request() {
    let mut world = World::new(&Concurrency::Fixed(1), 8);
    world.occupy(ms(60));
    world.stick(Duration::from_secs(60));
    let rows = [(None, ms(310)), (Some(ms(200)), ms(200))];
    for (number, (within, after)) in rows.into_iter().enumerate() {
        let sent = world.send(place(&number.to_string(), within));
        world.run(Duration::from_secs(1));
        let Answer { status, body, took, .. } = sent.answer();
        assert_eq!((status, body["code"].as_str()), (504, Some("deadline_exceeded")), "{body}");
        assert!(body["detail"].as_str().unwrap().contains("timeout journal"), "{body}");
        assert_eq!(took, after);
    }
}

#[test]
fn a_client_that_goes_away_takes_nothing_along() {
    for at in (0..200).step_by(3) {
        let mut world = World::new(&Concurrency::Fixed(1), 8);
        world.occupy(ms(70));
        for (number, after) in [at, 200, at + 20].into_iter().enumerate() {
            world.send_for(place(&number.to_string(), None), ms(after));
        }
        world.run(Duration::from_secs(5));
        assert_eq!(world.gateway.figures(), (0, 0, 1), "dropped after {at} ms");
    }
}

/// A gate that finds out its limit, which is 10 at first.
fn watching() -> Concurrency {
    let bounds = limit::Bounds { initial: 10, min: 1, max: 100 };
    let algorithm = limit::Algorithm::Aimd(limit::aimd::Options::default());
    // Each answer counts by itself.
    let (window, samples) = (Duration::ZERO, 1);
    Concurrency::Adaptive(limit::Options { algorithm, bounds, window, samples })
}

#[test]
fn a_limit_learns_from_what_was_done_and_not_from_who_went_away() {
    let mut world = World::new(&watching(), 64);
    let all = |world: &mut World, patience| {
        for number in 0..10 {
            world.send_for(place(&format!("{patience:?}-{number}"), None), patience);
        }
        world.run(Duration::from_secs(1));
        world.gateway.figures().2
    };
    world.stick(ms(50));
    assert_eq!(all(&mut world, ms(5)), 10, "nobody knows how long they would have taken");
    let risen = all(&mut world, Duration::from_secs(60));
    assert!(risen > 10, "all were answered at once: {risen}");
    world.stick(Duration::from_secs(600));
    let fallen = all(&mut world, Duration::from_secs(61));
    assert!(fallen < risen, "none was answered in time: {fallen}");
}

#[test]
fn a_client_that_asks_for_the_impossible_makes_the_gate_no_narrower() {
    let mut world = World::new(&watching(), 64);
    world.stick(Duration::from_secs(600));
    for number in 0..50 {
        let hasty = world.send(place(&number.to_string(), Some(ms(1))));
        world.run(ms(10));
        assert_eq!(hasty.answer().status, 504);
    }
    assert_eq!(world.gateway.figures(), (0, 0, 10));
}

fn read() -> Request<Body> {
    Request::get("/orders/01890a5d-ac96-774b-bcce-b302099a8057").body(Body::empty()).unwrap()
}

#[test]
fn a_read_that_comes_after_the_threads_have_ended_is_told_so() {
    let mut world = World::new(&Concurrency::Fixed(1), 8);
    let late = world.send(read());
    world.run(ms(1));
    let (took, words) = late.turned_away();
    assert_eq!(took, ms(0));
    assert!(words.starts_with("bulkhead reads: ") && words.ends_with("closed"), "{words}");
    assert_eq!(world.gateway.figures(), (0, 0, 1));
}

#[test]
fn a_circuit_that_an_operator_keeps_open_is_no_matter_of_time() {
    let breaker = Some(breaker::Options::default());
    let reads = policy::Options { breaker, ..policy::Options::NONE };
    let mut world = World::with(&Concurrency::Fixed(1), 8, reads);
    assert!(world.gateway.reads().force_breaker(breaker::Forced::Open));
    let sent = world.send(read());
    world.run(ms(1));
    let (_, words) = sent.turned_away();
    assert!(words.starts_with("breaker reads: "), "{words}");
}
