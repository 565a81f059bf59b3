//! Streams of any length are read from any place, and a wrong link is never followed.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

use std::path::Path;

use bytes::Bytes;
use steadfast_journal::{
    Append, Engine as _, Expected, NewEvent, StorageError, StreamId, Version, Write, sqlite,
};
use steadfast_time::Timestamp;

const LENGTH: u64 = 300;

fn stream(key: u64) -> StreamId {
    StreamId::new("zone", &key.to_string()).unwrap()
}

/// Three streams whose events alternate, in writes of one to five events.
fn journal(path: &Path) -> sqlite::Engine {
    let mut engine = sqlite::Engine::open(path, sqlite::Options::default()).unwrap();
    let mut versions = [0; 3];
    let mut step = 0;
    while versions.iter().any(|version| *version < LENGTH) {
        let mut writes = Vec::new();
        for _ in 0..7 {
            step += 1;
            let key = step % 3;
            let version = &mut versions[key as usize];
            let mut write = Write::at(Timestamp::from_millis(1));
            let kind = |number| NewEvent {
                kind: "moved".into(),
                schema: 1,
                payload: Bytes::from(format!("{{\"n\":{number}}}")),
            };
            let events: Vec<_> = (1..=step % 5 + 1).map(|n| kind(*version + n)).collect();
            let expected = Expected::Exactly(Version(*version));
            *version += events.len() as u64;
            write.appends.push(Append { stream: stream(key), expected, events });
            writes.push(write);
        }
        for outcome in engine.commit(&writes).unwrap() {
            outcome.unwrap();
        }
    }
    engine
}

#[test]
fn any_part_of_a_long_stream_is_found() {
    let scratch = tempfile::tempdir().unwrap();
    let mut engine = journal(scratch.path());
    let store = engine.store();
    for key in 0..3 {
        let length = store.version(&stream(key)).unwrap().0;
        assert!(length >= LENGTH);
        for after in (0..length + 3).step_by(7).chain([u64::MAX]) {
            for limit in [0, 1, 2, 63, 64, 65, 1_000] {
                let events = store.stream(&stream(key), Version(after), limit).unwrap();
                let first = after.saturating_add(1);
                let last = after.saturating_add(limit as u64).min(length);
                let found: Vec<u64> = events.iter().map(|event| event.version.0).collect();
                assert_eq!(found, (first..=last).collect::<Vec<_>>(), "after {after}, {limit}");
                for event in events {
                    assert_eq!(event.stream, stream(key));
                    assert_eq!(event.payload, format!("{{\"n\":{}}}", event.version));
                }
            }
        }
    }
    engine.close().unwrap();
    let report = sqlite::verify(scratch.path(), |_| ()).unwrap();
    assert!(report.is_sound(), "{report}");
}

#[test]
fn a_wrong_link_is_named_and_not_followed() {
    for (change, finding) in [
        ("UPDATE events SET previous = previous - 1 WHERE position = 500", "event 500"),
        ("UPDATE events SET previous = 0 WHERE position = 500", "event 500"),
        ("UPDATE streams SET position = position - 1 WHERE stream = 'zone/1'", "does not end"),
        ("UPDATE streams SET version = version - 1 WHERE stream = 'zone/1'", "does not end"),
        ("DELETE FROM streams WHERE stream = 'zone/1'", "the journal has"),
        ("UPDATE stream_marks SET position = 7", "a mark does not fit"),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        journal(scratch.path()).close().unwrap();
        let connection = rusqlite::Connection::open(scratch.path().join("journal.db")).unwrap();
        connection.execute_batch(change).unwrap();
        drop(connection);
        let report = sqlite::verify(scratch.path(), |_| ()).unwrap();
        assert!(report.structure.iter().any(|line| line.contains(finding)), "{change}: {report}");
        assert!(report.event.is_none(), "the events themselves are sound");

        let engine = sqlite::Engine::open(scratch.path(), sqlite::Options::default()).unwrap();
        let store = engine.store();
        let reads = (0..3).flat_map(|key| [0, 60, 130, 200, 290].map(|after| (key, after)));
        let outcomes: Vec<_> =
            reads.map(|(key, after)| store.stream(&stream(key), Version(after), 64)).collect();
        for outcome in &outcomes {
            if let Err(error) = outcome {
                assert!(matches!(error, StorageError::Damaged { .. }), "{error}");
            }
        }
        let deleted = change.starts_with("DELETE");
        assert!(deleted || outcomes.iter().any(Result::is_err), "{change}");
    }
}

#[test]
fn a_stream_that_is_not_where_it_was_stops_the_journal() {
    let scratch = tempfile::tempdir().unwrap();
    let mut engine = journal(scratch.path());
    // Somebody else writes into the file while it is open.
    let other = rusqlite::Connection::open(scratch.path().join("journal.db")).unwrap();
    other.execute_batch("UPDATE streams SET version = version + 1").unwrap();
    let mut write = Write::at(Timestamp::from_millis(1));
    let events = vec![NewEvent { kind: "moved".into(), schema: 1, payload: Bytes::new() }];
    write.appends.push(Append { stream: stream(1), expected: Expected::Any, events });
    let head = engine.store().head().unwrap();
    let error = engine.commit(&[write]).unwrap_err();
    assert!(matches!(error, StorageError::Damaged { .. }), "{error}");
    assert_eq!(engine.store().head().unwrap(), head, "nothing was committed");
}
