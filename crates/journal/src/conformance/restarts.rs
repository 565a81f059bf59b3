//! Everything that was answered is there after a restart.

use super::bench::Bench;
use super::make::{
    append, at, claim, exactly, fence, guard, id, message, placed, put, sequence, set, stream,
    write,
};
use super::{Subject, checks};
use crate::{MessageStatus, OutboxChange, Position, Refusal, Version};

checks![everything_survives_a_close, everything_survives_a_crash, the_chain_goes_on];

fn everything_survives_a_close<S: Subject>(bench: &mut Bench<S>) {
    everything_survives(bench, Bench::reopen);
}

fn everything_survives_a_crash<S: Subject>(bench: &mut Bench<S>) {
    everything_survives(bench, Bench::crash);
}

fn everything_survives<S: Subject>(bench: &mut Bench<S>, restart: fn(&mut Bench<S>)) {
    let mut full = write(10);
    full.claim = Some(claim("t", "k", 1, 100));
    full.processed = vec![sequence("c", "k", 4), id("c", 1)];
    full.fence = Some(fence("zone/7", 5));
    full.appends = vec![append("a", exactly(0), &["placed", "priced"])];
    full.guards = vec![guard("zone/7", 3, 0..=3)];
    full.messages = vec![message("a", 1), message("a", 2), message("a", 3)];
    full.timers = vec![set("t", 50, "{}"), set("u", 40, "")];
    full.records = vec![put("s", "k", "v"), put("s", "l", "")];
    let applied = bench.ok(full.clone());
    let first = applied.outbox[0].seq;
    let mut says = write(11);
    says.outbox = vec![OutboxChange::Published(first..=first), OutboxChange::Failed(first + 1)];
    bench.ok(says);
    let head = bench.store().head().unwrap();
    let outbox = bench.store().outbox(0, 9).unwrap();
    restart(bench);

    let store = bench.store();
    assert_eq!(store.head().unwrap(), head);
    assert_eq!(store.events(Position::START, 9).unwrap(), applied.events);
    assert_eq!(store.stream(&stream("a"), Version(1), 9).unwrap(), applied.events[1..]);
    assert_eq!(store.version(&stream("a")).unwrap(), Version(2));
    assert_eq!(store.outbox(0, 9).unwrap(), outbox);
    let left = store.unpublished(0, 9).unwrap();
    let left: Vec<_> = left.iter().map(|row| (row.seq, row.status, row.retry_count)).collect();
    let expected = [(first + 1, MessageStatus::Failed, 1), (first + 2, MessageStatus::Pending, 0)];
    assert_eq!(left, expected);
    assert_eq!(store.fence("zone/7").unwrap().map(|token| token.get()), Some(5));
    assert_eq!(store.counter("zone/7").unwrap(), 3);
    assert_eq!(store.processed_up_to("c", "k").unwrap(), 4);
    assert!(store.processed(&id("c", 1)).unwrap());
    let timers: Vec<String> = store.timers(at(99), 9).unwrap().into_iter().map(|t| t.id).collect();
    assert_eq!(timers, ["u", "t"]);
    assert_eq!(store.records("s", "", None, 9).unwrap().len(), 2);

    // And every check still knows what it knew.
    assert!(matches!(bench.refused(full.clone()), Refusal::Duplicate(_)));
    full.claim = None;
    assert!(matches!(bench.refused(full.clone()), Refusal::AlreadyProcessed { .. }));
    full.processed.clear();
    full.fence = Some(fence("zone/7", 4));
    assert!(matches!(bench.refused(full.clone()), Refusal::Stale { .. }));
    full.fence = Some(fence("zone/7", 5));
    assert!(matches!(bench.refused(full.clone()), Refusal::Conflict { .. }));
    full.appends.clear();
    assert!(matches!(bench.refused(full), Refusal::OutOfBounds { .. }));
}

fn the_chain_goes_on<S: Subject>(bench: &mut Bench<S>) {
    for n in 0..6 {
        let mut write = placed(n, "a");
        write.messages = vec![message("a", n.unsigned_abs() + 1)];
        let applied = bench.ok(write);
        assert_eq!(applied.committed.head, Position(n.unsigned_abs() + 1));
        assert_eq!(applied.committed.versions, [Version(n.unsigned_abs() + 1)]);
        if n % 2 == 0 { bench.reopen() } else { bench.crash() }
    }
    let mut previous = crate::Head::default();
    for event in bench.store().events(Position::START, 99).unwrap() {
        crate::hash::check(previous.hash, previous.position, &event).unwrap();
        previous = crate::Head { position: event.position, hash: event.hash };
    }
    assert_eq!(bench.store().head().unwrap(), previous);
    let seqs: Vec<u64> = bench.store().outbox(0, 99).unwrap().iter().map(|row| row.seq).collect();
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seqs:?}");
    assert_eq!(seqs.len(), 6);
}
