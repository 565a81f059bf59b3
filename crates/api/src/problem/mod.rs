//! What a client is told when something goes wrong: RFC 9457 problem documents.
//!
//! A problem has two readers. The client's program decides by the [`Code`], which never changes;
//! its author reads the detail, which says where the fault lies and what is allowed. What only
//! the operator should know (paths, the storage's own words) goes to the log instead, at the
//! place where a service's error becomes a [`Problem`].

mod code;
mod convert;

use std::borrow::Cow;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;

pub use code::Code;

use crate::limits::DETAIL_CHARS_MAX;
use crate::respond;

/// An error as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    code: Code,
    detail: Cow<'static, str>,
    field: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
}

impl Problem {
    /// A problem, with what a person should know about this occurrence. The detail must not hold
    /// anything that the client may not see; it is cut to [`DETAIL_CHARS_MAX`] characters.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = shortened(detail.into());
        let retry_after = match code {
            Code::Overloaded | Code::Unavailable | Code::KeyInFlight => {
                Some(Duration::from_secs(1))
            }
            _ => None,
        };
        Self { code, detail, field: None, retry_after }
    }

    /// [`Code::InvalidRequest`] about a part of the request.
    pub fn invalid(
        field: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(Code::InvalidRequest, detail).with_field(field)
    }

    /// The same, with the part of the request at fault.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field = Some(shortened(field.into()));
        self
    }

    /// The same, with the time after which it is worth asking again.
    #[must_use]
    pub const fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// What went wrong.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// What a person should know about it.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The part of the request at fault.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// `Retry-After` has whole seconds: rounded up, at least one.
    fn retry_after_s(&self) -> Option<u64> {
        self.retry_after
            .map(|after| (after.as_millis().div_ceil(1_000)).max(1))
            .map(|seconds| u64::try_from(seconds).unwrap_or(u64::MAX))
    }

    /// The document.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let code = self.code;
        let document = Document {
            kind: format_args!("/errors#{}", code.as_str()),
            title: code.title(),
            status: code.status().as_u16(),
            code: code.as_str(),
            detail: &self.detail,
            field: self.field.as_deref(),
            retry_after_s: self.retry_after_s(),
        };
        // Strings and numbers can always be written.
        serde_json::to_vec(&document).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: std::fmt::Arguments<'a>,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u64>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = self.to_json();
        let mut response = respond::bytes(self.code.status(), &respond::PROBLEM, body);
        if let Some(seconds) = self.retry_after_s() {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.code == Code::Unauthorized {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

fn shortened(text: Cow<'static, str>) -> Cow<'static, str> {
    match text.char_indices().nth(DETAIL_CHARS_MAX) {
        None => text,
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(problem: &Problem) -> serde_json::Value {
        serde_json::from_slice(&problem.to_json()).unwrap()
    }

    #[test]
    fn a_problem_has_the_members_of_rfc_9457_and_ours() {
        let problem = Problem::invalid("items[2].quantity", "must be between 1 and 10000");
        let expected = serde_json::json!({
            "type": "/errors#invalid_request",
            "title": "The request is not valid",
            "status": 400,
            "code": "invalid_request",
            "detail": "must be between 1 and 10000",
            "field": "items[2].quantity",
        });
        assert_eq!(json(&problem), expected);
    }

    #[test]
    fn waiting_times_are_rounded_up() {
        for (millis, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2)] {
            let after = Duration::from_millis(millis);
            let problem = Problem::new(Code::Overloaded, "full").with_retry_after(after);
            assert_eq!(json(&problem)["retry_after_s"], seconds);
            assert_eq!(problem.into_response().headers()[RETRY_AFTER], seconds.to_string());
        }
    }

    #[test]
    fn a_detail_that_quotes_the_request_stays_short() {
        let problem = Problem::invalid("x".repeat(60_000), "é".repeat(60_000));
        assert_eq!(problem.detail().chars().count(), DETAIL_CHARS_MAX + 1);
        assert_eq!(problem.field().unwrap().chars().count(), DETAIL_CHARS_MAX + 1);
    }
}
