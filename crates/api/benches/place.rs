//! What `POST /orders` costs besides the journal.
//!
//! `refused` goes the whole way of a request (body, headers, JSON, the service's checks, an
//! answer) and is turned away just before the journal; `parsed` is the JSON alone; `shown` is the
//! cheapest route there is.

use axum::Router;
use axum::body::Body;
use futures::executor::block_on;
use http::Request;
use steadfast_api::{Api, Lifecycle, Options, router};
use steadfast_dispatch::order::PlaceOrder;
use steadfast_dispatch::service::{Options as ServiceOptions, Services};
use steadfast_journal::{Journal, memory};
use steadfast_time::{Clock, Ids};
use tower::ServiceExt;

const BODY: &str = r#"{"merchant":"r1","pickup":{"x":22135,"y":16867},"dropoff":{"x":22226,"y":13960},"items":[{"sku":"bento","quantity":2}],"amount":{"currency":"KRW","minor":0}}"#;

fn main() {
    divan::main();
}

fn routes() -> Router {
    let clock = Clock::system();
    let (journal, _writer) = Journal::new(memory::Engine::new(), clock.clone());
    let options = ServiceOptions::default();
    let services = Services::new(journal, clock.clone(), Ids::seeded(1), options);
    router(Api::new(services, clock, Lifecycle::default(), Options::default()))
}

fn send(routes: &Router, request: Request<Body>) -> u16 {
    let answer = block_on(routes.clone().oneshot(request));
    answer.map_or(0, |response| response.status().as_u16())
}

fn place() -> Request<Body> {
    let request = Request::post("/orders")
        .header("host", "127.0.0.1:7070")
        .header("content-type", "application/json")
        .header("content-length", BODY.len())
        .header("idempotency-key", "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"")
        .body(Body::from(BODY));
    request.unwrap_or_default()
}

#[divan::bench]
fn refused(bencher: divan::Bencher<'_, '_>) {
    let routes = routes();
    assert_eq!(send(&routes, place()), 400);
    bencher.with_inputs(place).bench_values(|request| send(&routes, request));
}

#[divan::bench]
fn shown(bencher: divan::Bencher<'_, '_>) {
    let routes = routes();
    let zones = || Request::get("/zones").body(Body::empty()).unwrap_or_default();
    assert_eq!(send(&routes, zones()), 200);
    bencher.with_inputs(zones).bench_values(|request| send(&routes, request));
}

#[divan::bench]
fn parsed() -> bool {
    serde_json::from_slice::<PlaceOrder>(divan::black_box(BODY.as_bytes())).is_ok()
}
