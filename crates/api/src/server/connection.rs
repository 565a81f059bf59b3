//! One connection, from being accepted to its end.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use steadfast_time::Clock;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::Options;
use super::stall::Stalling;
use super::timed::Timed;
use crate::limits::HEAD_BYTES_MAX;
use crate::problem::{Code, Problem};

/// What all connections of a listener share.
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) clock: Clock,
    pub(super) router: Router,
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response, Infallible> {
        if !self.options.access.admits(request.headers()) {
            let problem = Problem::new(Code::Unauthorized, "the bearer token is missing or wrong");
            return Ok(problem.into_response());
        }
        let (clock, limit) = (&self.clock, self.options.body_timeout);
        let request = request.map(|body| Body::new(Timed::new(body, clock.clone(), limit)));
        let answer = tower_call(self.router.clone(), request);
        // A panic is a defect; it ends the request that met it and nothing else.
        match AssertUnwindSafe(answer).catch_unwind().await {
            Ok(response) => Ok(response),
            Err(_) => {
                tracing::error!("a handler panicked");
                let detail = "the server could not finish this";
                Ok(Problem::new(Code::Internal, detail).into_response())
            }
        }
    }
}

async fn tower_call(router: Router, request: Request<Body>) -> Response {
    let service = hyper_util::service::TowerToHyperService::new(router);
    match service.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// Serves a connection until it ends, or until `stopped` says to end it after the request at
/// work.
pub(super) async fn serve(
    shared: Arc<Shared>,
    stream: TcpStream,
    mut stopped: watch::Receiver<bool>,
) {
    // Answers are small and whole; waiting for more of them to share a packet only delays.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY is not available");
    }
    let stream = Stalling::new(stream, shared.clock.clone(), shared.options.write_timeout);
    let service = service_fn(|request| shared.answer(request));
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(shared.options.head_timeout)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    let stopped = async {
        // An error means that the listener is gone, which comes to the same.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = stopped => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // Clients vanish, trickle and talk nonsense all day: of interest only when looking for it.
    if let Err(error) = ended {
        tracing::debug!(listener = shared.options.name, %error, "a connection broke off");
    }
}
