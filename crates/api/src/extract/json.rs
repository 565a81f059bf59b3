//! JSON bodies.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde::de::DeserializeOwned;

use crate::problem::{Code, Problem};

/// Reads a body that must be there.
///
/// # Errors
/// [`Code::UnsupportedMediaType`], or [`Code::InvalidRequest`] with the path of the field.
pub(crate) fn required<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<T, Problem> {
    check_media_type(headers)?;
    // An array would be read as the fields in their order, which nobody promised.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(Problem::invalid("body", "must be a JSON object, not an array"));
    }
    match serde_json::from_slice(body) {
        Ok(value) => Ok(value),
        Err(_) => Err(explain::<T>(body)),
    }
}

/// Reads a body that may be left out; then it is like `{}`.
///
/// # Errors
/// As [`required`].
pub(crate) fn optional<T: DeserializeOwned + Default>(
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<T, Problem> {
    if body.trim_ascii().is_empty() { Ok(T::default()) } else { required(headers, body) }
}

/// Only `application/json` is taken. A browser sends other types across origins without asking
/// first, so a lax server would let any web page place orders.
fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let refuse = |detail| Err(Problem::new(Code::UnsupportedMediaType, detail));
    if headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return refuse("the body must not have a content encoding");
    }
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return refuse("send the header content-type: application/json");
    };
    let essence = value.as_bytes().split(|&c| c == b';').next().unwrap_or_default();
    if essence.trim_ascii().eq_ignore_ascii_case(b"application/json") {
        Ok(())
    } else {
        refuse("the content type must be application/json")
    }
}

/// Reads the body again, slowly, to find out where it is wrong.
#[cold]
fn explain<T: DeserializeOwned>(body: &[u8]) -> Problem {
    if body.trim_ascii().is_empty() {
        return Problem::invalid("body", "a JSON body is needed");
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let error = match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Err(error) => error,
        Ok(_) => {
            let rest = reader.end().map_or_else(|error| error.to_string(), |()| String::new());
            return Problem::invalid("body", format!("not valid JSON: {rest}"));
        }
    };
    let path = error.path().to_string();
    let inner = error.into_inner();
    let detail =
        if inner.is_data() { inner.to_string() } else { format!("not valid JSON: {inner}") };
    Problem::invalid(field(&path, &detail), detail)
}

/// The field at fault, from where the reader was and from what it said.
fn field(path: &str, detail: &str) -> String {
    // The reader calls the whole body `.` and what it had no name for yet `?`.
    let path = path.trim_end_matches(['?', '.']);
    // It stands at the object when it misses a field there, or finds one twice.
    let named = ["missing field `", "duplicate field `"]
        .into_iter()
        .find_map(|said| detail.strip_prefix(said)?.split('`').next());
    match (path, named) {
        ("", None) => "body".to_owned(),
        ("", Some(name)) => name.to_owned(),
        (path, None) => path.to_owned(),
        (path, Some(name)) => format!("{path}.{name}"),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use steadfast_dispatch::courier::Heartbeat;
    use steadfast_dispatch::order::PlaceOrder;

    use super::*;

    const BENTO: &str = r#"{"merchant":"r1","pickup":{"x":1,"y":2},"dropoff":{"x":3,"y":4},
        "items":[{"sku":"bento","quantity":2}],"amount":{"currency":"KRW","minor":18000}}"#;

    fn headers(media_type: &'static str) -> HeaderMap {
        [(CONTENT_TYPE, HeaderValue::from_static(media_type))].into_iter().collect()
    }

    fn place(body: impl Into<Vec<u8>>) -> Result<PlaceOrder, Problem> {
        required(&headers("application/json"), &Bytes::from(body.into()))
    }

    /// The field and the words that must be in the detail.
    #[track_caller]
    fn refused(body: impl Into<Vec<u8>>, field: &str, detail: &str) {
        let problem = place(body).unwrap_err();
        assert_eq!(problem.code(), Code::InvalidRequest);
        assert_eq!(problem.field(), Some(field), "{}", problem.detail());
        assert!(problem.detail().contains(detail), "{}", problem.detail());
    }

    #[test]
    fn errors_name_the_field_or_the_line() {
        assert!(place(BENTO).is_ok());
        refused("", "body", "JSON body is needed");
        refused("{", "body", "line 1 column 1");
        refused("[]", "body", "must be a JSON object");
        refused("7", "body", "expected struct PlaceOrder");
        refused(format!("{BENTO} x"), "body", "trailing characters at line 2");
        refused(BENTO.replace("2}]", "-2}]"), "items[0].quantity", "invalid value");
        refused(BENTO.replace("2}]", "\"2\"}]"), "items[0].quantity", "expected u32");
        refused(BENTO.replace("18000", "1e99"), "amount.minor", "expected i64");
        refused(BENTO.replace("\"x\":1", "\"x\":NaN"), "pickup.x", "line 1");
        refused(BENTO.replace("\"x\":1", "\"x\":1e999"), "pickup.x", "number out of range");
        refused(BENTO.replace("\"x\":1", "\"lat\":1"), "pickup", "");
        refused(BENTO.replace("\"merchant\"", "\"merchand\""), "merchand", "unknown field");
        let bad = BENTO.replace("bento", "b\u{1}").into_bytes();
        refused(bad, "items[0].sku", "control character");
        let mut bad = BENTO.as_bytes().to_vec();
        let at = BENTO.find("bento").unwrap();
        bad[at] = 0xFF;
        refused(bad, "items[0].sku", "invalid unicode code point at line 2");
        refused("[".repeat(10_000), "body", "must be a JSON object");
        let deep = format!("{}{}", "{\"items\":", "[".repeat(10_000));
        refused(deep, "items[0][0]", "");
    }

    #[test]
    fn only_json_is_taken() {
        let body = Bytes::from_static(BENTO.as_bytes());
        for fits in ["application/json", "Application/JSON; charset=utf-8"] {
            assert!(required::<PlaceOrder>(&headers(fits), &body).is_ok(), "{fits}");
        }
        for other in ["text/plain", "application/jsonp", "application/x-www-form-urlencoded"] {
            let problem = required::<PlaceOrder>(&headers(other), &body).unwrap_err();
            assert_eq!(problem.code(), Code::UnsupportedMediaType, "{other}");
        }
        let problem = required::<PlaceOrder>(&HeaderMap::new(), &body).unwrap_err();
        assert_eq!(problem.code(), Code::UnsupportedMediaType);
        let mut coded = headers("application/json");
        coded.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert!(required::<PlaceOrder>(&coded, &body).is_err());
    }

    #[test]
    fn a_body_that_may_be_left_out_may_be_left_out() {
        let nothing = HeaderMap::new();
        let beat = optional::<Heartbeat>(&nothing, &Bytes::new()).unwrap();
        assert_eq!(beat, Heartbeat::default());
        assert!(optional::<Heartbeat>(&nothing, &Bytes::from_static(b"{}")).is_err());
    }
}
