//! Something that can be switched off.

use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Length, Setting, Size};

/// A value, or the word `"off"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrOff<T> {
    /// It applies.
    On(T),
    /// It does not.
    Off,
}

impl<T> OrOff<T> {
    /// The value, unless it is off.
    pub fn on(self) -> Option<T> {
        match self {
            Self::On(value) => Some(value),
            Self::Off => None,
        }
    }
}

impl Setting for OrOff<Length> {
    const ALLOWED: &'static str = "a length of time in words, such as `\"60s\"`, or `\"off\"`";
}

impl Setting for OrOff<Size> {
    const ALLOWED: &'static str = "a size in words, such as `\"64GiB\"`, or `\"off\"`";
}

impl<T: Serialize> Serialize for OrOff<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::On(value) => value.serialize(serializer),
            Self::Off => serializer.serialize_str("off"),
        }
    }
}

impl<'de, T: std::str::FromStr<Err: fmt::Display>> Deserialize<'de> for OrOff<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(PhantomData<T>);

        impl<T: std::str::FromStr<Err: fmt::Display>> de::Visitor<'_> for Visitor<T> {
            type Value = OrOff<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("words such as \"60s\" or \"64MiB\", or \"off\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OrOff<T>, E> {
                if text == "off" {
                    return Ok(OrOff::Off);
                }
                text.parse()
                    .map(OrOff::On)
                    .map_err(|error| E::custom(format!("{error}, or \"off\"")))
            }
        }

        deserializer.deserialize_any(Visitor(PhantomData))
    }
}
