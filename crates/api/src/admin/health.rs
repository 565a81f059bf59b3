//! Alive, ready, measured, draining.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};

use super::Admin;
use crate::problem::Problem;
use crate::respond;

/// Answering at all is the answer.
pub(super) async fn healthz(_: Admin, _: Request) -> Result<Response, Problem> {
    respond::json(StatusCode::OK, &serde_json::json!({ "alive": true }))
}

/// 200 when work can be taken; otherwise 503, and why not. Both in the same shape.
pub(super) async fn readyz(admin: Admin, _: Request) -> Result<Response, Problem> {
    let readiness = admin.lifecycle.readiness();
    if readiness.ready {
        return respond::json(StatusCode::OK, &readiness);
    }
    let mut response = respond::json(StatusCode::SERVICE_UNAVAILABLE, &readiness)?;
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    Ok(response)
}

pub(super) async fn metrics(admin: Admin, _: Request) -> Result<Response, Problem> {
    static TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(respond::bytes(StatusCode::OK, &TEXT, (admin.metrics)()))
}

/// 202: draining has begun. Again: the same.
pub(super) async fn drain(admin: Admin, _: Request) -> Result<Response, Problem> {
    admin.lifecycle.drain();
    respond::json(StatusCode::ACCEPTED, &admin.lifecycle.readiness())
}
