//! Answers in the words of the contract.

use std::time::Duration;

use crate::limits::{KEY_BYTES_MAX, SERVED_CALL_DEFAULT};
use crate::sandbox::code;
use crate::wire::{IDEMPOTENCY_KEY, Problem, TIMEOUT_MS};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use steadfast_dispatch::provider::{Call, Failure};
use steadfast_time::Clock;

/// A request that got no further.
pub(super) struct Rejected(Box<Response>);

impl Rejected {
    pub(super) fn new(status: StatusCode, code: &str, detail: impl ToString) -> Self {
        let problem = Problem {
            title: status.canonical_reason().map(str::to_owned),
            status: Some(status.as_u16()),
            code: Some(code.to_owned()),
            detail: Some(detail.to_string()),
        };
        let mut response = json(status, &problem);
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        Self(Box::new(response))
    }

    pub(super) fn bad(detail: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code::INVALID_REQUEST, detail)
    }
}

impl IntoResponse for Rejected {
    fn into_response(self) -> Response {
        *self.0
    }
}

impl From<Failure> for Rejected {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused { code, reason } => {
                let status = match code.as_str() {
                    code::PAYMENT_DECLINED => StatusCode::PAYMENT_REQUIRED,
                    code::INVALID_REQUEST | code::DIFFERENT_REQUEST => {
                        StatusCode::UNPROCESSABLE_ENTITY
                    }
                    _ => StatusCode::CONFLICT,
                };
                Self::new(status, &code, reason)
            }
            Failure::Unavailable { reason, retry_after }
            | Failure::Held { reason, retry_after } => {
                let mut rejected =
                    Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", reason);
                let seconds = retry_after.map_or(1, |after| after.as_secs().max(1));
                rejected.0.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                rejected
            }
            Failure::Unknown { reason } => Self(Box::new(hang_up(reason))),
        }
    }
}

impl From<crate::sandbox::Error> for Rejected {
    fn from(error: crate::sandbox::Error) -> Self {
        tracing::error!(%error, "the sandbox's books cannot be read");
        let detail = "the books cannot be read; the log has the details";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "unreadable", detail)
    }
}

/// Says nothing and closes the connection: a body that fails before its first byte takes the
/// head with it. That is all that a caller would see of a service that stopped right now.
fn hang_up(reason: String) -> Response {
    tracing::debug!(reason, "closing the connection without an answer");
    let failure = std::io::Error::other(reason);
    Response::new(Body::from_stream(futures::stream::iter([Err::<Bytes, _>(failure)])))
}

/// An answer with a body.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => {
            let kind = HeaderValue::from_static("application/json");
            (status, [(header::CONTENT_TYPE, kind)], bytes).into_response()
        }
        Err(error) => hang_up(error.to_string()),
    }
}

/// Reads the headers that come with every call.
pub(super) fn call(clock: &Clock, headers: &HeaderMap) -> Result<Call, Rejected> {
    let key = key(headers)?.to_owned();
    let limit = match headers.get(TIMEOUT_MS) {
        None => SERVED_CALL_DEFAULT,
        Some(ms) => match ms.to_str().ok().and_then(|ms| ms.parse().ok()) {
            Some(ms) => Duration::from_millis(ms),
            None => return Err(Rejected::bad(format!("{TIMEOUT_MS} is a number"))),
        },
    };
    Ok(Call::first(key, clock.monotonic() + limit))
}

/// The idempotency key. The IETF draft writes a quoted string, most services the bare text.
pub(super) fn key(headers: &HeaderMap) -> Result<&str, Rejected> {
    let key = headers.get(IDEMPOTENCY_KEY).and_then(|key| key.to_str().ok()).unwrap_or("");
    let bare = key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(key);
    if (1..=KEY_BYTES_MAX).contains(&bare.len()) {
        return Ok(bare);
    }
    let detail = format!("an Idempotency-Key of 1 to {KEY_BYTES_MAX} bytes is required");
    Err(Rejected::new(StatusCode::BAD_REQUEST, "idempotency_key_missing", detail))
}
