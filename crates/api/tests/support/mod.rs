//! A running listener over real services on the memory engine, and a client that sends exactly
//! the bytes it is told to.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]
#![allow(dead_code, reason = "each test file uses its part of this")]

pub mod city;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use serde_json::Value;
use steadfast_api::server::{Drained, Options as ServerOptions};
use steadfast_api::{Api, Lifecycle, Options, Server, router};
use steadfast_dispatch::names::OrderId;
use steadfast_dispatch::order::OrderEvent;
use steadfast_dispatch::service::{Options as ServiceOptions, Services};
use steadfast_journal::{Append, Expected, Journal, Write, WriterThread, memory};
use steadfast_time::{Clock, Ids};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// The minimal body of the documentation.
pub const BENTO: &str = r#"{"merchant":"r1","pickup":{"x":22135,"y":16867},"dropoff":{"x":22226,"y":13960},"items":[{"sku":"bento","quantity":2}],"amount":{"currency":"KRW","minor":18000}}"#;

/// Services over a journal in memory. Nothing happens to an order by itself.
pub struct World {
    pub journal: Journal,
    pub services: Services,
    pub clock: Clock,
    pub lifecycle: Lifecycle,
    writer: WriterThread,
}

impl World {
    pub fn new() -> Self {
        Self::with(ServiceOptions::default())
    }

    pub fn with(options: ServiceOptions) -> Self {
        let clock = Clock::system();
        let (journal, writer) = Journal::new(memory::Engine::new(), clock.clone());
        let writer = writer.spawn("journal").unwrap();
        let services = Services::new(journal.clone(), clock.clone(), Ids::from_entropy(), options);
        let lifecycle = Lifecycle::default();
        lifecycle.ready();
        Self { journal, services, clock, lifecycle, writer }
    }

    /// Its public routes.
    pub fn router(&self) -> Router {
        self.router_with(Options::default())
    }

    pub fn router_with(&self, options: Options) -> Router {
        let lifecycle = self.lifecycle.clone();
        router(Api::new(self.services.clone(), self.clock.clone(), lifecycle, options))
    }

    /// Makes something happen to an order, as the sagas would.
    pub async fn happen(&self, order: &str, event: impl Into<OrderEvent>) {
        let order: OrderId = order.parse().unwrap();
        let mut write = Write::at(self.clock.now());
        let events = vec![event.into().to_new().unwrap()];
        let expected = Expected::Any;
        write.appends.push(Append { stream: order.stream(), expected, events });
        self.journal.commit(write).await.unwrap();
    }
}

/// A listener at work.
pub struct Running {
    pub address: SocketAddr,
    pub lifecycle: Lifecycle,
    task: JoinHandle<Drained>,
}

impl Running {
    pub async fn over(router: Router, change: impl FnOnce(&mut ServerOptions)) -> Self {
        let mut options = ServerOptions::new("test", ([127, 0, 0, 1], 0).into());
        change(&mut options);
        let server = Server::bind(options, Clock::system()).await.unwrap();
        let address = server.address();
        let lifecycle = Lifecycle::default();
        let task = tokio::spawn(server.run(router, lifecycle.draining()));
        Self { address, lifecycle, task }
    }

    pub async fn of(world: &World) -> Self {
        Self::over(world.router(), |_| ()).await
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes on a connection of their own and reads all that comes back.
    pub async fn exchange(&self, bytes: &[u8]) -> Reply {
        let mut stream = self.connect().await;
        // A server that has heard enough closes; what it said before is still to be read.
        let _ = stream.write_all(bytes).await;
        Reply::read_to_end(&mut stream).await
    }

    /// A request with headers and a body, in the usual form.
    pub async fn send(&self, line: &str, headers: &[&str], body: &[u8]) -> Reply {
        self.exchange(&request(line, headers, body)).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(&format!("GET {path}"), &[], b"").await
    }

    pub async fn post(&self, path: &str, body: &str) -> Reply {
        self.send(&format!("POST {path}"), &[JSON], body.as_bytes()).await
    }

    /// Places an order under a key.
    pub async fn place(&self, key: &str, body: &str) -> Reply {
        let key = format!("Idempotency-Key: {key}");
        self.send("POST /orders", &[JSON, &key], body.as_bytes()).await
    }

    pub async fn drain(self) -> Drained {
        self.lifecycle.drain();
        self.task.await.unwrap()
    }
}

pub const JSON: &str = "Content-Type: application/json";

/// The bytes of a request on a connection that ends with it.
pub fn request(line: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{line} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n").into_bytes();
    for header in headers {
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    if !body.is_empty() {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub async fn read_to_end(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        let read = within(10, stream.read_to_end(&mut bytes)).await;
        assert!(read.is_ok() || !bytes.is_empty(), "no answer: {read:?}");
        Self::parse(&bytes)
    }

    pub fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head in {:?}", String::from_utf8_lossy(bytes)));
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Self { status, headers, body: bytes[end + 4..].to_vec() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The code of a problem; fails when it is not a proper one.
    #[track_caller]
    pub fn code(&self) -> String {
        let json = self.json();
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{json}");
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(json["status"], self.status);
        let code = json["code"].as_str().unwrap();
        assert_eq!(json["type"], format!("/errors#{code}"));
        assert!(!json["title"].as_str().unwrap().is_empty());
        code.to_owned()
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.status < 300, "{} {}", self.status, String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        self
    }
}

/// Fails rather than hangs.
pub async fn within<F: Future>(seconds: u64, work: F) -> F::Output {
    let done = tokio::time::timeout(Duration::from_secs(seconds), work).await;
    done.unwrap_or_else(|_| panic!("not done within {seconds} s"))
}
