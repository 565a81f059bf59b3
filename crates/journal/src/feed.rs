//! Following the journal as it grows.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::{self, error::RecvError};

use crate::limits::FEED_BATCHES_MAX;
use crate::{Event, OutboxRow, Position, StorageError, Store};

/// What one group commit added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The events, in commit order.
    pub events: Vec<Event>,
    /// The outbox rows, in commit order.
    pub outbox: Vec<OutboxRow>,
}

/// Where committed batches are announced, until the writer ends.
pub(crate) struct Feeds {
    sender: Mutex<Option<broadcast::Sender<Arc<Batch>>>>,
}

impl Default for Feeds {
    fn default() -> Self {
        Self { sender: Mutex::new(Some(broadcast::Sender::new(FEED_BATCHES_MAX))) }
    }
}

impl Feeds {
    fn sender(&self) -> MutexGuard<'_, Option<broadcast::Sender<Arc<Batch>>>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn publish(&self, batch: Batch) {
        if batch.events.is_empty() && batch.outbox.is_empty() {
            return;
        }
        if let Some(sender) = &*self.sender() {
            // Nobody listening is fine.
            let _ = sender.send(Arc::new(batch));
        }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<Batch>> {
        match &*self.sender() {
            Some(sender) => sender.subscribe(),
            // A receiver whose sender is gone says that nothing more will come.
            None => broadcast::channel(1).1,
        }
    }

    /// Nothing more will come. Followers get what was published, and then the end.
    pub(crate) fn close(&self) {
        self.sender().take();
    }
}

/// All events after a position, in commit order, each exactly once, forever.
///
/// What has just been committed comes from memory. A feed that starts in the past or falls
/// behind reads from the store until it has caught up; nothing is skipped either way.
pub struct Feed {
    store: Arc<dyn Store>,
    live: broadcast::Receiver<Arc<Batch>>,
    after: Position,
    ready: VecDeque<Event>,
    /// Whether everything up to the live batches has been read from the store.
    caught_up: bool,
}

impl Feed {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        live: broadcast::Receiver<Arc<Batch>>,
        after: Position,
    ) -> Self {
        Self { store, live, after, ready: VecDeque::new(), caught_up: false }
    }

    /// The position of the last event that was handed out.
    #[must_use]
    pub fn position(&self) -> Position {
        self.after
    }

    /// The next events, at least one and at most `limit` (of zero: one); `None` once the writer
    /// has ended and all were handed out.
    ///
    /// Dropping the future before it is done loses nothing.
    ///
    /// # Errors
    /// The storage failed; the feed can be asked again.
    pub async fn next(&mut self, limit: usize) -> Result<Option<Vec<Event>>, StorageError> {
        let limit = limit.max(1);
        loop {
            if !self.ready.is_empty() {
                let count = self.ready.len().min(limit);
                let events: Vec<Event> = self.ready.drain(..count).collect();
                if let Some(last) = events.last() {
                    self.after = last.position;
                }
                return Ok(Some(events));
            }
            if !self.caught_up {
                let events = self.store.events(self.after, limit)?;
                self.caught_up = events.is_empty();
                self.ready.extend(events);
                continue;
            }
            match self.live.recv().await {
                Ok(batch) => {
                    let fresh = batch.events.iter().filter(|event| event.position > self.after);
                    self.ready.extend(fresh.cloned());
                }
                Err(RecvError::Lagged(_)) => self.caught_up = false,
                Err(RecvError::Closed) => return Ok(None),
            }
        }
    }
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("after", &self.after).finish_non_exhaustive()
    }
}
