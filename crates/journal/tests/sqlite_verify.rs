//! Verification names the event that was changed, whichever of its bytes it was.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

use std::fs;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use steadfast_journal::{
    Append, Engine as _, Event, Expected, Message, NewEvent, Position, StreamId, Write, sqlite,
};
use steadfast_time::{Timestamp, Uuid};

const EVENTS: u64 = 40;

/// A closed journal of which every event has its own payload, and every other one a message.
fn journal(path: &Path) -> Vec<Event> {
    let mut engine = sqlite::Engine::open(path, sqlite::Options::default()).unwrap();
    for n in 1..=EVENTS {
        let id = Uuid::from_u128(0x0199_c1a2_0000_7000_8000_0000_0000_0000 | u128::from(n));
        let mut write = Write::at(Timestamp::from_millis(1_767_225_600_000 + n.cast_signed()));
        let payload = Bytes::from(format!("{{\"number\":{n},\"note\":\"event number {n}\"}}"));
        for kind in ["placed", "accepted"] {
            write.appends.push(Append {
                stream: StreamId::of("order", id),
                expected: Expected::Any,
                events: vec![NewEvent { kind: kind.into(), schema: 1, payload: payload.clone() }],
            });
        }
        if n % 2 == 0 {
            write.messages.push(Message {
                id,
                topic: "orders".into(),
                aggregate_type: "order".into(),
                aggregate_id: id.to_string(),
                event_type: "accepted".into(),
                sequence: 2,
                payload,
            });
        }
        engine.commit(&[write]).unwrap()[0].as_ref().unwrap();
    }
    let events = engine.store().events(Position::START, 1_000).unwrap();
    engine.close().unwrap();
    // Copies of rows remain in the free space of pages that were split; without them, each row
    // is in the file once.
    let connection = rusqlite::Connection::open(path.join("journal.db")).unwrap();
    connection
        .execute_batch("PRAGMA secure_delete = on; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    events
}

/// Where in the file the row of an event is: from its stream's key to its hash.
fn row_of(event: &Event, file: &[u8]) -> Range<usize> {
    let found = |needle: &[u8]| -> Vec<usize> {
        (0..file.len() - needle.len()).filter(|at| file[*at..].starts_with(needle)).collect()
    };
    // The hash comes right behind the payload; only there do the two meet.
    let tail = [&event.payload[..], &event.hash.0[..]].concat();
    let tails = found(&tail);
    let [tail_at] = tails[..] else { panic!("one row has this payload and hash: {tails:?}") };
    let key = Uuid::parse_str(event.stream.key()).unwrap();
    let start = found(key.as_bytes()).into_iter().rfind(|at| *at < tail_at).unwrap();
    assert!(tail_at - start < 60, "in the same row");
    // The number of the category comes before the UUID.
    start - 1..tail_at + tail.len()
}

#[test]
fn a_sound_journal_is_found_sound() {
    let scratch = tempfile::tempdir().unwrap();
    let events = journal(scratch.path());
    let before = fs::read(scratch.path().join("journal.db")).unwrap();
    let mut steps = Vec::new();
    let report = sqlite::verify(scratch.path(), |step| steps.push(step)).unwrap();
    assert!(report.is_sound(), "{report}");
    assert_eq!(report.to_string(), format!("{} events, none damaged", events.len()));
    assert!(matches!(steps.as_slice(), [sqlite::Step::Structure, .., sqlite::Step::Outbox]));
    assert_eq!(fs::read(scratch.path().join("journal.db")).unwrap(), before);
}

#[test]
fn every_flipped_byte_of_an_event_is_found_and_named() {
    let scratch = tempfile::tempdir().unwrap();
    let events = journal(scratch.path());
    let file = scratch.path().join("journal.db");
    let sound = fs::read(&file).unwrap();
    let mut tried = 0;
    // One of the first page of rows, one in the middle, and the very last.
    for event in [&events[2], &events[41], events.last().unwrap()] {
        for at in row_of(event, &sound) {
            for flip in [0x01, 0x80] {
                let mut bytes = sound.clone();
                bytes[at] ^= flip;
                fs::write(&file, &bytes).unwrap();
                let report = sqlite::verify(scratch.path(), |_| ()).unwrap();
                let finding = report.event.as_ref().map(|finding| finding.position);
                assert_eq!(finding, Some(event.position), "byte {at} ^ {flip:#x}: {report}");
                assert!(!report.is_sound());
                assert!(report.to_string().contains(&format!("event {}", event.position)));
                tried += 1;
            }
        }
    }
    assert!(tried > 400, "{tried}");
}

#[test]
fn damage_anywhere_in_the_file_is_noticed_or_harmless() {
    let scratch = tempfile::tempdir().unwrap();
    let events = journal(scratch.path());
    let file = scratch.path().join("journal.db");
    let sound = fs::read(&file).unwrap();
    let mut noticed = 0;
    for step in 0..400 {
        let at = sound.len() * step / 400;
        let mut bytes = sound.clone();
        bytes[at] ^= 0x55;
        fs::write(&file, &bytes).unwrap();
        match sqlite::verify(scratch.path(), |_| ()) {
            Err(_) => noticed += 1,
            Ok(report) if !report.is_sound() => noticed += 1,
            // Free space within a page, or a table that holds no events: then those are intact.
            Ok(report) => assert_eq!(report.head.unwrap().position.0, events.len() as u64),
        }
    }
    assert!(noticed > 20, "{noticed}");
}

#[test]
fn a_missing_event_in_the_middle_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    journal(scratch.path());
    let connection = rusqlite::Connection::open(scratch.path().join("journal.db")).unwrap();
    connection.execute("DELETE FROM events WHERE position = 30", ()).unwrap();
    drop(connection);
    let report = sqlite::verify(scratch.path(), |_| ()).unwrap();
    let text = report.to_string();
    assert!(text.contains("event is missing"), "{text}");
    assert!(text.contains("refers to event 30, which is missing") || !text.contains("refers"));
    assert_eq!(report.event.unwrap().position, Position(31));
}

