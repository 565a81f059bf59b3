//! [`Write`]: all effects of one decision.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use steadfast_fencing::FencingToken;
use steadfast_time::{Timestamp, Uuid};

use crate::{NewEvent, Position, StreamId, Version};

/// All effects of one decision, committed whole or not at all.
///
/// The checks run in this order, against the state left by the write before: claim, inbox, fence,
/// expected versions, guards. The first that fails refuses the write, which then has no effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Write {
    /// When this was decided. Stored with everything that has a time.
    pub at: Timestamp,
    /// The idempotency key that this effect belongs to, with the answer to replay.
    pub claim: Option<Claim>,
    /// Messages whose effect this is. Each mark sees those before it, so the same message twice
    /// refuses the write.
    pub processed: Vec<Processed>,
    /// Proof of ownership.
    pub fence: Option<Fence>,
    /// Events, per stream.
    pub appends: Vec<Append>,
    /// Counters to move within their bounds. Each move sees those before it.
    pub guards: Vec<Guard>,
    /// Messages for the outbox, in this order.
    pub messages: Vec<Message>,
    /// Timers to set or clear.
    pub timers: Vec<TimerChange>,
    /// Keyed records to put or delete. A later change of the same key wins.
    pub records: Vec<RecordChange>,
    /// What the relay has to say of outbox rows: of those that exist by then, including this
    /// write's own.
    pub outbox: Vec<OutboxChange>,
}

impl Write {
    /// A write without effects yet.
    #[must_use]
    pub fn at(at: Timestamp) -> Self {
        Self { at, ..Self::default() }
    }

    /// How many parts it has; bounded by [`crate::limits::WRITE_PARTS_MAX`].
    #[must_use]
    pub fn parts(&self) -> usize {
        let events: usize = self.appends.iter().map(|append| append.events.len()).sum();
        usize::from(self.claim.is_some())
            + usize::from(self.fence.is_some())
            + self.processed.len()
            + events
            + self.guards.len()
            + self.messages.len()
            + self.timers.len()
            + self.records.len()
            + self.outbox.len()
    }
}

/// An idempotency key, taken together with the effect and the answer.
///
/// Only finished work holds a key: while the work runs, the caller keeps duplicates waiting; if
/// the process stops, the key is free and the retry does the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whose key it is. Keys of different tenants never meet.
    pub tenant: String,
    /// The key.
    pub key: String,
    /// A hash of the request, to tell a retry from a different request under the same key.
    pub fingerprint: [u8; 32],
    /// From this moment on the key is free again.
    pub expires_at: Timestamp,
    /// The answer.
    pub response: StoredResponse,
}

/// An answer that is replayed byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResponse {
    /// A status code of the protocol that the answer is for.
    pub status: u16,
    /// Anything else that must be repeated, for example a `Location` header's value.
    pub location: Option<String>,
    /// The version of what was made, for an `ETag`.
    pub version: Option<Version>,
    /// The body.
    pub body: Bytes,
}

/// Proof of ownership: refused when a higher token has been seen for the resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// What is owned, for example `zone/7`.
    pub resource: String,
    /// The token of the grant.
    pub token: FencingToken,
}

/// Moves a counter, or refuses the write when it would leave its bounds. A counter that does not
/// exist is zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The counter, for example `zone/7/dispatches`.
    pub counter: String,
    /// How far to move it. Zero only checks.
    pub delta: i64,
    /// The bounds of the result, both included.
    pub bounds: RangeInclusive<i64>,
}

/// The version that a stream must have for an append to be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever it has.
    Any,
    /// Exactly this one; [`Version::NONE`] for a new stream.
    Exactly(Version),
}

/// Events for one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The stream.
    pub stream: StreamId,
    /// The version it must have before. A stream may occur twice in a write; the second append
    /// then sees the first.
    pub expected: Expected,
    /// The events. Without any, only the version is checked.
    pub events: Vec<NewEvent>,
}

/// A message for the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Identifies the message through every redelivery.
    pub id: Uuid,
    /// Where it goes.
    pub topic: Cow<'static, str>,
    /// What kind of thing it is about: `order`.
    pub aggregate_type: Cow<'static, str>,
    /// Which one. Messages of one `(topic, aggregate_id)` stay in order.
    pub aggregate_id: String,
    /// What happened: `placed`.
    pub event_type: Cow<'static, str>,
    /// Its number among the messages of its `(topic, aggregate_id)`: 1, 2, 3 … without gaps. For
    /// messages made from events, the event's version.
    pub sequence: u64,
    /// The details, as JSON.
    pub payload: Bytes,
}

/// A mark in the inbox: `consumer` has had the effect of this message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processed {
    /// Who handled it.
    pub consumer: Cow<'static, str>,
    /// What was handled.
    pub message: MessageRef,
}

/// How a message is recognised when it comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageRef {
    /// By its number under its key: refused when it is not higher than the highest one seen.
    /// One row per key, whatever the number of messages.
    Sequence {
        /// The key, for example `orders/0199…`.
        key: String,
        /// The number.
        sequence: u64,
    },
    /// Everything under its key up to this number needs no effect, or has had it. Never refused:
    /// the highest number stays. For messages that a consumer passes over.
    UpTo {
        /// The key.
        key: String,
        /// The number.
        sequence: u64,
    },
    /// By its identifier, for messages of others that carry no number.
    Id(Uuid),
}

/// A change to the timers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimerChange {
    /// Sets a timer, or moves the one with the same name.
    Set(Timer),
    /// Clears a timer; nothing happens when there is none.
    Clear {
        /// Its name.
        id: String,
    },
}

/// Something that must happen later, also after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// Its name, for example `saga/0199…`.
    pub id: String,
    /// When it is due.
    pub due: Timestamp,
    /// What its owner wants to be reminded of.
    pub payload: Bytes,
}

/// A change to a keyed record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordChange {
    /// The name of the set of records.
    pub space: Cow<'static, str>,
    /// The key within it. Keys are ordered by their bytes.
    pub key: String,
    /// The value, or nothing to delete it.
    pub value: Option<Bytes>,
}

/// What the relay has to say of outbox rows. A row that is published stays as it is, whatever
/// is said of it later; a place without a row is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutboxChange {
    /// The bus has taken responsibility for these rows.
    Published(RangeInclusive<u64>),
    /// The bus did not take this row; it is tried again.
    Failed(u64),
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The position of the journal's last event after this write.
    pub head: Position,
    /// The version of each appended stream right after that append, in the order of
    /// [`Write::appends`].
    pub versions: Vec<Version>,
}
