//! The durable tables.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use steadfast_fencing::HighWater;
use steadfast_time::{Timestamp, Uuid};

use super::dated::Dated;
use super::staging::Changes;
use crate::limits::{INBOX_RETENTION, OUTBOX_RETENTION};
use crate::{
    Claimed, Event, Head, MessageStatus, OutboxChange, OutboxRow, Pruned, StreamId, Timer, Version,
};

/// Two names that together are a key: (tenant, key) or (consumer, key).
pub(super) type Pair = (Arc<str>, Arc<str>);

/// Makes a [`Pair`].
pub(super) fn pair(first: &str, second: &str) -> Pair {
    (first.into(), second.into())
}

/// Everything that is durable.
#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) head: Head,
    /// In commit order; the event at position p has index p − 1.
    pub(super) events: Vec<Event>,
    /// For each stream, the indices of its events; version v has index v − 1.
    pub(super) streams: HashMap<StreamId, Vec<usize>>,
    /// By the time at which they expire.
    pub(super) claims: Dated<Pair, Claimed>,
    /// The highest sequence by (consumer, key), by the time at which it was processed.
    pub(super) sequences: Dated<Pair, u64>,
    /// Marks by (consumer, id), by the time at which it was processed.
    pub(super) ids: Dated<(Arc<str>, Uuid), ()>,
    pub(super) fences: BTreeMap<String, HighWater>,
    /// Counters that are not zero.
    pub(super) counters: BTreeMap<String, i64>,
    pub(super) outbox: Outbox,
    /// By the time at which they are due.
    pub(super) timers: Dated<Arc<str>, Timer>,
    pub(super) records: BTreeMap<String, BTreeMap<String, Bytes>>,
}

/// The outbox with its two indexes.
#[derive(Clone, Default)]
pub(super) struct Outbox {
    /// The place of the last row ever added.
    pub(super) last: u64,
    pub(super) rows: BTreeMap<u64, OutboxRow>,
    pub(super) unpublished: BTreeSet<u64>,
    published: BTreeSet<(Timestamp, u64)>,
}

impl Outbox {
    fn add(&mut self, row: OutboxRow) {
        self.last = row.seq;
        self.unpublished.insert(row.seq);
        self.rows.insert(row.seq, row);
    }

    /// A row that is published stays so, whatever is said of it later.
    fn change(&mut self, change: OutboxChange, at: Timestamp) {
        match change {
            OutboxChange::Published(range) => {
                if range.is_empty() {
                    return;
                }
                let seqs: Vec<u64> = self.unpublished.range(range).copied().collect();
                for seq in seqs {
                    self.unpublished.remove(&seq);
                    self.published.insert((at, seq));
                    if let Some(row) = self.rows.get_mut(&seq) {
                        row.status = MessageStatus::Published;
                        row.published_at = Some(at);
                    }
                }
            }
            OutboxChange::Failed(seq) if self.unpublished.contains(&seq) => {
                if let Some(row) = self.rows.get_mut(&seq) {
                    row.status = MessageStatus::Failed;
                    row.retry_count = row.retry_count.saturating_add(1);
                }
            }
            OutboxChange::Failed(_) => {}
        }
    }

    fn prune(&mut self, before: Timestamp, limit: usize) -> usize {
        let due = self.published.iter().take_while(|(at, _)| *at <= before).take(limit);
        let due: Vec<(Timestamp, u64)> = due.copied().collect();
        for row in &due {
            self.published.remove(row);
            self.rows.remove(&row.1);
        }
        due.len()
    }
}

impl State {
    pub(super) fn version(&self, stream: &StreamId) -> Version {
        Version(self.streams.get(stream).map_or(0, |indices| indices.len() as u64))
    }

    /// Makes what a batch has staged durable.
    pub(super) fn absorb(&mut self, changes: Changes) {
        self.head = changes.head;
        for event in changes.events {
            self.streams.entry(event.stream.clone()).or_default().push(self.events.len());
            self.events.push(event);
        }
        for (key, claimed) in changes.claims {
            self.claims.put(key, claimed.expires_at, claimed);
        }
        for (key, (sequence, at)) in changes.inbox.sequences {
            self.sequences.put(key, at, sequence);
        }
        for (key, at) in changes.inbox.ids {
            self.ids.put(key, at, ());
        }
        self.fences.extend(changes.fences);
        for (counter, value) in changes.counters {
            if value == 0 {
                self.counters.remove(&counter);
            } else {
                self.counters.insert(counter, value);
            }
        }
        changes.rows.into_iter().for_each(|row| self.outbox.add(row));
        for (change, at) in changes.outbox {
            self.outbox.change(change, at);
        }
        for (id, timer) in changes.timers {
            match timer {
                Some(timer) => self.timers.put(id, timer.due, timer),
                None => self.timers.remove(&id),
            }
        }
        for ((space, key), value) in changes.records {
            self.put_record(space, key, value);
        }
    }

    fn put_record(&mut self, space: String, key: String, value: Option<Bytes>) {
        if let Some(value) = value {
            self.records.entry(space).or_default().insert(key, value);
        } else if let Some(records) = self.records.get_mut(&space) {
            records.remove(&key);
            if records.is_empty() {
                self.records.remove(&space);
            }
        }
    }

    /// Removes expired rows, at most `limit`: claims, then outbox, then inbox.
    pub(super) fn prune(&mut self, now: Timestamp, limit: usize) -> Pruned {
        let claims = self.claims.remove_up_to(now, limit).len();
        let left = limit - claims;
        let outbox = self.outbox.prune(now - OUTBOX_RETENTION, left);
        let left = left - outbox;
        let old = now - INBOX_RETENTION;
        let sequences = self.sequences.remove_up_to(old, left).len();
        let ids = self.ids.remove_up_to(old, left - sequences).len();
        Pruned { claims, outbox, inbox: sequences + ids }
    }
}
