//! Headers that mean something to us.

use std::time::Duration;

use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue};
use steadfast_dispatch::names::TenantId;
use steadfast_dispatch::service::IdempotencyKey;
use steadfast_journal::Version;

use crate::problem::{Code, Problem};

/// The key that makes a retry recognisable.
pub(crate) static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Set to `true` on an answer that was given before.
pub(crate) static IDEMPOTENCY_REPLAYED: HeaderName =
    HeaderName::from_static("idempotency-replayed");
/// Whose keys these are.
static TENANT: HeaderName = HeaderName::from_static("x-tenant");
/// What is left of the caller's deadline, in milliseconds; Envoy's name for it.
static EXPECTED_TIMEOUT_MS: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");
/// Where a tracking client left off; sent by browsers when they come back.
static LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The value of a header that may occur once.
fn single<'a>(
    headers: &'a HeaderMap,
    name: &'static HeaderName,
) -> Result<Option<&'a HeaderValue>, Problem> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(Problem::invalid(name.as_str(), "the header may occur once")),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &'static HeaderName) -> Result<Option<&'a str>, Problem> {
    let Some(value) = single(headers, name)? else {
        return Ok(None);
    };
    let text = str::from_utf8(value.as_bytes());
    let text = text.map_err(|_| Problem::invalid(name.as_str(), "must be UTF-8"))?;
    Ok(Some(text.trim()))
}

/// The idempotency key, which must be there.
///
/// # Errors
/// [`Code::KeyMissing`], [`Code::KeyRepeated`], [`Code::KeyMalformed`].
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<IdempotencyKey, Problem> {
    const NAME: &str = "Idempotency-Key";
    let mut values = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        let detail = "send a new random value with each order, and the same one with its retries";
        return Err(Problem::new(Code::KeyMissing, detail).with_field(NAME));
    };
    if values.next().is_some() {
        let problem = Problem::new(Code::KeyRepeated, "the header may occur once");
        return Err(problem.with_field(NAME));
    }
    IdempotencyKey::parse(value.as_bytes())
        .map_err(|rule| Problem::new(Code::KeyMalformed, rule.problem).with_field(NAME))
}

/// The tenant; `public` for whoever does not say.
///
/// # Errors
/// The name breaks the rules of names.
pub(crate) fn tenant(headers: &HeaderMap) -> Result<TenantId, Problem> {
    match text(headers, &TENANT)? {
        None => Ok(TenantId::public()),
        Some(name) => name.parse().map_err(|_| {
            let rule = "a tenant's name has 1 to 120 bytes and no control characters";
            Problem::invalid("X-Tenant", rule)
        }),
    }
}

/// How long the caller will wait; `default` when it does not say, `max` at most.
///
/// # Errors
/// The value is not a whole number of milliseconds, from 1 on.
pub(crate) fn time_allowed(
    headers: &HeaderMap,
    default: Duration,
    max: Duration,
) -> Result<Duration, Problem> {
    let Some(text) = text(headers, &EXPECTED_TIMEOUT_MS)? else {
        return Ok(default);
    };
    let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    // More digits than fit are a number beyond any bound.
    match (digits, text.parse::<u64>()) {
        (true, Ok(0)) | (false, _) => {
            let rule = "must be a whole number of milliseconds, from 1 on";
            Err(Problem::invalid(EXPECTED_TIMEOUT_MS.as_str(), rule))
        }
        (true, Ok(millis)) => Ok(Duration::from_millis(millis).min(max)),
        (true, Err(_)) => Ok(max),
    }
}

/// The version that the caller means to change, from `If-Match`; `*` means any.
///
/// # Errors
/// The value is not one strong entity tag of ours.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<Version>, Problem> {
    match text(headers, &IF_MATCH)? {
        None | Some("*") => Ok(None),
        Some(tag) => strong(tag).map(Some).ok_or_else(|| {
            let rule = "must be one entity tag as an ETag header gave it, such as \"3\", or *";
            Problem::invalid("If-Match", rule)
        }),
    }
}

