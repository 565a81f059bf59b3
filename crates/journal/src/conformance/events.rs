//! One history per stream, one order for all.

use bytes::Bytes;

use super::bench::Bench;
use super::make::{append, at, event, exactly, placed, stream, write};
use super::{Subject, checks};
use crate::limits::READ_ROWS_MAX;
use crate::{
    Append, Event, Expected, Hash, Head, NewEvent, Position, Recorded, Refusal, Version, hash,
};

checks![
    the_first_event_of_all_is_chained_to_nothing,
    an_append_states_the_version_that_it_builds_on,
    a_stream_may_occur_twice_in_a_write,
    an_append_without_events_only_checks,
    streams_are_read_in_pages,
    the_whole_journal_is_read_in_pages,
    the_chain_has_no_gap_where_a_write_was_refused,
    any_bytes_fit_into_a_payload,
];

fn the_first_event_of_all_is_chained_to_nothing<S: Subject>(bench: &mut Bench<S>) {
    assert_eq!(bench.store().head().unwrap(), Head::default());
    assert_eq!(bench.store().version(&stream("a")).unwrap(), Version::NONE);
    let applied = bench.ok(placed(5, "a"));
    let NewEvent { kind, schema, payload } = event("placed");
    let mut recorded = Recorded {
        position: Position(1),
        stream: stream("a"),
        version: Version(1),
        kind,
        schema,
        at: at(5),
        payload,
        hash: Hash::default(),
    };
    recorded.hash = Hash::of(Hash::GENESIS, &recorded);
    let expected = Event::new(recorded);
    assert_eq!(applied.events, std::slice::from_ref(&expected));
    assert_eq!(applied.committed.head, Position(1));
    assert_eq!(applied.committed.versions, [Version(1)]);
    assert_eq!(bench.store().head().unwrap().hash, expected.hash);
    assert_eq!(bench.store().events(Position::START, 10).unwrap(), [expected]);
}

fn an_append_states_the_version_that_it_builds_on<S: Subject>(bench: &mut Bench<S>) {
    let mut at_version = |expected| {
        let mut write = write(1);
        write.appends.push(append("a", expected, &["placed"]));
        bench.one(write).map(|applied| applied.committed.versions)
    };
    let conflict = |expected, actual| {
        Err(Refusal::Conflict { stream: stream("a"), expected, actual: Version(actual) })
    };
    assert_eq!(at_version(exactly(1)), conflict(exactly(1), 0));
    assert_eq!(at_version(exactly(0)), Ok(vec![Version(1)]));
    assert_eq!(at_version(exactly(0)), conflict(exactly(0), 1));
    assert_eq!(at_version(Expected::Any), Ok(vec![Version(2)]));
    assert_eq!(at_version(exactly(2)), Ok(vec![Version(3)]));
    assert_eq!(at_version(exactly(4)), conflict(exactly(4), 3));
    assert!(at_version(exactly(i64::MAX.unsigned_abs())).is_err());
}

fn a_stream_may_occur_twice_in_a_write<S: Subject>(bench: &mut Bench<S>) {
    let mut twice = write(1);
    twice.appends.push(append("a", exactly(0), &["placed", "priced"]));
    twice.appends.push(append("b", exactly(0), &["placed"]));
    twice.appends.push(append("a", exactly(2), &["paid"]));
    let applied = bench.ok(twice);
    assert_eq!(applied.committed.versions, [2, 1, 3].map(Version));
    let order: Vec<_> =
        applied.events.iter().map(|e| (e.position.0, e.stream.clone(), e.version.0)).collect();
    let (a, b) = (stream("a"), stream("b"));
    assert_eq!(order, [(1, a.clone(), 1), (2, a.clone(), 2), (3, b, 1), (4, a, 3)]);

    // The second append sees the first, so the version before the write does not fit it.
    let mut refused = write(2);
    refused.appends.push(append("a", exactly(3), &["packed"]));
    refused.appends.push(append("a", exactly(3), &["sent"]));
    let actual = Version(4);
    let conflict = Refusal::Conflict { stream: stream("a"), expected: exactly(3), actual };
    assert_eq!(bench.refused(refused), conflict);
    assert_eq!(bench.store().version(&stream("a")).unwrap(), Version(3));
}

