//! What is kept when the machine stops, and what a missing protection lets through.

use bytes::Bytes;
use steadfast_fencing::FencingToken;

use super::*;
use crate::{Append, Engine as _, Expected, Fence, NewEvent, Position, RecordChange, StreamId};

fn write(n: u8) -> Write {
    let event = NewEvent { kind: "placed".into(), schema: 1, payload: Bytes::from_static(b"{}") };
    let stream = StreamId::new("order", &n.to_string()).unwrap();
    let mut write = Write::at(Timestamp::from_millis(i64::from(n)));
    write.appends.push(Append { stream, expected: Expected::Any, events: vec![event] });
    write.records.push(RecordChange {
        space: "seen".into(),
        key: n.to_string(),
        value: Some(Bytes::from(vec![n])),
    });
    write
}

fn crashed(result: Result<impl Sized, StorageError>) -> bool {
    matches!(result, Err(StorageError::Crashed { .. }))
}

#[test]
fn a_crash_keeps_the_batch_whole_or_not_at_all() {
    for (step, survives) in [(Step::Begin, false), (Step::Staged, false), (Step::Synced, true)] {
        let mut engine = Engine::new();
        engine.commit(&[write(1)]).unwrap();
        let disk = engine.disk();
        let before = disk.digest();
        let mut engine = Engine::recover(disk.clone()).with_faults(Faults::new(move |moment| {
            if moment.step == step { Decision::Crash } else { Decision::Continue }
        }));
        let store = engine.store();
        assert!(crashed(engine.commit(&[write(2), write(3)])));
        // Nobody learns anything from a machine that has stopped.
        assert!(crashed(store.head()));
        assert!(crashed(store.record("seen", "1")));
        assert!(crashed(engine.commit(&[])));
        assert!(crashed(engine.prune(Timestamp::default(), 1)));
        assert!(crashed(engine.close()));

        let store = Engine::recover(disk.clone()).store();
        let expected = if survives { Position(3) } else { Position(1) };
        assert_eq!(store.head().unwrap().position, expected, "{step:?}");
        assert_eq!(store.record("seen", "3").unwrap().is_some(), survives, "{step:?}");
        assert_eq!(disk.digest() != before, survives, "{step:?}");
    }
}

#[test]
fn a_restart_cuts_off_the_process_before() {
    let mut old = Engine::new();
    let store = old.store();
    let mut new = Engine::recover(old.disk());
    assert!(crashed(old.commit(&[write(1)])));
    assert!(crashed(store.head()));
    new.commit(&[write(2)]).unwrap();
    new.disk().crash(Timestamp::from_millis(9));
    let error = new.commit(&[write(3)]).unwrap_err();
    assert!(matches!(error, StorageError::Crashed { at } if at == Timestamp::from_millis(9)));
}

#[test]
fn a_reader_never_sees_a_staged_batch() {
    let disk = Disk::new();
    let engine = Engine::recover(disk);
    let store = engine.store();
    let mut engine = engine.with_faults(Faults::new(move |moment| {
        let head = store.head().unwrap().position;
        assert_eq!(head.0, if moment.step == Step::Synced { 2 } else { 0 });
        Decision::Continue
    }));
    engine.commit(&[write(1), write(2)]).unwrap();
}

#[test]
fn counting_up_visits_every_step() {
    let mut runs = 0;
    loop {
        let mut engine = Engine::new().with_faults(Faults::at(runs));
        let done = engine.commit(&[write(1)]).is_ok()
            && engine.prune(Timestamp::default(), 1).is_ok()
            && engine.commit(&[write(2)]).is_ok();
        if done {
            break;
        }
        runs += 1;
    }
    assert_eq!(runs, 8, "three steps per commit and two per pruning");
}

#[test]
fn a_seed_crashes_at_the_same_steps() {
    let survived = |seed| {
        let mut engine = Engine::new().with_faults(Faults::random(seed, 0.05));
        (0..200).take_while(|n| engine.commit(&[write(*n)]).is_ok()).count()
    };
    assert_eq!(survived(7), survived(7));
    let outcomes: std::collections::BTreeSet<usize> = (0..20).map(survived).collect();
    assert!(outcomes.len() > 5, "{outcomes:?}");
}