/// Whether the caller has this version already, from `If-None-Match`. Tags that are not ours
/// match nothing (RFC 9110, section 13.1.2).
pub(crate) fn has_version(headers: &HeaderMap, version: Version) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|list| {
        list.split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || strong(tag.strip_prefix("W/").unwrap_or(tag)) == Some(version))
    })
}

/// The version that a tracking client saw last.
///
/// # Errors
/// The value is not a number.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Result<Option<Version>, Problem> {
    // Browsers send an empty one when they have not seen any event.
    match text(headers, &LAST_EVENT_ID)? {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(|number| Some(Version(number))).map_err(|_| {
            Problem::invalid("Last-Event-ID", "must be the id of an event of this stream")
        }),
    }
}

/// The entity tag of a version.
pub(crate) fn etag(version: Version) -> HeaderValue {
    // Digits and quotes always fit.
    HeaderValue::try_from(format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

fn strong(tag: &str) -> Option<Version> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    let plain = digits.bytes().all(|c| c.is_ascii_digit());
    if plain { digits.parse().ok().map(Version) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn a_key_is_there_once_and_well_formed() {
        let code = |values: &[&str]| {
            let pairs: Vec<_> = values.iter().map(|value| (&IDEMPOTENCY_KEY, *value)).collect();
            idempotency_key(&headers(&pairs)).map_err(|problem| problem.code())
        };
        assert_eq!(code(&["\"8e03\""]).unwrap().as_str(), "8e03");
        assert_eq!(code(&[]), Err(Code::KeyMissing));
        assert_eq!(code(&["a", "a"]), Err(Code::KeyRepeated));
        assert_eq!(code(&["\"open"]), Err(Code::KeyMalformed));
        assert_eq!(code(&[&"k".repeat(300)]), Err(Code::KeyMalformed));
    }

    #[test]
    fn deadlines_are_bounded() {
        let (default, max) = (Duration::from_millis(350), Duration::from_secs(30));
        let allowed = |value: &str| {
            let headers = headers(&[(&EXPECTED_TIMEOUT_MS, value)]);
            time_allowed(&headers, default, max).ok()
        };
        assert_eq!(time_allowed(&HeaderMap::new(), default, max), Ok(default));
        assert_eq!(allowed("250"), Some(Duration::from_millis(250)));
        assert_eq!(allowed("99999999999999999999999"), Some(max));
        for text in ["", "0", "-5", "1.5", "soon", "+5"] {
            assert_eq!(allowed(text), None, "{text:?}");
        }
    }

    #[test]
    fn tenants_are_names() {
        assert_eq!(tenant(&HeaderMap::new()).unwrap().as_str(), "public");
        assert_eq!(tenant(&headers(&[(&TENANT, "kim's")])).unwrap().as_str(), "kim's");
        assert!(tenant(&headers(&[(&TENANT, "")])).is_err());
        assert!(tenant(&headers(&[(&TENANT, &"t".repeat(121))])).is_err());
        assert!(tenant(&headers(&[(&TENANT, "a"), (&TENANT, "b")])).is_err());
        let mut bad = HeaderMap::new();
        bad.insert(&TENANT, HeaderValue::from_bytes(b"\xff\xfe").unwrap());
        assert!(tenant(&bad).is_err());
    }

    #[test]
    fn entity_tags_are_versions() {
        let matching = |tag: &str| if_match(&headers(&[(&IF_MATCH, tag)]));
        assert_eq!(matching("\"3\""), Ok(Some(Version(3))));
        assert_eq!(matching("*"), Ok(None));
        for tag in ["3", "W/\"3\"", "\"x\"", "\"3\", \"4\"", "\"+3\"", "\""] {
            assert!(matching(tag).is_err(), "{tag}");
        }
        let has = |tags: &str| has_version(&headers(&[(&IF_NONE_MATCH, tags)]), Version(3));
        for tags in ["\"3\"", "W/\"3\"", "*", "\"1\", \"3\"", "\"x\",W/\"3\""] {
            assert!(has(tags), "{tags}");
        }
        for tags in ["\"4\"", "3", "", "\"33\""] {
            assert!(!has(tags), "{tags}");
        }
    }
}
