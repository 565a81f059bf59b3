//! Answers. Every one says what it is and forbids the client to guess otherwise.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use serde::Serialize;

use crate::problem::{Code, Problem};

/// The media type of answers.
pub(crate) static JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The media type of problems.
pub(crate) static PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An answer whose body is ready.
pub(crate) fn bytes(
    status: StatusCode,
    media_type: &HeaderValue,
    body: impl Into<Bytes>,
) -> Response {
    with_body(status, media_type, Body::from(body.into()))
}

/// An answer with any body.
pub(crate) fn with_body(status: StatusCode, media_type: &HeaderValue, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, media_type.clone());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// An answer in JSON.
///
/// # Errors
/// [`Code::Internal`] when the value cannot be written, which for plain data is a defect.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Result<Response, Problem> {
    match serde_json::to_vec(value) {
        Ok(body) => Ok(bytes(status, &JSON, body)),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            Err(Problem::new(Code::Internal, "the answer cannot be written"))
        }
    }
}
