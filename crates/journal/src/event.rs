//! Events: what happened, in the order in which it was decided.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use steadfast_time::Timestamp;

use crate::{Hash, StreamId};

/// Where an event stands in the whole journal. The first is 1; there are no gaps.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(pub u64);

impl Position {
    /// Before the first event.
    pub const START: Self = Self(0);

    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many events a stream has up to and including one of them. The first is 1; no gaps.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Version(pub u64);

impl Version {
    /// A stream without events.
    pub const NONE: Self = Self(0);

    /// The version after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The version before this one; none before none.
    #[must_use]
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An event that is to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// What happened, in the past tense: `placed`.
    pub kind: Cow<'static, str>,
    /// The shape of the payload. Raise it when the shape changes, and add an upcaster.
    pub schema: u16,
    /// The details, as JSON.
    pub payload: Bytes,
}

/// An event that has been recorded. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    inner: Arc<Recorded>,
}

/// The fields of an [`Event`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Where it stands in the whole journal.
    pub position: Position,
    /// The stream that it belongs to.
    pub stream: StreamId,
    /// Where it stands in its stream.
    pub version: Version,
    /// What happened.
    pub kind: Cow<'static, str>,
    /// The shape of the payload as it was written.
    pub schema: u16,
    /// When it was decided, by the clock of whoever decided it.
    pub at: Timestamp,
    /// The details, as JSON, byte for byte as they were written.
    pub payload: Bytes,
    /// The hash of all of the above and of the hash of the event at the position before.
    pub hash: Hash,
}

impl Event {
    /// Wraps the fields, which the engine vouches for.
    #[must_use]
    pub fn new(recorded: Recorded) -> Self {
        Self { inner: Arc::new(recorded) }
    }
}

impl std::ops::Deref for Event {
    type Target = Recorded;

    fn deref(&self) -> &Recorded {
        &self.inner
    }
}
