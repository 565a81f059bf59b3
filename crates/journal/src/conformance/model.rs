//! What a journal does, as plainly as it can be said: vectors, maps, and a copy of everything
//! for each write, which is thrown away when the write is refused.

use std::collections::BTreeMap;

use bytes::Bytes;
use steadfast_fencing::{FencingToken, HighWater};
use steadfast_time::{Timestamp, Uuid};

use crate::limits::{INBOX_RETENTION, OUTBOX_RETENTION};
use crate::{
    Applied, Claimed, Committed, Event, Expected, Hash, Head, MessageRef, MessageStatus,
    OutboxChange, OutboxRow, Position, Processed, Pruned, Recorded, Refusal, StreamId, Timer,
    TimerChange, Version, Write,
};

#[derive(Clone, Default)]
pub(super) struct Model {
    pub(super) events: Vec<Event>,
    pub(super) claims: BTreeMap<(String, String), Claimed>,
    sequences: BTreeMap<(String, String), (u64, Timestamp)>,
    ids: BTreeMap<(String, Uuid), Timestamp>,
    pub(super) fences: BTreeMap<String, FencingToken>,
    pub(super) counters: BTreeMap<String, i64>,
    pub(super) outbox: Vec<OutboxRow>,
    rows_ever: u64,
    pub(super) timers: BTreeMap<String, Timer>,
    pub(super) records: BTreeMap<(String, String), Bytes>,
}

impl Model {
    pub(super) fn head(&self) -> Head {
        self.events
            .last()
            .map_or_else(Head::default, |last| Head { position: last.position, hash: last.hash })
    }

    pub(super) fn stream(&self, stream: &StreamId) -> Vec<Event> {
        self.events.iter().filter(|event| event.stream == *stream).cloned().collect()
    }

    pub(super) fn version(&self, stream: &StreamId) -> Version {
        Version(self.stream(stream).len() as u64)
    }

    pub(super) fn claimed(&self, tenant: &str, key: &str, now: Timestamp) -> Option<Claimed> {
        let held = self.claims.get(&(tenant.to_owned(), key.to_owned()))?;
        (held.expires_at > now).then(|| held.clone())
    }

    pub(super) fn processed_up_to(&self, consumer: &str, key: &str) -> u64 {
        let mark = self.sequences.get(&(consumer.to_owned(), key.to_owned()));
        mark.map_or(0, |(sequence, _)| *sequence)
    }

    pub(super) fn processed(&self, processed: &Processed) -> bool {
        let consumer = processed.consumer.to_string();
        match &processed.message {
            MessageRef::Sequence { key, sequence } | MessageRef::UpTo { key, sequence } => {
                *sequence <= self.processed_up_to(&consumer, key)
            }
            MessageRef::Id(id) => self.ids.contains_key(&(consumer, *id)),
        }
    }

    pub(super) fn timers_by(&self, by: Timestamp) -> Vec<Timer> {
        let mut due: Vec<Timer> = self.timers.values().filter(|t| t.due <= by).cloned().collect();
        due.sort_by(|a, b| (a.due, &a.id).cmp(&(b.due, &b.id)));
        due
    }

    pub(super) fn records(&self, space: &str, prefix: &str) -> Vec<(String, Bytes)> {
        let rows = self.records.iter().filter(|((s, k), _)| s == space && k.starts_with(prefix));
        rows.map(|((_, key), value)| (key.clone(), value.clone())).collect()
    }

    pub(super) fn apply(&mut self, write: &Write) -> Result<Applied, Refusal> {
        let mut next = self.clone();
        let applied = next.attempt(write)?;
        *self = next;
        Ok(applied)
    }