#[test]
fn a_message_whose_event_is_gone_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    journal(scratch.path());
    let connection = rusqlite::Connection::open(scratch.path().join("journal.db")).unwrap();
    connection.execute("UPDATE outbox_messages SET event = 999 WHERE seq = 7", ()).unwrap();
    drop(connection);
    let report = sqlite::verify(scratch.path(), |_| ()).unwrap();
    assert_eq!(report.outbox, ["row 7 refers to event 999, which is missing"]);
    assert!(report.event.is_none() && report.structure.is_empty());
}

#[test]
fn people_can_read_the_tables() {
    let scratch = tempfile::tempdir().unwrap();
    let events = journal(scratch.path());
    let connection = rusqlite::Connection::open(scratch.path().join("journal.db")).unwrap();
    let row: (String, i64, String, String, String) = connection
        .query_row(
            "SELECT stream, version, kind, at, hash FROM events_readable WHERE position = 4",
            (),
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
        )
        .unwrap();
    let event = &events[3];
    assert_eq!(row.0, event.stream.as_str());
    assert_eq!((row.1, row.2.as_str()), (2, "accepted"));
    assert_eq!((row.3, row.4), (event.at.to_string(), event.hash.to_string()));
    let columns = |view: &str| -> Vec<String> {
        let statement = connection.prepare(&format!("SELECT * FROM {view}")).unwrap();
        statement.column_names().map(str::to_owned).collect()
    };
    assert_eq!(columns("outbox"), ["id", "aggregatetype", "aggregateid", "type", "payload"]);
    let usual = [
        "id",
        "aggregate_type",
        "aggregate_id",
        "event_type",
        "topic",
        "payload",
        "status",
        "retry_count",
        "created_at",
        "published_at",
    ];
    for column in usual {
        assert!(columns("event_outbox").iter().any(|name| name == column), "{column}");
    }
    let message: (String, String, String, String) = connection
        .query_row(
            "SELECT aggregatetype, aggregateid, type, payload FROM outbox LIMIT 1",
            (),
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .unwrap();
    assert_eq!((message.0.as_str(), message.1.as_str()), ("order", events[3].stream.key()));
    assert_eq!((message.2.as_str(), message.3.as_bytes()), ("accepted", &event.payload[..]));
}
