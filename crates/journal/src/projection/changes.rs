//! What a batch of events changes in a view.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ApplyError;
use crate::limits::{
    EVENT_CHANGES_MAX, NAME_BYTES_MAX, PAYLOAD_BYTES_MAX, PROJECTION_BATCH_BYTES,
    PROJECTION_BATCH_CHANGES,
};
use crate::{RecordChange, Store};

/// One layer of changes: the last one of each key.
#[derive(Default)]
struct Layer {
    records: BTreeMap<String, Option<Bytes>>,
    bytes: usize,
}

impl Layer {
    fn set(&mut self, key: String, value: Option<Bytes>) {
        let size =
            |key: &str, value: &Option<Bytes>| key.len() + value.as_ref().map_or(0, Bytes::len);
        self.bytes += size(&key, &value);
        if let Some((key, before)) = self.records.remove_entry(&key) {
            self.bytes -= size(&key, &before);
        }
        self.records.insert(key, value);
    }
}

/// The records of a view as they are with the events so far, and the changes to commit.
///
/// Many changes of one record become one. What has been put can be read at once.
pub struct Changes<'a> {
    store: &'a dyn Store,
    space: &'a str,
    batch: Layer,
    event: Layer,
}

impl<'a> Changes<'a> {
    pub(super) fn new(store: &'a dyn Store, space: &'a str) -> Self {
        Self { store, space, batch: Layer::default(), event: Layer::default() }
    }

    /// The record under a key.
    ///
    /// # Errors
    /// The storage failed.
    pub fn get(&self, key: &str) -> Result<Option<Bytes>, ApplyError> {
        match self.event.records.get(key).or_else(|| self.batch.records.get(key)) {
            Some(value) => Ok(value.clone()),
            None => Ok(self.store.record(self.space, key)?),
        }
    }

    /// The record under a key, as a value of a type.
    ///
    /// # Errors
    /// The storage failed, or the record has another shape.
    pub fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, ApplyError> {
        let Some(bytes) = self.get(key)? else {
            return Ok(None);
        };
        let value = serde_json::from_slice(&bytes)
            .map_err(|error| format!("record {key:?} has another shape: {error}"))?;
        Ok(Some(value))
    }

    /// Puts a record.
    ///
    /// # Errors
    /// The key or the record is too large, or the event changes too many records.
    pub fn put(
        &mut self,
        key: impl Into<String>,
        value: impl Into<Bytes>,
    ) -> Result<(), ApplyError> {
        self.set(key.into(), Some(value.into()))
    }

    /// Puts a record as JSON.
    ///
    /// # Errors
    /// As [`Changes::put`]; or the value cannot be written as JSON.
    pub fn put_json(
        &mut self,
        key: impl Into<String>,
        value: &impl Serialize,
    ) -> Result<(), ApplyError> {
        let value = serde_json::to_vec(value)?;
        self.set(key.into(), Some(value.into()))
    }

    /// Deletes a record; nothing happens when there is none.
    ///
    /// # Errors
    /// The key is too large, or the event changes too many records.
    pub fn delete(&mut self, key: impl Into<String>) -> Result<(), ApplyError> {
        self.set(key.into(), None)
    }

    fn set(&mut self, key: String, value: Option<Bytes>) -> Result<(), ApplyError> {
        let size = value.as_ref().map_or(0, Bytes::len);
        if key.len() > NAME_BYTES_MAX {
            return Err(format!("a key of {} bytes is over {NAME_BYTES_MAX}", key.len()).into());
        }
        if size > PAYLOAD_BYTES_MAX {
            let limit = PAYLOAD_BYTES_MAX;
            return Err(format!("record {key:?} has {size} bytes, over {limit}").into());
        }
        self.event.set(key, value);
        if self.event.records.len() > EVENT_CHANGES_MAX {
            return Err(format!("one event changes over {EVENT_CHANGES_MAX} records").into());
        }
        if self.event.bytes > PROJECTION_BATCH_BYTES {
            return Err(format!("one event changes over {PROJECTION_BATCH_BYTES} bytes").into());
        }
        Ok(())
    }

