//! Reading what has been committed.

use bytes::Bytes;
use steadfast_fencing::FencingToken;
use steadfast_time::Timestamp;

use crate::{
    Event, Hash, Message, Position, Processed, StorageError, StoredResponse, StreamId, Timer,
    Version,
};

/// The end of the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The position of the last event.
    pub position: Position,
    /// Its hash.
    pub hash: Hash,
}

/// What an idempotency key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The hash of the request that took the key.
    pub fingerprint: [u8; 32],
    /// From this moment on the key is free again.
    pub expires_at: Timestamp,
    /// The answer to replay.
    pub response: StoredResponse,
}

/// Where an outbox row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageStatus {
    /// Not yet taken by the bus.
    Pending,
    /// Taken by the bus.
    Published,
    /// The bus refused it at least once; it is still to be published.
    Failed,
}

/// A row of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its place in commit order. There are no gaps that a later commit could fill.
    pub seq: u64,
    /// The message.
    pub message: Message,
    /// Where it stands.
    pub status: MessageStatus,
    /// How often the bus refused it.
    pub retry_count: u32,
    /// When the decision behind it was made.
    pub created_at: Timestamp,
    /// When the bus took it.
    pub published_at: Option<Timestamp>,
}

/// Reads of committed state. Every call sees all writes that were answered before it started.
///
/// Calls are short and bounded (a `limit` is capped at [`crate::limits::READ_ROWS_MAX`]), so they
/// may be made from asynchronous code.
pub trait Store: Send + Sync {
    /// The end of the journal.
    fn head(&self) -> Result<Head, StorageError>;

    /// A stream's events after a version, oldest first.
    fn stream(
        &self,
        stream: &StreamId,
        after: Version,
        limit: usize,
    ) -> Result<Vec<Event>, StorageError>;

    /// A stream's current version.
    fn version(&self, stream: &StreamId) -> Result<Version, StorageError>;

    /// All events after a position, in commit order.
    fn events(&self, after: Position, limit: usize) -> Result<Vec<Event>, StorageError>;

    /// What an idempotency key holds, unless it has expired at `now`.
    fn claimed(
        &self,
        tenant: &str,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<Claimed>, StorageError>;

    /// Whether the inbox has this mark (for a sequence: this one or a higher one).
    fn processed(&self, processed: &Processed) -> Result<bool, StorageError>;

    /// The highest sequence that a consumer has processed under a key; zero when none.
    fn processed_up_to(&self, consumer: &str, key: &str) -> Result<u64, StorageError>;

    /// The highest token that a resource has seen.
    fn fence(&self, resource: &str) -> Result<Option<FencingToken>, StorageError>;

    /// A counter; zero when it was never moved.
    fn counter(&self, counter: &str) -> Result<i64, StorageError>;

    /// Outbox rows after a place that are not yet published, in commit order.
    fn unpublished(&self, after: u64, limit: usize) -> Result<Vec<OutboxRow>, StorageError>;

    /// Outbox rows of any status after a place, in commit order.
    fn outbox(&self, after: u64, limit: usize) -> Result<Vec<OutboxRow>, StorageError>;

    /// The timers that come first, by due time and then by name, due up to and including `by`.
    fn timers(&self, by: Timestamp, limit: usize) -> Result<Vec<Timer>, StorageError>;

    /// One timer.
    fn timer(&self, id: &str) -> Result<Option<Timer>, StorageError>;

    /// One record.
    fn record(&self, space: &str, key: &str) -> Result<Option<Bytes>, StorageError>;

    /// Records whose key starts with `prefix` and comes after `after`, in key order.
    fn records(
        &self,
        space: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Bytes)>, StorageError>;

    /// The same, in reverse key order, starting before `before`.
    fn records_reverse(
        &self,
        space: &str,
        prefix: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Bytes)>, StorageError>;
}
