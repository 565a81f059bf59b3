//! Any engine of the provider port as a service: the other side of [`crate::http`].
//!
//! With it the client is tested against something real, a user has an example of the contract to
//! talk to, and injected faults become what they are on a network: an engine that answers
//! [`Failure::Unknown`] makes the connection close without a word.
//!
//! [`router`] serves the contract over any engine; [`sandbox`] serves a [`Sandbox`], and its books
//! and faults to look at and to change. The caller brings the listener.

mod look;
mod reply;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use steadfast_dispatch::names::OrderId;
#[cfg(doc)]
use steadfast_dispatch::provider::Failure;
use steadfast_dispatch::provider::{Payment, Stock};
use steadfast_time::Clock;

use self::reply::{Rejected, call, json};
use crate::limits::REQUEST_BYTES_MAX;
use crate::sandbox::Sandbox;
use crate::secret::Secret;
use crate::wire;

#[derive(Clone)]
struct Engines {
    stock: Arc<dyn Stock>,
    payment: Arc<dyn Payment>,
    clock: Clock,
}

/// The contract over any engines. With a token, whoever does not bring it is turned away.
pub fn router(
    stock: Arc<dyn Stock>,
    payment: Arc<dyn Payment>,
    clock: Clock,
    token: Option<Secret>,
) -> Router {
    guarded(contract(Engines { stock, payment, clock }), token)
}

/// The contract over a sandbox, and what there is to see of it.
pub fn sandbox(sandbox: &Sandbox, clock: Clock, token: Option<Secret>) -> Router {
    let engines = Engines {
        stock: Arc::new(sandbox.stock.clone()),
        payment: Arc::new(sandbox.payment.clone()),
        clock,
    };
    guarded(contract(engines).merge(look::routes(sandbox.clone())), token)
}

fn contract(engines: Engines) -> Router {
    Router::new()
        .route("/reservations", post(reserve))
        .route("/reservations/{order}/release", post(release))
        .route("/authorizations", post(authorize))
        .route("/authorizations/{order}/capture", post(capture))
        .route("/authorizations/{order}/void", post(void))
        .with_state(engines)
}

fn guarded(routes: Router, token: Option<Secret>) -> Router {
    let routes = routes.layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX));
    match token {
        None => routes,
        Some(token) => routes.layer(middleware::from_fn_with_state(Arc::new(token), admit)),
    }
}

async fn admit(State(token): State<Arc<Secret>>, request: Request<Body>, next: Next) -> Response {
    let header = request.headers().get(header::AUTHORIZATION);
    if header.is_some_and(|header| token.admits(header.as_bytes())) {
        return next.run(request).await;
    }
    let detail = "a bearer token is required";
    let rejected = Rejected::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
    let mut response = rejected.into_response();
    let scheme = HeaderValue::from_static("Bearer");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    response
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Rejected> {
    serde_json::from_slice(body).map_err(Rejected::bad)
}

fn order(text: &str) -> Result<OrderId, Rejected> {
    text.parse().map_err(Rejected::bad)
}

async fn reserve(
    State(engines): State<Engines>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Rejected> {
    let call = call(&engines.clock, &headers)?;
    let wire::Reserve { order, items } = read(&body)?;
    let reservation = engines.stock.reserve(&call, order, &items).await?;
    Ok(json(StatusCode::OK, &wire::Reserved { reservation }))
}

async fn release(
    State(engines): State<Engines>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Rejected> {
    let call = call(&engines.clock, &headers)?;
    engines.stock.release(&call, order(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn authorize(
    State(engines): State<Engines>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Rejected> {
    let call = call(&engines.clock, &headers)?;
    let wire::Authorize { order, amount } = read(&body)?;
    let authorization = engines.payment.authorize(&call, order, &amount).await?;
    Ok(json(StatusCode::OK, &wire::Authorized { authorization }))
}

async fn capture(
    State(engines): State<Engines>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Rejected> {
    let call = call(&engines.clock, &headers)?;
    let capture = engines.payment.capture(&call, order(&id)?).await?;
    Ok(json(StatusCode::OK, &wire::Captured { capture }))
}

async fn void(
    State(engines): State<Engines>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Rejected> {
    let call = call(&engines.clock, &headers)?;
    engines.payment.void(&call, order(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
