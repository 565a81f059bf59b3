//! The chain of hashes through all events.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::event::Recorded;
use crate::{Event, Position, StreamId};

/// SHA-256 over an event and the hash of its predecessor.
///
/// Whoever changes a byte of an event must change the hash of every later one, up to the head
/// that is stored apart.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// What the first event's predecessor would have had.
    pub const GENESIS: Self = Self([0; 32]);

    /// The hash of an event (whose own `hash` field is ignored) that follows `previous`.
    ///
    /// Every field is preceded by its length or has a fixed one, so no two different events have
    /// the same encoding.
    #[must_use]
    pub fn of(previous: Self, event: &Recorded) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(previous.0);
        hasher.update(event.position.0.to_le_bytes());
        hasher.update(event.version.0.to_le_bytes());
        hasher.update(event.at.as_micros().to_le_bytes());
        hasher.update(event.schema.to_le_bytes());
        for text in [event.stream.as_str().as_bytes(), event.kind.as_bytes(), &event.payload] {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text);
        }
        Self(hasher.finalize().into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// The first event that does not fit the chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {position} ({stream}, version {version}): {what}", version = version.0)]
pub struct ChainBreak {
    /// Where it stands.
    pub position: Position,
    /// Its stream.
    pub stream: StreamId,
    /// Its version.
    pub version: crate::Version,
    /// What does not fit.
    pub what: &'static str,
}

/// Checks that `event` follows `(previous, at)` in the chain.
///
/// # Errors
/// [`ChainBreak`] names the event when its position does not follow or its hash does not fit.
pub fn check(previous: Hash, at: Position, event: &Event) -> Result<(), ChainBreak> {
    let broken = |what| ChainBreak {
        position: event.position,
        stream: event.stream.clone(),
        version: event.version,
        what,
    };
    if event.position != at.next() {
        return Err(broken("its position does not follow the one before; an event is missing"));
    }
    if event.hash != Hash::of(previous, event) {
        return Err(broken("its hash does not fit its content and its predecessor"));
    }
    Ok(())
}
