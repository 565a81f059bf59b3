//! Connections to a real server on the loopback.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use steadfast_time::Clock;
use tokio::net::TcpListener;

use super::*;
use crate::bulkhead::connections::{Connector, refusal};
use crate::bulkhead::{Bulkhead, Options, Reason};

/// Counts its open connections, and answers after 20 ms.
#[derive(Default)]
struct Server {
    open: AtomicU32,
    most: AtomicU32,
}

impl Server {
    async fn start(self: Arc<Self>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let clock = Clock::system();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (server, clock) = (Arc::clone(&self), clock.clone());
                let open = server.open.fetch_add(1, Ordering::SeqCst) + 1;
                server.most.fetch_max(open, Ordering::SeqCst);
                tokio::spawn(async move {
                    let answer = service_fn(|_: Request<Incoming>| async {
                        clock.sleep(ms(20)).await;
                        Ok::<_, Infallible>(Response::new("done".to_owned()))
                    });
                    let served = http1::Builder::new();
                    let _ = served.serve_connection(TokioIo::new(stream), answer).await;
                    server.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        address
    }
}

type Outcome = Result<u16, hyper_util::client::legacy::Error>;

async fn ask<C>(client: Client<C, String>, address: SocketAddr, times: usize) -> Vec<Outcome>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let uri: Uri = format!("http://{address}/").parse().unwrap();
    let requests = (0..times).map(|_| client.get(uri.clone()));
    let answers = futures::future::join_all(requests).await;
    answers.into_iter().map(|it| Ok(it?.status().as_u16())).collect()
}

fn connections(limit: u32, queue: u32, wait: u64) -> Arc<Bulkhead> {
    let options = Options { limit, queue, wait: ms(wait) };
    Arc::new(Bulkhead::new(&options, Clock::system()).unwrap())
}

#[tokio::test]
async fn a_client_opens_no_more_connections_than_it_may() {
    let server = Arc::new(Server::default());
    let address = Arc::clone(&server).start().await;
    let bulkhead = connections(2, 20, 5_000);
    let connector = Connector::new(HttpConnector::new(), Arc::clone(&bulkhead));
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let answers = ask(client.clone(), address, 12).await;
    assert!(answers.iter().all(|it| it.as_ref().is_ok_and(|it| *it == 200)), "{answers:?}");
    assert_eq!(server.most.load(Ordering::SeqCst), 2);
    assert_eq!(bulkhead.in_use(), 2, "idle ones count");
    // The twin: as many as there are requests.
    let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    assert_eq!(ask(client, address, 12).await.len(), 12);
    assert!(server.most.load(Ordering::SeqCst) > 10);
}

#[tokio::test]
async fn a_connection_gives_its_place_back_when_it_is_closed_or_not_opened() {
    let server = Arc::new(Server::default());
    let address = Arc::clone(&server).start().await;
    let bulkhead = connections(1, 0, 0);
    let connector = Connector::new(HttpConnector::new(), Arc::clone(&bulkhead));
    let mut builder = Client::builder(TokioExecutor::new());
    let client: Client<_, String> = builder.pool_max_idle_per_host(0).build(connector);
    // Nobody listens there.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert!(ask(client.clone(), closed, 1).await[0].is_err());
    assert_eq!(bulkhead.in_use(), 0);
    for _ in 0..3 {
        let uri: Uri = format!("http://{address}/").parse().unwrap();
        assert_eq!(client.get(uri).await.unwrap().status(), 200);
        while bulkhead.in_use() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_request_without_a_connection_says_why() {
    let server = Arc::new(Server::default());
    let address = Arc::clone(&server).start().await;
    let bulkhead = connections(1, 0, 0);
    let connector = Connector::new(HttpConnector::new(), Arc::clone(&bulkhead));
    let client: Client<_, String> = Client::builder(TokioExecutor::new()).build(connector);
    let _held = bulkhead.try_acquire().unwrap();
    let error = ask(client, address, 1).await.remove(0).unwrap_err();
    assert_eq!(refusal(&error).map(|it| it.reason), Some(Reason::QueueFull), "{error:?}");
}
