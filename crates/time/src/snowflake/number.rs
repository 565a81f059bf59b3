//! A number as people and programs pass it around.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Crockford's base 32: no I, L, O or U, which are misread or misheard.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// 63 bits in digits of 5.
const LENGTH: usize = 13;

/// A unique number of 63 bits, so positive as a signed integer too.
///
/// As text it has 13 characters of Crockford's base 32, which sort as the numbers do; small
/// letters, `O` for 0, `I` and `L` for 1, and hyphens are understood. Serialised as that text for
/// human readers, since a JavaScript number holds 53 bits only; as an integer elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(u64);

/// The text or integer is not a number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Not 13 digits of base 32.
    #[error("{0:?} is not a number of 13 letters and digits such as 1ASD13XH1F800")]
    Text(String),
    /// The topmost bit is set.
    #[error("{0} has more than 63 bits")]
    Range(u64),
}

impl Number {
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits & (u64::MAX >> 1))
    }

    /// As an integer.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// As a signed integer, for databases.
    #[must_use]
    pub const fn as_i64(self) -> i64 {
        self.0 as i64
    }
}

impl TryFrom<u64> for Number {
    type Error = NumberError;

    fn try_from(bits: u64) -> Result<Self, NumberError> {
        if bits >> 63 == 0 { Ok(Self(bits)) } else { Err(NumberError::Range(bits)) }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [b'0'; LENGTH];
        for (place, digit) in text.iter_mut().rev().enumerate() {
            *digit = DIGITS[(self.0 >> (5 * place)) as usize & 31];
        }
        f.pad(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl FromStr for Number {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        let wrong = || NumberError::Text(text.chars().take(32).collect());
        let (mut bits, mut length) = (0_u64, 0);
        for letter in text.bytes().filter(|letter| *letter != b'-') {
            let letter = match letter.to_ascii_uppercase() {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                other => other,
            };
            let digit = DIGITS.iter().position(|digit| *digit == letter).ok_or_else(wrong)?;
            length += 1;
            // 13 digits have 65 bits; the first one has to be small.
            if length > LENGTH || bits >> 58 != 0 {
                return Err(wrong());
            }
            bits = (bits << 5) | digit as u64;
        }
        if length == LENGTH { Ok(Self(bits)) } else { Err(wrong()) }
    }
}

impl Serialize for Number {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
            text.parse().map_err(D::Error::custom)
        } else {
            Self::try_from(u64::deserialize(deserializer)?).map_err(D::Error::custom)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_forgiving_where_it_can_be() {
        let number = Number(1_541_815_603_606_036_480);
        let text = number.to_string();
        assert_eq!(text, "1ASD13XH1F800");
        let spoken = format!("{}-{}", &text[..5], &text[5..]).to_lowercase();
        assert_eq!(spoken.replace('0', "o").replace('1', "l").parse(), Ok(number));
        for wrong in ["", "1ASD13XH1F80", "1ASD13XH1F8000", "UASD13XH1F800", "ZZZZZZZZZZZZZ"] {
            assert!(wrong.parse::<Number>().is_err(), "{wrong}");
        }
        assert_eq!("7ZZZZZZZZZZZZ".parse(), Ok(Number(u64::MAX >> 1)));
        assert!(Number::try_from(1 << 63).is_err());
    }

    proptest! {
        #[test]
        fn text_sorts_as_numbers_do(a in 0..=u64::MAX >> 1, b in 0..=u64::MAX >> 1) {
            let (a, b) = (Number(a), Number(b));
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            prop_assert_eq!(a.to_string().cmp(&b.to_string()), a.cmp(&b));
            let json = serde_json::to_string(&a).unwrap();
            prop_assert_eq!(serde_json::from_str::<Number>(&json).unwrap(), a);
        }
    }
}