#[test]
fn the_digest_tells_contents_apart_and_nothing_else() {
    let filled = |writes: &[Write], at_once: bool| {
        let mut engine = Engine::new();
        if at_once {
            engine.commit(writes).unwrap();
        } else {
            writes.iter().for_each(|write| drop(engine.commit(std::slice::from_ref(write))));
        }
        engine.disk()
    };
    let writes = [write(1), write(2)];
    let (one, two) = (filled(&writes, true), filled(&writes, false));
    assert_eq!((one.digest(), one.tally()), (two.digest(), two.tally()));
    assert_eq!(one.tally().events, 2);

    let mut fenced = writes.clone();
    fenced[1].fence = Some(Fence { resource: "zone/7".to_owned(), token: FencingToken::FIRST });
    assert_ne!(one.digest(), filled(&fenced, true).digest());
    let mut other = writes.clone();
    other[0].records[0].value = Some(Bytes::from_static(b"other"));
    assert_ne!(one.digest(), filled(&other, true).digest());
}

#[test]
fn a_full_disk_refuses_clearly_until_there_is_room() {
    let mut engine = Engine::new();
    engine.commit(&[write(1)]).unwrap();
    let disk = engine.disk();
    disk.trouble(Trouble { full: true, ..Trouble::default() }, 0);
    let error = engine.commit(&[write(2)]).unwrap_err();
    assert!(matches!(error, StorageError::DiskFull { .. }), "{error}");
    assert_eq!(engine.store().head().unwrap().position, Position(1));
    // A restart does not make room; to make room does.
    let mut engine = Engine::recover(disk.clone());
    assert!(engine.commit(&[write(2)]).is_err());
    disk.trouble(Trouble::default(), 0);
    engine.commit(&[write(2)]).unwrap();
    assert_eq!(engine.store().head().unwrap().position, Position(2));
}

#[test]
fn a_failed_sync_leaves_all_or_nothing_and_nobody_knows_which() {
    let outcome = |seed| {
        let mut engine = Engine::new();
        let disk = engine.disk();
        disk.trouble(Trouble { failed_syncs: 1.0, ..Trouble::default() }, seed);
        let error = engine.commit(&[write(1), write(2)]).unwrap_err();
        assert!(matches!(error, StorageError::Other { .. }), "{error}");
        // A second sync that succeeds would prove nothing.
        disk.trouble(Trouble::default(), 0);
        assert!(crashed(engine.commit(&[write(3)])));
        Engine::recover(disk).store().head().unwrap().position.0
    };
    let outcomes: Vec<u64> = (0..20).map(outcome).collect();
    assert!(outcomes.iter().all(|events| [0, 2].contains(events)), "{outcomes:?}");
    assert!(outcomes.contains(&0) && outcomes.contains(&2), "{outcomes:?}");
    assert_eq!(outcomes, (0..20).map(outcome).collect::<Vec<_>>());
}

#[test]
fn what_a_disk_lied_about_is_gone_after_the_crash_with_all_that_came_after() {
    let mut engine = Engine::new();
    engine.commit(&[write(1)]).unwrap();
    let disk = engine.disk();
    disk.trouble(Trouble { lost_syncs: 1.0, ..Trouble::default() }, 0);
    engine.commit(&[write(2)]).unwrap();
    disk.trouble(Trouble::default(), 0);
    engine.commit(&[write(3)]).unwrap();
    // As long as nothing stops, nobody notices.
    assert_eq!(engine.store().head().unwrap().position, Position(3));
    disk.crash(Timestamp::from_millis(9));
    let mut engine = Engine::recover(disk);
    assert_eq!(engine.store().head().unwrap().position, Position(1));
    // The log goes on from there, and is durable again.
    engine.commit(&[write(4)]).unwrap();
    let store = Engine::recover(engine.disk()).store();
    assert_eq!(store.head().unwrap().position, Position(2));
    assert!(store.record("seen", "4").unwrap().is_some());
    crate::verify::verify(&*store, crate::Head::default(), |_| {}).unwrap();
}

#[test]
fn a_share_of_syncs_goes_wrong_at_the_same_places_for_a_seed() {
    let survived = |seed| {
        let mut engine = Engine::new();
        engine.disk().trouble(Trouble { failed_syncs: 0.1, ..Trouble::default() }, seed);
        (0..200).take_while(|n| engine.commit(&[write(*n)]).is_ok()).count()
    };
    let outcomes: std::collections::BTreeSet<usize> = (0..20).map(survived).collect();
    assert_eq!(survived(7), survived(7));
    assert!(outcomes.len() > 5, "{outcomes:?}");
}
