//! The user's own stock and payment services, by URL.
//!
//! A network adds one thing to a call: the doubt whether it happened. This engine resolves as
//! much of it as can be known. As long as no byte of a request has left the process, it did not
//! happen; after that, only an answer that is understood says anything, and everything else is
//! [`Failure::Unknown`]. It never repeats a call by itself: that is the caller's decision, with
//! the caller's budget. The contract that a service has to keep is in `docs/providers.md`.
//!
//! # Limits
//! HTTP/1.1. The connector given by [`Provider::connect`] speaks no TLS; hand one that does to
//! [`Provider::with_connector`]. Redirects are not followed. At most [`Options::connections`]
//! calls at once, and as many connections, idle ones included; the next call waits for its turn
//! until its deadline. The turns are what calls queue for: a client library that has to wait for a
//! connection goes on trying to open one after somebody else's has become free.

mod answer;
mod body;
mod options;

use std::error::Error as StdError;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use http_body_util::{BodyExt, Limited};
use hyper::rt::Executor;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use steadfast_dispatch::names::OrderId;
use steadfast_dispatch::order::{Item, Money};
use steadfast_dispatch::provider::{Answer, Call, Failure, Payment, Stock};
use steadfast_resilience::bulkhead::connections::Connector;
use steadfast_resilience::bulkhead::{self, Bulkhead};
use steadfast_resilience::deadline::{Deadline, wire as deadline};
use steadfast_time::Clock;

use self::answer::Reply;
use self::body::{Request, Sent};
use self::options::Checked;
pub use self::options::{Options, OptionsError};
use crate::Operation;
use crate::deadline::left;
use crate::limits::{
    CALLS_WAITING_MAX, CONNECTION_IDLE, CONNECTION_WAIT_MAX, KEY_BYTES_MAX, RESPONSE_BYTES_MAX,
    TURN_WAIT_MAX,
};
use crate::sandbox::code;
use crate::wire;
pub use steadfast_dispatch::provider::PROVIDER_REJECTED;

/// The executor's unit of work: a connection that is driven until it closes.
pub type Task = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// A service at a URL. Speaks both ports; most services understand one. Clones share the
/// connections.
#[derive(Clone, Debug)]
pub struct Provider<C = HttpConnector> {
    inner: Arc<Inner<C>>,
}

#[derive(Debug)]
struct Inner<C> {
    client: Client<Connector<C>, Request>,
    scheme: Scheme,
    authority: http::uri::Authority,
    path: String,
    authorization: Option<HeaderValue>,
    turns: Bulkhead,
    clock: Clock,
}

impl Provider<HttpConnector> {
    /// A service over TCP. Connects when first called. Needs a tokio runtime.
    ///
    /// # Errors
    /// The options make no sense.
    pub fn connect(options: &Options, clock: Clock) -> Result<Self, OptionsError> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(options.connect_timeout));
        connector.set_nodelay(true);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new());
        Self::build(options, clock, connector, builder, &[Scheme::HTTP])
    }
}

