//! The calls of the provider port, by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A call of the provider port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Set articles aside.
    Reserve,
    /// Put them back.
    Release,
    /// Hold an amount.
    Authorize,
    /// Take it.
    Capture,
    /// Let it go.
    Void,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 5] =
        [Self::Reserve, Self::Release, Self::Authorize, Self::Capture, Self::Void];

    /// Its name: `reserve`, `release`, `authorize`, `capture`, `void`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Release => "release",
            Self::Authorize => "authorize",
            Self::Capture => "capture",
            Self::Void => "void",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No operation has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an operation; they are reserve, release, authorize, capture, void")]
pub struct UnknownOperation(String);

impl FromStr for Operation {
    type Err = UnknownOperation;

    fn from_str(text: &str) -> Result<Self, UnknownOperation> {
        let found = Self::ALL.into_iter().find(|operation| operation.name() == text);
        found.ok_or_else(|| UnknownOperation(text.chars().take(80).collect()))
    }
}
