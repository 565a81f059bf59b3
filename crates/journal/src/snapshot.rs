//! Snapshots: not folding a long stream from its first event each time.
//!
//! A snapshot is the folded state of one stream at one version, kept as a record beside the
//! events. It is a cache with a name: losing one costs time, never truth. So a snapshot of
//! another schema is passed over, and the stream is folded from the start.
//!
//! Put the record that [`record`] makes into the same [`crate::Write`] that appends the events,
//! or into a later one; [`load`] reads the snapshot and the events after it.
//!
//! # Limits
//! One snapshot per stream, the latest. The state is JSON of at most
//! [`crate::limits::PAYLOAD_BYTES_MAX`] bytes.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::limits::{PAYLOAD_BYTES_MAX, SNAPSHOT_PAGE_EVENTS};
use crate::{Event, RecordChange, StorageError, Store, StreamId, Version};

/// The space of records that holds the snapshots, keyed by stream.
pub const SPACE: &str = "snapshot";

/// The folded state of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot<S> {
    /// The last event that is in it.
    pub version: Version,
    /// What came of folding all events up to there.
    pub state: S,
}

/// Why a state could not be loaded or kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state does not fit into a record. Keep no snapshot of it; the events are enough.
    #[error("the snapshot of {stream} has {actual} bytes, over the limit of {PAYLOAD_BYTES_MAX}")]
    TooLarge {
        /// The stream.
        stream: StreamId,
        /// The size of the record.
        actual: usize,
    },
    /// The state cannot be written as JSON, or the record has the right schema and yet another
    /// shape: raise the schema when the state's shape changes.
    #[error("the snapshot of {stream}: {source}")]
    Shape {
        /// The stream.
        stream: StreamId,
        /// What did not fit.
        #[source]
        source: serde_json::Error,
    },
    /// The snapshot is of a version that the stream does not have.
    #[error("the snapshot of {stream} is of version {snapshot}, and the stream has {actual}")]
    Ahead {
        /// The stream.
        stream: StreamId,
        /// The snapshot's version.
        snapshot: Version,
        /// The stream's version.
        actual: Version,
    },
    /// An event could not be folded into the state.
    #[error("could not fold {kind:?} at version {version} of {stream}: {source}")]
    Fold {
        /// The stream.
        stream: StreamId,
        /// The event's version.
        version: Version,
        /// The event's kind.
        kind: Cow<'static, str>,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The storage failed.
    #[error("could not read {stream}: {source}")]
    Storage {
        /// The stream.
        stream: StreamId,
        /// What failed.
        #[source]
        source: StorageError,
    },
}

#[derive(Serialize)]
struct Kept<'a, S> {
    schema: u16,
    version: Version,
    state: &'a S,
}

/// The state stays unread until its schema is known to be the right one.
#[derive(Deserialize)]
struct Found<'a> {
    schema: u16,
    version: Version,
    #[serde(borrow)]
    state: &'a RawValue,
}

/// The record that keeps a snapshot, for [`crate::Write::records`].
///
/// # Errors
/// [`Error::TooLarge`] or [`Error::Shape`].
pub fn record<S: Serialize>(
    stream: &StreamId,
    schema: u16,
    snapshot: &Snapshot<S>,
) -> Result<RecordChange, Error> {
    let kept = Kept { schema, version: snapshot.version, state: &snapshot.state };
    let value = serde_json::to_vec(&kept)
        .map_err(|source| Error::Shape { stream: stream.clone(), source })?;
    if value.len() > PAYLOAD_BYTES_MAX {
        return Err(Error::TooLarge { stream: stream.clone(), actual: value.len() });
    }
    let key = stream.as_str().to_owned();
    Ok(RecordChange { space: SPACE.into(), key, value: Some(value.into()) })
}

/// Whether a snapshot is due when a stream goes from `before` to `after`: at every multiple of
/// `every` events. `every` of zero is never.
#[must_use]
pub fn due(before: Version, after: Version, every: u64) -> bool {
    match (before.0.checked_div(every), after.0.checked_div(every)) {
        (Some(before), Some(after)) => after > before,
        _ => false,
    }
}

/// A stream's state as of its last event: the snapshot of this schema, or else `S::default()`,
/// and every event after it.
///
/// # Errors
/// See [`Error`].
pub fn load<S: DeserializeOwned + Default, E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    store: &dyn Store,
    stream: &StreamId,
    schema: u16,
    mut fold: impl FnMut(&mut S, &Event) -> Result<(), E>,
) -> Result<Snapshot<S>, Error> {
    let storage = |source| Error::Storage { stream: stream.clone(), source };
    let Snapshot { mut version, mut state } = match find(store, stream, schema)? {
        Some(found) => {
            let actual = store.version(stream).map_err(storage)?;
            if found.version > actual {
                let (stream, snapshot) = (stream.clone(), found.version);
                return Err(Error::Ahead { stream, snapshot, actual });
            }
            found
        }
        None => Snapshot { version: Version::NONE, state: S::default() },
    };
    loop {
        let events = store.stream(stream, version, SNAPSHOT_PAGE_EVENTS).map_err(storage)?;
        for event in &events {
            fold(&mut state, event).map_err(|source| Error::Fold {
                stream: stream.clone(),
                version: event.version,
                kind: event.kind.clone(),
                source: source.into(),
            })?;
            version = event.version;
        }
        if events.len() < SNAPSHOT_PAGE_EVENTS {
            return Ok(Snapshot { version, state });
        }
    }
}

