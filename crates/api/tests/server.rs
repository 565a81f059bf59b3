//! A listener among hostile clients.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod support;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::{get, post};
use bytes::Bytes;
use futures::{StreamExt, stream};
use steadfast_api::Server;
use steadfast_api::server::{Access, Error, Options, Token};
use steadfast_time::Clock;
use support::{BENTO, JSON, Reply, Running, World, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

async fn ended(stream: &mut tokio::net::TcpStream) -> Vec<u8> {
    within(10, async {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        bytes
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_told_so_and_the_others_go_on() {
    let server = Running::over(hello(), |options| options.connections_max = 3).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = server.connect().await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").await.unwrap();
        let mut buffer = [0; 512];
        let read = within(5, stream.read(&mut buffer)).await.unwrap();
        assert!(buffer[..read].starts_with(b"HTTP/1.1 200"));
        held.push(stream);
    }
    let refused = server.get("/").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    // Those inside do not notice.
    let mut first = held.pop().unwrap();
    first.write_all(&support::request("GET /", &[], b"")).await.unwrap();
    assert_eq!(Reply::read_to_end(&mut first).await.status, 200);
    // And the place that became free is taken again.
    within(10, async {
        while server.get("/").await.status != 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_connections_leaves_it_unharmed() {
    let server = Running::over(hello(), |options| options.connections_max = 100).await;
    let mut flood = Vec::new();
    for _ in 0..400 {
        if let Ok(stream) = tokio::net::TcpStream::connect(server.address).await {
            flood.push(stream);
        }
    }
    drop(flood);
    within(10, async {
        while server.get("/").await.status != 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_trickles_in_is_cut_off() {
    let short = Duration::from_millis(100);
    let server = Running::over(hello(), |options| options.head_timeout = short).await;
    let mut stream = server.connect().await;
    let trickle = async {
        for byte in b"GET / HTTP/1.1\r\nHost: test\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".iter()
        {
            if stream.write_all(&[*byte]).await.is_err() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        ended(&mut stream).await.is_empty()
    };
    assert!(within(10, trickle).await);
    assert_eq!(server.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_trickles_in_is_cut_off() {
    let world = World::new();
    let short = Duration::from_millis(100);
    let server = Running::over(world.router(), |options| options.body_timeout = short).await;
    let mut stream = server.connect().await;
    let whole = support::request("POST /orders", &[JSON, "Idempotency-Key: k"], BENTO.as_bytes());
    stream.write_all(&whole[..whole.len() - 10]).await.unwrap();
    let reply = Reply::parse(&ended(&mut stream).await);
    assert_eq!((reply.status, reply.code().as_str()), (408, "request_timeout"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_end_is_refused() {
    let server = Running::over(hello(), |_| ()).await;
    let long = format!("X-Long: {}", "a".repeat(100_000));
    let reply = server.send("GET /", &[&long], b"").await;
    assert_eq!(reply.status, 431);
    assert_eq!(
        server.exchange(b"\x16\x03\x01\x02\x00\x01 this is no HTTP\r\n\r\n").await.status,
        400
    );
    assert_eq!(server.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_does_not_read_is_cut_off() {
    let endless = async || {
        let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
        Body::from_stream(stream::repeat(chunk).map(Ok::<_, std::convert::Infallible>))
    };
    let router = Router::new().route("/endless", get(endless));
    let short = Duration::from_millis(200);
    let server = Running::over(router, |options| {
        options.write_timeout = short;
        options.connections_max = 1;
    })
    .await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: t\r\n\r\n").await.unwrap();
    // While it holds the only place, nobody else comes in; then it is cut.
    within(10, async {
        while server.get("/").await.status != 404 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_one_request() {
    async fn panics(_: Request) -> &'static str {
        panic!("on purpose")
    }
    let server = Running::over(hello().route("/panic", post(panics)), |_| ()).await;
    let reply = server.post("/panic", "{}").await;
    assert_eq!((reply.status, reply.code().as_str()), (500, "internal"));
    assert_eq!(server.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_finishes_what_is_at_work() {
    let (started, mut at_work) = tokio::sync::mpsc::channel(1);
    let slow = async move || {
        started.send(()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        "done"
    };
    let server = Running::over(hello().route("/slow", get(slow)), |_| ()).await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").await.unwrap();
    let mut buffer = [0; 512];
    assert_ne!(within(5, idle.read(&mut buffer)).await.unwrap(), 0);
    let mut busy = server.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: t\r\n\r\n").await.unwrap();
    within(5, at_work.recv()).await.unwrap();
    let address = server.address;
    assert_eq!(within(5, server.drain()).await.cut, 0);
    assert_eq!(Reply::parse(&ended(&mut busy).await).body, b"done");
    assert_eq!(ended(&mut idle).await, b"");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_has_a_bound() {
    let forever = async || std::future::pending::<&'static str>().await;
    let router = Router::new().route("/forever", get(forever));
    let short = Duration::from_millis(100);
    let server = Running::over(router, |options| options.drain_timeout = short).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /forever HTTP/1.1\r\nHost: t\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(within(5, server.drain()).await.cut, 1);
}

#[tokio::test]
async fn others_come_in_only_with_a_token_or_an_explicit_word() {
    let everywhere = Options::new("test", ([0, 0, 0, 0], 0).into());
    let refused = Server::bind(everywhere.clone(), Clock::system()).await.unwrap_err();
    assert!(matches!(refused, Error::Exposed { name: "test", .. }), "{refused}");
    let token = Token::new("correct-horse-battery").unwrap();
    for access in [Access::Anyone, Access::Bearer(token)] {
        let options = Options { access, ..everywhere.clone() };
        Server::bind(options, Clock::system()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_asked_for_on_every_request() {
    let world = World::new();
    let token = Token::new("correct-horse-battery").unwrap();
    let access = Access::Bearer(token);
    let server = Running::over(world.router(), |options| options.access = access).await;
    for path in ["/zones", "/openapi.json", "/nowhere"] {
        let reply = server.get(path).await;
        assert_eq!((reply.status, reply.code().as_str()), (401, "unauthorized"), "{path}");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    }
    let good = ["Authorization: Bearer correct-horse-battery"];
    server.send("GET /zones", &good, b"").await.ok();
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let server = Server::bind(Options::new("a", ([127, 0, 0, 1], 0).into()), Clock::system());
    let address = server.await.unwrap().address();
    let held = tokio::net::TcpListener::bind(address).await.unwrap();
    let error = Server::bind(Options::new("b", address), Clock::system()).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("the b listener cannot listen on {address}")));
    drop(held);
}
