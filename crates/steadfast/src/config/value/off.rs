//! Something that can be switched off.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Length, Setting, Size, text};

const EXPECTED: &str = "words such as \"60s\" or \"64MiB\", or \"off\"";

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

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for OrOff<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::read(deserializer, EXPECTED, |text| match text {
            "off" => Ok(Self::Off),
            _ => text.parse().map(Self::On).map_err(|error| format!("{error}, or \"off\"")),
        })
    }
}
