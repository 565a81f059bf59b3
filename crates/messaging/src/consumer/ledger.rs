//! What a lane has to write on its own account: marks of ignored messages, and dead letters.
//!
//! They are gathered and written together, one write at a time, in the order in which they came;
//! their messages are acknowledged only after that.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use steadfast_journal::{
    Error as JournalError, Journal, MessageRef, Processed, RecordChange, Refusal, Write,
};
use steadfast_time::Timestamp;

use super::keys::Slot;
use super::parking::Writing;
use crate::bus::Incoming;
use crate::limits::{LEDGER_BYTES_MAX, LEDGER_PARTS_MAX};

/// One thing to be written.
pub(super) enum Entry {
    /// A message that needs no effect.
    Mark { processed: Processed, slot: Slot, name: Arc<str>, incoming: Incoming },
    /// A message that is parked, as the records that keep it.
    Letter { record: RecordChange, payload: RecordChange, writing: Writing, incoming: Incoming },
}

impl Entry {
    fn bytes(&self) -> usize {
        match self {
            Self::Mark { .. } => 0,
            Self::Letter { incoming, .. } => incoming.envelope.payload.len(),
        }
    }
}

/// What came of a write. The entries are all there, in order.
pub(super) struct Flushed {
    pub(super) entries: Vec<Entry>,
    pub(super) outcome: Result<(), JournalError>,
}

/// What waits to be written.
#[derive(Default)]
pub(super) struct Ledger {
    waiting: VecDeque<Entry>,
    /// Entries in the write that is under way.
    under_way: usize,
    /// Letters that wait or are under way, by place.
    letters: HashSet<String>,
}

impl Ledger {
    /// Entries that wait or are under way.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.under_way
    }

    /// Entries that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether a letter for this place is not yet durable.
    pub(super) fn has_letter(&self, place: &str) -> bool {
        self.letters.contains(place)
    }

    /// Adds an entry.
    pub(super) fn push(&mut self, entry: Entry) {
        if let Entry::Letter { record, .. } = &entry {
            self.letters.insert(record.key.clone());
        }
        self.waiting.push_back(entry);
    }

    /// What the next write covers.
    pub(super) fn take(&mut self) -> Vec<Entry> {
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            bytes += entry.bytes();
            bytes <= LEDGER_BYTES_MAX
        };
        let count = self.waiting.iter().take(LEDGER_PARTS_MAX).take_while(fits).count();
        let entries: Vec<_> = self.waiting.drain(..count.max(1).min(self.waiting.len())).collect();
        self.under_way = entries.len();
        entries
    }

    /// The write is over, and its entries are durable.
    pub(super) fn done(&mut self, entries: &[Entry]) {
        self.under_way = 0;
        for entry in entries {
            if let Entry::Letter { record, .. } = entry {
                self.letters.remove(&record.key);
            }
        }
    }

    /// The write had no effect; its entries come first in the next one.
    pub(super) fn again(&mut self, entries: Vec<Entry>) {
        self.under_way = 0;
        for entry in entries.into_iter().rev() {
            self.waiting.push_front(entry);
        }
    }
}

/// Writes entries as one. Marks that turn out to be there already are left out.
pub(super) async fn flush(journal: Journal, at: Timestamp, entries: Vec<Entry>) -> Flushed {
    let mut present: HashSet<usize> = superseded(&entries);
    loop {
        let mut write = Write::at(at);
        for (index, entry) in entries.iter().enumerate() {
            match entry {
                Entry::Mark { processed, .. } if !present.contains(&index) => {
                    write.processed.push(processed.clone());
                }
                Entry::Mark { .. } => {}
                Entry::Letter { record, payload, .. } => {
                    write.records.extend([record.clone(), payload.clone()]);
                }
            }
        }
        if write.parts() == 0 {
            return Flushed { entries, outcome: Ok(()) };
        }
        let error = match journal.commit(write).await {
            Ok(_) => {
                return Flushed { entries, outcome: Ok(()) };
            }
            Err(error) => error,
        };
        let Some(refused) = already_there(&error, &entries, &present) else {
            return Flushed { entries, outcome: Err(error) };
        };
        present.insert(refused);
    }
}

/// The marks that a later one of the same key makes superfluous: of each key, the last is enough.
fn superseded(entries: &[Entry]) -> HashSet<usize> {
    let mut last: HashMap<&str, usize> = HashMap::new();
    let mut superseded = HashSet::new();
    for (index, entry) in entries.iter().enumerate() {
        if let Entry::Mark { processed, .. } = entry
            && let MessageRef::UpTo { key, .. } = &processed.message
        {
            superseded.extend(last.insert(key, index));
        }
    }
    superseded
}

/// Which entry's mark the journal has refused because it, or a higher one, is there.
fn already_there(
    error: &JournalError,
    entries: &[Entry],
    present: &HashSet<usize>,
) -> Option<usize> {
    let Some(Refusal::AlreadyProcessed { message, .. }) = error.refusal() else {
        return None;
    };
    let is_it = |entry: &Entry| match entry {
        Entry::Mark { processed, .. } => processed.message == *message,
        Entry::Letter { .. } => false,
    };
    let mut left = entries.iter().enumerate().filter(|(index, _)| !present.contains(index));
    left.find(|(_, entry)| is_it(entry)).map(|(index, _)| index)
}
