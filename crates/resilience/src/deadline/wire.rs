//! Deadlines in headers.
//!
//! What travels is the time that is left, so no two clocks have to agree; the time on the wire is
//! not counted, and the receiver's own deadline starts that much later. Two spellings are in use:
//! Envoy's [`TIMEOUT_MS`] in whole milliseconds, and gRPC's [`GRPC_TIMEOUT`], at most eight digits
//! and a unit (gRPC over HTTP/2, "Requests").

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use steadfast_time::Monotonic;

use super::Deadline;

/// Envoy's header: how long the caller is going to wait, in milliseconds.
pub static TIMEOUT_MS: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");

/// gRPC's header, for example `350m` for 350 milliseconds.
pub static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// A header that says no length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: must be {allowed}")]
pub struct Malformed {
    /// The header.
    pub name: HeaderName,
    /// What it may say.
    pub allowed: &'static str,
}

/// Reads either header, the first of which counts. A length beyond `max` is cut to it.
///
/// # Errors
/// A header is there more than once, or does not say a length of time above nothing.
pub fn read(
    headers: &HeaderMap,
    now: Monotonic,
    max: Duration,
) -> Result<Option<Deadline>, Malformed> {
    let length = match one(headers, &TIMEOUT_MS, MILLISECONDS, milliseconds)? {
        Some(length) => Some(length),
        None => one(headers, &GRPC_TIMEOUT, GRPC, grpc)?,
    };
    Ok(length.map(|length| Deadline::within(now, length.min(max))))
}

/// Writes what is left to [`TIMEOUT_MS`], at least 1 ms: to some, 0 means "for ever".
pub fn write(headers: &mut HeaderMap, left: Duration) {
    let ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1);
    headers.insert(TIMEOUT_MS.clone(), HeaderValue::from(ms));
}

/// Writes what is left to [`GRPC_TIMEOUT`], in the finest unit that eight digits allow.
pub fn write_grpc(headers: &mut HeaderMap, left: Duration) {
    const UNITS: [(u128, char); 4] =
        [(1_000, 'u'), (1_000_000, 'm'), (1_000_000_000, 'S'), (60_000_000_000, 'M')];
    let nanos = left.as_nanos();
    let (amount, unit) = UNITS
        .into_iter()
        .map(|(length, unit)| (nanos / length, unit))
        .find(|(amount, _)| *amount < 100_000_000)
        .unwrap_or((99_999_999, 'H'));
    // Digits and a letter always fit.
    if let Ok(value) = HeaderValue::try_from(format!("{}{unit}", amount.max(1))) {
        headers.insert(GRPC_TIMEOUT.clone(), value);
    }
}

const MILLISECONDS: &str = "one whole number of milliseconds above 0";
const GRPC: &str = "1 to 8 digits and one of H, M, S, m, u, n, above 0";

fn one(
    headers: &HeaderMap,
    name: &'static HeaderName,
    allowed: &'static str,
    parse: fn(&str) -> Option<Duration>,
) -> Result<Option<Duration>, Malformed> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    let Some(value) = first else { return Ok(None) };
    let malformed = || Malformed { name: name.clone(), allowed };
    let length = value.to_str().ok().filter(|_| second.is_none()).and_then(parse);
    length.filter(|length| !length.is_zero()).map(Some).ok_or_else(malformed)
}

fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    // Digits that do not fit are a very long time.
    plain.then(|| text.parse().unwrap_or(u64::MAX))
}

fn milliseconds(text: &str) -> Option<Duration> {
    digits(text.trim()).map(Duration::from_millis)
}

fn grpc(text: &str) -> Option<Duration> {
    let (at, unit) = text.char_indices().next_back()?;
    let amount = digits(&text[..at]).filter(|_| at <= 8)?;
    Some(match unit {
        'H' => Duration::from_secs(amount * 3_600),
        'M' => Duration::from_secs(amount * 60),
        'S' => Duration::from_secs(amount),
        'm' => Duration::from_millis(amount),
        'u' => Duration::from_micros(amount),
        'n' => Duration::from_nanos(amount),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_secs(30);
    const NOW: Monotonic = Monotonic::from_start(Duration::from_secs(7));

    fn read_one(name: &HeaderName, value: &str) -> Result<Option<Duration>, Malformed> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        Ok(read(&headers, NOW, MAX)?.map(|deadline| deadline.left(NOW)))
    }

    #[test]
    fn envoys_header_is_whole_milliseconds() {
        assert_eq!(read(&HeaderMap::new(), NOW, MAX), Ok(None));
        assert_eq!(read_one(&TIMEOUT_MS, "250"), Ok(Some(Duration::from_millis(250))));
        assert_eq!(read_one(&TIMEOUT_MS, "99999999999999999999999"), Ok(Some(MAX)));
        for text in ["", "0", "-5", "1.5", "soon", "+5", "250ms"] {
            assert!(read_one(&TIMEOUT_MS, text).is_err(), "{text:?}");
        }
        let mut twice = HeaderMap::new();
        twice.append(&TIMEOUT_MS, HeaderValue::from_static("5"));
        twice.append(&TIMEOUT_MS, HeaderValue::from_static("5"));
        let malformed = read(&twice, NOW, MAX).unwrap_err();
        assert!(malformed.to_string().starts_with("x-envoy-expected-rq-timeout-ms: must be one"));
    }

    #[test]
    fn grpcs_header_has_a_unit() {
        for (text, ms) in [("350m", 350), ("2S", 2_000), ("500000u", 500), ("1M", 30_000)] {
            let left = read_one(&GRPC_TIMEOUT, text);
            assert_eq!(left, Ok(Some(Duration::from_millis(ms))), "{text}");
        }
        for text in ["", "m", "5", "5x", "123456789m", "-1m", "0S", "5µ"] {
            assert!(read_one(&GRPC_TIMEOUT, text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_is_never_nothing() {
        for micros in [0, 1, 999, 1_000, 350_000, 29_999_999] {
            let left = Duration::from_micros(micros);
            let (mut envoy, mut grpc) = (HeaderMap::new(), HeaderMap::new());
            write(&mut envoy, left);
            write_grpc(&mut grpc, left);
            let envoy = read(&envoy, NOW, MAX).unwrap().unwrap().left(NOW);
            let grpc = read(&grpc, NOW, MAX).unwrap().unwrap().left(NOW);
            assert!(envoy <= left.max(Duration::from_millis(1)), "{envoy:?} of {left:?}");
            assert_eq!(grpc, left.max(Duration::from_micros(1)));
        }
        let mut long = HeaderMap::new();
        write_grpc(&mut long, Duration::from_secs(86_400 * 365));
        assert_eq!(long[&GRPC_TIMEOUT], "31536000S");
    }
}
