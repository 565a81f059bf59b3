//! Checking and applying a batch, beside what is durable and not yet in it.
//!
//! A batch sees three layers: what is durable, what earlier writes of the batch have changed,
//! and what the write at hand would change. Readers see only the first; a refused write drops
//! the third; a crash before the sync drops the second.

use std::collections::HashMap;
use std::hash::Hash as Hashed;
use std::sync::Arc;

use bytes::Bytes;
use steadfast_fencing::HighWater;
use steadfast_time::{Timestamp, Uuid};

use super::protections::Protections;
use super::state::{Pair, State, pair};
use crate::{
    Applied, Claimed, Committed, Event, Expected, Guard, Hash, Head, MessageRef, MessageStatus,
    OutboxChange, OutboxRow, Processed, Recorded, Refusal, StreamId, Timer, TimerChange, Version,
    Write,
};

/// Marks of the inbox.
#[derive(Default)]
pub(super) struct Marks {
    pub(super) sequences: HashMap<Pair, (u64, Timestamp)>,
    pub(super) ids: HashMap<(Arc<str>, Uuid), Timestamp>,
}

/// What the accepted writes of a batch have changed so far.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) head: Head,
    pub(super) events: Vec<Event>,
    pub(super) claims: HashMap<Pair, Claimed>,
    pub(super) inbox: Marks,
    pub(super) fences: HashMap<String, HighWater>,
    pub(super) counters: HashMap<String, i64>,
    pub(super) rows: Vec<OutboxRow>,
    pub(super) outbox: Vec<(OutboxChange, Timestamp)>,
    pub(super) timers: HashMap<Arc<str>, Option<Timer>>,
    pub(super) records: HashMap<(String, String), Option<Bytes>>,
    versions: HashMap<StreamId, Version>,
    last_row: u64,
}

/// What the checks of one write have worked out, to be kept when it is accepted.
#[derive(Default)]
struct Checked {
    inbox: Marks,
    counters: HashMap<String, i64>,
}

/// A batch in the making.
pub(super) struct Staging<'a> {
    durable: &'a State,
    protections: Protections,
    changes: Changes,
}

impl<'a> Staging<'a> {
    pub(super) fn new(durable: &'a State, protections: Protections) -> Self {
        let (head, last_row) = (durable.head, durable.outbox.last);
        Self { durable, protections, changes: Changes { head, last_row, ..Changes::default() } }
    }

    pub(super) fn into_changes(self) -> Changes {
        self.changes
    }

    /// Checks a write and, when nothing refuses it, adds its effects to the batch.
    pub(super) fn apply(&mut self, write: &Write) -> Result<Applied, Refusal> {
        self.check_claim(write)?;
        let mut checked = Checked::default();
        for processed in &write.processed {
            self.check_processed(processed, write.at, &mut checked.inbox)?;
        }
        self.check_fence(write)?;
        self.check_versions(write)?;
        for guard in &write.guards {
            self.check_guard(guard, &mut checked.counters)?;
        }
        Ok(self.accept(write, checked))
    }

    fn check_claim(&self, write: &Write) -> Result<(), Refusal> {
        let Some(claim) = write.claim.as_ref().filter(|_| self.protections.claims) else {
            return Ok(());
        };
        let key = pair(&claim.tenant, &claim.key);
        let durable = || self.durable.claims.get(&key).map(|(_, claimed)| claimed);
        match self.changes.claims.get(&key).or_else(durable) {
            Some(held) if held.expires_at > write.at => {
                if held.fingerprint == claim.fingerprint {
                    Err(Refusal::Duplicate(Box::new(held.clone())))
                } else {
                    Err(Refusal::KeyReused)
                }
            }
            _ => Ok(()),
        }
    }

    fn check_processed(
        &self,
        processed: &Processed,
        at: Timestamp,
        own: &mut Marks,
    ) -> Result<(), Refusal> {
        let Processed { consumer, message } = processed;
        let seen = match message {
            MessageRef::Sequence { key, sequence } | MessageRef::UpTo { key, sequence } => {
                let key = pair(consumer, key);
                let staged = layered(&own.sequences, &self.changes.inbox.sequences, &key);
                let highest = match staged {
                    Some((highest, _)) => *highest,
                    None => self.durable.sequences.get(&key).map_or(0, |(_, highest)| *highest),
                };
                let seen = *sequence <= highest;
                if !seen {
                    own.sequences.insert(key, (*sequence, at));
                }
                seen && matches!(message, MessageRef::Sequence { .. })
            }
            MessageRef::Id(id) => {
                let key = (Arc::from(consumer.as_ref()), *id);
                let staged = layered(&own.ids, &self.changes.inbox.ids, &key).is_some();
                let seen = staged || self.durable.ids.get(&key).is_some();
                own.ids.insert(key, at);
                seen
            }
        };
        if seen && self.protections.inbox {
            let (consumer, message) = (consumer.to_string(), message.clone());
            return Err(Refusal::AlreadyProcessed { consumer, message });
        }
        Ok(())
    }

    fn mark(&self, resource: &str) -> HighWater {
        let durable = || self.durable.fences.get(resource);
        self.changes.fences.get(resource).or_else(durable).copied().unwrap_or_default()
    }

    fn check_fence(&self, write: &Write) -> Result<(), Refusal> {
        match &write.fence {
            Some(fence) if self.protections.fence => self
                .mark(&fence.resource)
                .check(fence.token)
                .map_err(|stale| Refusal::Stale { resource: fence.resource.clone(), stale }),
            _ => Ok(()),
        }
    }

