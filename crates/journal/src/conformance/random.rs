//! Random histories against the model.

use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use steadfast_time::{Timestamp, Uuid};

use super::Subject;
use super::bench::Bench;
use super::make::{at, claim, event, fence, guard, id, message, sequence, stream, timer, up_to};
use super::model::Model;
use crate::limits::{INBOX_RETENTION, OUTBOX_RETENTION};
use crate::{
    Append, Claim, Expected, Guard, OutboxChange, Position, Processed, RecordChange, TimerChange,
    Version, Write,
};

const STREAMS: [&str; 3] = ["a", "b", "a/b"];
const TENANTS: [&str; 2] = ["t", "u"];
const NAMES: [&str; 3] = ["k", "k/1", "ké"];
const CONSUMERS: [&str; 2] = ["c", "d"];
const SPACES: [&str; 2] = ["s", "s2"];
const KEYS: [&str; 6] = ["", "a", "a/1", "a/2", "b", "\u{10ffff}"];

/// One step of a history.
#[derive(Clone, Debug)]
enum Act {
    Commit(Vec<Write>),
    /// Everything that has expired this many microseconds into the history, plus a retention.
    Prune(i64, Duration),
    Reopen,
    Crash,
}

fn time() -> impl Strategy<Value = i64> {
    0..60_i64
}

fn claims() -> impl Strategy<Value = Claim> {
    (select(&TENANTS), select(&NAMES), 0..2_u8, time())
        .prop_map(|(tenant, key, fingerprint, expires)| claim(tenant, key, fingerprint, expires))
}

fn marks() -> impl Strategy<Value = Processed> {
    prop_oneof![
        (select(&CONSUMERS), select(&NAMES), 0..12_u64).prop_map(|(c, k, n)| sequence(c, k, n)),
        (select(&CONSUMERS), select(&NAMES), 0..12_u64).prop_map(|(c, k, n)| up_to(c, k, n)),
        (select(&CONSUMERS), 0..12_u128).prop_map(|(c, n)| id(c, n)),
    ]
}

fn appends() -> impl Strategy<Value = Append> {
    let expected = prop_oneof![
        4 => Just(Expected::Any),
        1 => (0..6_u64).prop_map(|version| Expected::Exactly(Version(version))),
    ];
    let kinds = vec(select(&["placed", "paid"]), 0..3);
    (select(&STREAMS), expected, kinds).prop_map(|(key, expected, kinds)| Append {
        stream: stream(key),
        expected,
        events: kinds.into_iter().map(event).collect(),
    })
}

fn guards() -> impl Strategy<Value = Guard> {
    let delta = prop_oneof![8 => -2..=2_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN)];
    let bounds =
        prop_oneof![4 => Just(-5..=5_i64), 1 => Just(i64::MIN..=i64::MAX), 1 => Just(1..=5)];
    (select(&NAMES), delta, bounds).prop_map(|(name, delta, bounds)| guard(name, delta, bounds))
}

fn timer_changes() -> impl Strategy<Value = TimerChange> {
    prop_oneof![
        3 => (select(&NAMES), time()).prop_map(|(n, due)| TimerChange::Set(timer(n, due, "{}"))),
        1 => select(&NAMES).prop_map(|name| TimerChange::Clear { id: name.to_owned() }),
    ]
}

fn record_changes() -> impl Strategy<Value = RecordChange> {
    let value = option::weighted(0.7, select(&["", "1", "2"]));
    (select(&SPACES), select(&KEYS), value).prop_map(|(space, key, value)| RecordChange {
        space: space.into(),
        key: key.to_owned(),
        value: value.map(|value| Bytes::from_static(value.as_bytes())),
    })
}

fn outbox_changes() -> impl Strategy<Value = OutboxChange> {
    prop_oneof![
        (0..12_u64, 0..12_u64).prop_map(|(first, last)| OutboxChange::Published(first..=last)),
        (0..12_u64).prop_map(OutboxChange::Failed),
    ]
}

fn writes() -> impl Strategy<Value = Write> {
    let checked = (
        option::weighted(0.2, claims()),
        vec(marks(), 0..2),
        option::weighted(0.2, (select(&NAMES), 1..6_u64).prop_map(|(n, t)| fence(n, t))),
        vec(appends(), 0..3),
        vec(guards(), 0..2),
    );
    let kept = (
        vec((select(&STREAMS), 1..9_u64).prop_map(|(key, n)| message(key, n)), 0..3),
        vec(timer_changes(), 0..2),
        vec(record_changes(), 0..3),
        vec(outbox_changes(), 0..2),
    );
    (time(), checked, kept).prop_map(|(ms, checked, kept)| {
        let (claim, processed, fence, appends, guards) = checked;
        let (messages, timers, records, outbox) = kept;
        Write {
            at: at(ms),
            claim,
            processed,
            fence,
            appends,
            guards,
            messages,
            timers,
            records,
            outbox,
        }
    })
}

