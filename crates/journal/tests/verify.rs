//! Each way to tamper with a history is found, and named.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::sync::Mutex;

use bytes::Bytes;
use steadfast_fencing::FencingToken;
use steadfast_journal::limits::VERIFY_PAGE_EVENTS;
use steadfast_journal::verify::{Error, Progress, verify};
use steadfast_journal::{
    Append, Claimed, Engine, Event, Expected, Hash, Head, NewEvent, OutboxRow, Position, Processed,
    StorageError, Store, StreamId, Timer, Version, Write, memory,
};
use steadfast_time::Timestamp;

/// A history as somebody with access to the storage might leave it.
struct Tampered {
    head: Mutex<Head>,
    events: Mutex<Vec<Event>>,
}

type Read<T> = Result<T, StorageError>;

impl Store for Tampered {
    fn head(&self) -> Read<Head> {
        Ok(*self.head.lock().unwrap())
    }

    fn events(&self, after: Position, limit: usize) -> Read<Vec<Event>> {
        let events = self.events.lock().unwrap();
        let later = events.iter().filter(|event| event.position > after);
        Ok(later.take(limit).cloned().collect())
    }

    fn stream(&self, _: &StreamId, _: Version, _: usize) -> Read<Vec<Event>> {
        unreachable!("verification reads events by position")
    }

    fn version(&self, _: &StreamId) -> Read<Version> {
        unreachable!()
    }

    fn claimed(&self, _: &str, _: &str, _: Timestamp) -> Read<Option<Claimed>> {
        unreachable!()
    }

    fn processed(&self, _: &Processed) -> Read<bool> {
        unreachable!()
    }

    fn processed_up_to(&self, _: &str, _: &str) -> Read<u64> {
        unreachable!()
    }

    fn fence(&self, _: &str) -> Read<Option<FencingToken>> {
        unreachable!()
    }

    fn counter(&self, _: &str) -> Read<i64> {
        unreachable!()
    }

    fn unpublished(&self, _: u64, _: usize) -> Read<Vec<OutboxRow>> {
        unreachable!()
    }

    fn outbox(&self, _: u64, _: usize) -> Read<Vec<OutboxRow>> {
        unreachable!()
    }

    fn timers(&self, _: Timestamp, _: usize) -> Read<Vec<Timer>> {
        unreachable!()
    }

    fn timer(&self, _: &str) -> Read<Option<Timer>> {
        unreachable!()
    }

    fn record(&self, _: &str, _: &str) -> Read<Option<Bytes>> {
        unreachable!()
    }

    fn records(&self, _: &str, _: &str, _: Option<&str>, _: usize) -> Read<Vec<(String, Bytes)>> {
        unreachable!()
    }

    fn records_reverse(
        &self,
        _: &str,
        _: &str,
        _: Option<&str>,
        _: usize,
    ) -> Read<Vec<(String, Bytes)>> {
        unreachable!()
    }
}

fn engine(count: usize) -> memory::Engine {
    let mut engine = memory::Engine::new();
    let event = NewEvent { kind: "placed".into(), schema: 1, payload: Bytes::from_static(b"{}") };
    let mut write = Write::at(Timestamp::from_millis(5));
    write.appends.push(Append {
        stream: StreamId::new("order", "a").unwrap(),
        expected: Expected::Any,
        events: vec![event; count],
    });
    engine.commit(&[write]).unwrap();
    engine
}

fn check(count: usize, tamper: impl FnOnce(&mut Head, &mut Vec<Event>)) -> Result<Head, Error> {
    let store = engine(count).store();
    let mut head = store.head().unwrap();
    let mut events = store.events(Position::START, usize::MAX).unwrap();
    tamper(&mut head, &mut events);
    let store = Tampered { head: Mutex::new(head), events: Mutex::new(events) };
    verify(&store, Head::default(), |_| {})
}

