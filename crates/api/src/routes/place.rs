//! `POST /orders`: the path that must stay short.
//!
//! The body is read once into typed values; the answer is the stored bytes, shared and not
//! copied. Everything else that a request costs is the journal's.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use http::header::{ETAG, HeaderValue, LOCATION};
use steadfast_dispatch::order::PlaceOrder;
use steadfast_dispatch::service::PlacedResponse;
use steadfast_resilience::shed::Priority;

use crate::extract::{body, headers, json, query::Query};
use crate::limits::ORDER_BODY_BYTES_MAX;
use crate::problem::{Code, Problem};
use crate::respond;
use crate::state::Api;

#[utoipa::path(
    post, path = "/orders", operation_id = "place_order", tag = "orders",
    summary = "Places an order, once per idempotency key",
    description = "The first answer is 201. A repetition with the same key and content is \
        answered with 200 and the identical body, for 24 hours after the work was done; one that \
        arrives while the first is at work waits for it, as long as the deadline allows.",
    params(
        crate::openapi::params::IdempotencyKey, crate::openapi::params::Tenant,
        crate::openapi::params::Deadline,
    ),
    request_body = crate::openapi::schema::PlaceOrder,
    responses(
        (status = 201, description = "Placed.", body = crate::openapi::schema::Order, headers(
            ("Location" = String, description = "Where the order can be found."),
            ("ETag" = String, description = "The order's version."),
        )),
        (status = 200, description = "Placed before: the identical body again.",
            body = crate::openapi::schema::Order, headers(
            ("Idempotency-Replayed" = String, description = "`true`."),
            ("Location" = String, description = "Where the order can be found."),
            ("ETag" = String, description = "The order's version when it was placed."),
        )),
    ),
)]
pub(crate) async fn place(api: Api, request: Request) -> Result<Response, Problem> {
    // The body comes first, so that the connection can be used again whatever is wrong.
    let (parts, body) = request.into_parts();
    let body = body::read(&parts.headers, body, ORDER_BODY_BYTES_MAX).await?;
    Query::of(&parts.uri, &[])?;
    let key = headers::idempotency_key(&parts.headers)?;
    let tenant = headers::tenant(&parts.headers)?;
    let order: PlaceOrder = json::required(&parts.headers, &body)?;
    let admitted = api.admit(&parts.headers, Priority::Normal).await?;
    let place = api.services().orders.place(order, tenant, key, admitted.deadline());
    answer(&admitted.keep(place).await?)
}

fn answer(placed: &PlacedResponse) -> Result<Response, Problem> {
    let stored = &placed.response;
    let status = match (StatusCode::from_u16(stored.status), placed.replayed) {
        (Ok(StatusCode::CREATED), true) => StatusCode::OK,
        (Ok(status), _) => status,
        (Err(_), _) => return Err(unusable("status")),
    };
    let media_type = if status.is_success() { &respond::JSON } else { &respond::PROBLEM };
    let mut response = respond::bytes(status, media_type, stored.body.clone());
    let headers = response.headers_mut();
    if let Some(location) = &stored.location {
        let location = HeaderValue::from_str(location).map_err(|_| unusable("location"))?;
        headers.insert(LOCATION, location);
    }
    if let Some(version) = stored.version {
        headers.insert(ETAG, headers::etag(version));
    }
    if placed.replayed {
        headers.insert(&headers::IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

fn unusable(what: &'static str) -> Problem {
    tracing::error!(what, "a stored answer cannot be replayed");
    Problem::new(Code::Unreadable, "the stored answer cannot be read by this version")
}
