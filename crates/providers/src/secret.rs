//! A text that must not be seen.

use std::fmt;

/// A bearer token. It cannot be printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a token.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The `Authorization` header's value: `Bearer …`.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Compares a header's value in a time that depends on its length only, so that the token
    /// cannot be guessed byte by byte.
    #[cfg(feature = "serve")]
    pub(crate) fn admits(&self, header: &[u8]) -> bool {
        let expected = self.bearer();
        let expected = expected.as_bytes();
        let differs = header.iter().zip(expected).fold(0, |differs, (a, b)| differs | (a ^ b));
        header.len() == expected.len() && std::hint::black_box(differs) == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
