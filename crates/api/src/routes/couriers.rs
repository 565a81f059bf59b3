//! Couriers: shifts, signs of life, offers, assignments.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use steadfast_dispatch::courier::{AssignmentView, Heartbeat, OfferView, ShiftRequest};
use steadfast_dispatch::names::CourierId;
use steadfast_resilience::shed::Priority;

use crate::extract::{body, json, path, query::Query};
use crate::limits::BODY_BYTES_MAX;
use crate::problem::{Code, Problem};
use crate::respond;
use crate::state::Api;

#[utoipa::path(
    get, path = "/couriers/{id}", operation_id = "get_courier", tag = "couriers",
    summary = "Shows a courier",
    params(crate::openapi::params::CourierId),
    responses((status = 200, description = "The courier.", body = crate::openapi::schema::Courier)),
)]
pub(crate) async fn get(api: Api, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let id: CourierId = path::id(&mut parts, Code::CourierNotFound).await?;
    Query::of(&parts.uri, &[])?;
    respond::json(StatusCode::OK, &api.services().couriers.get(&id)?)
}

#[utoipa::path(
    put, path = "/couriers/{id}/shift", operation_id = "put_shift", tag = "couriers",
    summary = "Starts, changes, or ends a shift",
    description = "An end in the past ends the shift; what the courier holds is still delivered.",
    params(crate::openapi::params::CourierId, crate::openapi::params::Deadline),
    request_body = crate::openapi::schema::ShiftRequest,
    responses((status = 200, description = "The courier.", body = crate::openapi::schema::Courier)),
)]
pub(crate) async fn put_shift(api: Api, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let body = body::read(&parts.headers, body, BODY_BYTES_MAX).await?;
    let id: CourierId = path::new_id(&mut parts).await?;
    Query::of(&parts.uri, &[])?;
    let shift: ShiftRequest = json::required(&parts.headers, &body)?;
    let admitted = api.admit(&parts.headers, Priority::Normal).await?;
    let courier = admitted.run(api.services().couriers.put_shift(id, shift)).await?;
    respond::json(StatusCode::OK, &courier)
}

#[utoipa::path(
    post, path = "/couriers/{id}/heartbeat", operation_id = "heartbeat", tag = "couriers",
    summary = "Says that a courier is there, and where",
    description = "Without a body the position stays as it was.",
    params(crate::openapi::params::CourierId),
    request_body(content = Option<crate::openapi::schema::Heartbeat>),
    responses((status = 200, description = "The courier.", body = crate::openapi::schema::Courier)),
)]
pub(crate) async fn heartbeat(api: Api, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let body = body::read(&parts.headers, body, BODY_BYTES_MAX).await?;
    let id: CourierId = path::id(&mut parts, Code::CourierNotFound).await?;
    Query::of(&parts.uri, &[])?;
    let beat: Heartbeat = json::optional(&parts.headers, &body)?;
    respond::json(StatusCode::OK, &api.services().couriers.heartbeat(&id, beat)?)
}

#[derive(Serialize)]
struct OfferList {
    offers: Vec<OfferView>,
}

#[utoipa::path(
    get, path = "/couriers/{id}/offers", operation_id = "list_offers", tag = "couriers",
    summary = "Lists the offers that wait for a courier's answer",
    params(crate::openapi::params::CourierId),
    responses((status = 200, description = "The offers.", body = crate::openapi::schema::OfferList)),
)]
pub(crate) async fn offers(api: Api, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let id: CourierId = path::id(&mut parts, Code::CourierNotFound).await?;
    Query::of(&parts.uri, &[])?;
    let offers = api.services().couriers.offers(&id)?;
    respond::json(StatusCode::OK, &OfferList { offers })
}

#[derive(Serialize)]
struct AssignmentList {
    assignments: Vec<AssignmentView>,
}

#[utoipa::path(
    get, path = "/couriers/{id}/assignments", operation_id = "list_assignments", tag = "couriers",
    summary = "Lists what a courier has taken on and not yet ended",
    description = "For a courier's app that has lost an answer, or starts anew. Orders that have \
                   been handed over, or called off, are not part of it any more.",
    params(crate::openapi::params::CourierId),
    responses(
        (status = 200, description = "The assignments.",
         body = crate::openapi::schema::AssignmentList),
    ),
)]
pub(crate) async fn assignments(api: Api, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let id: CourierId = path::id(&mut parts, Code::CourierNotFound).await?;
    Query::of(&parts.uri, &[])?;
    let assignments = api.services().couriers.assignments(&id)?;
    respond::json(StatusCode::OK, &AssignmentList { assignments })
}
