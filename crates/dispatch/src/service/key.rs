//! Idempotency keys, as the IETF draft writes them.

use crate::order::Problem;

/// The longest key, in bytes, as with Stripe.
const BYTES_MAX: usize = steadfast_journal::limits::IDEMPOTENCY_KEY_BYTES_MAX;

/// A key that names one piece of work, chosen by the caller.
///
/// The header's value is a structured-field string (RFC 8941), quotes and backslashes escaped:
/// `"8e03978e-40d5-43dd-bc93-6894a57f9324"`. A bare value is taken too, since many clients send
/// one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Reads the value of an `Idempotency-Key` header.
    ///
    /// # Errors
    /// When it is empty, too long, or not visible ASCII, or its quotes do not match.
    pub fn parse(value: &[u8]) -> Result<Self, Problem> {
        let problem = |what: &str| Err(Problem::new("Idempotency-Key", what));
        let value = value.trim_ascii();
        let key = match value.strip_prefix(b"\"") {
            None => value.to_vec(),
            Some(rest) => match unquote(rest) {
                Some(key) => key,
                None => {
                    return problem("must be a quoted string such as \"a1b2\", or a bare value");
                }
            },
        };
        if !(1..=BYTES_MAX).contains(&key.len()) {
            return problem(&format!("must have between 1 and {BYTES_MAX} bytes"));
        }
        match String::from_utf8(key) {
            Ok(key) if key.bytes().all(|c| (0x20..0x7F).contains(&c)) => Ok(Self(key)),
            _ => problem("must consist of visible ASCII characters"),
        }
    }

    /// The key itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The inside of a structured-field string whose opening quote has been taken off.
fn unquote(text: &[u8]) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    loop {
        match rest.next()? {
            b'"' => break,
            b'\\' => key.push(*rest.next().filter(|c| matches!(c, b'"' | b'\\'))?),
            other => key.push(*other),
        }
    }
    rest.as_slice().is_empty().then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, String> {
        IdempotencyKey::parse(text.as_bytes()).map(|key| key.0).map_err(|p| p.problem)
    }

    #[test]
    fn quoted_and_bare_are_the_same_key() {
        assert_eq!(parse("\"8e03\"").unwrap(), "8e03");
        assert_eq!(parse(" 8e03 ").unwrap(), "8e03");
        assert_eq!(parse(r#""a\"b\\c""#).unwrap(), r#"a"b\c"#);
    }

    #[test]
    fn malformed_keys_are_refused() {
        let long = "k".repeat(300);
        for text in ["", "\"\"", "\"open", "\"a\"b", r#""a\x""#, "schlüssel", "a\u{7f}", &long] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(IdempotencyKey::parse(b"\xff\xfe").is_err());
    }
}
