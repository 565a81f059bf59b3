//! Small JSON values that a saga carries without looking into them.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::limits::JSON_BYTES_MAX;

/// A JSON value as text: written once, copied by reference, parsed only by whoever needs it.
#[derive(Clone)]
pub struct Json(Arc<RawValue>);

/// The value cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It has no JSON form, or the text is not JSON.
    #[error("not JSON: {0}")]
    Invalid(#[from] serde_json::Error),
    /// It is over [`JSON_BYTES_MAX`].
    #[error("{bytes} bytes of JSON, over the limit of {JSON_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

impl Json {
    /// The value `null`.
    #[must_use]
    pub fn null() -> Self {
        Self(Arc::from(RawValue::NULL.to_owned()))
    }

    /// A value's JSON form.
    ///
    /// # Errors
    /// The value has none, or it is too large.
    pub fn of(value: &impl Serialize) -> Result<Self, JsonError> {
        Self::checked(serde_json::value::to_raw_value(value)?)
    }

    /// JSON text as it is.
    ///
    /// # Errors
    /// The text is not JSON, or it is too large.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        Self::checked(RawValue::from_string(text.to_owned())?)
    }

    fn checked(raw: Box<RawValue>) -> Result<Self, JsonError> {
        match raw.get().len() {
            bytes if bytes > JSON_BYTES_MAX => Err(JsonError::TooLarge { bytes }),
            _ => Ok(Self(raw.into())),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The value as a type of the caller's.
    ///
    /// # Errors
    /// The value is not of that shape.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.as_str())
    }

    pub(crate) fn is_null(&self) -> bool {
        self.as_str() == "null"
    }
}

impl Default for Json {
    fn default() -> Self {
        Self::null()
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|raw| Self(raw.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_kept_byte_for_byte() {
        let json = Json::parse(r#"{ "b":1.50, "a":[] }"#).unwrap();
        let stored = serde_json::to_string(&(&json, &json)).unwrap();
        let (back, _): (Json, Json) = serde_json::from_str(&stored).unwrap();
        assert_eq!(back.as_str(), r#"{ "b":1.50, "a":[] }"#);
    }

    #[test]
    fn nonsense_and_novels_are_refused() {
        assert!(matches!(Json::parse("{"), Err(JsonError::Invalid(_))));
        let novel = "x".repeat(JSON_BYTES_MAX);
        assert!(matches!(Json::of(&novel), Err(JsonError::TooLarge { .. })));
    }
}
