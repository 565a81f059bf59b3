//! Writes what is left of a deadline to the requests of a client.

use std::task::{Context as Wakeup, Poll};

use http::Request;
use http::header::HeaderMap;
use steadfast_time::Clock;
use tower_service::Service as TowerService;

use super::{Context, wire};
use crate::limits::DEADLINE_MAX;

/// Which header is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Spelling {
    /// [`wire::TIMEOUT_MS`].
    #[default]
    Envoy,
    /// [`wire::GRPC_TIMEOUT`].
    Grpc,
}

/// Tells whoever is called how long somebody waits: what is left of the deadline in the
/// [`Context`] in which the call is made. Without a deadline nothing is written.
///
/// Put it *inside* [`policy::Layer`](crate::policy::Layer), directly around the client: then each
/// attempt carries what *it* has left, and a retry says less than the attempt before. A header that
/// the request has already stays if it names less.
#[derive(Clone, Debug)]
pub struct Outgoing {
    clock: Clock,
    spelling: Spelling,
}

impl Outgoing {
    /// In Envoy's header, whole milliseconds.
    #[must_use]
    pub const fn new(clock: Clock) -> Self {
        Self { clock, spelling: Spelling::Envoy }
    }

    /// In gRPC's header, microseconds and up.
    #[must_use]
    pub const fn grpc(clock: Clock) -> Self {
        Self { clock, spelling: Spelling::Grpc }
    }

    fn write(&self, headers: &mut HeaderMap) {
        let Some(deadline) = Context::current().deadline else { return };
        let now = self.clock.monotonic();
        // What makes no sense to us would make none to the other side.
        let named = wire::read(headers, now, DEADLINE_MAX).ok().flatten();
        if named.is_some_and(|named| named <= deadline) {
            return;
        }
        headers.remove(&wire::TIMEOUT_MS);
        headers.remove(&wire::GRPC_TIMEOUT);
        match self.spelling {
            Spelling::Envoy => wire::write(headers, deadline.left(now)),
            Spelling::Grpc => wire::write_grpc(headers, deadline.left(now)),
        }
    }
}

impl<S> tower_layer::Layer<S> for Outgoing {
    type Service = Writing<S>;

    fn layer(&self, inner: S) -> Writing<S> {
        Writing { inner, outgoing: self.clone() }
    }
}

/// A client that says how long somebody waits.
#[derive(Clone, Debug)]
pub struct Writing<S> {
    inner: S,
    outgoing: Outgoing,
}

impl<S, B> TowerService<Request<B>> for Writing<S>
where
    S: TowerService<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, wakeup: &mut Wakeup<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(wakeup)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        self.outgoing.write(request.headers_mut());
        self.inner.call(request)
    }
}