    /// Keeps what the event has changed.
    pub(super) fn accept_event(&mut self) {
        self.event.bytes = 0;
        for (key, value) in std::mem::take(&mut self.event.records) {
            self.batch.set(key, value);
        }
    }

    /// Forgets what the event has changed.
    pub(super) fn drop_event(&mut self) {
        self.event = Layer::default();
    }

    /// Whether the batch has become so large that it should be committed before the next event.
    pub(super) fn is_full(&self) -> bool {
        self.batch.records.len() >= PROJECTION_BATCH_CHANGES
            || self.batch.bytes >= PROJECTION_BATCH_BYTES
    }

    pub(super) fn into_records(self) -> Vec<RecordChange> {
        let space = self.space;
        let records = self.batch.records.into_iter();
        records
            .map(|(key, value)| RecordChange { space: space.to_owned().into(), key, value })
            .collect()
    }
}

impl std::fmt::Debug for Changes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let changed = self.batch.records.len() + self.event.records.len();
        f.debug_struct("Changes").field("space", &self.space).field("changed", &changed).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Engine, Write, memory};

    #[test]
    fn changes_coalesce_and_are_read_back() {
        let mut engine = memory::Engine::new();
        let mut write = Write::default();
        for key in ["old", "gone"] {
            write.records.push(RecordChange {
                space: "view".into(),
                key: key.to_owned(),
                value: Some(Bytes::from_static(b"1")),
            });
        }
        engine.commit(&[write]).unwrap()[0].as_ref().unwrap();
        let store = engine.store();
        let mut changes = Changes::new(store.as_ref(), "view");
        assert_eq!(changes.get_json::<u32>("old").unwrap(), Some(1));
        assert_eq!(changes.get("never").unwrap(), None);
        changes.delete("gone").unwrap();
        for n in 0..100 {
            changes.put_json("new", &n).unwrap();
            assert_eq!(changes.get_json::<u32>("new").unwrap(), Some(n));
            changes.accept_event();
        }
        assert_eq!(changes.get("gone").unwrap(), None);
        assert!(changes.get_json::<bool>("new").is_err());
        let records = changes.into_records();
        let keys: Vec<_> = records.iter().map(|r| (r.key.as_str(), r.value.is_some())).collect();
        assert_eq!(keys, [("gone", false), ("new", true)]);
    }

    #[test]
    fn an_event_that_fails_leaves_nothing() {
        let store = memory::Engine::new().store();
        let mut changes = Changes::new(store.as_ref(), "view");
        changes.put("a", "1").unwrap();
        changes.accept_event();
        changes.put("a", "2").unwrap();
        changes.put("b", "2").unwrap();
        changes.drop_event();
        assert_eq!(changes.get("a").unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(changes.get("b").unwrap(), None);
    }

    #[test]
    fn everything_has_a_limit() {
        let store = memory::Engine::new().store();
        let mut changes = Changes::new(store.as_ref(), "view");
        assert!(changes.put("k".repeat(NAME_BYTES_MAX + 1), "").is_err());
        assert!(changes.put("k", vec![0; PAYLOAD_BYTES_MAX + 1]).is_err());
        for n in 0..EVENT_CHANGES_MAX {
            changes.put(n.to_string(), "").unwrap();
        }
        assert!(changes.put("one more", "").is_err());
        changes.drop_event();
        let mut sizes = (0..20).map(|n| changes.put(n.to_string(), vec![0; PAYLOAD_BYTES_MAX]));
        assert_eq!(
            sizes.position(|put| put.is_err()),
            Some(PROJECTION_BATCH_BYTES / PAYLOAD_BYTES_MAX - 1)
        );
        changes.drop_event();
        let large = PROJECTION_BATCH_BYTES.div_ceil(PAYLOAD_BYTES_MAX);
        for n in 0..large {
            assert!(!changes.is_full(), "{n}");
            // Changing one record again does not fill the batch.
            for _ in 0..3 {
                changes.put(n.to_string(), vec![0; PAYLOAD_BYTES_MAX]).unwrap();
                changes.accept_event();
            }
        }
        assert!(changes.is_full());
    }
}
