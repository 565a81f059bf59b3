//! What an engine has to do.

use std::sync::Arc;

use steadfast_time::Timestamp;

use crate::{Committed, Event, OutboxRow, Refusal, StorageError, Store, Write};

/// Storage behind a journal, driven by one writer.
///
/// An engine is synchronous and knows no clock and no queue, so the same engine runs on a thread
/// of its own, under a simulated clock, and in the conformance suite.
pub trait Engine: Send + 'static {
    /// Commits a batch: every write is checked against the state left by those before it, and
    /// all accepted ones become durable together before this returns.
    ///
    /// # Errors
    /// The storage failed. Whether the batch took effect is unknown (but all of it did or none);
    /// the engine must then refuse further use.
    fn commit(&mut self, batch: &[Write]) -> Result<Vec<Result<Applied, Refusal>>, StorageError>;

    /// Removes at most `limit` rows that have expired at `now`: idempotency keys, published
    /// outbox rows, inbox marks.
    ///
    /// # Errors
    /// The storage failed.
    fn prune(&mut self, now: Timestamp, limit: usize) -> Result<Pruned, StorageError>;

    /// The reading side.
    fn store(&self) -> Arc<dyn Store>;

    /// Flushes what can be flushed and releases the storage.
    ///
    /// # Errors
    /// The storage failed; nothing that was answered is lost.
    fn close(&mut self) -> Result<(), StorageError>;
}

/// What one accepted write left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The answer to the writer.
    pub committed: Committed,
    /// The events as recorded.
    pub events: Vec<Event>,
    /// The outbox rows as stored.
    pub outbox: Vec<OutboxRow>,
}

/// What one step of pruning removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Expired idempotency keys.
    pub claims: usize,
    /// Published outbox rows.
    pub outbox: usize,
    /// Inbox marks.
    pub inbox: usize,
}

impl Pruned {
    /// How many rows.
    #[must_use]
    pub const fn total(self) -> usize {
        self.claims + self.outbox + self.inbox
    }
}
