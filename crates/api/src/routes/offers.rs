//! What a courier says to an offer, and reports of the assignment that it becomes.
//!
//! All of these can be repeated: saying again what has been said changes nothing.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use serde::de::DeserializeOwned;
use steadfast_dispatch::names::OfferId;
use steadfast_resilience::shed::Priority;

use super::{CourierRequest, DeliveredRequest};
use crate::extract::{body, json, path, query::Query};
use crate::gateway::Admitted;
use crate::limits::BODY_BYTES_MAX;
use crate::problem::{Code, Problem};
use crate::respond;
use crate::state::Api;

/// What all of these requests have in common: an offer, a body, and a place.
async fn read<T: DeserializeOwned>(
    api: &Api,
    request: Request,
) -> Result<(OfferId, T, Admitted), Problem> {
    let (mut parts, body) = request.into_parts();
    let body = body::read(&parts.headers, body, BODY_BYTES_MAX).await?;
    let id = path::id(&mut parts, Code::OfferNotFound).await?;
    Query::of(&parts.uri, &[])?;
    let body = json::required(&parts.headers, &body)?;
    // It finishes what has been begun.
    let admitted = api.admit(&parts.headers, Priority::Critical).await?;
    Ok((id, body, admitted))
}

#[utoipa::path(
    post, path = "/offers/{id}/accept", operation_id = "accept_offer", tag = "offers",
    summary = "Takes an offer",
    params(crate::openapi::params::OfferId, crate::openapi::params::Deadline),
    request_body = crate::openapi::schema::CourierRequest,
    responses((status = 200, description = "The assignment that it has become.",
        body = crate::openapi::schema::Assignment)),
)]
pub(crate) async fn accept(api: Api, request: Request) -> Result<Response, Problem> {
    let (id, CourierRequest { courier }, admitted) = read(&api, request).await?;
    let accept = api.services().couriers.accept(id, courier);
    respond::json(StatusCode::OK, &admitted.run(accept).await?)
}

#[utoipa::path(
    post, path = "/offers/{id}/decline", operation_id = "decline_offer", tag = "offers",
    summary = "Declines an offer",
    params(crate::openapi::params::OfferId, crate::openapi::params::Deadline),
    request_body = crate::openapi::schema::CourierRequest,
    responses((status = 204, description = "Declined. Somebody else will be asked.")),
)]
pub(crate) async fn decline(api: Api, request: Request) -> Result<Response, Problem> {
    let (id, CourierRequest { courier }, admitted) = read(&api, request).await?;
    admitted.run(api.services().couriers.decline(id, courier)).await?;
    Ok(respond::empty(StatusCode::NO_CONTENT))
}

#[utoipa::path(
    post, path = "/assignments/{id}/arrived", operation_id = "report_arrived", tag = "offers",
    summary = "Reports that the courier is at the merchant's",
    params(crate::openapi::params::OfferId, crate::openapi::params::Deadline),
    request_body = crate::openapi::schema::CourierRequest,
    responses((status = 200, description = "The assignment.",
        body = crate::openapi::schema::Assignment)),
)]
pub(crate) async fn arrived(api: Api, request: Request) -> Result<Response, Problem> {
    let (id, CourierRequest { courier }, admitted) = read(&api, request).await?;
    let arrived = api.services().couriers.arrived(id, courier);
    respond::json(StatusCode::OK, &admitted.run(arrived).await?)
}

#[utoipa::path(
    post, path = "/assignments/{id}/picked-up", operation_id = "report_picked_up", tag = "offers",
    summary = "Reports that the courier has the orders",
    params(crate::openapi::params::OfferId, crate::openapi::params::Deadline),
    request_body = crate::openapi::schema::CourierRequest,
    responses((status = 200, description = "The assignment.",
        body = crate::openapi::schema::Assignment)),
)]
pub(crate) async fn picked_up(api: Api, request: Request) -> Result<Response, Problem> {
    let (id, CourierRequest { courier }, admitted) = read(&api, request).await?;
    let picked_up = api.services().couriers.picked_up(id, courier);
    respond::json(StatusCode::OK, &admitted.run(picked_up).await?)
}

#[utoipa::path(
    post, path = "/assignments/{id}/delivered", operation_id = "report_delivered", tag = "offers",
    summary = "Reports that the customer has an order",
    description = "Without `order` it is the next one of the assignment that is not delivered; \
        name it, if the request may be sent twice.",
    params(crate::openapi::params::OfferId, crate::openapi::params::Deadline),
    request_body = crate::openapi::schema::DeliveredRequest,
    responses((status = 200, description = "The assignment.",
        body = crate::openapi::schema::Assignment)),
)]
pub(crate) async fn delivered(api: Api, request: Request) -> Result<Response, Problem> {
    let (id, DeliveredRequest { courier, order }, admitted) = read(&api, request).await?;
    let delivered = api.services().couriers.delivered(id, courier, order);
    respond::json(StatusCode::OK, &admitted.run(delivered).await?)
}
