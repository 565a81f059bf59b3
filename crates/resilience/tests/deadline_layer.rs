//! A deadline on its way: out of a request's headers, through a service, into the headers of what
//! that service calls.
#![cfg(all(feature = "tower", feature = "http"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use http::{Request, Response, StatusCode};
use steadfast_resilience::deadline::wire::{GRPC_TIMEOUT, Malformed, TIMEOUT_MS};
use steadfast_resilience::deadline::{self, Context, Deadline, Options, Outgoing};
use steadfast_resilience::policy::{self, Policy};
use steadfast_resilience::retry::ByMethod;
use steadfast_resilience::{Class, retry, timeout};
use steadfast_time::Clock;
use steadfast_time::sim::Simulation;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// How long the service that is asked has: by its context when it is called, and when it is polled.
fn left(
    clock: &Clock,
) -> impl Service<
    Request<()>,
    Response = Response<String>,
    Error = Infallible,
    Future: Future<Output = Result<Response<String>, Infallible>> + Send + 'static,
> + Clone {
    let clock = clock.clone();
    service_fn(move |_: Request<()>| {
        let clock = clock.clone();
        let called = Context::current().deadline;
        async move {
            assert_eq!(Context::current().deadline, called, "when polled as when called");
            let left = called.map(|deadline| deadline.left(clock.monotonic()));
            Ok(Response::new(format!("{left:?}")))
        }
    })
}

fn ask(headers: &[(&'static str, &'static str)]) -> Request<()> {
    let mut request = Request::new(());
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

#[test]
fn a_request_gets_the_time_that_its_headers_name() {
    let clock = Simulation::new(1).clock();
    let options = Options { absent: Some(ms(450)), max: ms(2_000) };
    let layer = deadline::Layer::new(options, clock.clone()).unwrap();
    let unlimited = Options { absent: None, ..options };
    let unlimited = deadline::Layer::new(unlimited, clock.clone()).unwrap();
    let envoy = "x-envoy-expected-rq-timeout-ms";
    let rows = [
        (&layer, ask(&[]), "Some(450ms)"),
        (&unlimited, ask(&[]), "None"),
        (&layer, ask(&[(envoy, "120")]), "Some(120ms)"),
        (&layer, ask(&[("grpc-timeout", "250m")]), "Some(250ms)"),
        (&layer, ask(&[(envoy, "99999999")]), "Some(2s)"),
        (&unlimited, ask(&[("grpc-timeout", "99999999H")]), "Some(2s)"),
    ];
    for (layer, request, expected) in rows {
        let answer = layer.layer(left(&clock)).oneshot(request).now_or_never().unwrap().unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.body(), expected);
    }
}

#[test]
fn inside_another_deadline_the_earlier_one_counts() {
    let clock = Simulation::new(1).clock();
    let layer = deadline::Layer::new(Options::default(), clock.clone()).unwrap();
    let outer = Context::until(Deadline::within(clock.monotonic(), ms(90)));
    let call = outer.scope(layer.layer(left(&clock)).oneshot(ask(&[])));
    assert_eq!(call.now_or_never().unwrap().unwrap().body(), "Some(90ms)");
}

#[test]
fn a_header_that_says_no_length_of_time_is_the_callers_mistake() {
    let clock = Simulation::new(1).clock();
    let layer = deadline::Layer::new(Options::default(), clock.clone()).unwrap();
    for wrong in [ask(&[("grpc-timeout", "soon")]), ask(&[("x-envoy-expected-rq-timeout-ms", "0")])]
    {
        let answer = layer.layer(left(&clock)).oneshot(wrong).now_or_never().unwrap().unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    }
    let layer = layer.malformed(|malformed: &Malformed| Response::new(malformed.to_string()));
    let call = layer.layer(left(&clock)).oneshot(ask(&[("grpc-timeout", "soon")]));
    let answer = call.now_or_never().unwrap().unwrap();
    assert!(answer.body().starts_with("grpc-timeout: must be 1 to 8 digits"));
}

#[test]
fn lengths_that_make_no_sense_are_refused() {
    let clock = Simulation::new(1).clock();
    let good = Options::default();
    assert_eq!(good.check(), Ok(()));
    let rows = [
        (Options { max: Duration::ZERO, ..good }, "max = 0 µs: must be above 0 s"),
        (Options { max: ms(3_600_001), ..good }, "max = 3600 s: must be above 0 s, at most 3600 s"),
        (Options { absent: Some(Duration::ZERO), ..good }, "absent = 0 µs: must be above 0 s"),
        (Options { absent: Some(ms(31_000)), ..good }, "absent = 31 s: must be above 0 s, at most"),
    ];
    for (options, start) in rows {
        let error = deadline::Layer::new(options, clock.clone()).unwrap_err().to_string();
        assert!(error.starts_with(start), "{error}");
    }
}

