//! Sagas, for an operator.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::With;
use super::port::{Error, ListSagas, Page, Resolve, Retry, SagaAdmin, Skip};
use crate::extract::{body, json, path, query::Query};
use crate::limits::{BODY_BYTES_MAX, PAGE_ADMIN_DEFAULT, PAGE_ADMIN_MAX};
use crate::problem::{Code, Problem};
use crate::respond;

type State = With<dyn SagaAdmin>;

fn problem(error: Error) -> Problem {
    error.problem(Code::SagaNotFound, Code::SagaState)
}

pub(super) async fn list(state: State, request: Request) -> Result<Response, Problem> {
    let query = Query::of(request.uri(), &["status", "cursor", "limit"])?;
    let list = ListSagas {
        status: query.text("status").map(str::to_owned),
        cursor: query.text("cursor").map(str::to_owned),
        limit: query.limit(PAGE_ADMIN_DEFAULT, PAGE_ADMIN_MAX)?,
    };
    let Page { entries, next_cursor } = state.part.list(list).await.map_err(problem)?;
    respond::json(StatusCode::OK, &json!({ "sagas": entries, "next_cursor": next_cursor }))
}

pub(super) async fn get(state: State, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let id = path::id(&mut parts, Code::SagaNotFound).await?;
    Query::of(&parts.uri, &[])?;
    respond::json(StatusCode::OK, &state.part.get(id).await.map_err(problem)?)
}

pub(super) async fn retry(state: State, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let body = body::read(&parts.headers, body, BODY_BYTES_MAX).await?;
    let id = path::id(&mut parts, Code::SagaNotFound).await?;
    let wish: Retry = json::optional(&parts.headers, &body)?;
    respond::json(StatusCode::OK, &state.part.retry(id, wish).await.map_err(problem)?)
}

pub(super) async fn skip(state: State, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let body = body::read(&parts.headers, body, BODY_BYTES_MAX).await?;
    let id = path::id(&mut parts, Code::SagaNotFound).await?;
    let wish: Skip = json::required(&parts.headers, &body)?;
    respond::json(StatusCode::OK, &state.part.skip(id, wish).await.map_err(problem)?)
}

pub(super) async fn resolve(state: State, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let body = body::read(&parts.headers, body, BODY_BYTES_MAX).await?;
    let id = path::id(&mut parts, Code::SagaNotFound).await?;
    let found: Resolve = json::required(&parts.headers, &body)?;
    respond::json(StatusCode::OK, &state.part.resolve(id, found).await.map_err(problem)?)
}
