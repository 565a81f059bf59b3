//! What the engine does with the directory it is given: it takes only what is its own, says what
//! is wrong with the rest, and changes nothing there.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

use std::fs;
use std::path::Path;

use bytes::Bytes;
use steadfast_journal::{
    Append, Engine as _, Expected, NewEvent, Position, StorageError, StreamId, Write, sqlite,
};
use steadfast_time::Timestamp;

fn open(path: &Path) -> Result<sqlite::Engine, StorageError> {
    sqlite::Engine::open(path, sqlite::Options::default())
}

fn placed(key: &str) -> Write {
    let mut write = Write::at(Timestamp::from_millis(1));
    write.appends.push(Append {
        stream: StreamId::new("order", key).unwrap(),
        expected: Expected::Any,
        events: vec![NewEvent {
            kind: "placed".into(),
            schema: 1,
            payload: Bytes::from_static(b"{}"),
        }],
    });
    write
}

/// A closed journal with three events.
fn journal(path: &Path) {
    let mut engine = open(path).unwrap();
    for key in ["a", "b", "c"] {
        engine.commit(&[placed(key)]).unwrap()[0].as_ref().unwrap();
    }
    engine.close().unwrap();
}

fn rusqlite_at(path: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path.join("journal.db")).unwrap()
}

#[test]
fn a_second_opener_is_told_who_is_in_the_way() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("data");
    let mut first = open(&path).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, StorageError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert!(matches!(sqlite::verify(&path, |_| ()), Err(StorageError::InUse { .. })));
    let store = first.store();
    first.close().unwrap();
    // A store that is still held does not keep the directory.
    open(&path).unwrap();
    let error = store.head().unwrap_err().to_string();
    assert!(error.contains("closed"), "{error}");
}

#[test]
fn a_directory_with_other_things_is_left_alone() {
    let scratch = tempfile::tempdir().unwrap();
    fs::write(scratch.path().join("thesis.txt"), "do not touch").unwrap();
    let error = open(scratch.path()).unwrap_err();
    assert!(matches!(error, StorageError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains("thesis.txt"), "{error}");
    let left: Vec<_> = fs::read_dir(scratch.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn a_file_is_no_directory() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("file");
    fs::write(&path, "x").unwrap();
    assert!(matches!(open(&path), Err(StorageError::Foreign { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"x");
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let scratch = tempfile::tempdir().unwrap();
    rusqlite_at(scratch.path()).execute_batch("CREATE TABLE mine (x)").unwrap();
    let before = fs::read(scratch.path().join("journal.db")).unwrap();
    let error = open(scratch.path()).unwrap_err();
    assert!(matches!(error, StorageError::Foreign { .. }), "{error}");
    assert_eq!(fs::read(scratch.path().join("journal.db")).unwrap(), before);
    assert!(matches!(sqlite::verify(scratch.path(), |_| ()), Err(StorageError::Foreign { .. })));
}

#[test]
fn a_newer_format_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    journal(scratch.path());
    rusqlite_at(scratch.path()).pragma_update(None, "user_version", 99).unwrap();
    match open(scratch.path()).unwrap_err() {
        StorageError::Newer { found: 99, supported, .. } => assert!(supported < 99),
        other => panic!("{other}"),
    }
}

#[test]
fn an_interrupted_creation_is_finished() {
    let scratch = tempfile::tempdir().unwrap();
    // As it is when the process ends after making the file, and after setting the log's mode.
    fs::write(scratch.path().join("journal.db"), "").unwrap();
    drop(open(scratch.path()).unwrap());
    let second = tempfile::tempdir().unwrap();
    rusqlite_at(second.path()).pragma_update(None, "journal_mode", "wal").unwrap();
    journal(second.path());
    assert_eq!(open(second.path()).unwrap().store().head().unwrap().position, Position(3));
}

#[test]
fn files_are_private() {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("deep").join("data");
        let mut engine = open(&path).unwrap();
        engine.commit(&[placed("a")]).unwrap()[0].as_ref().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        for entry in fs::read_dir(&path).unwrap() {
            let file = entry.unwrap().path();
            assert_eq!(mode(&file), 0o600, "{file:?}");
        }
    }
}

/// Opening must refuse, with a message that names the path and says what to do.
fn assert_damaged(path: &Path) {
    match open(path) {
        Err(error @ StorageError::Damaged { .. }) => {
            let text = error.to_string();
            assert!(text.contains(path.to_str().unwrap()) && text.contains("backup"), "{text}");
        }
        Err(other) => panic!("not damaged, but {other}"),
        Ok(_) => panic!("opened"),
    }
}

#[test]
fn a_file_that_is_no_database_is_damaged() {
    let scratch = tempfile::tempdir().unwrap();
    journal(scratch.path());
    let file = scratch.path().join("journal.db");
    let mut bytes = fs::read(&file).unwrap();
    bytes[..16].copy_from_slice(&[0; 16]);
    fs::write(&file, &bytes).unwrap();
    assert_damaged(scratch.path());
    assert_eq!(fs::read(&file).unwrap(), bytes, "evidence is kept");
}

#[test]
fn a_missing_table_is_damage() {
    for what in ["TABLE records", "INDEX claims_by_digest", "VIEW outbox"] {
        let scratch = tempfile::tempdir().unwrap();
        journal(scratch.path());
        rusqlite_at(scratch.path()).execute_batch(&format!("DROP {what}")).unwrap();
        assert_damaged(scratch.path());
    }
}

#[test]
fn a_tail_that_is_missing_or_altered_is_damage() {
    for change in [
        "DELETE FROM events WHERE position = 3",
        "DELETE FROM events",
        "UPDATE events SET payload = CAST('[]' AS BLOB) WHERE position = 3",
        "UPDATE events SET at = 7 WHERE position = 3",
        "UPDATE events SET hash = zeroblob(32) WHERE position = 3",
        "UPDATE events SET hash = zeroblob(31) WHERE position = 3",
        "INSERT INTO events SELECT 4, 'order/x', 1, kind, schema, at, payload, hash, 0 FROM events \
         WHERE position = 3",
        "UPDATE head SET position = 2",
        "DELETE FROM head",
        "INSERT INTO outbox_messages (seq, id, topic) VALUES (1, zeroblob(16), 't')",
    ] {
        let scratch = tempfile::tempdir().unwrap();
        journal(scratch.path());
        rusqlite_at(scratch.path()).execute_batch(change).unwrap();
        assert_damaged(scratch.path());
    }
}

#[test]
fn a_truncated_file_is_damage() {
    let scratch = tempfile::tempdir().unwrap();
    let mut engine = open(scratch.path()).unwrap();
    for key in 0..200 {
        engine.commit(&[placed(&key.to_string())]).unwrap()[0].as_ref().unwrap();
    }
    engine.close().unwrap();
    let file = fs::OpenOptions::new().write(true).open(scratch.path().join("journal.db")).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length / 2).unwrap();
    assert_damaged(scratch.path());
}
