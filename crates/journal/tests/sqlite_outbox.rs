//! The outbox's ranges: an old row that waits does not make the rest grow, also after a restart.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use steadfast_journal::{
    Engine as _, Message, MessageStatus, OutboxChange, Store, Write, limits, sqlite,
};
use steadfast_time::{Timestamp, Uuid};

const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn open(path: &Path) -> sqlite::Engine {
    sqlite::Engine::open(path, sqlite::Options::default()).unwrap()
}

fn commit(engine: &mut sqlite::Engine, write: Write) {
    engine.commit(&[write]).unwrap()[0].as_ref().unwrap();
}

fn messages(engine: &mut sqlite::Engine, count: u64) {
    let mut write = Write::at(START);
    for sequence in 1..=count {
        write.messages.push(Message {
            id: Uuid::from_u128(sequence.into()),
            topic: "orders".into(),
            aggregate_type: "order".into(),
            aggregate_id: "a".into(),
            event_type: "placed".into(),
            sequence,
            payload: Bytes::from_static(b"{}"),
        });
    }
    commit(engine, write);
}

fn say(engine: &mut sqlite::Engine, at: Timestamp, changes: &[OutboxChange]) {
    let mut write = Write::at(at);
    write.outbox = changes.to_vec();
    commit(engine, write);
}

fn seqs(store: &dyn Store) -> (Vec<u64>, Vec<u64>) {
    let all = store.outbox(0, 1_000).unwrap().iter().map(|row| row.seq).collect();
    let waiting = store.unpublished(0, 1_000).unwrap().iter().map(|row| row.seq).collect();
    (all, waiting)
}

fn ranges(path: &Path) -> Vec<(i64, i64, bool)> {
    let connection = rusqlite::Connection::open(path.join("journal.db")).unwrap();
    let mut statement = connection
        .prepare("SELECT first, last, at IS NULL FROM outbox_published ORDER BY first")
        .unwrap();
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_row_that_waits_for_days_keeps_little() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path();
    let mut engine = open(path);
    messages(&mut engine, 20);
    let taken = [
        OutboxChange::Published(1..=3),
        OutboxChange::Failed(4),
        OutboxChange::Published(5..=9),
        OutboxChange::Published(10..=10),
        OutboxChange::Published(8..=12),
    ];
    say(&mut engine, START, &taken);
    let row = engine.store().unpublished(0, 1).unwrap().remove(0);
    assert_eq!((row.seq, row.status, row.retry_count), (4, MessageStatus::Failed, 1));

    let later = START + limits::OUTBOX_RETENTION;
    let mut steps = Vec::new();
    loop {
        let pruned = engine.prune(later, 2).unwrap();
        assert!(pruned.total() <= 2, "a step is bounded");
        if pruned.total() == 0 {
            break;
        }
        steps.push(pruned.outbox);
    }
    assert_eq!(steps.iter().sum::<usize>(), 11);
    let rest: Vec<u64> = (13..=20).collect();
    let waiting: Vec<u64> = std::iter::once(4).chain(rest.iter().copied()).collect();
    assert_eq!(seqs(&*engine.store()), (waiting.clone(), waiting.clone()));
    engine.close().unwrap();
    assert_eq!(ranges(path), [(5, 12, true)], "one range for all that is gone");

    let mut engine = open(path);
    assert_eq!(seqs(&*engine.store()), (waiting.clone(), waiting));
    // What is said of rows that are gone changes nothing.
    say(&mut engine, later, &[OutboxChange::Failed(6), OutboxChange::Published(5..=12)]);
    say(&mut engine, later, &[OutboxChange::Published(4..=4), OutboxChange::Published(13..=14)]);
    assert_eq!(seqs(&*engine.store()).1, (15..=20).collect::<Vec<_>>());
    let much_later = later + limits::OUTBOX_RETENTION + Duration::from_secs(1);
    assert_eq!(engine.prune(much_later, 100).unwrap().outbox, 3);
    engine.close().unwrap();
    assert_eq!(ranges(path), [], "nothing is kept once no row waits before it");

    let mut engine = open(path);
    messages(&mut engine, 1);
    assert_eq!(seqs(&*engine.store()).0, (15..=21).collect::<Vec<_>>(), "numbers go on");
    engine.close().unwrap();
}

#[test]
fn everything_published_and_removed_does_not_start_the_numbers_over() {
    let scratch = tempfile::tempdir().unwrap();
    let mut engine = open(scratch.path());
    messages(&mut engine, 5);
    say(&mut engine, START, &[OutboxChange::Published(1..=u64::MAX)]);
    engine.prune(START + limits::OUTBOX_RETENTION, 100).unwrap();
    engine.close().unwrap();
    let mut engine = open(scratch.path());
    messages(&mut engine, 1);
    assert_eq!(seqs(&*engine.store()), (vec![6], vec![6]));
}
