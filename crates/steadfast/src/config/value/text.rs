//! Reading a value that is written in words.

use std::fmt;
use std::marker::PhantomData;

use serde::{Deserializer, de};

/// Reads a text and makes a value of it. `expecting` says what is allowed, in the words of the
/// reference (whose code marks an error message leaves out).
pub(super) fn read<'de, T, E: fmt::Display, D: Deserializer<'de>>(
    deserializer: D,
    expecting: &'static str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, D::Error> {
    deserializer.deserialize_any(Visitor { expecting, parse, value: PhantomData })
}

struct Visitor<T, F> {
    expecting: &'static str,
    parse: F,
    value: PhantomData<T>,
}

impl<T, E: fmt::Display, F: FnOnce(&str) -> Result<T, E>> de::Visitor<'_> for Visitor<T, F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.expecting.replace('`', ""))
    }

    fn visit_str<Error: de::Error>(self, text: &str) -> Result<T, Error> {
        (self.parse)(text).map_err(Error::custom)
    }
}
