//! The layers around other people's services: an axum router behind them, a hyper client behind a
//! whole policy, over loopback.
#![cfg(feature = "hyper")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::convert::Infallible;
use std::error::Error as StdError;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use steadfast_resilience::breaker::{self, Breaker, Forced};
use steadfast_resilience::bulkhead::{self, Bulkhead};
use steadfast_resilience::deadline::wire::TIMEOUT_MS;
use steadfast_resilience::deadline::{self, Context, Outgoing};
use steadfast_resilience::event::{Events, Recorder};
use steadfast_resilience::policy::{self, Options, Policy};
use steadfast_resilience::retry::ByMethod;
use steadfast_resilience::retry::status::ByStatus;
use steadfast_resilience::timeout::Attempt;
use steadfast_resilience::{Class, Error, retry, timeout};
use steadfast_time::Clock;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// 503 with `Retry-After`, or 504: what a policy's error is for whoever asked over HTTP.
async fn told(error: Error<Infallible>) -> Response {
    let status = match &error {
        Error::Refused { refusal, .. } => refusal.status(),
        Error::TimedOut { .. } => 504,
        Error::Call(never) => match *never {},
    };
    let status = StatusCode::from_u16(status).unwrap();
    let after = error.retry_after().map(|after| after.as_secs_f64().ceil().to_string());
    match after {
        Some(after) => (status, [(RETRY_AFTER, after)], error.to_string()).into_response(),
        None => (status, error.to_string()).into_response(),
    }
}

async fn text(answer: Response) -> (StatusCode, Option<String>, String) {
    let (parts, body) = answer.into_parts();
    let after = parts.headers.get(RETRY_AFTER).map(|it| it.to_str().unwrap().to_owned());
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, after, String::from_utf8(body.to_vec()).unwrap())
}

fn ask(path: &str, header: Option<u64>) -> Request<axum::body::Body> {
    let mut request = Request::get(path);
    if let Some(ms) = header {
        request = request.header(&TIMEOUT_MS, ms);
    }
    request.body(axum::body::Body::empty()).unwrap()
}

struct Server {
    router: Router,
    breaker: Arc<Breaker>,
    bulkhead: Arc<Bulkhead>,
    gate: Arc<Semaphore>,
}

/// Two places and no queue, a breaker, and routes that wait until they are let go.
fn server(clock: &Clock) -> Server {
    let breaker = Arc::new(Breaker::new(breaker::Options::default()).unwrap());
    let places = bulkhead::Options { limit: 2, queue: 0, wait: Duration::ZERO };
    let bulkhead = Arc::new(Bulkhead::new(&places, clock.clone()).unwrap());
    let limit = timeout::Timeout::new(Attempt::Fixed(ms(5_000))).unwrap();
    let well = |_: &Result<Response, _>| Class::Success;
    let judge = |answer: &Result<Response, Error<Error<Infallible>>>| match answer {
        Ok(answer) if answer.status().is_server_error() => Class::Permanent,
        Ok(_) => Class::Success,
        Err(_) => Class::TRANSIENT,
    };
    // Three policies, one inside the other.
    let flat = |error: Error<Error<Error<Infallible>>>| error.flatten().flatten();
    let gate = Arc::new(Semaphore::new(0));
    let (waits, left) = (Arc::clone(&gate), clock.clone());
    let routes = Router::new()
        .route("/wait", get(move || async move { drop(waits.acquire().await.unwrap()) }))
        .route(
            "/left",
            get(move || async move {
                let deadline = Context::current().deadline.unwrap();
                deadline.left(left.monotonic()).as_millis().to_string()
            }),
        );
    let stack = ServiceBuilder::new()
        .layer(deadline::Layer::new(deadline::Options::default(), clock.clone()).unwrap())
        .layer(HandleErrorLayer::new(move |error| told(flat(error))))
        .layer(breaker::Layer::new(
            Arc::clone(&breaker),
            clock.clone(),
            Events::silent("orders"),
            judge,
        ))
        .layer(bulkhead::Layer::new(Arc::clone(&bulkhead), Events::silent("orders")))
        .layer(timeout::Layer::new(
            Arc::new(limit),
            timeout::Scope::Overall,
            clock.clone(),
            Events::silent("orders"),
            well,
        ));
    Server { router: routes.layer(stack), breaker, bulkhead, gate }
}

