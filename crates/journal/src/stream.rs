//! The name of a stream of events.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use steadfast_time::Uuid;

use crate::limits::STREAM_KEY_BYTES_MAX;

/// `category/key`, for example `order/0199c1a2-…`. The category is what kind of thing the
/// stream is about; the key says which one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamId(Arc<str>);

/// The text is not a stream's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a stream: a category of a-z, 0-9 and '-', a '/', and a key of 1 to \
     {STREAM_KEY_BYTES_MAX} bytes without control characters"
)]
pub struct StreamIdError {
    text: String,
}

impl StreamId {
    /// A stream for a key that comes from outside.
    ///
    /// # Errors
    /// When the key is empty, too long, or has control characters, or the category is not made
    /// of `a-z`, `0-9` and `-`.
    pub fn new(category: &str, key: &str) -> Result<Self, StreamIdError> {
        let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let category_fits = !category.is_empty() && category.bytes().all(fits);
        let key_fits = (1..=STREAM_KEY_BYTES_MAX).contains(&key.len());
        let text = format!("{category}/{key}");
        if category_fits && key_fits && !key.chars().any(char::is_control) {
            Ok(Self(text.into()))
        } else {
            Err(StreamIdError { text })
        }
    }

    /// A stream for an identifier of our own.
    ///
    /// # Panics
    /// When the category is not made of `a-z`, `0-9` and `-`: a slip of the programmer.
    #[must_use]
    pub fn of(category: &'static str, id: Uuid) -> Self {
        let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        assert!(!category.is_empty() && category.bytes().all(fits), "category {category:?}");
        Self(format!("{category}/{id}").into())
    }

    /// What kind of thing the stream is about.
    #[must_use]
    pub fn category(&self) -> &str {
        self.0.split_once('/').map_or("", |(category, _)| category)
    }

    /// Which one.
    #[must_use]
    pub fn key(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, key)| key)
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamId({})", self.0)
    }
}

impl FromStr for StreamId {
    type Err = StreamIdError;

    fn from_str(text: &str) -> Result<Self, StreamIdError> {
        match text.split_once('/') {
            Some((category, key)) => Self::new(category, key),
            None => Err(StreamIdError { text: text.to_owned() }),
        }
    }
}

impl TryFrom<String> for StreamId {
    type Error = StreamIdError;

    fn try_from(text: String) -> Result<Self, StreamIdError> {
        text.parse()
    }
}

impl From<StreamId> for String {
    fn from(id: StreamId) -> Self {
        id.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        let id = StreamId::new("courier", "c1/a").unwrap();
        assert_eq!((id.category(), id.key()), ("courier", "c1/a"));
        assert_eq!(id.to_string().parse::<StreamId>().unwrap(), id);
        let long = "k".repeat(STREAM_KEY_BYTES_MAX + 1);
        for (category, key) in [("", "k"), ("C", "k"), ("c", ""), ("c", "a\nb"), ("c", &long)] {
            assert!(StreamId::new(category, key).is_err(), "{category:?} {key:?}");
        }
    }
}
