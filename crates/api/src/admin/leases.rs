//! What is held, and by whom, for an operator.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::With;
use super::port::{Error, LeaseAdmin, ListLeases, Page, Release};
use crate::extract::{body, json, path, query::Query};
use crate::limits::{BODY_BYTES_MAX, PAGE_ADMIN_DEFAULT, PAGE_ADMIN_MAX};
use crate::problem::{Code, Problem};
use crate::respond;

type State = With<dyn LeaseAdmin>;

fn problem(error: Error) -> Problem {
    error.problem(Code::LeaseNotFound, Code::LeaseState)
}

pub(super) async fn list(state: State, request: Request) -> Result<Response, Problem> {
    let query = Query::of(request.uri(), &["prefix", "cursor", "limit"])?;
    let list = ListLeases {
        prefix: query.text("prefix").map(str::to_owned),
        cursor: query.text("cursor").map(str::to_owned),
        limit: query.limit(PAGE_ADMIN_DEFAULT, PAGE_ADMIN_MAX)?,
    };
    let Page { entries, next_cursor } = state.part.list(list).await.map_err(problem)?;
    respond::json(StatusCode::OK, &json!({ "leases": entries, "next_cursor": next_cursor }))
}

/// A name's slashes are written as `%2F`: it is one segment, so that `/release` can follow.
pub(super) async fn get(state: State, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let name = path::id(&mut parts, Code::LeaseNotFound).await?;
    Query::of(&parts.uri, &[])?;
    respond::json(StatusCode::OK, &state.part.get(name).await.map_err(problem)?)
}

pub(super) async fn release(state: State, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let body = body::read(&parts.headers, body, BODY_BYTES_MAX).await?;
    let name = path::id(&mut parts, Code::LeaseNotFound).await?;
    let wish: Release = json::optional(&parts.headers, &body)?;
    respond::json(StatusCode::OK, &state.part.release(name, wish).await.map_err(problem)?)
}