fn acts() -> impl Strategy<Value = Act> {
    let kept = select(vec![Duration::ZERO, OUTBOX_RETENTION, INBOX_RETENTION]);
    prop_oneof![
        12 => vec(writes(), 0..6).prop_map(Act::Commit),
        // Half a millisecond off, so that no time is exactly at the edge.
        2 => (time(), kept).prop_map(|(ms, kept)| Act::Prune(ms * 1_000 + 500, kept)),
        1 => Just(Act::Reopen),
        1 => Just(Act::Crash),
    ]
}

pub(super) fn histories_match_the_model<S: Subject>(fresh: &dyn Fn() -> S) {
    let config = Config { cases: S::HISTORIES, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&vec(acts(), 1..20), |history| {
        let (mut bench, mut model) = (Bench::new(fresh()), Model::default());
        for act in history {
            match act {
                Act::Commit(writes) => {
                    let expected: Vec<_> = writes.iter().map(|write| model.apply(write)).collect();
                    prop_assert_eq!(bench.batch(&writes), expected);
                }
                Act::Prune(micros, kept) => {
                    let now = Timestamp::from_micros(at(0).as_micros() + micros) + kept;
                    prop_assert_eq!(bench.prune(now, usize::MAX), model.prune(now));
                }
                Act::Reopen => bench.reopen(),
                Act::Crash => bench.crash(),
            }
            compare(&bench, &model)?;
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// Compares every read that the histories can have changed.
fn compare<S: Subject>(bench: &Bench<S>, model: &Model) -> Result<(), TestCaseError> {
    let store = bench.store();
    prop_assert_eq!(store.head().unwrap(), model.head());
    prop_assert_eq!(&store.events(Position::START, 1_000).unwrap(), &model.events);
    let middle = model.events.len() / 2;
    let rest = store.events(Position(middle as u64), 3).unwrap();
    prop_assert_eq!(&rest[..], &model.events[middle..model.events.len().min(middle + 3)]);
    for key in STREAMS {
        let stream = stream(key);
        let events = model.stream(&stream);
        prop_assert_eq!(store.version(&stream).unwrap(), Version(events.len() as u64));
        let read = store.stream(&stream, Version(1), 1_000).unwrap();
        prop_assert_eq!(&read[..], events.get(1..).unwrap_or_default());
    }
    for name in NAMES {
        for tenant in TENANTS {
            for now in [at(0), at(30)] {
                let held = model.claimed(tenant, name, now);
                prop_assert_eq!(store.claimed(tenant, name, now).unwrap(), held);
            }
        }
        for consumer in CONSUMERS {
            let up_to = model.processed_up_to(consumer, name);
            prop_assert_eq!(store.processed_up_to(consumer, name).unwrap(), up_to);
            let next = sequence(consumer, name, up_to + 1);
            prop_assert!(!store.processed(&next).unwrap());
        }
        prop_assert_eq!(store.fence(name).unwrap(), model.fences.get(name).copied());
        let counter = model.counters.get(name).copied().unwrap_or_default();
        prop_assert_eq!(store.counter(name).unwrap(), counter);
        prop_assert_eq!(store.timer(name).unwrap(), model.timers.get(name).cloned());
    }
    for number in 0..12_u128 {
        let mark = id(CONSUMERS[0], Uuid::from_u128(number).as_u128());
        prop_assert_eq!(store.processed(&mark).unwrap(), model.processed(&mark));
    }
    prop_assert_eq!(store.timers(at(30), 1_000).unwrap(), model.timers_by(at(30)));
    prop_assert_eq!(&store.outbox(0, 1_000).unwrap(), &model.outbox);
    let unpublished: Vec<_> =
        model.outbox.iter().filter(|row| row.published_at.is_none()).cloned().collect();
    prop_assert_eq!(store.unpublished(0, 1_000).unwrap(), unpublished);
    for space in SPACES {
        for prefix in ["", "a", "a/"] {
            let mut rows = model.records(space, prefix);
            prop_assert_eq!(&store.records(space, prefix, None, 1_000).unwrap(), &rows);
            rows.reverse();
            prop_assert_eq!(&store.records_reverse(space, prefix, None, 1_000).unwrap(), &rows);
            let after: Vec<_> = model
                .records(space, prefix)
                .into_iter()
                .filter(|(k, _)| k.as_str() > "a/1")
                .collect();
            prop_assert_eq!(store.records(space, prefix, Some("a/1"), 1_000).unwrap(), after);
        }
    }
    Ok(())
}
