//! A length of time, in words.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Setting, text};

/// A length of time such as `"350ms"`. A bare number is refused: nobody can tell its unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Length(Duration);

impl Length {
    /// From a number of milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// From a number of seconds.
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// From the standard library's type.
    pub const fn new(length: Duration) -> Self {
        Self(length)
    }

    /// As the standard library has it.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl Setting for Length {
    const ALLOWED: &'static str =
        "a length of time in words, such as `\"350ms\"`, `\"30s\"` or `\"1h 30m\"`";
}

/// The text is not a length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a length of time; write it in words, such as \"350ms\", \"30s\" or \"1h 30m\""
)]
pub struct LengthError(String);

impl FromStr for Length {
    type Err = LengthError;

    fn from_str(text: &str) -> Result<Self, LengthError> {
        let error = || LengthError(text.chars().take(80).collect());
        let length: SignedDuration = text.trim().parse().map_err(|_| error())?;
        Duration::try_from(length).map(Self).map_err(|_| error())
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SignedDuration::try_from(self.0) {
            Ok(length) => write!(f, "{length:#}"),
            Err(_) => write!(f, "{:?}", self.0),
        }
    }
}

impl fmt::Debug for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Length {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::read(deserializer, Self::ALLOWED, str::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_written() {
        for (text, millis) in
            [("350ms", 350), ("1.5s", 1_500), ("1h 30m", 5_400_000), ("24h", 86_400_000)]
        {
            assert_eq!(text.parse(), Ok(Length::millis(millis)), "{text}");
        }
        for text in ["350ms", "30s", "1h 30m", "24h", "0s", "250us"] {
            assert_eq!(text.parse::<Length>().unwrap().to_string().replace('µ', "u"), text);
        }
    }

    #[test]
    fn a_bare_number_has_no_unit() {
        for text in ["350", "", "fast", "-5s", "5 parsecs"] {
            assert!(text.parse::<Length>().is_err(), "{text:?}");
        }
    }
}
