//! `GET /orders/{id}/track`: an order's events as they happen, as server-sent events.
//!
//! The `id` of each is the order's version, so a browser that lost its connection comes back
//! with `Last-Event-ID` and misses nothing. The stream ends with the order; whoever comes back
//! after that is answered with 204, which tells a browser to stop coming back. A stream that is
//! cut because its reader is too slow, or because the server drains, is simply continued.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures::future::{BoxFuture, Either, select};
use futures::{FutureExt, Stream, StreamExt, stream};
use http::StatusCode;
use http::header::HeaderValue;
use std::convert::Infallible;
use std::time::Duration;
use steadfast_dispatch::names::OrderId;
use steadfast_dispatch::order::{EventView, OrderView, PaymentState, Status};
use steadfast_dispatch::service::Tracking;
use steadfast_journal::Version;
use steadfast_time::Clock;

use crate::extract::{headers, path, query::Query};
use crate::limits::TRACK_RETRY;
use crate::problem::{Code, Problem};
use crate::respond;
use crate::state::Api;

#[utoipa::path(
    get, path = "/orders/{id}/track", operation_id = "track_order", tag = "orders",
    summary = "Follows an order live",
    description = "Server-sent events: `id` is the order's version after the event, `event` its \
        type, `data` the event in JSON. `Last-Event-ID` continues after the one seen last, and \
        wins over `after`.",
    params(crate::openapi::params::OrderId, crate::openapi::params::Track,
        crate::openapi::params::LastEventId),
    responses(
        (status = 200, description = "The events, those of the past first. The stream ends with \
            the order.", content_type = "text/event-stream", body = String),
        (status = 204, description = "The order has ended, and the caller has seen all of it."),
    ),
)]
pub(crate) async fn track(api: Api, request: Request) -> Result<Response, Problem> {
    static EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
    let (mut parts, _) = request.into_parts();
    let id: OrderId = path::id(&mut parts, Code::OrderNotFound).await?;
    let query = Query::of(&parts.uri, &["after"])?;
    let asked = query.number("after")?.map_or(Version::NONE, Version);
    let after = headers::last_event_id(&parts.headers)?.unwrap_or(asked);
    if after > Version::NONE && has_ended(&api.services().orders.get(id, None)?, after) {
        return Ok(respond::empty(StatusCode::NO_CONTENT));
    }
    let events = api.services().orders.track(id, after)?;
    let follower = Follower {
        events,
        drain: api.lifecycle().draining().boxed(),
        clock: api.clock().clone(),
        keep_alive: api.options().track_keep_alive,
    };
    let hello = Bytes::from(format!("retry: {}\n\n", TRACK_RETRY.as_millis()));
    let frames = stream::iter([hello]).chain(follower.frames()).map(Ok::<_, Infallible>);
    let mut response = respond::with_body(StatusCode::OK, &EVENT_STREAM, Body::from_stream(frames));
    // nginx would otherwise hold events back until its buffer is full.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Whether nothing comes after a version.
fn has_ended(order: &OrderView, after: Version) -> bool {
    let finished = match order.status {
        Status::Rejected | Status::Cancelled => true,
        Status::Delivered => matches!(order.payment, PaymentState::Captured { .. }),
        _ => false,
    };
    finished && after.0 >= order.version
}

struct Follower {
    events: Tracking,
    drain: BoxFuture<'static, ()>,
    clock: Clock,
    keep_alive: Duration,
}

impl Follower {
    fn frames(self) -> impl Stream<Item = Bytes> + Send + 'static {
        stream::unfold(self, |mut follower| async move {
            let frame = follower.next().await?;
            Some((frame, follower))
        })
    }

    /// The next frame; `None` at the end. An event goes before a sign of life.
    async fn next(&mut self) -> Option<Bytes> {
        let silence = self.clock.sleep(self.keep_alive);
        let stop = select(&mut self.drain, silence);
        match select(self.events.next(), stop).await {
            Either::Left((event, _)) => event.map(|event| frame(&event)),
            Either::Right((Either::Left(_), _)) => None,
            Either::Right((Either::Right(_), _)) => Some(Bytes::from_static(b": alive\n\n")),
        }
    }
}

/// One event on the wire.
fn frame(event: &EventView) -> Bytes {
    use std::fmt::Write;

    // A view of plain data and of JSON that was read before can always be written.
    let data = serde_json::to_string(event).unwrap_or_default();
    let mut frame = String::with_capacity(data.len() + 64);
    let kind = event.kind.replace(['\r', '\n'], " ");
    // Writing to a string cannot fail.
    let _ = write!(frame, "id: {}\nevent: {kind}\n", event.version);
    // A line break inside the data would end the field.
    for line in data.split(['\r', '\n']) {
        let _ = writeln!(frame, "data: {line}");
    }
    frame.push('\n');
    Bytes::from(frame)
}