/// Changes an event; with `rehash`, so that it fits to the one before again.
fn edit(events: &mut [Event], index: usize, rehash: bool) {
    let mut recorded = (*events[index]).clone();
    recorded.payload = Bytes::from_static(b"{\"amount\":0}");
    if rehash {
        recorded.hash = Hash::of(events[index - 1].hash, &recorded);
    }
    events[index] = Event::new(recorded);
}

#[test]
fn a_sound_history_is_walked_in_pages() {
    let count = VERIFY_PAGE_EVENTS * 2 + 7;
    let store = engine(count).store();
    let mut pages = Vec::new();
    let head = verify(store.as_ref(), Head::default(), |progress| pages.push(progress)).unwrap();
    assert_eq!(head, store.head().unwrap());
    let checked: Vec<u64> = pages.iter().map(|page| page.checked.0).collect();
    let page = VERIFY_PAGE_EVENTS as u64;
    assert_eq!(checked, [page, page * 2, count as u64]);
    assert!(pages.iter().all(|Progress { head, .. }| head.0 == count as u64));
    // From a head that was kept elsewhere, only the rest is walked.
    let kept = store.events(Position(9), 1).unwrap().remove(0);
    let kept = Head { position: kept.position, hash: kept.hash };
    assert_eq!(verify(store.as_ref(), kept, |_| {}).unwrap(), head);
    assert_eq!(verify(store.as_ref(), head, |_| unreachable!()).unwrap(), head);
    let empty = memory::Engine::new().store();
    assert_eq!(verify(empty.as_ref(), Head::default(), |_| {}).unwrap(), Head::default());
}

#[test]
fn the_first_event_that_does_not_fit_is_named() {
    let broken = |result| match result {
        Err(Error::Broken(broken)) => (broken.position.0, broken.version.0, broken.what),
        other => panic!("{other:?}"),
    };
    let (position, version, what) = broken(check(20, |_, events| edit(events, 6, false)));
    assert_eq!((position, version), (7, 7));
    assert!(what.contains("hash"), "{what}");
    // Recomputing the hash of the event alone only moves the break to the next one.
    assert_eq!(broken(check(20, |_, events| edit(events, 6, true))).0, 8);
    let (position, _, what) = broken(check(20, |_, events| drop(events.remove(6))));
    assert_eq!(position, 8);
    assert!(what.contains("missing"), "{what}");
    assert_eq!(broken(check(20, |_, events| edit(events, 0, false))).0, 1);
    let swapped = check(20, |_, events| events.swap(6, 7));
    assert_eq!(broken(swapped).0, 8);
    let message = check(20, |_, events| edit(events, 6, false)).unwrap_err().to_string();
    assert!(message.contains("event 7 (order/a, version 7)"), "{message}");
}

#[test]
fn an_end_that_is_missing_or_too_much_is_found() {
    let truncated = check(20, |_, events| events.truncate(15));
    let expected = (Position(15), Position(20));
    assert!(
        matches!(truncated, Err(Error::Truncated { found, head }) if (found, head) == expected)
    );
    let set_back = check(20, |head, events| {
        *head = Head { position: events[14].position, hash: events[14].hash };
    });
    assert!(matches!(set_back, Err(Error::Beyond { found: Position(16), .. })), "{set_back:?}");
    let last_edited = check(20, |_, events| edit(events, 19, true));
    let position = Position(20);
    assert!(matches!(last_edited, Err(Error::OtherHistory { position: p }) if p == position));
}

#[test]
fn another_history_does_not_pass_for_this_one() {
    let store = engine(20).store();
    let mut kept = store.head().unwrap();
    kept.hash = Hash([7; 32]);
    let other = verify(store.as_ref(), kept, |_| {});
    assert!(matches!(other, Err(Error::OtherHistory { position: Position(20) })), "{other:?}");
    kept.position = Position(10);
    assert!(matches!(verify(store.as_ref(), kept, |_| {}), Err(Error::Broken(_))));
    kept.position = Position(30);
    let shorter = verify(store.as_ref(), kept, |_| {});
    assert!(matches!(shorter, Err(Error::Truncated { .. })), "{shorter:?}");
}
