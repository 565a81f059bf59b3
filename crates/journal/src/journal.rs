//! The handle that everything else holds.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use steadfast_time::Clock;
use tokio::sync::oneshot;

use crate::feed::{Feed, Feeds};
use crate::limits::{
    IDEMPOTENCY_KEY_BYTES_MAX, NAME_BYTES_MAX, PAYLOAD_BYTES_MAX, QUEUE_WRITES_MAX, WRITE_PARTS_MAX,
};
use crate::queue::{Pending, Queue};
use crate::{
    Committed, Engine, Error, MessageRef, Position, StorageError, Store, TimerChange, Write, Writer,
};

pub(crate) struct Shared {
    pub(crate) queue: Queue,
    pub(crate) feeds: Feeds,
    pub(crate) stats: Counters,
    store: Arc<dyn Store>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

#[derive(Default)]
pub(crate) struct Counters {
    writes: AtomicU64,
    batches: AtomicU64,
    largest: AtomicU64,
    stale: AtomicU64,
}

impl Counters {
    pub(crate) fn committed(&self, writes: usize, stale: usize) {
        let writes = writes as u64;
        self.stale.fetch_add(stale as u64, Relaxed);
        self.writes.fetch_add(writes, Relaxed);
        self.batches.fetch_add(1, Relaxed);
        self.largest.fetch_max(writes, Relaxed);
    }
}

/// How much has been committed since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Writes answered, refused ones included.
    pub writes: u64,
    /// Group commits.
    pub batches: u64,
    /// Writes in the largest one.
    pub largest_batch: u64,
    /// Writes refused by a fence: of holders who had been replaced.
    pub stale: u64,
    /// Writes that wait now.
    pub queued: usize,
}

/// A cheap handle on a journal.
#[derive(Clone, Debug)]
pub struct Journal {
    shared: Arc<Shared>,
}

impl Journal {
    /// A journal over an engine, and the writer that drives it. Without [`Writer::spawn`] or
    /// calls to [`Writer::run_once`] nothing is committed.
    #[must_use]
    pub fn new(engine: impl Engine, clock: Clock) -> (Self, Writer) {
        let store = engine.store();
        let shared = Arc::new(Shared {
            queue: Queue::new(QUEUE_WRITES_MAX),
            feeds: Feeds::default(),
            stats: Counters::default(),
            store,
        });
        let writer = Writer::new(Box::new(engine), Arc::clone(&shared), clock);
        (Self { shared }, writer)
    }

    /// Commits a write; completes when it is durable, or refused.
    ///
    /// Dropping the future does not take the write back: it may still be committed.
    ///
    /// # Errors
    /// See [`Error`]; everything but [`Error::Storage`] means that the write had no effect.
    pub async fn commit(&self, write: Write) -> Result<Committed, Error> {
        check(&write)?;
        let (reply, answer) = oneshot::channel();
        self.shared.queue.push(Pending { write, reply })?;
        // A writer that ends answers whoever waits. One that dies with a batch in its hands does
        // not, and nobody knows how far it got.
        answer.await.unwrap_or_else(|_| Err(Error::Storage(Arc::new(StorageError::Died))))
    }

    /// Accepts nothing more. What waits is still committed and answered; then the writer ends,
    /// and with it every [`Feed`].
    pub fn close(&self) {
        self.shared.queue.close();
    }

    /// The reading side.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        self.shared.store.as_ref()
    }

    /// Follows all events after a position, forever.
    #[must_use]
    pub fn follow(&self, after: Position) -> Feed {
        Feed::new(Arc::clone(&self.shared.store), self.shared.feeds.subscribe(), after)
    }

    /// The raw committed batches from now on, until the writer ends; a receiver that lags is told
    /// that it missed some. For the relay, which looks at the outbox anyway.
    #[must_use]
    pub fn batches(&self) -> tokio::sync::broadcast::Receiver<Arc<crate::Batch>> {
        self.shared.feeds.subscribe()
    }

    /// How much has been committed since the start.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let Counters { writes, batches, largest, stale } = &self.shared.stats;
        Stats {
            writes: writes.load(Relaxed),
            batches: batches.load(Relaxed),
            largest_batch: largest.load(Relaxed),
            stale: stale.load(Relaxed),
            queued: self.shared.queue.len(),
        }
    }
}

/// Checks the limits that do not depend on stored state.
fn check(write: &Write) -> Result<(), Error> {
    let within = |what, actual, limit| {
        if actual <= limit { Ok(()) } else { Err(Error::TooLarge { what, actual, limit }) }
    };
    let name = |what, text: &str| within(what, text.len(), NAME_BYTES_MAX);
    let payload = |what, bytes: &[u8]| within(what, bytes.len(), PAYLOAD_BYTES_MAX);
    within("the number of parts in the write", write.parts(), WRITE_PARTS_MAX)?;
    if let Some(claim) = &write.claim {
        within("the idempotency key, in bytes,", claim.key.len(), IDEMPOTENCY_KEY_BYTES_MAX)?;
        name("the tenant, in bytes,", &claim.tenant)?;
        payload("the stored response, in bytes,", &claim.response.body)?;
        let location = claim.response.location.as_deref().unwrap_or_default();
        payload("the stored location, in bytes,", location.as_bytes())?;
    }
    for processed in &write.processed {
        name("the consumer, in bytes,", &processed.consumer)?;
        if let MessageRef::Sequence { key, .. } | MessageRef::UpTo { key, .. } = &processed.message
        {
            name("the processed message's key, in bytes,", key)?;
        }
    }
    if let Some(fence) = &write.fence {
        name("the fenced resource, in bytes,", &fence.resource)?;
    }
    for event in write.appends.iter().flat_map(|append| &append.events) {
        name("the event's kind, in bytes,", &event.kind)?;
        payload("the event's payload, in bytes,", &event.payload)?;
    }
    for message in &write.messages {
        name("the message's topic, in bytes,", &message.topic)?;
        name("the message's aggregate type, in bytes,", &message.aggregate_type)?;
        name("the message's event type, in bytes,", &message.event_type)?;
        name("the message's key, in bytes,", &message.aggregate_id)?;
        payload("the message's payload, in bytes,", &message.payload)?;
    }
    for guard in &write.guards {
        name("the counter's name, in bytes,", &guard.counter)?;
    }
    for change in &write.timers {
        match change {
            TimerChange::Set(timer) => {
                name("the timer's name, in bytes,", &timer.id)?;
                payload("the timer's payload, in bytes,", &timer.payload)?;
            }
            TimerChange::Clear { id } => name("the timer's name, in bytes,", id)?,
        }
    }
    for record in &write.records {
        name("the record's space, in bytes,", &record.space)?;
        name("the record's key, in bytes,", &record.key)?;
        payload("the record, in bytes,", record.value.as_deref().unwrap_or_default())?;
    }
    Ok(())
}
