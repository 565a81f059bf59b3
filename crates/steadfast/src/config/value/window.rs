//! Which calls a breaker judges.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Length, Setting};

/// The last so many calls, or those of the last so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// So many calls.
    Calls(u32),
    /// So long.
    Time(Length),
}

impl Setting for Window {
    const ALLOWED: &'static str =
        "a number of calls, or a length of time in words such as `\"60s\"`";
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Calls(calls) => calls.serialize(serializer),
            Self::Time(length) => length.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Window;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of calls, or a length of time in words such as \"60s\"")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Window, E> {
                let calls = u32::try_from(number);
                calls
                    .map(Window::Calls)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Window, E> {
                let calls = u32::try_from(number);
                calls
                    .map(Window::Calls)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Window, E> {
                text.parse()
                    .map(Window::Time)
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