#[test]
fn what_is_left_is_written_unless_less_is_there_already() {
    let clock = Simulation::new(1).clock();
    let echo = service_fn(|request: Request<()>| async move {
        let value = |name| request.headers().get(name).map(|it| it.to_str().unwrap().to_owned());
        Ok::<_, Infallible>((value(&TIMEOUT_MS), value(&GRPC_TIMEOUT)))
    });
    let written = |outgoing: Outgoing, left: Option<u64>, request| {
        let context = match left {
            Some(left) => Context::until(Deadline::within(clock.monotonic(), ms(left))),
            None => Context::default(),
        };
        let call = context.scope(async { outgoing.layer(echo).oneshot(request).await });
        call.now_or_never().unwrap().unwrap()
    };
    let some = |text: &str| Some(text.to_owned());
    let envoy = Outgoing::new(clock.clone());
    let grpc = Outgoing::grpc(clock.clone());
    assert_eq!(written(envoy.clone(), None, ask(&[])), (None, None));
    assert_eq!(written(envoy.clone(), Some(120), ask(&[])), (some("120"), None));
    assert_eq!(written(grpc.clone(), Some(120), ask(&[])), (None, some("120000u")));
    // Nothing left is never nothing on the wire: to some, 0 means "for ever".
    assert_eq!(written(envoy.clone(), Some(0), ask(&[])), (some("1"), None));
    let less = || ask(&[("grpc-timeout", "50m")]);
    assert_eq!(written(grpc.clone(), Some(120), less()), (None, some("50m")));
    let more = || ask(&[("grpc-timeout", "5S")]);
    assert_eq!(written(grpc, Some(120), more()), (None, some("120000u")));
    assert_eq!(written(envoy.clone(), Some(120), more()), (some("120"), None));
    let nonsense = ask(&[("x-envoy-expected-rq-timeout-ms", "soon")]);
    assert_eq!(written(envoy, Some(120), nonsense), (some("120"), None));
}

/// Gateway → orders → stock: each hop names less, and each attempt less than the one before.
#[test]
fn a_deadline_travels_from_hop_to_hop() {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let named = Arc::new(Mutex::new(Vec::<u64>::new()));
    let (asked, stock_clock) = (Arc::clone(&named), clock.clone());
    let stock = service_fn(move |request: Request<()>| {
        let clock = stock_clock.clone();
        let ms_left = request.headers()[&TIMEOUT_MS].to_str().unwrap().parse().unwrap();
        asked.lock().unwrap().push(ms_left);
        async move {
            clock.sleep(ms(60)).await;
            let mut answer = Response::new(());
            *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            Ok::<_, Infallible>(answer)
        }
    });
    let attempt = timeout::Attempt::Fixed(ms(250));
    let backoff = retry::Backoff::constant(ms(40));
    let jitter = retry::Jitter::None;
    let options = policy::Options {
        timeout: Some(timeout::Options { attempt, overall: None }),
        retry: Some(retry::Options { backoff, jitter, ..retry::Options::default() }),
        ..policy::Options::NONE
    };
    let policy = Policy::builder("stock").options(options).build(clock.clone()).unwrap();
    let judge = retry::status::ByStatus::new(clock.clone(), |_: &Infallible| Class::Permanent);
    let client = ServiceBuilder::new()
        .layer(policy::Layer::new(policy, ByMethod, judge))
        .layer(Outgoing::new(clock.clone()))
        .service(stock);
    let orders_clock = clock.clone();
    let orders = service_fn(move |_: Request<()>| {
        let (clock, client) = (orders_clock.clone(), client.clone());
        async move {
            clock.sleep(ms(20)).await;
            let error = client.oneshot(Request::new(())).await.unwrap_err();
            Ok::<_, Infallible>(Response::new(error.to_string()))
        }
    });
    let orders = deadline::Layer::new(Options::default(), clock).unwrap().layer(orders);
    let request = ask(&[("x-envoy-expected-rq-timeout-ms", "350")]);
    let answer = sim.block_on(async move { orders.oneshot(request).await }).unwrap();
    assert!(answer.body().starts_with("timeout stock: "), "{}", answer.body());
    // 350 − 20 = 330 are left, of which an attempt gets 250 at most; then 100 less each time. The
    // fourth is begun with 30 ms left and cut off by the deadline.
    assert_eq!(*named.lock().unwrap(), [250, 230, 130, 30]);
}
