//! The name of one run of a saga.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use steadfast_journal::StreamId;
use steadfast_time::Uuid;

const CATEGORY: &str = "saga";

/// Identifies one run of a saga. Use the identifier of what the saga is about (the order), so
/// that starting it twice is starting it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(pub Uuid);

impl Id {
    /// The stream of the saga's events: `saga/<id>`.
    #[must_use]
    pub fn stream(self) -> StreamId {
        StreamId::of(CATEGORY, self.0)
    }

    /// The name of the saga's one timer: `saga/<id>`.
    #[must_use]
    pub fn timer(self) -> String {
        format!("{CATEGORY}/{}", self.0)
    }

    /// The saga that a timer belongs to, when it is a saga's.
    #[must_use]
    pub fn from_timer(timer: &str) -> Option<Self> {
        timer.strip_prefix(CATEGORY)?.strip_prefix('/')?.parse().ok()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Uuid> for Id {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

/// The text is not a saga's identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a saga's identifier, which is a UUID")]
pub struct IdError {
    text: String,
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().map(Self).map_err(|_| IdError { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_names_its_saga_and_others_do_not() {
        let id = Id(Uuid::from_u128(7));
        assert_eq!(Id::from_timer(&id.timer()), Some(id));
        assert_eq!(id.stream().as_str(), id.timer());
        for other in
            ["offer/1", "saga", "saga/", "saga/7", "sagas/00000000-0000-0000-0000-000000000007"]
        {
            assert_eq!(Id::from_timer(other), None, "{other}");
        }
    }
}