/// The stored snapshot, unless there is none or it has another schema.
fn find<S: DeserializeOwned>(
    store: &dyn Store,
    stream: &StreamId,
    schema: u16,
) -> Result<Option<Snapshot<S>>, Error> {
    let record = store
        .record(SPACE, stream.as_str())
        .map_err(|source| Error::Storage { stream: stream.clone(), source })?;
    let Some(record) = record else {
        return Ok(None);
    };
    let shape = |source| Error::Shape { stream: stream.clone(), source };
    let found: Found<'_> = serde_json::from_slice(&record).map_err(shape)?;
    if found.schema != schema {
        return Ok(None);
    }
    let state = serde_json::from_str(found.state.get()).map_err(shape)?;
    Ok(Some(Snapshot { version: found.version, state }))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;

    use super::*;
    use crate::{Append, Engine, Expected, NewEvent, Write, memory};

    fn stream() -> StreamId {
        StreamId::new("order", "a").unwrap()
    }

    fn append(engine: &mut memory::Engine, count: usize) {
        let payload = Bytes::from_static(b"{}");
        let event = NewEvent { kind: "counted".into(), schema: 1, payload };
        let mut write = Write::default();
        let events = vec![event; count];
        write.appends.push(Append { stream: stream(), expected: Expected::Any, events });
        engine.commit(&[write]).unwrap()[0].as_ref().unwrap();
    }

    fn keep(engine: &mut memory::Engine, schema: u16, version: u64, state: u64) {
        let snapshot = Snapshot { version: Version(version), state };
        let mut write = Write::default();
        write.records.push(record(&stream(), schema, &snapshot).unwrap());
        engine.commit(&[write]).unwrap()[0].as_ref().unwrap();
    }

    /// Loads the count of events, and tells how many had to be folded.
    fn count(engine: &memory::Engine, schema: u16) -> Result<(Snapshot<u64>, u64), Error> {
        let mut folded = 0;
        let loaded = load(engine.store().as_ref(), &stream(), schema, |state: &mut u64, _| {
            *state += 1;
            folded += 1;
            Ok::<(), Infallible>(())
        })?;
        Ok((loaded, folded))
    }

    #[test]
    fn a_snapshot_and_the_events_after_it_make_the_state() {
        let mut engine = memory::Engine::new();
        let at = |version, state| Snapshot { version: Version(version), state };
        assert_eq!(count(&engine, 1).unwrap(), (at(0, 0), 0));
        append(&mut engine, 2_500);
        assert_eq!(count(&engine, 1).unwrap(), (at(2_500, 2_500), 2_500));
        keep(&mut engine, 1, 2_490, 2_490);
        assert_eq!(count(&engine, 1).unwrap(), (at(2_500, 2_500), 10));
        keep(&mut engine, 1, 2_500, 2_500);
        assert_eq!(count(&engine, 1).unwrap(), (at(2_500, 2_500), 0));
    }

    #[test]
    fn a_snapshot_of_another_schema_is_passed_over() {
        let mut engine = memory::Engine::new();
        append(&mut engine, 5);
        keep(&mut engine, 1, 5, 5);
        assert_eq!(count(&engine, 2).unwrap().1, 5);
        // Whatever its state looks like.
        let odd = Snapshot { version: Version(5), state: vec!["not", "a", "number"] };
        let mut write = Write::default();
        write.records.push(record(&stream(), 3, &odd).unwrap());
        engine.commit(&[write]).unwrap()[0].as_ref().unwrap();
        assert_eq!(count(&engine, 2).unwrap().1, 5);
        assert!(matches!(count(&engine, 3), Err(Error::Shape { .. })));
    }

    #[test]
    fn a_snapshot_of_a_future_that_never_was_is_an_error() {
        let mut engine = memory::Engine::new();
        append(&mut engine, 5);
        keep(&mut engine, 1, 6, 6);
        let error = count(&engine, 1).unwrap_err();
        assert!(matches!(error, Error::Ahead { snapshot: Version(6), actual: Version(5), .. }));
    }

    #[test]
    fn an_event_that_cannot_be_folded_is_named() {
        let mut engine = memory::Engine::new();
        append(&mut engine, 5);
        let error = load(engine.store().as_ref(), &stream(), 1, |(): &mut (), event| {
            if event.version == Version(4) { Err("no") } else { Ok(()) }
        });
        let message = error.unwrap_err().to_string();
        assert_eq!(message, "could not fold \"counted\" at version 4 of order/a: no");
    }

    #[test]
    fn a_state_that_does_not_fit_is_refused_before_the_write() {
        let state = "x".repeat(PAYLOAD_BYTES_MAX);
        let snapshot = Snapshot { version: Version(1), state };
        let error = record(&stream(), 1, &snapshot).unwrap_err();
        assert!(matches!(error, Error::TooLarge { actual, .. } if actual > PAYLOAD_BYTES_MAX));
    }

    #[test]
    fn snapshots_are_due_at_multiples() {
        let due = |before, after, every| due(Version(before), Version(after), every);
        assert!(due(9, 10, 10) && due(9, 15, 10) && due(0, 30, 10));
        assert!(!due(10, 10, 10) && !due(10, 19, 10) && !due(0, 9, 10));
        assert!(!due(0, 1_000, 0));
    }
}
