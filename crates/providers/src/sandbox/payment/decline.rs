//! Which payments the sandbox declines: a rule, so that a test can make it happen on purpose.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use steadfast_dispatch::order::Money;

/// Payments that are declined with code [`payment_declined`](crate::sandbox::code). Written
/// `ending:13` (the last digits of the minor units) or `above:100000`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Decline {
    /// Amounts whose minor units, in decimal, end with these digits.
    Ending(String),
    /// Amounts of more than this many minor units.
    Above(i64),
}

/// The text is not a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a rule for declining; write ending:13 or above:100000")]
pub struct DeclineError(String);

impl Decline {
    /// Whether the rule declines an amount.
    #[must_use]
    pub fn applies(&self, amount: &Money) -> bool {
        match self {
            Self::Ending(digits) => amount.minor.to_string().ends_with(digits),
            Self::Above(limit) => amount.minor > *limit,
        }
    }
}

impl fmt::Display for Decline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ending(digits) => write!(f, "ending:{digits}"),
            Self::Above(limit) => write!(f, "above:{limit}"),
        }
    }
}

impl FromStr for Decline {
    type Err = DeclineError;

    fn from_str(text: &str) -> Result<Self, DeclineError> {
        let digits =
            |text: &str| (1..=19).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
        let rule = match text.split_once(':') {
            Some(("ending", last)) if digits(last) => Some(Self::Ending(last.to_owned())),
            Some(("above", limit)) if digits(limit) => limit.parse().ok().map(Self::Above),
            _ => None,
        };
        rule.ok_or_else(|| DeclineError(text.chars().take(80).collect()))
    }
}

impl TryFrom<String> for Decline {
    type Error = DeclineError;

    fn try_from(text: String) -> Result<Self, DeclineError> {
        text.parse()
    }
}

impl From<Decline> for String {
    fn from(rule: Decline) -> Self {
        rule.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn won(minor: i64) -> Money {
        Money { currency: "KRW".to_owned(), minor }
    }

    #[test]
    fn rules_are_written_as_they_are_read() {
        for text in ["ending:13", "ending:013", "above:100000"] {
            assert_eq!(text.parse::<Decline>().unwrap().to_string(), text);
        }
        for text in ["", "ending:", "ending:-1", "below:3", "above:99999999999999999999", "13"] {
            assert!(text.parse::<Decline>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn rules_look_at_minor_units() {
        let ending: Decline = "ending:013".parse().unwrap();
        assert!(ending.applies(&won(18_013)));
        assert!(!ending.applies(&won(18_113)) && !ending.applies(&won(13)));
        let above: Decline = "above:100".parse().unwrap();
        assert!(above.applies(&won(101)) && !above.applies(&won(100)));
    }
}
