//! The generator against servers whose behaviour is known.

use std::convert::Infallible;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::*;

/// What the server does: its answers, and one pause.
struct Server {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
}

/// Starts a server on a thread of its own. With `pause`, its 21st answer takes 300 ms.
fn serve(status: StatusCode, body: &'static str, pause: bool) -> Server {
    let requests = Arc::new(AtomicU64::new(0));
    let (sender, receiver) = std::sync::mpsc::channel();
    let counter = Arc::clone(&requests);
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            let clock = Clock::system();
            let paused = Arc::new(AtomicBool::new(false));
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (counter, clock, paused) =
                    (Arc::clone(&counter), clock.clone(), Arc::clone(&paused));
                let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let (counter, clock, paused) =
                        (Arc::clone(&counter), clock.clone(), Arc::clone(&paused));
                    async move {
                        let (head, incoming) = request.into_parts();
                        assert!(head.headers.contains_key("idempotency-key"));
                        incoming.collect().await.unwrap();
                        let number = counter.fetch_add(1, Relaxed);
                        if pause && number == 20 && !paused.swap(true, Relaxed) {
                            clock.sleep(Duration::from_millis(300)).await;
                        }
                        let mut response =
                            Response::new(Full::new(Bytes::from_static(body.as_bytes())));
                        *response.status_mut() = status;
                        Ok::<_, Infallible>(response)
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
    });
    Server { address: receiver.recv().unwrap(), requests }
}

fn run(server: &Server, connections: usize, rate: Option<f64>, length: Duration) -> Seen {
    let clock = Clock::system();
    let window = Arc::new(Window::new(clock.monotonic(), length));
    let load = Load { address: server.address, connections, rate, seed: 1, placed: Arc::default() };
    Generator::start(load, clock, window).unwrap().join().unwrap()
}

#[test]
fn closed_loop_counts_what_was_placed() {
    let server = serve(StatusCode::CREATED, "{}", false);
    let seen = run(&server, 4, None, Duration::from_millis(300));
    let requests = server.requests.load(Relaxed);
    assert!(seen.placed > 20, "{}", seen.placed);
    assert!(seen.placed <= requests && requests <= seen.placed + 4, "{requests} {}", seen.placed);
    assert!(seen.errors.is_empty(), "{:?}", seen.errors);
}

#[test]
fn refusals_are_counted_by_their_code_and_pause_the_connection() {
    let server = serve(StatusCode::SERVICE_UNAVAILABLE, "{\"code\":\"overloaded\"}", false);
    let seen = run(&server, 2, None, Duration::from_millis(350));
    assert_eq!(seen.placed, 0);
    assert!((2..=10).contains(&seen.errors["overloaded"]), "{:?}", seen.errors);
}

#[test]
fn an_open_loop_keeps_its_rate_and_counts_the_wait_of_a_stall() {
    let server = serve(StatusCode::CREATED, "{}", true);
    let seen = run(&server, 1, Some(200.0), Duration::from_millis(1_000));
    // 200 were due. All are answered, also those that queued behind the stall.
    assert!((190..=200).contains(&seen.latency.len()), "{}", seen.latency.len());
    // About 60 orders were due while it lasted, and waited up to 300 ms, on average half of it.
    let waited = seen.latency.count_between(50_000, 400_000);
    assert!((40..=80).contains(&waited), "{waited} waited");
}

#[test]
fn a_closed_loop_is_corrected_for_what_it_did_not_send() {
    let server = serve(StatusCode::CREATED, "{}", true);
    let seen = run(&server, 1, None, Duration::from_millis(600));
    // It saw one slow answer and thousands of fast ones …
    assert_eq!(seen.latency.count_between(250_000, 600_000), 1);
    // … but had it kept its pace, a third or more of its orders would have met the stall.
    let corrected = seen.corrected();
    assert!(
        corrected.value_at_percentile(95.0) > 50_000,
        "{}",
        corrected.value_at_percentile(95.0)
    );
}

#[test]
fn nobody_to_connect_to_is_an_error() {
    let address = "127.0.0.1:9".parse().unwrap();
    let clock = Clock::system();
    let window = Arc::new(Window::new(clock.monotonic(), Duration::from_secs(1)));
    let load = Load { address, connections: 1, rate: None, seed: 1, placed: Arc::default() };
    assert!(Generator::start(load, clock, window).unwrap().join().is_err());
}
