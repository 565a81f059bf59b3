//! Who may use a listener.

use std::fmt;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::limits::TOKEN_BYTES_MIN;

/// Who may use a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever is on this machine: the listener refuses to listen on other addresses.
    Loopback,
    /// Whoever has the token.
    Bearer(Token),
    /// Anybody who can reach it. Say so only where something else keeps others out.
    Anyone,
}

impl Access {
    /// Whether a request with these headers may come in.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::Loopback | Self::Anyone => true,
            Self::Bearer(token) => token.is_in(headers),
        }
    }
}

/// A bearer token (RFC 6750). Only its hash is kept, so it cannot be printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    hash: [u8; 32],
}

/// The text is no good as a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token has at least {TOKEN_BYTES_MIN} visible ASCII characters and no spaces")]
pub struct TokenError;

impl Token {
    /// A token from its text.
    ///
    /// # Errors
    /// When it is too short to be safe, or cannot be written in a header.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let fits = text.len() >= TOKEN_BYTES_MIN && text.bytes().all(|c| c.is_ascii_graphic());
        if fits { Ok(Self { hash: Sha256::digest(text).into() }) } else { Err(TokenError) }
    }

    /// Whether the `Authorization` header carries it. Hashes are compared, in constant time: how
    /// long it takes says nothing about how much of a guess was right.
    fn is_in(&self, headers: &HeaderMap) -> bool {
        const SCHEME: &[u8] = b"bearer ";
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return false;
        };
        match value.as_bytes().split_at_checked(SCHEME.len()) {
            Some((scheme, presented)) if scheme.eq_ignore_ascii_case(SCHEME) => {
                let hash: [u8; 32] = Sha256::digest(presented.trim_ascii()).into();
                hash.ct_eq(&self.hash).into()
            }
            _ => false,
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const TEXT: &str = "correct-horse-battery";

    fn admits(values: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        Access::Bearer(Token::new(TEXT).unwrap()).admits(&headers)
    }

    #[test]
    fn only_the_token_lets_in() {
        assert!(admits(&["Bearer correct-horse-battery"]));
        assert!(admits(&["bearer correct-horse-battery"]));
        assert!(!admits(&[]));
        for other in [
            "Bearer correct-horse-batter",
            "Bearer correct-horse-batteryx",
            "Basic correct-horse-battery",
            "correct-horse-battery",
            "Bearer ",
            "",
        ] {
            assert!(!admits(&[other]), "{other:?}");
        }
        assert!(!admits(&["Bearer correct-horse-battery", "Bearer correct-horse-battery"]));
    }

    #[test]
    fn a_token_is_long_enough_and_never_printed() {
        assert_eq!(Token::new("short"), Err(TokenError));
        assert_eq!(Token::new("has a space in the middle"), Err(TokenError));
        let access = Access::Bearer(Token::new(TEXT).unwrap());
        assert!(!format!("{access:?}").contains("horse"));
    }
}
