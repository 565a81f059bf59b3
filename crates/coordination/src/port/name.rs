//! Names of queues and registers.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::RESOURCE_BYTES_MAX;

/// The name of a queue or a register: 1 to 400 bytes of text without control characters.
///
/// Slashes have no meaning to the port; an engine that gives them one escapes them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

/// A name that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is leased.
    #[error("a name is empty; it has 1 to {RESOURCE_BYTES_MAX} bytes")]
    Empty,
    /// It does not fit.
    #[error(
        "the name that begins with {start:?} has {bytes} bytes; it has 1 to {RESOURCE_BYTES_MAX}"
    )]
    TooLong {
        /// Its first characters.
        start: String,
        /// Its length.
        bytes: usize,
    },
    /// It could not be shown.
    #[error("the name {name:?} has a control character at byte {at}")]
    Control {
        /// The name.
        name: String,
        /// Where the character stands.
        at: usize,
    },
}

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// [`NameError`] says what does not fit.
    pub fn new(name: impl AsRef<str>) -> Result<Self, NameError> {
        let name = name.as_ref();
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > RESOURCE_BYTES_MAX {
            let start = name.chars().take(24).collect();
            return Err(NameError::TooLong { start, bytes: name.len() });
        }
        if let Some(at) = name.find(char::is_control) {
            return Err(NameError::Control { name: name.to_owned(), at });
        }
        Ok(Self(name.into()))
    }

    /// The name with a suffix, as recipes make them of a user's name.
    ///
    /// # Errors
    /// [`NameError::TooLong`].
    pub fn join(&self, suffix: &str) -> Result<Self, NameError> {
        Self::new(format!("{}{suffix}", self.0))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_400_bytes_that_can_be_shown() {
        assert_eq!(Name::new(""), Err(NameError::Empty));
        assert!(Name::new("n".repeat(400)).is_ok());
        let long = Name::new("구역".repeat(700)).unwrap_err();
        assert!(long.to_string().contains("4200 bytes"), "{long}");
        assert!(matches!(Name::new("zone\n1"), Err(NameError::Control { at: 4, .. })));
        assert_eq!(Name::new("zone/강남 1").unwrap().as_str(), "zone/강남 1");
        assert!(serde_json::from_str::<Name>("\"\"").is_err());
    }
}