    fn attempt(&mut self, write: &Write) -> Result<Applied, Refusal> {
        if let Some(claim) = &write.claim {
            if let Some(held) = self.claimed(&claim.tenant, &claim.key, write.at) {
                return Err(if held.fingerprint == claim.fingerprint {
                    Refusal::Duplicate(Box::new(held))
                } else {
                    Refusal::KeyReused
                });
            }
            let claimed = Claimed {
                fingerprint: claim.fingerprint,
                expires_at: claim.expires_at,
                response: claim.response.clone(),
            };
            self.claims.insert((claim.tenant.clone(), claim.key.clone()), claimed);
        }
        for mark in &write.processed {
            let (consumer, message) = (mark.consumer.to_string(), mark.message.clone());
            match message {
                MessageRef::UpTo { .. } if self.processed(mark) => {}
                message if self.processed(mark) => {
                    return Err(Refusal::AlreadyProcessed { consumer, message });
                }
                MessageRef::Sequence { key, sequence } | MessageRef::UpTo { key, sequence } => {
                    self.sequences.insert((consumer, key), (sequence, write.at));
                }
                MessageRef::Id(id) => {
                    self.ids.insert((consumer, id), write.at);
                }
            }
        }
        if let Some(fence) = &write.fence {
            let mut mark = self
                .fences
                .get(&fence.resource)
                .map_or_else(HighWater::default, |t| HighWater::at(*t));
            mark.admit(fence.token)
                .map_err(|stale| Refusal::Stale { resource: fence.resource.clone(), stale })?;
            self.fences.insert(fence.resource.clone(), fence.token);
        }
        let (versions, events) = self.append(write)?;
        for guard in &write.guards {
            let value = self.counters.get(&guard.counter).copied().unwrap_or_default();
            let sum = i128::from(value) + i128::from(guard.delta);
            let (min, max) = (*guard.bounds.start(), *guard.bounds.end());
            if sum < i128::from(min) || sum > i128::from(max) {
                let (counter, delta) = (guard.counter.clone(), guard.delta);
                return Err(Refusal::OutOfBounds { counter, value, delta, min, max });
            }
            self.counters.insert(guard.counter.clone(), value + guard.delta);
        }
        let outbox = self.send(write);
        for change in &write.timers {
            match change {
                TimerChange::Set(timer) => self.timers.insert(timer.id.clone(), timer.clone()),
                TimerChange::Clear { id } => self.timers.remove(id),
            };
        }
        for change in &write.records {
            let key = (change.space.to_string(), change.key.clone());
            match &change.value {
                Some(value) => self.records.insert(key, value.clone()),
                None => self.records.remove(&key),
            };
        }
        for change in &write.outbox {
            self.report(change, write.at);
        }
        let committed = Committed { head: self.head().position, versions };
        Ok(Applied { committed, events, outbox })
    }

    fn append(&mut self, write: &Write) -> Result<(Vec<Version>, Vec<Event>), Refusal> {
        let (mut versions, mut events) = (Vec::new(), Vec::new());
        for append in &write.appends {
            let actual = self.version(&append.stream);
            if append.expected != Expected::Any && append.expected != Expected::Exactly(actual) {
                let (stream, expected) = (append.stream.clone(), append.expected);
                return Err(Refusal::Conflict { stream, expected, actual });
            }
            for new in &append.events {
                let mut recorded = Recorded {
                    position: Position(self.events.len() as u64 + 1),
                    stream: append.stream.clone(),
                    version: self.version(&append.stream).next(),
                    kind: new.kind.clone(),
                    schema: new.schema,
                    at: write.at,
                    payload: new.payload.clone(),
                    hash: Hash::default(),
                };
                recorded.hash = Hash::of(self.head().hash, &recorded);
                let event = Event::new(recorded);
                self.events.push(event.clone());
                events.push(event);
            }
            versions.push(self.version(&append.stream));
        }
        Ok((versions, events))
    }

    fn send(&mut self, write: &Write) -> Vec<OutboxRow> {
        let mut rows = Vec::new();
        for message in &write.messages {
            self.rows_ever += 1;
            rows.push(OutboxRow {
                seq: self.rows_ever,
                message: message.clone(),
                status: MessageStatus::Pending,
                retry_count: 0,
                created_at: write.at,
                published_at: None,
            });
        }
        self.outbox.extend(rows.iter().cloned());
        rows
    }

    fn report(&mut self, change: &OutboxChange, at: Timestamp) {
        for row in self.outbox.iter_mut().filter(|row| row.status != MessageStatus::Published) {
            match change {
                OutboxChange::Published(range) if range.contains(&row.seq) => {
                    row.status = MessageStatus::Published;
                    row.published_at = Some(at);
                }
                OutboxChange::Failed(seq) if *seq == row.seq => {
                    row.status = MessageStatus::Failed;
                    row.retry_count += 1;
                }
                _ => {}
            }
        }
    }

    /// Removes everything that has expired.
    pub(super) fn prune(&mut self, now: Timestamp) -> Pruned {
        let before = (self.claims.len(), self.outbox.len(), self.sequences.len() + self.ids.len());
        self.claims.retain(|_, held| held.expires_at > now);
        self.outbox.retain(|row| row.published_at.is_none_or(|at| at + OUTBOX_RETENTION > now));
        self.sequences.retain(|_, (_, at)| *at + INBOX_RETENTION > now);
        self.ids.retain(|_, at| *at + INBOX_RETENTION > now);
        Pruned {
            claims: before.0 - self.claims.len(),
            outbox: before.1 - self.outbox.len(),
            inbox: before.2 - self.sequences.len() - self.ids.len(),
        }
    }
}