#[tokio::test]
async fn an_axum_router_stands_behind_deadline_breaker_bulkhead_and_timeout() {
    let clock = Clock::system();
    let Server { router, breaker, bulkhead, gate } = server(&clock);

    let (status, _, left) = text(router.clone().oneshot(ask("/left", None)).await.unwrap()).await;
    assert_eq!(status, StatusCode::OK);
    assert!((400..=450).contains(&left.parse::<u64>().unwrap()), "{left}");
    let (_, _, left) = text(router.clone().oneshot(ask("/left", Some(99))).await.unwrap()).await;
    assert!((50..=99).contains(&left.parse::<u64>().unwrap()), "{left}");
    let nonsense = Request::get("/left").header(&TIMEOUT_MS, "soon");
    let nonsense = nonsense.body(axum::body::Body::empty()).unwrap();
    assert_eq!(router.clone().oneshot(nonsense).await.unwrap().status(), StatusCode::BAD_REQUEST);

    // Two at work, the third is told so at once.
    let waiting = [0, 1].map(|_| tokio::spawn(router.clone().oneshot(ask("/wait", Some(5_000)))));
    while bulkhead.in_use() < 2 {
        tokio::task::yield_now().await;
    }
    let (status, after, body) =
        text(router.clone().oneshot(ask("/wait", None)).await.unwrap()).await;
    assert_eq!((status, after.as_deref()), (StatusCode::SERVICE_UNAVAILABLE, Some("1")));
    assert!(body.starts_with("bulkhead orders: 2 of 2 at work"), "{body}");
    gate.add_permits(2);
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap().unwrap().status(), StatusCode::OK);
    }
    // One client goes away: his place is free again.
    gate.acquire_many(2).await.unwrap().forget();
    let gone = tokio::time::timeout(ms(20), router.clone().oneshot(ask("/wait", None))).await;
    assert!(gone.is_err());
    assert_eq!(bulkhead.in_use(), 0);

    // Nobody lets this one go before its deadline.
    let (status, _, body) =
        text(router.clone().oneshot(ask("/wait", Some(20))).await.unwrap()).await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT, "{body}");
    assert!(body.starts_with("timeout orders: "), "{body}");

    let _ = breaker.force(clock.monotonic(), Forced::Open);
    let (status, _, body) = text(router.oneshot(ask("/left", None)).await.unwrap()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.starts_with("breaker orders: "), "{body}");
}

#[derive(Default)]
struct Stock {
    calls: AtomicU32,
    /// So many calls fail from now on.
    failing: AtomicU32,
}

/// A server on loopback that fails as often as it is told to, and says how long the caller waits.
async fn loopback(stock: Arc<Stock>) -> SocketAddr {
    async fn answer(State(stock): State<Arc<Stock>>, headers: HeaderMap) -> Response {
        stock.calls.fetch_add(1, Ordering::Relaxed);
        let fails = |failing: u32| failing.checked_sub(1);
        if stock.failing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fails).is_ok() {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let waits = headers.get(&TIMEOUT_MS).map(|it| it.to_str().unwrap().to_owned());
        waits.unwrap_or_else(|| "for ever".to_owned()).into_response()
    }
    let routes = Router::new()
        .route("/", get(answer).post(answer))
        .route("/hangs", get(std::future::pending::<()>))
        .route("/silent", post(|| async {}))
        .with_state(stock);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    address
}

type Answer = hyper::Response<hyper::body::Incoming>;
type HyperError = hyper_util::client::legacy::Error;

/// A hyper client behind a policy.
fn client(
    clock: &Clock,
    policy: &Policy,
) -> impl Service<Request<Full<Bytes>>, Response = Answer, Error = Error<HyperError>, Future: Send>
+ Clone
+ Send
+ Sync {
    let judge = ByStatus::new(clock.clone(), |_: &HyperError| Class::TRANSIENT);
    ServiceBuilder::new()
        .layer(policy::Layer::new(policy.clone(), ByMethod, judge))
        .layer(Outgoing::new(clock.clone()))
        .service(Client::builder(TokioExecutor::new()).build_http())
}

fn request(method: &str, uri: impl AsRef<str>) -> http::request::Builder {
    Request::builder().method(method).uri(uri.as_ref())
}

