//! A write has all of its effects or none; a batch is many writes, one after the other.

use super::bench::Bench;
use super::make::{
    append, at, claim, clear, delete, event, exactly, fence, guard, id, message, placed, put,
    sequence, set, stream, write,
};
use super::{Subject, checks};
use crate::{Event, OutboxChange, OutboxRow, Position, Refusal, Version, Write};

checks![
    the_first_check_that_fails_is_the_one_that_is_reported,
    a_refused_write_has_no_effect_at_all,
    refused_and_accepted_writes_mix,
    nothing_is_a_write_too,
    one_write_may_have_many_parts,
];

/// A write with every kind of part, which passes every check on an empty journal.
fn full() -> Write {
    let mut full = write(10);
    full.claim = Some(claim("t", "k", 1, 100));
    full.processed = vec![sequence("c", "k", 1), id("c", 1)];
    full.fence = Some(fence("zone/7", 5));
    full.appends = vec![append("a", exactly(0), &["placed", "priced"])];
    full.guards = vec![guard("zone/7", 1, 0..=1)];
    full.messages = vec![message("a", 1)];
    full.timers = vec![set("t", 50, "{}")];
    full.records = vec![put("s", "k", "v")];
    full
}

/// What a journal looks like from outside, as far as [`full`] can change it.
#[derive(Debug, PartialEq)]
struct View {
    claimed: bool,
    marks: (u64, bool),
    token: Option<u64>,
    counter: i64,
    events: Vec<Event>,
    version: Version,
    outbox: Vec<OutboxRow>,
    timers: usize,
    records: usize,
}

fn view<S: Subject>(bench: &Bench<S>) -> View {
    let store = bench.store();
    View {
        claimed: store.claimed("t", "k", at(10)).unwrap().is_some(),
        marks: (store.processed_up_to("c", "k").unwrap(), store.processed(&id("c", 1)).unwrap()),
        token: store.fence("zone/7").unwrap().map(|token| token.get()),
        counter: store.counter("zone/7").unwrap(),
        events: store.events(Position::START, 100).unwrap(),
        version: store.version(&stream("a")).unwrap(),
        outbox: store.outbox(0, 100).unwrap(),
        timers: store.timers(at(1_000), 100).unwrap().len(),
        records: store.records("s", "", None, 100).unwrap().len(),
    }
}

fn the_first_check_that_fails_is_the_one_that_is_reported<S: Subject>(bench: &mut Bench<S>) {
    bench.ok(full());
    let mut again = full();
    again.fence = Some(fence("zone/7", 4));
    assert!(matches!(bench.refused(again.clone()), Refusal::Duplicate(_)));
    again.claim = None;
    assert!(matches!(bench.refused(again.clone()), Refusal::AlreadyProcessed { .. }));
    again.processed.clear();
    assert!(matches!(bench.refused(again.clone()), Refusal::Stale { .. }));
    again.fence = None;
    assert!(matches!(bench.refused(again.clone()), Refusal::Conflict { .. }));
    again.appends.clear();
    assert!(matches!(bench.refused(again.clone()), Refusal::OutOfBounds { .. }));
    again.guards.clear();
    bench.ok(again);
}

fn a_refused_write_has_no_effect_at_all<S: Subject>(bench: &mut Bench<S>) {
    let empty = view(bench);
    // Each of these lets every other part pass, so all of its other effects were at hand.
    type Spoil = fn(&mut Write);
    let spoilers: [(&str, Spoil); 4] = [
        ("inbox", |write| write.processed.push(id("c", 1))),
        ("versions", |write| write.appends.push(append("b", exactly(1), &["never"]))),
        ("the same stream", |write| write.appends.push(append("a", exactly(0), &["never"]))),
        ("guards", |write| write.guards.push(guard("zone/7", 1, 0..=1))),
    ];
    for (name, spoil) in spoilers {
        let mut spoiled = full();
        spoil(&mut spoiled);
        bench.refused(spoiled);
        assert_eq!(view(bench), empty, "refused by {name}");
    }
    let applied = bench.ok(full());
    let filled = view(bench);
    assert_eq!(filled.events, applied.events);
    assert_eq!(filled.outbox, applied.outbox);
    assert_eq!((filled.timers, filled.records, filled.counter), (1, 1, 1));

    // What takes something away must not do so either.
    let mut takes = write(11);
    takes.fence = Some(fence("zone/7", 4));
    takes.timers = vec![clear("t")];
    takes.records = vec![delete("s", "k")];
    takes.outbox = vec![OutboxChange::Published(0..=u64::MAX)];
    bench.refused(takes.clone());
    takes.fence = None;
    takes.claim = full().claim;
    bench.refused(takes);
    assert_eq!(view(bench), filled);
}

fn refused_and_accepted_writes_mix<S: Subject>(bench: &mut Bench<S>) {
    let mut refused = full();
    refused.guards.push(guard("zone/7", 1, 0..=1));
    let outcomes = bench.batch(&[refused.clone(), placed(1, "b"), full(), full(), placed(2, "b")]);
    let done: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(done, [false, true, true, false, true]);
    let heads: Vec<u64> = outcomes.into_iter().flatten().map(|a| a.committed.head.0).collect();
    assert_eq!(heads, [1, 3, 4], "each answer has the head as of its own write");
    assert_eq!(view(bench).events.len(), 4);

    let outcomes = bench.batch(&[full(), full()]);
    assert!(outcomes.iter().all(Result::is_err));
    assert_eq!(bench.store().head().unwrap().position, Position(4));
}

fn nothing_is_a_write_too<S: Subject>(bench: &mut Bench<S>) {
    assert!(bench.batch(&[]).is_empty());
    bench.ok(placed(1, "a"));
    let applied = bench.ok(write(2));
    assert_eq!(applied.committed.head, Position(1));
    assert!(applied.events.is_empty() && applied.outbox.is_empty());
    assert!(applied.committed.versions.is_empty());
}

fn one_write_may_have_many_parts<S: Subject>(bench: &mut Bench<S>) {
    let mut large = write(1);
    for n in 0..500_u64 {
        let name = n.to_string();
        let mut one = append(&name, exactly(0), &[]);
        one.events = vec![event("placed"); 2];
        large.appends.push(one);
        large.guards.push(guard("zone/7", 1, 0..=500));
        large.messages.push(message(&name, n + 1));
        large.timers.push(set(&name, 50, "{}"));
        large.records.push(put("s", &name, "v"));
        large.processed.push(sequence("c", &name, 1));
    }
    let applied = bench.ok(large);
    assert_eq!((applied.events.len(), applied.outbox.len()), (1_000, 500));
    assert_eq!(bench.store().counter("zone/7").unwrap(), 500);
    assert_eq!(bench.store().timers(at(50), 1_000).unwrap().len(), 500);
    assert_eq!(bench.store().records("s", "", None, 1_000).unwrap().len(), 500);
}
