//! What the client makes of everything that a network and a stranger's server can do.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use std::future::IntoFuture;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use common::{call, items, order, scarce, threaded, won};
use steadfast_dispatch::provider::{Call, Failure, Payment, Stock};
use steadfast_journal::memory;
use steadfast_providers::http::{Options, PROVIDER_REJECTED, Provider};
use steadfast_providers::sandbox::{Plan, Probability, Sandbox};
use steadfast_providers::{Operation, Secret, serve};
use steadfast_time::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a made-up server received.
type Heard = Arc<Mutex<Vec<String>>>;

/// Reads one request to its end.
async fn request(socket: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    loop {
        let mut chunk = [0; 4_096];
        match socket.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => text.extend_from_slice(&chunk[..n]),
        }
        let seen = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = seen.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            return Some(seen);
        }
    }
}

/// A server that answers every request with these bytes and closes.
async fn answering(bytes: impl Into<Vec<u8>>) -> (String, Heard) {
    let bytes = bytes.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1/", listener.local_addr().unwrap());
    let heard = Heard::default();
    let hears = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let Some(text) = request(&mut socket).await else {
                continue;
            };
            hears.lock().unwrap().push(text);
            let _ = socket.write_all(&bytes).await;
        }
    });
    (base, heard)
}

/// A server that hears everything and says nothing.
async fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            kept.push(socket);
        }
    });
    base
}

fn client(base: &str, clock: &Clock) -> Provider {
    Provider::connect(&Options::new(base), clock.clone()).unwrap()
}

fn brief(clock: &Clock, limit: Duration) -> Call {
    Call::first("k", clock.monotonic() + limit)
}

async fn reserve(base: &str, limit: Duration) -> Result<String, Failure> {
    let clock = Clock::system();
    let lines = items(&[("bento", 2)]);
    client(base, &clock).reserve(&brief(&clock, limit), order(7), &lines).await
}

fn unknown<T: std::fmt::Debug>(result: Result<T, Failure>) -> String {
    match result {
        Err(Failure::Unknown { reason }) => reason,
        other => panic!("not unknown: {other:?}"),
    }
}

fn unavailable<T: std::fmt::Debug>(result: Result<T, Failure>) -> String {
    match result {
        Err(Failure::Unavailable { reason, .. }) => reason,
        other => panic!("not unavailable: {other:?}"),
    }
}

const SECOND: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_millis(80);