#[tokio::test]
async fn a_hyper_client_stands_behind_a_whole_policy() {
    let clock = Clock::system();
    let stock = Arc::new(Stock::default());
    let address = loopback(Arc::clone(&stock)).await;
    let recorder = Arc::new(Recorder::default());
    let backoff = retry::Backoff { base: ms(1), factor: 2.0, cap: ms(4) };
    let attempt = Attempt::Fixed(ms(300));
    let options = Options {
        retry: Some(retry::Options { backoff, ..retry::Options::default() }),
        timeout: Some(timeout::Options { attempt, overall: Some(ms(1_000)) }),
        ..Options::default()
    };
    let policy = Policy::builder("stock").options(options).listener(Arc::new(recorder.clone()));
    let policy = policy.build(clock.clone()).unwrap();
    let client = client(&clock, &policy);
    let root = format!("http://{address}/");
    let body = || Full::new(Bytes::from_static(b"two of them"));
    let calls = || stock.calls.swap(0, Ordering::Relaxed);

    // A GET may be repeated, and each attempt says how long it has.
    stock.failing.store(2, Ordering::Relaxed);
    let answer = client.clone().oneshot(request("GET", &root).body(body()).unwrap()).await.unwrap();
    assert_eq!((answer.status(), calls()), (StatusCode::OK, 3));
    let waits = answer.into_body().collect().await.unwrap().to_bytes();
    let waits: u64 = std::str::from_utf8(&waits).unwrap().parse().unwrap();
    assert!((150..=300).contains(&waits), "{waits}");

    // A POST may not, unless it carries a key.
    stock.failing.store(1, Ordering::Relaxed);
    let answer =
        client.clone().oneshot(request("POST", &root).body(body()).unwrap()).await.unwrap();
    assert_eq!((answer.status(), calls()), (StatusCode::SERVICE_UNAVAILABLE, 1));
    stock.failing.store(1, Ordering::Relaxed);
    let keyed = request("POST", &root).header("idempotency-key", "\"order-1\"");
    let answer = client.clone().oneshot(keyed.body(body()).unwrap()).await.unwrap();
    assert_eq!((answer.status(), calls()), (StatusCode::OK, 2));

    // No answer in time: given up at 300 ms, as often as a second allows.
    let slow = client.clone().oneshot(request("GET", format!("{root}hangs")).body(body()).unwrap());
    let error = slow.await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    assert!(policy.counters().timeouts >= 3);

    // Open: nothing is sent.
    policy.force_breaker(Forced::Open);
    let refused = client.oneshot(request("GET", &root).body(body()).unwrap()).await.unwrap_err();
    assert_eq!((refused.policy(), calls()), (Some("breaker"), 0));
    let story: Vec<String> = recorder.records().iter().map(ToString::to_string).collect();
    assert!(story.iter().any(|line| line.starts_with("retry stock: attempt 2 in ")), "{story:?}");
}

/// Where nobody listens a policy says "no connection", with hyper's own error inside.
#[tokio::test]
async fn the_clients_own_error_is_kept() {
    let clock = Clock::system();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let once = Options { retry: None, ..Options::default() };
    let policy = Policy::builder("stock").options(once).build(clock.clone()).unwrap();
    let request = request("GET", format!("http://{nobody}/")).body(Full::default()).unwrap();
    let error = client(&clock, &policy).oneshot(request).await.unwrap_err();
    assert_eq!(error.policy(), None);
    let hyper = error.into_call().unwrap();
    assert!(hyper.is_connect() && hyper.source().is_some(), "{hyper}");
}

/// What axum and hyper ask of a service, for layers that stand alone.
#[test]
fn all_layers_are_clone_send_and_sync() {
    fn asked<T: Clone + Send + Sync + 'static>(_: &T) {}
    let clock = Clock::system();
    let policy = Policy::builder("stock").build(clock.clone()).unwrap();
    let judge = |_: &Result<(), Infallible>| Class::Success;
    let layer = policy::Layer::new(policy, ByMethod, judge);
    asked(&layer);
    asked(&layer.layer(tower::service_fn(|(): ()| async { Ok::<_, Infallible>(()) })));
    asked(&Outgoing::new(clock.clone()));
    asked(&deadline::Layer::new(deadline::Options::default(), clock).unwrap());
}
