//! A message on its way.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use steadfast_journal::{Batch, Message, MessageStatus, OutboxRow};
use steadfast_time::Timestamp;

/// A message on its way: a place in the batch that it was committed with. Cheap to clone.
///
/// No message is copied between the writer's commit and the handler: everyone on the way shares
/// the batch, which is freed when its last message has arrived.
#[derive(Clone)]
pub struct Envelope {
    batch: Arc<Batch>,
    index: usize,
}

impl Envelope {
    /// The message at a place of a batch; nothing when the batch is shorter.
    #[must_use]
    pub fn of(batch: &Arc<Batch>, index: usize) -> Option<Self> {
        (index < batch.outbox.len()).then(|| Self { batch: Arc::clone(batch), index })
    }

    /// A message that comes from elsewhere than this process' outbox.
    #[must_use]
    pub fn foreign(message: Message) -> Self {
        let row = OutboxRow {
            seq: 0,
            message,
            status: MessageStatus::Published,
            retry_count: 0,
            created_at: Timestamp::EPOCH,
            published_at: None,
        };
        Self { batch: Arc::new(Batch { events: Vec::new(), outbox: vec![row] }), index: 0 }
    }

    /// The outbox row.
    #[must_use]
    pub fn row(&self) -> &OutboxRow {
        // Both constructors have checked the index, and the batch cannot change.
        &self.batch.outbox[self.index]
    }

    /// Writes the key, `<topic>/<aggregate_id>`, into `name`, replacing what was there.
    pub(crate) fn key_into(&self, name: &mut String) {
        name.clear();
        name.push_str(&self.topic);
        name.push('/');
        name.push_str(&self.aggregate_id);
    }
}

impl Deref for Envelope {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.row().message
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Envelope({}/{}#{})", self.topic, self.aggregate_id, self.sequence)
    }
}
