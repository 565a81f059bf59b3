//! What stands between the parts, for an operator.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::With;
use super::port::{Error, Force, PolicyAdmin};
use crate::extract::{body, json, path, query::Query};
use crate::limits::BODY_BYTES_MAX;
use crate::problem::{Code, Problem};
use crate::respond;

type State = With<dyn PolicyAdmin>;

fn problem(error: Error) -> Problem {
    error.problem(Code::PolicyNotFound, Code::PolicyState)
}

pub(super) async fn list(state: State, request: Request) -> Result<Response, Problem> {
    Query::of(request.uri(), &[])?;
    let policies = state.part.list().await.map_err(problem)?;
    respond::json(StatusCode::OK, &json!({ "policies": policies, "next_cursor": null }))
}

pub(super) async fn get(state: State, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let name = path::id(&mut parts, Code::PolicyNotFound).await?;
    Query::of(&parts.uri, &[])?;
    respond::json(StatusCode::OK, &state.part.get(name).await.map_err(problem)?)
}

pub(super) async fn force(state: State, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let body = body::read(&parts.headers, body, BODY_BYTES_MAX).await?;
    let name = path::id(&mut parts, Code::PolicyNotFound).await?;
    let wish: Force = json::required(&parts.headers, &body)?;
    respond::json(StatusCode::OK, &state.part.force(name, wish).await.map_err(problem)?)
}

pub(super) async fn slo(state: State, request: Request) -> Result<Response, Problem> {
    Query::of(request.uri(), &[])?;
    respond::json(StatusCode::OK, &state.part.slo().await.map_err(problem)?)
}
