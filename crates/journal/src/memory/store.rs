//! Reads of what is durable.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;

use bytes::Bytes;
use steadfast_fencing::{FencingToken, HighWater};
use steadfast_time::Timestamp;

use super::disk::Session;
use super::state::pair;
use crate::limits::READ_ROWS_MAX;
use crate::{
    Claimed, Event, Head, MessageRef, OutboxRow, Position, Processed, StorageError, Store,
    StreamId, Timer, Version,
};

/// Skips the first `after` of something that is counted from 1.
fn after(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// The first text that comes after every text with this prefix, if there is one. The order of
/// UTF-8 bytes is the order of characters.
fn end_of_prefix(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

impl Store for Session {
    fn head(&self) -> Result<Head, StorageError> {
        self.read(|state| state.head)
    }

    fn stream(
        &self,
        stream: &StreamId,
        version: Version,
        limit: usize,
    ) -> Result<Vec<Event>, StorageError> {
        self.read(|state| {
            let indices = state.streams.get(stream).map_or(&[][..], Vec::as_slice);
            indices
                .iter()
                .skip(after(version.0))
                .take(limit.min(READ_ROWS_MAX))
                .filter_map(|index| state.events.get(*index).cloned())
                .collect()
        })
    }

    fn version(&self, stream: &StreamId) -> Result<Version, StorageError> {
        self.read(|state| state.version(stream))
    }

    fn events(&self, position: Position, limit: usize) -> Result<Vec<Event>, StorageError> {
        self.read(|state| {
            let rest = state.events.iter().skip(after(position.0));
            rest.take(limit.min(READ_ROWS_MAX)).cloned().collect()
        })
    }

    fn claimed(
        &self,
        tenant: &str,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<Claimed>, StorageError> {
        let key = pair(tenant, key);
        self.read(|state| {
            let held = state.claims.get(&key);
            held.filter(|(expires_at, _)| *expires_at > now).map(|(_, claimed)| claimed.clone())
        })
    }

    fn processed(&self, processed: &Processed) -> Result<bool, StorageError> {
        let Processed { consumer, message } = processed;
        match message {
            MessageRef::Sequence { key, sequence } | MessageRef::UpTo { key, sequence } => {
                Ok(*sequence <= self.processed_up_to(consumer, key)?)
            }
            MessageRef::Id(id) => {
                let key = (Arc::from(consumer.as_ref()), *id);
                self.read(|state| state.ids.get(&key).is_some())
            }
        }
    }

    fn processed_up_to(&self, consumer: &str, key: &str) -> Result<u64, StorageError> {
        let key = pair(consumer, key);
        self.read(|state| state.sequences.get(&key).map_or(0, |(_, sequence)| *sequence))
    }

    fn fence(&self, resource: &str) -> Result<Option<FencingToken>, StorageError> {
        self.read(|state| state.fences.get(resource).copied().and_then(HighWater::highest))
    }

    fn counter(&self, counter: &str) -> Result<i64, StorageError> {
        self.read(|state| state.counters.get(counter).copied().unwrap_or_default())
    }

    fn unpublished(&self, after: u64, limit: usize) -> Result<Vec<OutboxRow>, StorageError> {
        self.read(|state| {
            let seqs = state.outbox.unpublished.range((Excluded(after), Unbounded));
            let rows = seqs.filter_map(|seq| state.outbox.rows.get(seq));
            rows.take(limit.min(READ_ROWS_MAX)).cloned().collect()
        })
    }

    fn outbox(&self, after: u64, limit: usize) -> Result<Vec<OutboxRow>, StorageError> {
        self.read(|state| {
            let rows = state.outbox.rows.range((Excluded(after), Unbounded));
            rows.take(limit.min(READ_ROWS_MAX)).map(|(_, row)| row.clone()).collect()
        })
    }

    fn timers(&self, by: Timestamp, limit: usize) -> Result<Vec<Timer>, StorageError> {
        self.read(|state| {
            let due = state.timers.up_to(by).take(limit.min(READ_ROWS_MAX));
            due.map(|(_, timer)| timer.clone()).collect()
        })
    }

    fn timer(&self, id: &str) -> Result<Option<Timer>, StorageError> {
        self.read(|state| state.timers.get(id).map(|(_, timer)| timer.clone()))
    }

    fn record(&self, space: &str, key: &str) -> Result<Option<Bytes>, StorageError> {
        self.read(|state| state.records.get(space).and_then(|records| records.get(key)).cloned())
    }

    fn records(
        &self,
        space: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Bytes)>, StorageError> {
        let start = match after {
            Some(after) if after >= prefix => Excluded(after),
            _ => Included(prefix),
        };
        self.read(|state| {
            let records: Option<&BTreeMap<_, _>> = state.records.get(space);
            let rows = records.into_iter().flat_map(|map| map.range::<str, _>((start, Unbounded)));
            rows.take_while(|(key, _)| key.starts_with(prefix))
                .take(limit.min(READ_ROWS_MAX))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        })
    }

    fn records_reverse(
        &self,
        space: &str,
        prefix: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Bytes)>, StorageError> {
        let end_of_prefix = end_of_prefix(prefix);
        let end = match (before, end_of_prefix.as_deref()) {
            (Some(before), Some(end)) => Some(before.min(end)),
            (before, end) => before.or(end),
        };
        if end.is_some_and(|end| end <= prefix) {
            return self.read(|_| Vec::new());
        }
        let end = end.map_or(Unbounded, Excluded);
        self.read(|state| {
            let records: Option<&BTreeMap<_, _>> = state.records.get(space);
            let range = (Included(prefix), end);
            let rows = records.into_iter().flat_map(|map| map.range::<str, _>(range).rev());
            rows.take(limit.min(READ_ROWS_MAX))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_comes_right_after_everything_with_it() {
        assert_eq!(end_of_prefix("a"), Some("b".to_owned()));
        assert_eq!(end_of_prefix("a\u{10FFFF}"), Some("b".to_owned()));
        // The next character jumps over the surrogates, which are none.
        assert_eq!(end_of_prefix("\u{D7FF}"), Some("\u{E000}".to_owned()));
        assert_eq!(end_of_prefix(""), None);
        assert_eq!(end_of_prefix("\u{10FFFF}"), None);
    }
}
