//! Parked messages, for an operator.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::With;
use super::port::{DeadLetterAdmin, Error, ListDeadLetters, Page, Replay};
use crate::extract::{body, json, path, query::Query};
use crate::limits::{BODY_BYTES_MAX, PAGE_ADMIN_DEFAULT, PAGE_ADMIN_MAX, REPLAY_PER_SECOND_MAX};
use crate::problem::{Code, Problem};
use crate::respond;

type State = With<dyn DeadLetterAdmin>;

fn problem(error: Error) -> Problem {
    error.problem(Code::DeadLetterNotFound, Code::DeadLetterState)
}

pub(super) async fn list(state: State, request: Request) -> Result<Response, Problem> {
    let query = Query::of(request.uri(), &["consumer", "cursor", "limit"])?;
    let list = ListDeadLetters {
        consumer: query.text("consumer").map(str::to_owned),
        cursor: query.text("cursor").map(str::to_owned),
        limit: query.limit(PAGE_ADMIN_DEFAULT, PAGE_ADMIN_MAX)?,
    };
    let Page { entries, next_cursor } = state.part.list(list).await.map_err(problem)?;
    respond::json(StatusCode::OK, &json!({ "dead_letters": entries, "next_cursor": next_cursor }))
}

pub(super) async fn get(state: State, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let place = path::id(&mut parts, Code::DeadLetterNotFound).await?;
    Query::of(&parts.uri, &[])?;
    respond::json(StatusCode::OK, &state.part.get(place).await.map_err(problem)?)
}

pub(super) async fn replay(state: State, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let body = body::read(&parts.headers, body, BODY_BYTES_MAX).await?;
    let replay: Replay = json::optional(&parts.headers, &body)?;
    if replay.per_second.is_some_and(|pace| !(1..=REPLAY_PER_SECOND_MAX).contains(&pace)) {
        let rule = format!("must be between 1 and {REPLAY_PER_SECOND_MAX}");
        return Err(Problem::invalid("per_second", rule));
    }
    respond::json(StatusCode::OK, &state.part.replay(replay).await.map_err(problem)?)
}

/// The reason is a parameter: a body of `DELETE` has no meaning that proxies would respect.
pub(super) async fn discard(state: State, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let place = path::id(&mut parts, Code::DeadLetterNotFound).await?;
    let query = Query::of(&parts.uri, &["reason"])?;
    let Some(reason) = query.text("reason").map(str::to_owned) else {
        return Err(Problem::invalid("reason", "say why; it is kept"));
    };
    respond::json(StatusCode::OK, &state.part.discard(place, reason).await.map_err(problem)?)
}
