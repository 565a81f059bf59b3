//! What HTTP's status codes and `Retry-After` say.
//!
//! | status | class | because |
//! |---|---|---|
//! | 1xx, 2xx, 3xx | success | |
//! | 429, 503 | transient | the sources retry them; `Retry-After` says when (RFC 6585 section 4, RFC 9110 section 15.6.4) |
//! | 408, 502, 504 | transient | what a server or a gateway says instead of a timeout, which the sources retry (RFC 9110 sections 15.5.9, 15.6.3, 15.6.5) |
//! | 401, 403, 407 | permanent | the sources never retry 401, and the other two fail alike: wrong credentials stay wrong, and all calls fail with them, so a breaker should know |
//! | other 4xx | refusal | the sources never retry 400 or a business refusal, and a server that refuses is well |
//! | 500, 501, other 5xx, 600 and more | permanent | the server is ill, and no source says that asking again helps |
//!
//! `Retry-After` is read from every transient answer, in seconds or as a date (RFC 9110 section
//! 10.2.3). A date needs our own wall clock: one that is wrong by a minute waits a minute too long
//! or not at all. One that says neither counts as absent.

use std::time::{Duration, UNIX_EPOCH};

use http::header::{HeaderMap, RETRY_AFTER};
use http::{Response, StatusCode};
use steadfast_time::{Clock, Timestamp};

use crate::{Class, Classify};

/// The class of an answer; see the table above.
#[must_use]
pub fn class(status: StatusCode, headers: &HeaderMap, wall: Timestamp) -> Class {
    class_with(status, || retry_after(headers, wall))
}

fn class_with(status: StatusCode, retry_after: impl FnOnce() -> Option<Duration>) -> Class {
    match status.as_u16() {
        100..400 => Class::Success,
        408 | 429 | 502 | 503 | 504 => Class::Transient { retry_after: retry_after() },
        401 | 403 | 407 => Class::Permanent,
        400..500 => Class::Refusal,
        _ => Class::Permanent,
    }
}

/// How long the other side wants to be left alone; nothing when the date that it names has
/// passed. `None`: it does not say.
#[must_use]
pub fn retry_after(headers: &HeaderMap, wall: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits that do not fit are a very long time.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let date = date.duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Duration::from_micros(u64::try_from(wall.as_micros()).unwrap_or_default());
    Some(date.saturating_sub(now))
}

/// Judges answers by their status, and errors (no connection, no answer) by a function.
///
/// ```
/// use steadfast_resilience::{Class, Classify, retry::status::ByStatus};
/// use steadfast_time::sim::Simulation;
///
/// let judge = ByStatus::new(Simulation::new(1).clock(), |_: &std::io::Error| Class::TRANSIENT);
/// let answer = http::Response::builder().status(503).header("retry-after", "2").body(());
/// let class = judge.classify(&Ok(answer?));
/// let after = Some(std::time::Duration::from_secs(2));
/// assert_eq!(class, Class::Transient { retry_after: after });
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ByStatus<F> {
    clock: Clock,
    error: F,
}

impl<F> ByStatus<F> {
    /// By status, and errors by `error`. For errors that know their class that is
    /// [`crate::Classified::class`]. The clock's date is read only where an answer is transient.
    pub const fn new(clock: Clock, error: F) -> Self {
        Self { clock, error }
    }
}

impl<B, E, F: Fn(&E) -> Class> Classify<Response<B>, E> for ByStatus<F> {
    fn classify(&self, outcome: &Result<Response<B>, E>) -> Class {
        match outcome {
            Ok(answer) => class_with(answer.status(), || {
                // Without the header there is nothing to compare the date with.
                let headers = answer.headers();
                headers.get(RETRY_AFTER).and_then(|_| retry_after(headers, self.clock.now()))
            }),
            Err(error) => (self.error)(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT, the date in RFC 9110 section 5.6.7.
    const RFC_DATE: Timestamp = Timestamp::from_millis(784_111_777_000);

    fn asked(value: &str, wall: Timestamp) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        retry_after(&headers, wall)
    }

    #[test]
    fn each_status_has_its_class() {
        let class = |status: u16| {
            let status = StatusCode::from_u16(status).unwrap();
            class(status, &HeaderMap::new(), RFC_DATE)
        };
        for status in [100, 200, 201, 204, 304, 399] {
            assert_eq!(class(status), Class::Success, "{status}");
        }
        for status in [408, 429, 502, 503, 504] {
            assert_eq!(class(status), Class::TRANSIENT, "{status}");
        }
        for status in [400, 404, 409, 410, 412, 418, 422, 425, 499] {
            assert_eq!(class(status), Class::Refusal, "{status}");
        }
        for status in [401, 403, 407, 500, 501, 505, 511, 599, 600, 999] {
            assert_eq!(class(status), Class::Permanent, "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let secs = |secs| Some(Duration::from_secs(secs));
        assert_eq!(retry_after(&HeaderMap::new(), RFC_DATE), None);
        // RFC 9110 section 10.2.3: "Retry-After: 120".
        assert_eq!(asked("120", RFC_DATE), secs(120));
        assert_eq!(asked(" 0 ", RFC_DATE), secs(0));
        assert_eq!(asked("99999999999999999999999", RFC_DATE), secs(u64::MAX));
        // The three spellings of one date, half a minute and half a second before it.
        let before = RFC_DATE - Duration::from_millis(30_500);
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(asked(date, before), Some(Duration::from_millis(30_500)), "{date}");
            assert_eq!(asked(date, RFC_DATE + Duration::from_secs(9)), secs(0), "passed");
        }
        for neither in ["", "soon", "-5", "+5", "1.5", "Sun, 06 Nov 1994", "12 s"] {
            assert_eq!(asked(neither, RFC_DATE), None, "{neither:?}");
        }
    }

    #[test]
    fn answers_are_judged_by_status_and_errors_by_the_function() {
        let clock = steadfast_time::sim::Simulation::new(1).clock();
        let judge = ByStatus::new(clock, |error: &&str| match *error {
            "connection refused" => Class::TRANSIENT,
            _ => Class::Permanent,
        });
        let mut answer = Response::new(());
        assert_eq!(judge.classify(&Ok(answer.clone())), Class::Success);
        *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        assert_eq!(judge.classify(&Ok(answer.clone())), Class::TRANSIENT);
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("7"));
        let retry_after = Some(Duration::from_secs(7));
        assert_eq!(judge.classify(&Ok(answer)), Class::Transient { retry_after });
        let failed: Result<Response<()>, &str> = Err("connection refused");
        assert_eq!(judge.classify(&failed), Class::TRANSIENT);
    }
}