    fn version(&self, stream: &StreamId) -> Version {
        let staged = self.changes.versions.get(stream).copied();
        staged.unwrap_or_else(|| self.durable.version(stream))
    }

    fn check_versions(&self, write: &Write) -> Result<(), Refusal> {
        let mut own: HashMap<&StreamId, Version> = HashMap::new();
        for append in &write.appends {
            let version = own.entry(&append.stream).or_insert_with(|| self.version(&append.stream));
            if let Expected::Exactly(expected) = append.expected
                && expected != *version
            {
                return Err(Refusal::Conflict {
                    stream: append.stream.clone(),
                    expected: append.expected,
                    actual: *version,
                });
            }
            version.0 += append.events.len() as u64;
        }
        Ok(())
    }

    fn check_guard(&self, guard: &Guard, own: &mut HashMap<String, i64>) -> Result<(), Refusal> {
        let Guard { counter, delta, bounds } = guard;
        let value = match layered(own, &self.changes.counters, counter) {
            Some(value) => *value,
            None => self.durable.counters.get(counter).copied().unwrap_or_default(),
        };
        let moved = match value.checked_add(*delta).filter(|moved| bounds.contains(moved)) {
            Some(moved) => moved,
            None if self.protections.guards => {
                return Err(Refusal::OutOfBounds {
                    counter: counter.clone(),
                    value,
                    delta: *delta,
                    min: *bounds.start(),
                    max: *bounds.end(),
                });
            }
            None => value.saturating_add(*delta),
        };
        own.insert(counter.clone(), moved);
        Ok(())
    }

    fn accept(&mut self, write: &Write, checked: Checked) -> Applied {
        if let Some(claim) = &write.claim {
            let claimed = Claimed {
                fingerprint: claim.fingerprint,
                expires_at: claim.expires_at,
                response: claim.response.clone(),
            };
            self.changes.claims.insert(pair(&claim.tenant, &claim.key), claimed);
        }
        self.changes.inbox.sequences.extend(checked.inbox.sequences);
        self.changes.inbox.ids.extend(checked.inbox.ids);
        if let Some(fence) = &write.fence {
            let mut mark = self.mark(&fence.resource);
            // Refused only when the check above has been taken away; the mark then stays.
            let _ = mark.admit(fence.token);
            self.changes.fences.insert(fence.resource.clone(), mark);
        }
        let (versions, events) = self.append(write);
        self.changes.counters.extend(checked.counters);
        let outbox = self.send(write);
        for change in &write.timers {
            let (id, timer) = match change {
                TimerChange::Set(timer) => (&timer.id, Some(timer.clone())),
                TimerChange::Clear { id } => (id, None),
            };
            self.changes.timers.insert(id.as_str().into(), timer);
        }
        for record in &write.records {
            let key = (record.space.to_string(), record.key.clone());
            self.changes.records.insert(key, record.value.clone());
        }
        self.report(write);
        let committed = Committed { head: self.changes.head.position, versions };
        Applied { committed, events, outbox }
    }

    fn append(&mut self, write: &Write) -> (Vec<Version>, Vec<Event>) {
        let mut versions = Vec::with_capacity(write.appends.len());
        let mut events = Vec::new();
        for append in &write.appends {
            let mut version = self.version(&append.stream);
            for new in &append.events {
                version = version.next();
                let mut recorded = Recorded {
                    position: self.changes.head.position.next(),
                    stream: append.stream.clone(),
                    version,
                    kind: new.kind.clone(),
                    schema: new.schema,
                    at: write.at,
                    payload: new.payload.clone(),
                    hash: Hash::default(),
                };
                recorded.hash = Hash::of(self.changes.head.hash, &recorded);
                self.changes.head = Head { position: recorded.position, hash: recorded.hash };
                events.push(Event::new(recorded));
            }
            self.changes.versions.insert(append.stream.clone(), version);
            versions.push(version);
        }
        self.changes.events.extend(events.iter().cloned());
        (versions, events)
    }

    fn send(&mut self, write: &Write) -> Vec<OutboxRow> {
        let rows: Vec<OutboxRow> = (self.changes.last_row + 1..)
            .zip(&write.messages)
            .map(|(seq, message)| OutboxRow {
                seq,
                message: message.clone(),
                status: MessageStatus::Pending,
                retry_count: 0,
                created_at: write.at,
                published_at: None,
            })
            .collect();
        self.changes.last_row += rows.len() as u64;
        self.changes.rows.extend(rows.iter().cloned());
        rows
    }

    /// What a write says of the outbox is about the rows that exist by then, not about those
    /// that later writes of the batch add.
    fn report(&mut self, write: &Write) {
        let last = self.changes.last_row;
        let known = write.outbox.iter().filter_map(|change| match change {
            OutboxChange::Published(rows) => {
                Some(OutboxChange::Published(*rows.start()..=last.min(*rows.end())))
            }
            OutboxChange::Failed(row) => (*row <= last).then_some(OutboxChange::Failed(*row)),
        });
        self.changes.outbox.extend(known.map(|change| (change, write.at)));
    }
}

/// The value of a key in the write's own layer, or else in the batch's.
fn layered<'a, K: Hashed + Eq, V>(
    own: &'a HashMap<K, V>,
    batch: &'a HashMap<K, V>,
    key: &K,
) -> Option<&'a V> {
    own.get(key).or_else(|| batch.get(key))
}
