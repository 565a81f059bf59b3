//! A sandbox's books and faults, to look at and to change. No part of the contract.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post, put};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use steadfast_journal::Position;

use super::reply::{Rejected, json, key};
use super::{order, read};
use crate::Operation;
use crate::limits::AUDIT_PAGE_MAX;
use crate::sandbox::{Plan, Sandbox};

pub(super) fn routes(sandbox: Sandbox) -> Router {
    Router::new()
        .route("/reservations", get(reservations))
        .route("/reservations/{order}", get(reservation))
        .route("/authorizations", get(authorizations))
        .route("/authorizations/{order}", get(authorization))
        .route("/articles/{sku}", get(article))
        .route("/articles/{sku}/restock", post(restock))
        .route("/faults", get(faults).delete(heal))
        .route("/faults/{operation}", put(harm))
        .with_state(sandbox)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pages {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

impl Pages {
    fn start(&self) -> (Position, usize) {
        (Position(self.after), self.limit.unwrap_or(AUDIT_PAGE_MAX))
    }
}

fn found<T: Serialize>(entry: Option<T>) -> Result<Response, Rejected> {
    match entry {
        Some(entry) => Ok(json(StatusCode::OK, &entry)),
        None => {
            let detail = "the ledger has not heard of this order";
            Err(Rejected::new(StatusCode::NOT_FOUND, "not_found", detail))
        }
    }
}

async fn reservations(
    State(sandbox): State<Sandbox>,
    Query(pages): Query<Pages>,
) -> Result<Response, Rejected> {
    let (after, limit) = pages.start();
    Ok(json(StatusCode::OK, &sandbox.stock.walk(after, limit)?))
}

async fn reservation(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
) -> Result<Response, Rejected> {
    found(sandbox.stock.reservation(order(&id)?)?)
}

async fn authorizations(
    State(sandbox): State<Sandbox>,
    Query(pages): Query<Pages>,
) -> Result<Response, Rejected> {
    let (after, limit) = pages.start();
    Ok(json(StatusCode::OK, &sandbox.payment.walk(after, limit)?))
}

async fn authorization(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
) -> Result<Response, Rejected> {
    found(sandbox.payment.entry(order(&id)?)?)
}

#[derive(Serialize)]
struct Article {
    sku: String,
    level: i64,
}

async fn article(
    State(sandbox): State<Sandbox>,
    Path(sku): Path<String>,
) -> Result<Response, Rejected> {
    let level = sandbox.stock.level(&sku)?;
    Ok(json(StatusCode::OK, &Article { sku, level }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Restock {
    quantity: u32,
}

async fn restock(
    State(sandbox): State<Sandbox>,
    Path(sku): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Rejected> {
    let key = key(&headers)?;
    let Restock { quantity } = read(&body)?;
    let level = sandbox.stock.restock(key, &sku, quantity).await?;
    Ok(json(StatusCode::OK, &Article { sku, level }))
}

async fn faults(State(sandbox): State<Sandbox>) -> Response {
    let plan = |operation| (operation, sandbox.faults.plan(operation));
    let plans: BTreeMap<Operation, Plan> = Operation::ALL.into_iter().map(plan).collect();
    json(StatusCode::OK, &plans)
}

async fn heal(State(sandbox): State<Sandbox>) -> StatusCode {
    sandbox.faults.clear();
    StatusCode::NO_CONTENT
}

async fn harm(
    State(sandbox): State<Sandbox>,
    Path(operation): Path<String>,
    body: Bytes,
) -> Result<Response, Rejected> {
    let operation: Operation = operation.parse().map_err(Rejected::bad)?;
    let plan: Plan = read(&body)?;
    sandbox.faults.set(operation, plan);
    Ok(json(StatusCode::OK, &plan))
}
