//! What an answer means: a pure function, so that every row of the contract is a test.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use steadfast_dispatch::provider::{Failure, PROVIDER_REJECTED};
use steadfast_resilience::retry::status;
use steadfast_time::Timestamp;

use crate::Operation;
use crate::limits::{CODE_BYTES_MAX, REASON_CHARS_MAX};
use crate::wire::Problem;

/// An answer that arrived whole.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// When it arrived, by our own wall clock: a `Retry-After` may be a date.
    pub(super) at: Timestamp,
}

impl Reply {
    /// The body of a success, or what the answer means otherwise. See `docs/providers.md`.
    pub(super) fn read(self, operation: Operation) -> Result<Bytes, Failure> {
        let Self { status, headers, body, at } = &self;
        let retry_after = headers.get(header::RETRY_AFTER);
        let seen = match retry_after {
            Some(after) => {
                let after = String::from_utf8_lossy(after.as_bytes());
                format!("{operation}: {status}, Retry-After: {}", brief(&after))
            }
            None => format!("{operation}: {status}"),
        };
        match *status {
            // It will be done, or not: the answer is still to come.
            StatusCode::ACCEPTED => Err(Failure::Unknown { reason: seen }),
            status if status.is_success() => Ok(body.clone()),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                let retry_after = status::retry_after(headers, *at);
                Err(Failure::Unavailable { reason: seen, retry_after })
            }
            // The first request of this key is still running (IETF Idempotency-Key draft, 2.7).
            StatusCode::CONFLICT if retry_after.is_some() => Err(Failure::Unknown { reason: seen }),
            // Something on the way gave up waiting for us, or was afraid of a replay.
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => {
                Err(Failure::Unknown { reason: seen })
            }
            StatusCode::PAYMENT_REQUIRED
            | StatusCode::CONFLICT
            | StatusCode::UNPROCESSABLE_ENTITY => Err(self.refusal(operation)),
            status if status.is_client_error() => Err(self.rejected(operation)),
            _ => Err(Failure::Unknown { reason: seen }),
        }
    }

    fn refusal(&self, operation: Operation) -> Failure {
        let Problem { title, code, detail, .. } =
            serde_json::from_slice(&self.body).unwrap_or_default();
        let fits = |code: &String| {
            let plain = |c: u8| c.is_ascii_alphanumeric() || b"_-.".contains(&c);
            (1..=CODE_BYTES_MAX).contains(&code.len()) && code.bytes().all(plain)
        };
        match code.filter(fits) {
            Some(code) => {
                let reason = detail.or(title).unwrap_or_else(|| self.status.to_string());
                Failure::Refused { code, reason: brief(&reason) }
            }
            None => self.rejected(operation),
        }
    }

    /// The service understands us differently than we mean it. That is for an operator to mend.
    fn rejected(&self, operation: Operation) -> Failure {
        let status = self.status;
        tracing::warn!(
            %operation, status = status.as_u16(),
            "the provider rejects our requests; check its URL, its token and its version"
        );
        let code = PROVIDER_REJECTED.to_owned();
        Failure::Refused { code, reason: format!("{operation}: the service answered {status}") }
    }
}

