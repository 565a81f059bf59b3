//! Zones: areas with a dispatcher and a capacity each.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use steadfast_dispatch::names::ZoneId;
use steadfast_dispatch::zone::{ZoneRequest, ZoneView};
use steadfast_resilience::shed::Priority;

use crate::extract::{body, json, path, query::Query};
use crate::limits::BODY_BYTES_MAX;
use crate::problem::{Code, Problem};
use crate::respond;
use crate::state::Api;

#[derive(Serialize)]
struct ZoneList {
    zones: Vec<ZoneView>,
}

#[utoipa::path(
    get, path = "/zones", operation_id = "list_zones", tag = "zones",
    summary = "Lists all zones",
    responses((status = 200, description = "The zones.", body = crate::openapi::schema::ZoneList)),
)]
pub(crate) async fn list(api: Api, request: Request) -> Result<Response, Problem> {
    Query::of(request.uri(), &[])?;
    respond::json(StatusCode::OK, &ZoneList { zones: api.services().zones.list() })
}

#[utoipa::path(
    get, path = "/zones/{id}", operation_id = "get_zone", tag = "zones",
    summary = "Shows a zone",
    params(crate::openapi::params::ZoneId),
    responses((status = 200, description = "The zone.", body = crate::openapi::schema::Zone)),
)]
pub(crate) async fn get(api: Api, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let id: ZoneId = path::id(&mut parts, Code::NotFound).await?;
    Query::of(&parts.uri, &[])?;
    respond::json(StatusCode::OK, &api.services().zones.get(&id)?)
}

#[utoipa::path(
    put, path = "/zones/{id}", operation_id = "put_zone", tag = "zones",
    summary = "Makes or changes a zone",
    params(crate::openapi::params::ZoneId, crate::openapi::params::Deadline),
    request_body = crate::openapi::schema::ZoneRequest,
    responses((status = 200, description = "The zone.", body = crate::openapi::schema::Zone)),
)]
pub(crate) async fn put(api: Api, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let body = body::read(&parts.headers, body, BODY_BYTES_MAX).await?;
    let id: ZoneId = path::new_id(&mut parts).await?;
    Query::of(&parts.uri, &[])?;
    let settings: ZoneRequest = json::required(&parts.headers, &body)?;
    let admitted = api.admit(&parts.headers, Priority::Normal).await?;
    let zone = admitted.run(api.services().zones.put(id, settings)).await?;
    respond::json(StatusCode::OK, &zone)
}