#[tokio::test]
async fn a_request_carries_key_deadline_and_token() {
    let body = r#"{"reservation":"r-1","extra":true}"#;
    let length = body.len();
    let answer = format!("HTTP/1.1 201 Created\r\ncontent-length: {length}\r\n\r\n{body}");
    let (base, heard) = answering(answer).await;
    let clock = Clock::system();
    let mut options = Options::new(base);
    options.token = Some(Secret::new("hunter2"));
    let provider = Provider::connect(&options, clock.clone()).unwrap();
    let lines = items(&[("bento", 2)]);
    let name = provider.reserve(&brief(&clock, SECOND), order(7), &lines).await;
    assert_eq!(name, Ok("r-1".to_owned()));
    assert!(!format!("{provider:?}").contains("hunter2"));

    let heard = heard.lock().unwrap().join("");
    assert!(heard.starts_with("POST /v1/reservations HTTP/1.1\r\n"), "{heard}");
    let header = |name: &str| {
        let line = heard.lines().find(|line| line.starts_with(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {heard}"))
            .split_once(": ")
            .unwrap()
            .1
            .to_owned()
    };
    assert_eq!(header("idempotency-key"), "k");
    assert_eq!(header("authorization"), "Bearer hunter2");
    assert_eq!(header("content-type"), "application/json");
    let left: u64 = header("x-envoy-expected-rq-timeout-ms").parse().unwrap();
    assert!((1..=1_000).contains(&left), "{left}");
    let id = order(7);
    let body = format!(r#"{{"order":"{id}","items":[{{"sku":"bento","quantity":2}}]}}"#);
    assert!(heard.ends_with(&body), "{heard}");
}

#[tokio::test]
async fn what_never_left_did_not_happen() {
    // Nobody listens: the port was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    unavailable(reserve(&base, SECOND).await);
    // There is no such host (RFC 6761 reserves the name).
    unavailable(reserve("http://nowhere.invalid", SECOND * 10).await);
    // No time is left.
    let reason = unavailable(reserve(&silent().await, Duration::ZERO).await);
    assert!(reason.contains("deadline"), "{reason}");
}

#[tokio::test]
async fn a_key_that_fits_no_header_is_refused_here() {
    let clock = Clock::system();
    let provider = client("http://127.0.0.1:9", &clock);
    for key in ["", "김밥", "a\nb", &"k".repeat(256)] {
        let result = provider.void(&call(&clock, key), order(1)).await;
        assert!(
            matches!(&result, Err(Failure::Refused { code, .. }) if code == "invalid_request"),
            "{result:?}"
        );
    }
}

#[tokio::test]
async fn what_left_and_was_not_answered_may_have_happened() {
    let reason = unknown(reserve(&silent().await, SOON).await);
    assert!(reason.contains("no answer within"), "{reason}");
    let ok = "HTTP/1.1 200 OK\r\n";
    for answer in [
        String::new(),
        "HTTP/1.1 200 OK\r\ncontent-le".to_owned(),
        "SSH-2.0-OpenSSH_9.9\r\n".to_owned(),
        format!("{ok}content-length: 30\r\n\r\n{{\"reservation\":"),
        format!("{ok}content-length: 4\r\n\r\nnull"),
        format!("{ok}content-length: 2\r\n\r\n{{}}"),
        format!("{ok}content-length: 6\r\n\r\n<html>"),
        format!("{ok}content-length: 100000\r\n\r\n{}", "x".repeat(100_000)),
        format!("{ok}transfer-encoding: chunked\r\n\r\n{}", "1000\r\nno"),
        "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n".to_owned(),
    ] {
        let (base, heard) = answering(answer.as_str()).await;
        unknown(reserve(&base, SECOND).await);
        assert_eq!(
            heard.lock().unwrap().len(),
            1,
            "asked once: {:?}",
            &answer[..answer.len().min(60)]
        );
    }
}

#[tokio::test]
async fn a_refusal_needs_its_code_and_other_rejections_are_ours() {
    let answer = |status: &str, body: &str| {
        let kind = "content-type: application/problem+json";
        let length = body.len();
        format!("HTTP/1.1 {status}\r\n{kind}\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    for (answer, code) in [
        (answer("409 Conflict", r#"{"code":"out_of_stock","detail":"gone"}"#), "out_of_stock"),
        (answer("402 Payment Required", r#"{"code":"card_expired"}"#), "card_expired"),
        (answer("422 Unprocessable", "{}"), PROVIDER_REJECTED),
        (answer("401 Unauthorized", r#"{"code":"out_of_stock"}"#), PROVIDER_REJECTED),
        (answer("404 Not Found", ""), PROVIDER_REJECTED),
    ] {
        match reserve(&answering(answer.as_str()).await.0, SECOND).await {
            Err(Failure::Refused { code: seen, .. }) => assert_eq!(seen, code, "{answer}"),
            other => panic!("{answer}: {other:?}"),
        }
    }
    unavailable(reserve(&answering(answer("503 Busy", "")).await.0, SECOND).await);
}

#[tokio::test]
async fn calls_wait_their_turn_and_those_that_get_none_did_not_happen() {
    let base = silent().await;
    let clock = Clock::system();
    let options = Options { connections: 1, ..Options::new(base) };
    let provider = Provider::connect(&options, clock.clone()).unwrap();
    let (long, short) = (brief(&clock, SOON * 4), brief(&clock, SOON));
    let first = provider.void(&long, order(1));
    let second = async {
        tokio::time::sleep(SOON / 4).await;
        provider.void(&short, order(2)).await
    };
    let (first, second) = tokio::join!(first, second);
    unknown(first);
    unavailable(second);
}

/// How many connections a server has open, and the most that it had.
#[derive(Default)]
struct Counts {
    open: AtomicUsize,
    most: AtomicUsize,
}

/// A server that answers after a while, except for every third request of a connection, which it
/// never answers.
async fn counting(counts: &Arc<Counts>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let counts = Arc::clone(counts);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let counts = Arc::clone(&counts);
            let open = counts.open.fetch_add(1, SeqCst) + 1;
            counts.most.fetch_max(open, SeqCst);
            tokio::spawn(async move {
                let mut asked = 0;
                while request(&mut socket).await.is_some() {
                    asked += 1;
                    if asked % 3 == 0 {
                        continue;
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                    if socket.write_all(answer).await.is_err() {
                        break;
                    }
                }
                counts.open.fetch_sub(1, SeqCst);
            });
        }
    });
    base
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_bounded_also_when_answers_never_come() {
    let counts = Arc::new(Counts::default());
    let clock = Clock::system();
    let options = Options { connections: 3, ..Options::new(counting(&counts).await) };
    let provider = Provider::connect(&options, clock.clone()).unwrap();
    let calls = (0..60_u128).map(|number| {
        let (provider, clock) = (provider.clone(), clock.clone());
        tokio::spawn(async move {
            let mut answers = [0, 0, 0];
            for _ in 0..5 {
                let call = brief(&clock, Duration::from_millis(60));
                match provider.void(&call, order(number)).await {
                    Ok(()) => answers[0] += 1,
                    Err(Failure::Unknown { .. }) => answers[1] += 1,
                    Err(Failure::Unavailable { .. }) => answers[2] += 1,
                    Err(refused) => panic!("{refused}"),
                }
            }
            answers
        })
    });
    let mut total = [0; 3];
    for answers in futures_of(calls).await {
        for (sum, count) in total.iter_mut().zip(answers) {
            *sum += count;
        }
    }
    let [answered, silent, no_turn] = total;
    assert_eq!(answered + silent + no_turn, 300);
    // Otherwise it shows nothing.
    assert!(answered > 0 && silent > 0 && no_turn > 0, "{total:?}");
    // What is closed here is seen there a moment later, so a successor may be counted beside it.
    let most = counts.most.load(SeqCst);
    assert!((3..=6).contains(&most), "{most} connections at once");
    // Nothing is queued up behind: the next call gets through.
    for _ in 0..20 {
        if provider.void(&brief(&clock, SECOND), order(1)).await.is_ok() {
            return;
        }
    }
    panic!("nobody gets through any more");
}

async fn futures_of<T: Send + 'static>(
    tasks: impl Iterator<Item = tokio::task::JoinHandle<T>>,
) -> Vec<T> {
    let tasks: Vec<_> = tasks.collect();
    let mut done = Vec::new();
    for task in tasks {
        done.push(task.await.unwrap());
    }
    done
}

#[tokio::test]
async fn when_to_come_back_may_be_a_date() {
    let after = |value: &str| {
        format!("HTTP/1.1 503 Busy\r\nretry-after: {value}\r\ncontent-length: 0\r\n\r\n")
    };
    let wait = async |value: &str| {
        let failure = reserve(&answering(after(value)).await.0, SECOND).await.unwrap_err();
        let Failure::Unavailable { retry_after, .. } = failure else { panic!("{failure}") };
        retry_after
    };
    assert_eq!(wait("7").await, Some(Duration::from_secs(7)));
    assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT").await, Some(Duration::ZERO));
    // Long after whoever reads this, and never longer than the clock can say.
    let far = wait("Tue, 31 Dec 2999 23:59:59 GMT").await.unwrap();
    assert!(far > Duration::from_secs(900 * 365 * 86_400), "{far:?}");
    assert_eq!(wait("tomorrow").await, None);
}

/// A connector that stands for any other transport: it never gets through.
#[derive(Clone)]
struct Stuck;

impl tower::Service<http::Uri> for Stuck {
    type Response = hyper_util::rt::TokioIo<TcpStream>;
    type Error = std::io::Error;
    type Future = std::future::Pending<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        std::future::pending()
    }
}

#[tokio::test]
async fn a_connection_that_never_stands_is_known_to_have_carried_nothing() {
    let clock = Clock::system();
    let options = Options::new("https://stock.example");
    let executor = hyper_util::rt::TokioExecutor::new();
    let provider = Provider::with_connector(&options, clock.clone(), Stuck, executor).unwrap();
    unavailable(provider.void(&brief(&clock, SOON), order(1)).await);
}

struct Served {
    sandbox: Sandbox,
    clock: Clock,
    address: std::net::SocketAddr,
    _writer: steadfast_journal::WriterThread,
}

impl Served {
    async fn start(token: Option<Secret>) -> Self {
        let clock = Clock::system();
        let (sandbox, _writer) = threaded(memory::Engine::new(), &clock, scarce());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = serve::sandbox(&sandbox, clock.clone(), token);
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { sandbox, clock, address, _writer }
    }

    fn client(&self, token: Option<Secret>) -> Provider {
        let options = Options { token, ..Options::new(format!("http://{}", self.address)) };
        Provider::connect(&options, self.clock.clone()).unwrap()
    }

    /// Sends bytes and returns what comes back until the connection closes.
    async fn raw(&self, text: &str) -> String {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> String {
        let length = body.len();
        let headers = "host: h\r\nconnection: close\r\nidempotency-key: \"k\"";
        let text = format!(
            "{method} {path} HTTP/1.1\r\n{headers}\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.raw(&text).await
    }
}

#[tokio::test]
async fn a_lost_answer_is_silence_and_the_repetition_tells() {
    let served = Served::start(None).await;
    let lose = Plan { lose_reply: Probability::ALWAYS, ..Plan::default() };
    served.sandbox.faults.set_all(lose);
    let provider = served.client(None);
    let (lines, amount) = (items(&[("bento", 1)]), won(100));
    let call = call(&served.clock, "k");
    unknown(provider.reserve(&call, order(1), &lines).await);
    unknown(provider.authorize(&call, order(1), &amount).await);
    unknown(provider.capture(&call, order(1)).await);
    assert_eq!(served.sandbox.stock.level("bento").unwrap(), 2, "the work was done");
    let body =
        r#"{"order":"00000000-0000-0000-0000-000000000009","items":[{"sku":"x","quantity":1}]}"#;
    assert_eq!(served.send("POST", "/reservations", body).await, "", "not a byte comes back");

    served.sandbox.faults.clear();
    provider.reserve(&call, order(1), &lines).await.unwrap();
    provider.authorize(&call, order(1), &amount).await.unwrap();
    provider.capture(&call, order(1)).await.unwrap();
    assert_eq!(served.sandbox.stock.level("bento").unwrap(), 2, "and not again");
}

#[tokio::test]
async fn the_served_sandbox_wants_its_token() {
    let token = || Some(Secret::new("hunter2"));
    let served = Served::start(token()).await;
    for wrong in [None, Some(Secret::new("hunter3")), Some(Secret::new("hunter22"))] {
        let result = served.client(wrong).void(&call(&served.clock, "k"), order(1)).await;
        assert!(
            matches!(&result, Err(Failure::Refused { code, .. }) if code == PROVIDER_REJECTED),
            "{result:?}"
        );
    }
    served.client(token()).void(&call(&served.clock, "k"), order(1)).await.unwrap();
}

#[tokio::test]
async fn the_books_can_be_looked_at_and_the_faults_changed() {
    let served = Served::start(None).await;
    let id = "00000000-0000-0000-0000-000000000001";
    let body = format!(r#"{{"order":"{id}","items":[{{"sku":"bento","quantity":2}}]}}"#);
    let answer = served.send("POST", "/reservations", &body).await;
    assert!(answer.ends_with(&format!(r#"{{"reservation":"reservation/{id}"}}"#)), "{answer}");
    let answer = served.send("GET", &format!("/reservations/{id}"), "").await;
    assert!(answer.contains(r#""pieces":{"bento":2},"state":"held""#), "{answer}");
    let answer = served.send("GET", "/reservations?limit=1", "").await;
    assert!(answer.contains(id), "{answer}");
    let answer = served.send("POST", "/articles/bento/restock", r#"{"quantity":10}"#).await;
    assert!(answer.ends_with(r#"{"sku":"bento","level":11}"#), "{answer}");
    let answer = served.send("PUT", "/faults/void", r#"{"unavailable":1}"#).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(served.sandbox.faults.plan(Operation::Void).unavailable, Probability::ALWAYS);
    let answer = served.send("POST", &format!("/authorizations/{id}/void"), "{}").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1"), "{answer}");
    served.send("DELETE", "/faults", "").await;
    let answer = served.send("POST", &format!("/authorizations/{id}/void"), "{}").await;
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");

    for (method, path, body, status) in [
        ("POST", "/reservations", "{", "400"),
        ("POST", "/reservations/no-uuid/release", "{}", "400"),
        ("PUT", "/faults/explode", "{}", "400"),
        ("PUT", "/faults/void", r#"{"refuse":2}"#, "400"),
        ("GET", "/reservations/00000000-0000-0000-0000-0000000000ff", "", "404"),
        ("POST", "/reservations", &"x".repeat(100_000), "413"),
    ] {
        let answer = served.send(method, path, body).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{method} {path}: {answer}");
    }
    let answer =
        served.raw("POST /authorizations HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    assert!(answer.await.contains("idempotency_key_missing"));
}