fn an_append_without_events_only_checks<S: Subject>(bench: &mut Bench<S>) {
    bench.ok(placed(1, "a"));
    let mut check = placed(2, "b");
    check.appends.push(append("a", exactly(1), &[]));
    assert_eq!(bench.ok(check.clone()).committed.versions, [1, 1].map(Version));
    check.appends[1].expected = exactly(0);
    assert!(matches!(bench.refused(check), Refusal::Conflict { .. }));
    assert_eq!(bench.store().head().unwrap().position, Position(2));
}

fn streams_are_read_in_pages<S: Subject>(bench: &mut Bench<S>) {
    for n in 0..10 {
        let (one, other) = (placed(n, "a"), placed(n, "a/b"));
        bench.batch(&[one, other]);
    }
    let read = |after, limit| {
        let events = bench.store().stream(&stream("a"), Version(after), limit).unwrap();
        assert!(events.iter().all(|event| event.stream == stream("a")));
        events.iter().map(|event| event.version.0).collect::<Vec<_>>()
    };
    assert_eq!(read(0, 3), [1, 2, 3]);
    assert_eq!(read(3, usize::MAX), [4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(read(9, 10), [10]);
    assert_eq!(read(10, 10), [0; 0]);
    assert_eq!(read(u64::MAX, 10), [0; 0]);
    assert_eq!(read(0, 0), [0; 0]);
    let empty = bench.store().stream(&stream("c"), Version::NONE, 10).unwrap();
    assert!(empty.is_empty());
}

fn the_whole_journal_is_read_in_pages<S: Subject>(bench: &mut Bench<S>) {
    let events: Vec<NewEvent> = (0..100).map(|_| event("ticked")).collect();
    let count = READ_ROWS_MAX as u64 + 50;
    let writes: Vec<_> = (0..count.div_ceil(100))
        .map(|n| {
            let mut write = write(1);
            let stream = stream(&format!("s{}", n % 3));
            write.appends.push(Append { stream, expected: Expected::Any, events: events.clone() });
            write
        })
        .collect();
    bench.batch(&writes);
    let store = bench.store();
    // However many are asked for, a read has a limit.
    let page = store.events(Position::START, usize::MAX).unwrap();
    assert_eq!(page.len(), READ_ROWS_MAX);
    let rest = store.events(Position(READ_ROWS_MAX as u64), usize::MAX).unwrap();
    assert_eq!((page.len() + rest.len()) as u64, store.head().unwrap().position.0);
    assert!(store.events(store.head().unwrap().position, 10).unwrap().is_empty());
    assert!(store.events(Position(u64::MAX), 10).unwrap().is_empty());
    assert!(store.events(Position::START, 0).unwrap().is_empty());
    assert_eq!(store.events(Position(6), 1).unwrap()[0].position, Position(7));
}

fn the_chain_has_no_gap_where_a_write_was_refused<S: Subject>(bench: &mut Bench<S>) {
    for n in 0..10 {
        let mut refused = placed(n, "a");
        refused.appends.push(append("b", exactly(99), &["never"]));
        let outcomes = bench.batch(&[placed(n, "a"), refused.clone(), placed(n, "b"), refused]);
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_err()).count(), 2);
    }
    let mut last = Head::default();
    for event in bench.store().events(Position::START, 100).unwrap() {
        hash::check(last.hash, last.position, &event).unwrap();
        last = Head { position: event.position, hash: event.hash };
    }
    assert_eq!(last.position, Position(20));
    assert_eq!(bench.store().head().unwrap(), last);
}

fn any_bytes_fit_into_a_payload<S: Subject>(bench: &mut Bench<S>) {
    let payloads = [&b""[..], b"\0", b"\xff\xfe", "{\"città\":\"서울 🛵\"}".as_bytes()];
    for (n, payload) in payloads.into_iter().enumerate() {
        let payload = Bytes::from_static(payload);
        let schema = u16::MAX - n as u16;
        let event = NewEvent { kind: "odd/'\"; --".into(), schema, payload };
        let stream = stream("서울 'x' \"y\" %_*?[a]");
        let append =
            Append { stream: stream.clone(), expected: Expected::Any, events: vec![event] };
        let mut write = write(-(n as i64));
        write.appends.push(append.clone());
        bench.ok(write);
        let read = bench.store().stream(&stream, Version(n as u64), 1).unwrap().remove(0);
        assert_eq!(read.payload, append.events[0].payload);
        assert_eq!((read.schema, read.kind.as_ref()), (schema, "odd/'\"; --"));
        assert_eq!(read.at, at(-(n as i64)));
    }
}
