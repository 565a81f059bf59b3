//! How many requests may be at work at once.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Setting;

/// So many, or as many as have been done without becoming slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concurrency {
    /// So many.
    Fixed(u32),
    /// Additive increase, multiplicative decrease.
    Aimd,
    /// By the queue that the time a request takes betrays.
    Vegas,
    /// By how the time that a request takes changes.
    Gradient,
}

const EXPECTED: &str = "a number of requests, \"aimd\", \"vegas\" or \"gradient\"";

impl Setting for Concurrency {
    const ALLOWED: &'static str = "a number of requests, `\"aimd\"`, `\"vegas\"` or `\"gradient\"`";
}

impl Serialize for Concurrency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(requests) => requests.serialize(serializer),
            Self::Aimd => serializer.serialize_str("aimd"),
            Self::Vegas => serializer.serialize_str("vegas"),
            Self::Gradient => serializer.serialize_str("gradient"),
        }
    }
}

impl<'de> Deserialize<'de> for Concurrency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Concurrency;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Concurrency, E> {
                u32::try_from(number)
                    .map(Concurrency::Fixed)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Concurrency, E> {
                u32::try_from(number)
                    .map(Concurrency::Fixed)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Concurrency, E> {
                match text {
                    "aimd" => Ok(Concurrency::Aimd),
                    "vegas" => Ok(Concurrency::Vegas),
                    "gradient" => Ok(Concurrency::Gradient),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
