//! Showing, listing and cancelling orders.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use http::header::ETAG;
use serde::Serialize;
use steadfast_dispatch::limits::{PAGE_EVENTS_MAX, PAGE_ORDERS_MAX};
use steadfast_dispatch::names::OrderId;
use steadfast_dispatch::order::{EventView, OrderView};
use steadfast_dispatch::service::{AsOf, Filter};
use steadfast_journal::Version;
use steadfast_resilience::shed::Priority;
use steadfast_time::Timestamp;

use super::CancelRequest;
use crate::extract::{body, headers, json, path, query::Query};
use crate::limits::{BODY_BYTES_MAX, PAGE_EVENTS_DEFAULT, PAGE_ORDERS_DEFAULT};
use crate::problem::{Code, Problem};
use crate::respond;
use crate::state::Api;

#[utoipa::path(
    get, path = "/orders", operation_id = "list_orders", tag = "orders",
    summary = "Lists orders, newest first",
    description = "A page at a time: `next_cursor` is the `cursor` of the next page, and null on \
        the last. Every order whose placing was answered before the request is in the list.",
    params(crate::openapi::params::List, crate::openapi::params::Deadline),
    responses((status = 200, description = "A page.", body = crate::openapi::schema::OrderPage)),
)]
pub(crate) async fn list(api: Api, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let query = Query::of(&parts.uri, &["status", "zone", "cursor", "limit"])?;
    let status = query.text("status").map(str::parse).transpose()?;
    let filter = Filter { status, zone: query.parse("zone")? };
    let cursor = query.text("cursor").map(str::to_owned);
    let limit = query.limit(PAGE_ORDERS_DEFAULT, PAGE_ORDERS_MAX)?;
    let admitted = api.admit(&parts.headers, Priority::Background).await?;
    let list = api.services().orders.list(filter, cursor, limit, admitted.deadline());
    respond::json(StatusCode::OK, &admitted.keep(list).await?)
}

#[utoipa::path(
    get, path = "/orders/{id}", operation_id = "get_order", tag = "orders",
    summary = "Shows an order as it is, or as it was",
    params(crate::openapi::params::OrderId, crate::openapi::params::At,
        crate::openapi::params::IfNoneMatch),
    responses(
        (status = 200, description = "The order.", body = crate::openapi::schema::Order,
            headers(("ETag" = String, description = "The order's version, quoted."))),
        (status = 304, description = "It still has the version of `If-None-Match`."),
    ),
)]
pub(crate) async fn get(api: Api, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let id: OrderId = path::id(&mut parts, Code::OrderNotFound).await?;
    let query = Query::of(&parts.uri, &["at"])?;
    let at = query.text("at").map(as_of).transpose()?;
    let admitted = api.admit(&parts.headers, Priority::Normal).await?;
    let orders = api.services().orders.clone();
    let order = admitted.read("get_order", move || orders.get(id, at)).await?;
    let version = Version(order.version);
    let mut response = if headers::has_version(&parts.headers, version) {
        respond::empty(StatusCode::NOT_MODIFIED)
    } else {
        respond::json(StatusCode::OK, &order)?
    };
    response.headers_mut().insert(ETAG, headers::etag(version));
    Ok(response)
}

/// A moment in an order's history: a version, or a time.
fn as_of(text: &str) -> Result<AsOf, Problem> {
    let problem = || {
        Problem::invalid(
            "at",
            "must be a version from 1 on, or a time such as 2026-11-20T08:30:00Z",
        )
    };
    if text.bytes().all(|c| c.is_ascii_digit()) {
        return match text.parse() {
            Ok(0) | Err(_) => Err(problem()),
            Ok(version) => Ok(AsOf::Version(Version(version))),
        };
    }
    // In a query a plain + means a space; in a time it can only have been an offset.
    let text = text.replace(' ', "+");
    text.parse::<Timestamp>().map(AsOf::Time).map_err(|_| problem())
}

/// A page of an order's history.
#[derive(Serialize)]
struct EventPage {
    events: Vec<EventView>,
    next_after: Option<u64>,
}

#[utoipa::path(
    get, path = "/orders/{id}/events", operation_id = "list_order_events", tag = "orders",
    summary = "Shows what happened to an order, oldest first",
    description = "`next_after` is the `after` of the next page, and null when there was nothing \
        more at the time. Each event is chained to its predecessor in the journal by `hash`.",
    params(crate::openapi::params::OrderId, crate::openapi::params::Events),
    responses((status = 200, description = "A page.", body = crate::openapi::schema::EventPage)),
)]
pub(crate) async fn events(api: Api, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let id: OrderId = path::id(&mut parts, Code::OrderNotFound).await?;
    let query = Query::of(&parts.uri, &["after", "limit"])?;
    let after = Version(query.number("after")?.unwrap_or(0));
    let limit = query.limit(PAGE_EVENTS_DEFAULT, PAGE_EVENTS_MAX)?;
    let admitted = api.admit(&parts.headers, Priority::Background).await?;
    let orders = api.services().orders.clone();
    let events =
        admitted.read("list_order_events", move || orders.history(id, after, limit)).await?;
    let full = events.len() == limit;
    let next_after = events.last().filter(|_| full).map(|event| event.version);
    respond::json(StatusCode::OK, &EventPage { events, next_after })
}

#[utoipa::path(
    post, path = "/orders/{id}/cancel", operation_id = "cancel_order", tag = "orders",
    summary = "Calls an order off",
    description = "Everything that was done for it is undone: the order is `compensating`, then \
        `cancelled`. Possible until it is picked up. Repeating the request changes nothing.",
    params(crate::openapi::params::OrderId, crate::openapi::params::IfMatch,
        crate::openapi::params::Deadline),
    request_body(content = Option<crate::openapi::schema::CancelRequest>),
    responses((status = 200, description = "The order.", body = crate::openapi::schema::Order,
        headers(("ETag" = String, description = "The order's version, quoted.")))),
)]
pub(crate) async fn cancel(api: Api, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let body = body::read(&parts.headers, body, BODY_BYTES_MAX).await?;
    let id: OrderId = path::id(&mut parts, Code::OrderNotFound).await?;
    Query::of(&parts.uri, &[])?;
    let if_match = headers::if_match(&parts.headers)?;
    let CancelRequest { reason } = json::optional(&parts.headers, &body)?;
    let admitted = api.admit(&parts.headers, Priority::Critical).await?;
    let cancel = api.services().orders.cancel(id, reason, if_match);
    let order: OrderView = admitted.run(cancel).await?;
    let mut response = respond::json(StatusCode::OK, &order)?;
    response.headers_mut().insert(ETAG, headers::etag(Version(order.version)));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_version_or_a_time() {
        assert_eq!(as_of("3"), Ok(AsOf::Version(Version(3))));
        let seoul = AsOf::Time("2026-11-20T08:30:00Z".parse().unwrap());
        for text in
            ["2026-11-20T08:30:00Z", "2026-11-20T17:30:00+09:00", "2026-11-20T17:30:00 09:00"]
        {
            assert_eq!(as_of(text), Ok(seoul), "{text}");
        }
        for text in ["0", "-1", "yesterday", "2026-11-20", "99999999999999999999999"] {
            assert_eq!(as_of(text).unwrap_err().field(), Some("at"), "{text}");
        }
    }
}
