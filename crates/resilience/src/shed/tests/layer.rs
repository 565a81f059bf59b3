//! The gate in front of an axum router.

use std::convert::Infallible;
use std::sync::Arc;

use axum::error_handling::HandleErrorLayer;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, body::Body};
use fastrand::Rng;
use steadfast_time::Clock;
use steadfast_time::sim::Simulation;
use tower::{ServiceBuilder, ServiceExt};

use super::*;
use crate::event::{Events, Recorder};
use crate::shed::{Concurrency, Gate, Layer, Options, Priority};
use crate::{Class, Error};

fn priority(request: &Request) -> Priority {
    match request.headers().get("x-priority").map(HeaderValue::as_bytes) {
        Some(b"critical") => Priority::Critical,
        Some(b"background") => Priority::Background,
        _ => Priority::Normal,
    }
}

fn classify(outcome: &Result<Response, Infallible>) -> Class {
    match outcome {
        Ok(response) if response.status().is_server_error() => Class::TRANSIENT,
        _ => Class::Success,
    }
}

async fn refused(error: Error<Infallible>) -> impl IntoResponse {
    let wait = error.retry_after().unwrap_or_default().as_secs_f64().ceil();
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, wait.to_string())], error.to_string())
}

fn router(clock: Clock, gate: Arc<Gate>, events: Events) -> Router {
    let shed = Layer::new(gate, events, priority, classify);
    let work = move || async move {
        clock.sleep(ms(30)).await;
        "done"
    };
    let layers = ServiceBuilder::new().layer(HandleErrorLayer::new(refused)).layer(shed);
    Router::new().route("/", get(work)).layer(layers)
}

fn request(priority: &str) -> Request {
    Request::get("/").header("x-priority", priority).body(Body::empty()).unwrap()
}

#[test]
fn an_axum_router_answers_503_with_retry_after_to_the_least_important() {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let options = Options { queue: 1, ..Options::default() };
    let concurrency = Concurrency::Fixed(1);
    let gate = Gate::new(&concurrency, &options, clock.clone(), Rng::with_seed(1)).unwrap();
    let gate = Arc::new(gate);
    let recorder = Arc::new(Recorder::default());
    let events = Events::to("api", Arc::new(Arc::clone(&recorder)));
    let app = router(clock, Arc::clone(&gate), events);
    sim.block_on(async move {
        let calls = ["", "background", "critical", ""].map(|it| app.clone().oneshot(request(it)));
        let answers = futures::future::join_all(calls).await;
        let answers: Vec<Response> = answers.into_iter().map(Result::unwrap).collect();
        let statuses: Vec<u16> = answers.iter().map(|it| it.status().as_u16()).collect();
        // The first works, the second waits until the third displaces it, the fourth is no match.
        assert_eq!(statuses, [200, 503, 200, 503]);
        assert_eq!(answers[1].headers()[RETRY_AFTER], "1");
    });
    let lines: Vec<String> = recorder.take().iter().map(ToString::to_string).collect();
    let displaced = "shed api: background work after waiting 0 µs: more important work came";
    let full = "shed api: normal work after waiting 0 µs: the queue is full";
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().any(|line| line == displaced) && lines.iter().any(|line| line == full));
    assert_eq!((gate.in_flight(), gate.waiting()), (0, 0));
}

#[test]
fn dropping_a_call_at_any_point_gives_everything_back() {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let concurrency = Concurrency::Fixed(1);
    let options = Options::default();
    let gate = Gate::new(&concurrency, &options, clock.clone(), Rng::with_seed(1)).unwrap();
    let gate = Arc::new(gate);
    let app = router(clock.clone(), Arc::clone(&gate), Events::silent("api"));
    sim.block_on(async move {
        for cut in 0..80 {
            let calls = [(); 2].map(|()| app.clone().oneshot(request("")));
            let _ = clock.timeout(ms(cut), futures::future::join_all(calls)).await;
            assert_eq!((gate.in_flight(), gate.waiting()), (0, 0), "after {cut} ms");
        }
    });
}