impl<C> Provider<C>
where
    Connector<C>: Connect + Clone + Send + Sync + 'static,
{
    /// A service over any connector (TLS, a socket file, a simulated network), with connections
    /// driven by any executor. A connector for `https` addresses must do the TLS itself.
    ///
    /// # Errors
    /// The options make no sense.
    pub fn with_connector(
        options: &Options,
        clock: Clock,
        connector: C,
        executor: impl Executor<Task> + Clone + Send + Sync + 'static,
    ) -> Result<Self, OptionsError> {
        let builder = Client::builder(executor);
        Self::build(options, clock, connector, builder, &[Scheme::HTTP, Scheme::HTTPS])
    }

    fn build(
        options: &Options,
        clock: Clock,
        connector: C,
        mut builder: Builder,
        schemes: &[Scheme],
    ) -> Result<Self, OptionsError> {
        let Checked { scheme, authority, path, authorization } = options.check(schemes)?;
        let too_many = OptionsError::Connections(options.connections);
        let limit = u32::try_from(options.connections).map_err(|_| too_many.clone())?;
        let places = |wait| {
            let places = bulkhead::Options { limit, queue: CALLS_WAITING_MAX, wait };
            Bulkhead::new(&places, clock.clone()).map_err(|_| too_many.clone())
        };
        let connections = Arc::new(places(CONNECTION_WAIT_MAX)?);
        let client = builder
            .pool_max_idle_per_host(options.connections)
            .pool_idle_timeout(CONNECTION_IDLE)
            .build(Connector::new(connector, connections));
        let turns = places(TURN_WAIT_MAX)?;
        let inner = Inner { client, scheme, authority, path, authorization, turns, clock };
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl<C> Inner<C>
where
    Connector<C>: Connect + Clone + Send + Sync + 'static,
{
    /// Makes a call and says what came of it.
    async fn call(
        &self,
        operation: Operation,
        call: &Call,
        path: String,
        body: impl Serialize,
    ) -> Result<Bytes, Failure> {
        let key = key(call)?;
        // Kept until the answer is read: until then the connection is taken.
        let turn = self.turns.acquire(Some(Deadline::at(call.deadline))).await;
        let _turn = turn.map_err(|full| Failure::unavailable(format!("{operation}: {full}")))?;
        let Some(left) = left(&self.clock, call) else {
            let reason = format!("{operation}: the deadline had passed before it was sent");
            return Err(Failure::unavailable(reason));
        };
        let sent = Sent::default();
        let exchange = self.exchange(call, key, path, body, sent.clone());
        match self.clock.timeout(left, exchange).await {
            Ok(Ok(reply)) => {
                let answer = reply.read(operation)?;
                if self.clock.monotonic() > call.deadline {
                    let reason = format!("{operation}: the answer came after {left:?}");
                    return Err(Failure::Unknown { reason });
                }
                Ok(answer)
            }
            Ok(Err(problem)) => Err(sent.failure(format!("{operation}: {problem}"))),
            Err(_) => Err(sent.failure(format!("{operation}: no answer within {left:?}"))),
        }
    }

    /// Sends a request and reads the whole answer. Errors are words; [`Sent`] knows their meaning.
    async fn exchange(
        &self,
        call: &Call,
        key: HeaderValue,
        path: String,
        body: impl Serialize,
        sent: Sent,
    ) -> Result<Reply, String> {
        let body = serde_json::to_vec(&body).map_err(|error| error.to_string())?;
        let mut request = http::Request::new(Request::new(body, sent));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri(path)?;
        *request.headers_mut() = self.headers(call, key);
        let response = self.client.request(request).await.map_err(|error| words(&error))?;
        let (head, body) = response.into_parts();
        let http::response::Parts { status, headers, .. } = head;
        let at = self.clock.now();
        let body = Limited::new(body, RESPONSE_BYTES_MAX).collect().await;
        let body = body.map_err(|error| format!("{status}, then {}", words(error.as_ref())))?;
        Ok(Reply { status, headers, body: body.to_bytes(), at })
    }

    fn uri(&self, path: String) -> Result<Uri, String> {
        let path = PathAndQuery::from_maybe_shared(format!("{}{path}", self.path));
        let builder = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        builder
            .path_and_query(path.map_err(|error| error.to_string())?)
            .build()
            .map_err(|error| error.to_string())
    }

    fn headers(&self, call: &Call, key: HeaderValue) -> HeaderMap {
        let left = call.deadline - self.clock.monotonic();
        let mut headers = HeaderMap::with_capacity(6);
        headers.insert(wire::IDEMPOTENCY_KEY, key);
        deadline::write(&mut headers, left);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        const AGENT: &str = concat!("steadfast/", env!("CARGO_PKG_VERSION"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        headers
    }
}

/// The key as a header. One that does not fit never will, so it is no use to try again.
fn key(call: &Call) -> Result<HeaderValue, Failure> {
    let fits = (1..=KEY_BYTES_MAX).contains(&call.key.len()) && call.key.is_ascii();
    HeaderValue::try_from(&call.key).ok().filter(|_| fits).ok_or_else(|| Failure::Refused {
        code: code::INVALID_REQUEST.to_owned(),
        reason: format!("an idempotency key has 1 to {KEY_BYTES_MAX} visible ASCII characters"),
    })
}

/// An error with its causes, which is where the useful part is.
fn words(error: &(dyn StdError + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

/// Reads the body of a success. One that cannot be understood says nothing.
fn named<T: DeserializeOwned>(operation: Operation, body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::Unknown {
        reason: format!("{operation}: a success that cannot be understood: {error}"),
    })
}

/// The body of a request that has nothing to say but its path.
#[derive(Serialize)]
struct Nothing {}

impl<C> Stock for Provider<C>
where
    C: Send + Sync + 'static,
    Connector<C>: Connect + Clone + Send + Sync + 'static,
{
    fn reserve<'a>(
        &'a self,
        call: &'a Call,
        order: OrderId,
        items: &'a [Item],
    ) -> Answer<'a, String> {
        Box::pin(async move {
            let body = wire::Reserve { order, items: items.into() };
            let path = "/reservations".to_owned();
            let body = self.inner.call(Operation::Reserve, call, path, body).await?;
            named(Operation::Reserve, &body).map(|wire::Reserved { reservation }| reservation)
        })
    }

    fn release<'a>(&'a self, call: &'a Call, order: OrderId) -> Answer<'a, ()> {
        Box::pin(async move {
            let path = format!("/reservations/{order}/release");
            self.inner.call(Operation::Release, call, path, Nothing {}).await.map(drop)
        })
    }
}

impl<C> Payment for Provider<C>
where
    C: Send + Sync + 'static,
    Connector<C>: Connect + Clone + Send + Sync + 'static,
{
    fn authorize<'a>(
        &'a self,
        call: &'a Call,
        order: OrderId,
        amount: &'a Money,
    ) -> Answer<'a, String> {
        Box::pin(async move {
            let body = wire::Authorize { order, amount: std::borrow::Cow::Borrowed(amount) };
            let path = "/authorizations".to_owned();
            let body = self.inner.call(Operation::Authorize, call, path, body).await?;
            named(Operation::Authorize, &body)
                .map(|wire::Authorized { authorization }| authorization)
        })
    }

    fn capture<'a>(&'a self, call: &'a Call, order: OrderId) -> Answer<'a, String> {
        Box::pin(async move {
            let path = format!("/authorizations/{order}/capture");
            let body = self.inner.call(Operation::Capture, call, path, Nothing {}).await?;
            named(Operation::Capture, &body).map(|wire::Captured { capture }| capture)
        })
    }

    fn void<'a>(&'a self, call: &'a Call, order: OrderId) -> Answer<'a, ()> {
        Box::pin(async move {
            let path = format!("/authorizations/{order}/void");
            self.inner.call(Operation::Void, call, path, Nothing {}).await.map(drop)
        })
    }
}
