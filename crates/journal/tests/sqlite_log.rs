//! The log stays within bounds, under load that never pauses and with readers in between.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use steadfast_journal::{
    Append, Engine as _, Expected, NewEvent, Position, StreamId, Write, sqlite,
};
use steadfast_time::Timestamp;

fn write(number: u64) -> Write {
    let mut write = Write::at(Timestamp::from_millis(1));
    write.appends.push(Append {
        stream: StreamId::new("order", &number.to_string()).unwrap(),
        expected: Expected::Any,
        events: vec![NewEvent {
            kind: "placed".into(),
            schema: 1,
            payload: Bytes::from(vec![b'x'; 2_000]),
        }],
    });
    write
}

fn log_bytes(directory: &Path) -> u64 {
    fs::metadata(directory.join("journal.db-wal")).map_or(0, |file| file.len())
}

#[test]
fn the_log_starts_over_under_steady_load() {
    let scratch = tempfile::tempdir().unwrap();
    let options = sqlite::Options {
        checkpoint_bytes: 128 << 10,
        log_bytes: 512 << 10,
        ..sqlite::Options::default()
    };
    let mut engine = sqlite::Engine::open(scratch.path(), options.clone()).unwrap();
    let store = engine.store();
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let done = Arc::clone(&done);
        std::thread::spawn(move || {
            let mut reads = 0;
            while !done.load(Relaxed) {
                let head = store.head().unwrap().position;
                let last = Position(head.0.saturating_sub(100));
                assert!(store.events(last, 100).unwrap().len() >= head.0.min(100) as usize);
                reads += 1;
            }
            reads
        })
    };
    let mut longest = 0;
    for batch in 0..800 {
        let writes: Vec<Write> = (0..4).map(|n| write(batch * 4 + n)).collect();
        engine.commit(&writes).unwrap();
        longest = longest.max(log_bytes(scratch.path()));
    }
    done.store(true, Relaxed);
    assert!(reader.join().unwrap() > 0);
    // 6 MB of events, each page several times in the log.
    let written = fs::metadata(scratch.path().join("journal.db")).unwrap().len();
    assert!(written > 5 << 20, "{written}");
    assert!(longest > options.log_bytes, "{longest}: never long enough for the test");
    assert!(longest < 8 * options.log_bytes, "{longest}");
    engine.close().unwrap();
    assert_eq!(log_bytes(scratch.path()), 0, "a clean end leaves one file");
}
