//! A plain hyper client, protected in thirty lines: deadline, retries from a budget, breaker,
//! timeout, and every decision explained. The server beside it fails every fourth request, and
//! after a while all of them.
//!
//! ```sh
//! cargo run -p steadfast-resilience --example protect_hyper --features hyper
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::{Router, http::StatusCode, routing::get};
use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use steadfast_resilience::event::Event;
use steadfast_resilience::policy::{self, Policy};
use steadfast_resilience::retry::{ByMethod, status::ByStatus};
use steadfast_resilience::{Class, deadline::Outgoing};
use steadfast_time::Clock;
use tower::{ServiceBuilder, ServiceExt};

// begin
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let server = flaky_server().await?;
    let clock = Clock::system();

    let policy = Policy::builder("stock")
        .listener(Arc::new(|event: &Event<'_>| println!("  {event}")))
        .build(clock.clone())?;
    let judge = ByStatus::new(clock.clone(), |_: &legacy::Error| Class::TRANSIENT);
    let client = ServiceBuilder::new()
        .layer(policy::Layer::new(policy.clone(), ByMethod, judge))
        .layer(Outgoing::new(clock))
        .service(Client::builder(TokioExecutor::new()).build_http());

    for request in 1..=30 {
        let get = Request::get(format!("http://{server}/")).body(Empty::<Bytes>::new())?;
        match client.clone().oneshot(get).await {
            Ok(answer) => println!("{request}: {}", answer.status()),
            Err(error) => println!("{request}: {error}"),
        }
    }
    println!("{:#?}", policy.counters());
    Ok(())
}
// end

/// Every fourth request fails; from the 25th on all of them.
async fn flaky_server() -> Result<SocketAddr, std::io::Error> {
    let requests = Arc::new(AtomicU32::new(0));
    let answer = async move || match requests.fetch_add(1, Ordering::Relaxed) + 1 {
        nth if nth >= 25 || nth % 4 == 0 => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    let routes = Router::new().route("/", get(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(address)
}
