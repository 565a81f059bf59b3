//! The layers around tonic's client and server, without generated code: a channel behind a policy,
//! a server that takes its deadline from `grpc-timeout`.
#![cfg(all(feature = "tower", feature = "http"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::{Buf, BufMut};
use http::uri::PathAndQuery;
use steadfast_resilience::deadline::{self, Context, Outgoing};
use steadfast_resilience::policy::{self, Options, Policy};
use steadfast_resilience::retry::{NoneMarked, grpc};
use steadfast_resilience::timeout::Attempt;
use steadfast_resilience::{Class, Error, breaker, retry, timeout};
use steadfast_time::Clock;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};
use tower::{Layer, ServiceBuilder, service_fn};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Messages that are text.
#[derive(Clone, Copy, Default)]
struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let mut text = vec![0; from.remaining()];
        from.copy_to_slice(&mut text);
        String::from_utf8(text).map(Some).map_err(|_| Status::internal("no text"))
    }
}

#[derive(Default)]
struct Stock {
    calls: AtomicU32,
    /// So many calls fail from now on.
    failing: AtomicU32,
}

/// Answers with what it was asked and how many milliseconds it has left.
async fn reserve(stock: Arc<Stock>, clock: Clock, ask: String) -> Result<Response<String>, Status> {
    stock.calls.fetch_add(1, Ordering::Relaxed);
    let fails = |failing: u32| failing.checked_sub(1);
    if stock.failing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fails).is_ok() {
        return Err(Status::unavailable("away"));
    }
    if ask == "too many" {
        return Err(Status::failed_precondition("out of stock"));
    }
    let left = Context::current().deadline.map(|deadline| deadline.left(clock.monotonic()));
    Ok(Response::new(format!("{ask}: {}", left.unwrap_or_default().as_millis())))
}

struct Reserve(Arc<Stock>, Clock);

impl tonic::server::UnaryService<String> for Reserve {
    type Response = String;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, Status>> + Send>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        Box::pin(reserve(Arc::clone(&self.0), self.1.clone(), request.into_inner()))
    }
}

async fn server(stock: Arc<Stock>, clock: Clock) -> SocketAddr {
    let lengths = deadline::Options { absent: None, ..deadline::Options::default() };
    let layer = deadline::Layer::new(lengths, clock.clone()).unwrap();
    let service =
        layer.layer(service_fn(move |request: http::Request<Body>| {
            let reserve = Reserve(Arc::clone(&stock), clock.clone());
            async move {
                Ok::<_, Infallible>(tonic::server::Grpc::new(Text).unary(reserve, request).await)
            }
        }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = TcpIncoming::from(listener);
    tokio::spawn(Server::builder().serve_with_incoming(service, incoming));
    address
}

/// What an answer says in its headers; an error of a unary call has no body, only them.
fn judge<E>(outcome: &Result<http::Response<Body>, E>) -> Class {
    let code = |answer: &http::Response<Body>| {
        let code = answer.headers().get("grpc-status")?.to_str().ok()?;
        code.parse().ok()
    };
    match outcome {
        Ok(answer) => grpc::class(code(answer).unwrap_or(0)),
        Err(_) => Class::TRANSIENT,
    }
}

fn options() -> Options {
    let attempt = Attempt::Fixed(ms(500));
    let backoff = retry::Backoff { base: ms(1), factor: 2.0, cap: ms(4) };
    Options {
        timeout: Some(timeout::Options { attempt, overall: None }),
        retry: Some(retry::Options { backoff, ..retry::Options::default() }),
        breaker: Some(breaker::Options { minimum_calls: 5, ..breaker::Options::default() }),
        ..Options::default()
    }
}

fn channel(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy()
}

const RESERVE: PathAndQuery = PathAndQuery::from_static("/stock.Stock/Reserve");

/// The channel behind the policy: deadline on the wire, timeout, breaker. A body that streams
/// cannot be sent twice, so nothing is retried here.
#[tokio::test]
async fn a_channel_stands_behind_a_policy() {
    let (clock, stock) = (Clock::system(), Arc::new(Stock::default()));
    let address = server(Arc::clone(&stock), clock.clone()).await;
    let policy = Policy::builder("stock").options(options()).build(clock.clone()).unwrap();
    let guarded = ServiceBuilder::new()
        .layer(policy::Layer::new(policy, NoneMarked, judge))
        .layer(Outgoing::grpc(clock))
        .service(channel(address));
    let mut stock_client = Grpc::new(guarded);
    let mut ask = async |what: &str| {
        stock_client.ready().await.unwrap();
        stock_client.unary(Request::new(what.to_owned()), RESERVE, Text).await
    };

    let answer = ask("two").await.unwrap().into_inner();
    let left: u64 = answer.strip_prefix("two: ").unwrap().parse().unwrap();
    assert!((100..=500).contains(&left), "{left}");

    // A business refusal is an answer, and says nothing against the other side.
    for _ in 0..20 {
        let refused = ask("too many").await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    }
    stock.failing.store(100, Ordering::Relaxed);
    let mut failed = 0;
    let refused = loop {
        let status = ask("two").await.unwrap_err();
        if status.code() != tonic::Code::Unavailable {
            break status;
        }
        failed += 1;
        assert!(failed < 100, "it never opens");
    };
    // Half of all calls have failed; and tonic keeps the policy's own error.
    assert_eq!(failed, 21);
    let sent = stock.calls.load(Ordering::Relaxed);
    assert_eq!(sent, 42);
    let source = std::error::Error::source(&refused).unwrap();
    let error: &Error<tonic::transport::Error> = source.downcast_ref().unwrap();
    assert_eq!(error.policy(), Some("breaker"));
}

/// The policy around the client: a message can be sent twice, so what may be repeated is.
#[tokio::test]
async fn a_policy_stands_around_a_client() {
    let (clock, stock) = (Clock::system(), Arc::new(Stock::default()));
    let address = server(Arc::clone(&stock), clock.clone()).await;
    let policy = Policy::builder("stock").options(options()).build(clock.clone()).unwrap();
    let client = Grpc::new(Outgoing::grpc(clock).layer(channel(address)));
    let reserve = |_| {
        let mut client = client.clone();
        async move {
            client.ready().await.map_err(|error| Status::from_error(error.into()))?;
            client.unary(Request::new("two".to_owned()), RESERVE, Text).await
        }
    };
    let judge = |outcome: &Result<_, Status>| {
        grpc::class(outcome.as_ref().err().map_or(0, |status| status.code() as i32))
    };
    stock.failing.store(2, Ordering::Relaxed);
    let answer = policy.request().key("order-1").classify(judge).call(reserve).await.unwrap();
    assert!(answer.into_inner().starts_with("two: "));
    assert_eq!(stock.calls.load(Ordering::Relaxed), 3);
}