/// Somebody else's words, kept short and on one line.
fn brief(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;

    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT, the date in RFC 9110 section 5.6.7.
    const RFC_DATE: Timestamp = Timestamp::from_millis(784_111_777_000);

    fn read(status: u16, retry_after: Option<&str>, body: &'static str) -> Result<Bytes, Failure> {
        let status = StatusCode::from_u16(status).unwrap();
        let after = retry_after.map(|text| HeaderValue::from_bytes(text.as_bytes()).unwrap());
        let headers = after.map(|after| (header::RETRY_AFTER, after)).into_iter().collect();
        Reply { status, headers, body: body.into(), at: RFC_DATE }.read(Operation::Reserve)
    }

    fn code(result: Result<Bytes, Failure>) -> String {
        match result {
            Err(Failure::Refused { code, .. }) => code,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn success_is_2xx_but_not_202() {
        for status in [200, 201, 204] {
            assert_eq!(read(status, None, "{}"), Ok(Bytes::from_static(b"{}")));
        }
        assert!(matches!(read(202, None, "{}"), Err(Failure::Unknown { .. })));
    }

    #[test]
    fn a_refusal_has_a_code_and_a_reason() {
        for status in [402, 409, 422] {
            let body = r#"{"code":"out_of_stock","detail":"no\nbento","more":[1]}"#;
            let reason = "nobento".to_owned();
            let refused = Failure::Refused { code: "out_of_stock".to_owned(), reason };
            assert_eq!(read(status, None, body), Err(refused));
        }
    }

    #[test]
    fn without_a_usable_code_it_is_our_fault() {
        let long = r#"{"code":"<script>"}"#;
        for body in
            ["", "<html>", "[]", r#"{"code":7}"#, r#"{"detail":"x"}"#, r#"{"code":""}"#, long]
        {
            assert_eq!(code(read(409, None, body)), PROVIDER_REJECTED, "{body}");
        }
        for status in [400, 401, 403, 404, 405, 410, 413, 415, 418, 451] {
            let body = r#"{"code":"out_of_stock"}"#;
            assert_eq!(code(read(status, None, body)), PROVIDER_REJECTED, "{status}");
        }
    }

    #[test]
    fn away_is_429_and_503_with_or_without_a_time() {
        let long = "9".repeat(40);
        let rows = [
            (None, None),
            (Some("3"), Some(3)),
            (Some(" 0 "), Some(0)),
            (Some("Sun, 06 Nov 1994 08:51:07 GMT"), Some(90)),
            // A date that has passed: at once.
            (Some("Sunday, 06-Nov-94 08:49:00 GMT"), Some(0)),
            (Some("Sun Nov  6 08:49:39 1994"), Some(2)),
            // Whoever decides on the pause has a cap.
            (Some(&*long), Some(u64::MAX)),
            (Some(""), None),
            (Some("soon"), None),
            (Some("-5"), None),
            (Some("1.5"), None),
            (Some("\u{e9}t\u{e9}"), None),
        ];
        for status in [429, 503] {
            for (text, seconds) in rows {
                let failure = read(status, text, "").unwrap_err();
                let Failure::Unavailable { reason, retry_after } = failure else {
                    panic!("{text:?}: {failure}");
                };
                assert_eq!(retry_after, seconds.map(Duration::from_secs), "{text:?}");
                assert_eq!(reason.contains("Retry-After: "), text.is_some(), "{reason}");
            }
        }
    }

    /// A breaker is told apart what an order is refused and what all calls are.
    #[test]
    fn wrong_credentials_count_against_the_service_and_a_refusal_does_not() {
        use steadfast_resilience::{Class, Classified};

        for status in [400, 401, 403, 404] {
            assert_eq!(read(status, None, "").unwrap_err().class(), Class::Permanent, "{status}");
        }
        let refused = read(402, None, r#"{"code":"payment_declined"}"#).unwrap_err();
        assert_eq!(refused.class(), Class::Refusal);
        for status in [202, 408, 500, 504] {
            assert_eq!(read(status, None, "").unwrap_err().class(), Class::TRANSIENT, "{status}");
        }
        let retry_after = Some(Duration::from_secs(3));
        let busy = read(429, Some("3"), "").unwrap_err();
        assert_eq!(busy.class(), Class::Transient { retry_after });
    }

    #[test]
    fn what_says_nothing_leaves_it_unknown() {
        for status in [100, 204 + 98, 304, 408, 425, 500, 501, 502, 504, 507, 599] {
            let failure = read(status, None, r#"{"code":"out_of_stock"}"#).unwrap_err();
            assert!(matches!(failure, Failure::Unknown { .. }), "{status}: {failure}");
        }
        let running = read(409, Some("1"), r#"{"code":"in_progress"}"#).unwrap_err();
        assert!(matches!(running, Failure::Unknown { .. }), "{running}");
    }
}
