//! Telling two disks apart without keeping either.

use std::fmt;

use sha2::{Digest, Sha256};
use steadfast_time::Timestamp;

use super::state::State;
use crate::{Hash, StoredResponse};

/// How much is on a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events in all streams.
    pub events: usize,
    /// Streams.
    pub streams: usize,
    /// Idempotency keys, expired ones included until they are pruned.
    pub claims: usize,
    /// Inbox marks, sequences and identifiers together.
    pub inbox: usize,
    /// Resources that have seen a token.
    pub fences: usize,
    /// Counters that are not zero.
    pub counters: usize,
    /// Outbox rows, published ones included until they are pruned.
    pub outbox: usize,
    /// Outbox rows that are still to be published.
    pub unpublished: usize,
    /// Timers.
    pub timers: usize,
    /// Records in all spaces.
    pub records: usize,
}

impl Tally {
    pub(super) fn of(state: &State) -> Self {
        Self {
            events: state.events.len(),
            streams: state.streams.len(),
            claims: state.claims.len(),
            inbox: state.sequences.len() + state.ids.len(),
            fences: state.fences.len(),
            counters: state.counters.len(),
            outbox: state.outbox.rows.len(),
            unpublished: state.outbox.unpublished.len(),
            timers: state.timers.len(),
            records: state.records.values().map(std::collections::BTreeMap::len).sum(),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, streams, claims, inbox, fences, counters, outbox, .. } = self;
        let Self { unpublished, timers, records, .. } = self;
        write!(
            f,
            "{events} events in {streams} streams, {claims} claims, {inbox} inbox marks, \
             {fences} fences, {counters} counters, {outbox} outbox rows ({unpublished} to \
             publish), {timers} timers, {records} records"
        )
    }
}

/// Hashes fields so that no two sequences of fields look the same.
struct Fields(Sha256);

impl Fields {
    fn number(&mut self, number: impl Into<i128>) {
        self.0.update(number.into().to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn time(&mut self, at: Timestamp) {
        self.number(at.as_micros());
    }

    fn option<T>(&mut self, value: Option<T>, hash: impl FnOnce(&mut Self, T)) {
        self.number(u8::from(value.is_some()));
        if let Some(value) = value {
            hash(self, value);
        }
    }

    /// A table begins with its number of rows.
    fn rows<T>(&mut self, rows: impl ExactSizeIterator<Item = T>, hash: impl Fn(&mut Self, T)) {
        self.number(rows.len() as u64);
        rows.for_each(|row| hash(self, row));
    }
}

pub(super) fn digest(state: &State) -> Hash {
    let mut fields = Fields(Sha256::new());
    let f = &mut fields;
    f.number(state.head.position.0);
    f.bytes(&state.head.hash.0);
    f.number(state.claims.len() as u64);
    for ((tenant, key), _, claimed) in state.claims.rows() {
        f.text(tenant);
        f.text(key);
        f.bytes(&claimed.fingerprint);
        f.time(claimed.expires_at);
        let StoredResponse { status, location, version, body } = &claimed.response;
        f.number(*status);
        f.option(location.as_deref(), Fields::text);
        f.option(*version, |f, version| f.number(version.0));
        f.bytes(body);
    }
    f.number(state.sequences.len() as u64);
    for ((consumer, key), at, sequence) in state.sequences.rows() {
        f.text(consumer);
        f.text(key);
        f.time(at);
        f.number(*sequence);
    }
    f.number(state.ids.len() as u64);
    for ((consumer, id), at, ()) in state.ids.rows() {
        f.text(consumer);
        f.bytes(id.as_bytes());
        f.time(at);
    }
    f.rows(state.fences.iter(), |f, (resource, mark)| {
        f.text(resource);
        f.number(mark.highest().map_or(0, |token| token.get()));
    });
    f.rows(state.counters.iter(), |f, (counter, value)| {
        f.text(counter);
        f.number(*value);
    });
    f.number(state.outbox.last);
    f.rows(state.outbox.rows.values(), |f, row| {
        f.number(row.seq);
        f.bytes(row.message.id.as_bytes());
        f.text(&row.message.topic);
        f.text(&row.message.aggregate_type);
        f.text(&row.message.aggregate_id);
        f.text(&row.message.event_type);
        f.number(row.message.sequence);
        f.bytes(&row.message.payload);
        f.number(row.status as u8);
        f.number(row.retry_count);
        f.time(row.created_at);
        f.option(row.published_at, Fields::time);
    });
    f.number(state.timers.len() as u64);
    for (id, due, timer) in state.timers.rows() {
        f.text(id);
        f.time(due);
        f.bytes(&timer.payload);
    }
    f.rows(state.records.iter(), |f, (space, records)| {
        f.text(space);
        f.rows(records.iter(), |f, (key, value)| {
            f.text(key);
            f.bytes(value);
        });
    });
    Hash(fields.0.finalize().into())
}
