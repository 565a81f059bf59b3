//! How fast a history is checked: the bar is 100,000 operations over 1,000 keys by 50 clients within
//! a second, and 0.2 s is wanted.
//!
//! ```text
//! cargo bench -p steadfast-lab --features real --bench check
//! ```
//!
//! `lab` is [`check`], events and all: pairing, making small, sorting by key, deciding. `plain` calls the
//! library as its documentation does, on operations that are already paired and numbered, with the
//! same time limit.
#![allow(clippy::expect_used, reason = "a failed measurement is a panic")]

use std::collections::BTreeMap;
use std::time::Duration;

use divan::{Bencher, black_box};
use porcupine_rs::{CheckResult, Operation, check_operations_timeout};
use serde_json::{Value, json};
use steadfast_lab::Verdict;
use steadfast_lab::check::{Model, Options, check};
use steadfast_lab::history::{Event, Kind, Outcome, pairs};
use steadfast_time::Clock;

const OPERATIONS: usize = 100_000;
const KEYS: usize = 1_000;
const CLIENTS: usize = 50;
const LIMIT: Duration = Duration::from_secs(10);

fn main() {
    divan::main();
}

/// What values are written.
#[derive(Clone, Copy, Debug)]
enum Values {
    /// Each differs.
    Unique,
    /// One of five.
    Few,
}

/// Reads and writes that took effect at a moment between question and answer, so that there is an
/// order; all clients are always at work.
fn history(keys: usize, operations: usize, values: Values, is_flawed: bool) -> Vec<Event> {
    let mut rng = fastrand::Rng::with_seed(11);
    let names: Vec<String> = (0..keys).map(|key| format!("key-{key}")).collect();
    let mut held = vec![Value::Null; keys];
    let mut busy: Vec<Option<(usize, bool, Value, bool)>> = vec![None; CLIENTS];
    let (mut events, mut left) = (Vec::with_capacity(operations * 2), operations);
    while left > 0 || busy.iter().any(Option::is_some) {
        let at = rng.usize(..CLIENTS);
        let time = events.len() as u64 * 1_000;
        let mut record = |kind, is_read: bool, key: usize, value: &Value| {
            let (f, key) = (if is_read { "read" } else { "write" }, names[key].clone());
            let (process, value) = (at as u64, value.clone());
            events.push(Event {
                process,
                kind,
                f: f.into(),
                key: Some(key.into()),
                value,
                time,
                error: None,
            });
        };
        match busy[at].take() {
            None if left > 0 => {
                left -= 1;
                let (key, is_read) = (rng.usize(..keys), rng.bool());
                let value = match values {
                    _ if is_read => Value::Null,
                    Values::Unique => json!(left + 1),
                    Values::Few => json!(rng.u32(1..=5)),
                };
                record(Kind::Invoke, is_read, key, &value);
                busy[at] = Some((key, is_read, value, false));
            }
            None => {}
            Some((key, true, _, false)) => busy[at] = Some((key, true, held[key].clone(), true)),
            Some((key, false, value, false)) => {
                held[key] = value.clone();
                busy[at] = Some((key, false, value, true));
            }
            Some((key, is_read, value, true)) => record(Kind::Ok, is_read, key, &value),
        }
    }
    if is_flawed {
        // In the middle of the last key's life: a value from its beginning.
        let reads = |event: &&mut Event| event.kind == Kind::Ok && event.f == "read";
        let some = events.iter_mut().filter(reads).nth(operations / 4).expect("so many reads");
        some.value = Value::Null;
    }
    events
}

fn options() -> Options {
    Options { time: LIMIT, clock: Clock::system() }
}

#[divan::bench(args = [Values::Unique, Values::Few], sample_count = 20)]
fn lab(bencher: Bencher<'_, '_>, values: Values) {
    let events = history(KEYS, OPERATIONS, values, false);
    bencher.bench(|| {
        let report = check(Model::Register, black_box(&events), &options()).expect("a history");
        assert_eq!((report.verdict, report.operations), (Verdict::Holds, OPERATIONS as u64));
    });
}

/// The same with one stale read, found and made small.
#[divan::bench(args = [Values::Unique, Values::Few], sample_count = 20)]
fn lab_violated(bencher: Bencher<'_, '_>, values: Values) {
    let events = history(KEYS, OPERATIONS, values, true);
    bencher.bench(|| {
        let report = check(Model::Register, black_box(&events), &options()).expect("a history");
        assert_eq!(report.verdict, Verdict::Violated);
    });
}

/// All on one key: without the test for unique values, no search ends.
#[divan::bench(sample_count = 20)]
fn lab_one_key(bencher: Bencher<'_, '_>) {
    let events = history(1, OPERATIONS, Values::Unique, false);
    bencher.bench(|| {
        let report = check(Model::Register, black_box(&events), &options()).expect("a history");
        assert_eq!(report.verdict, Verdict::Holds);
    });
}

/// Store and load of one of several registers.
#[derive(Clone, Copy, Debug)]
struct Plain {
    key: u32,
    is_read: bool,
    value: u32,
}

#[derive(Clone, Debug)]
struct Register;

impl porcupine_rs::Model for Register {
    type State = u32;
    type Op = Plain;
    type Metadata = ();

    fn partition_operations(history: &[Operation<Self>]) -> Vec<Vec<Operation<Self>>> {
        let mut keys: BTreeMap<u32, Vec<Operation<Self>>> = BTreeMap::new();
        for operation in history {
            keys.entry(operation.op.key).or_default().push(operation.clone());
        }
        keys.into_values().collect()
    }

    fn init() -> u32 {
        0
    }

    fn step(&held: &u32, op: &Plain) -> (bool, u32) {
        if op.is_read { (op.value == held, held) } else { (true, op.value) }
    }
}

#[divan::bench(args = [Values::Unique, Values::Few], sample_count = 20)]
fn plain(bencher: Bencher<'_, '_>, values: Values) {
    let events = history(KEYS, OPERATIONS, values, false);
    let number = |text: &str| text.trim_start_matches("key-").parse().expect("a number");
    let operations: Vec<Operation<Register>> = pairs(&events)
        .expect("a history")
        .iter()
        .map(|op| {
            assert_eq!(op.outcome, Outcome::Ok);
            let is_read = op.f == "read";
            let value = if is_read { &op.answer } else { &op.argument };
            let value = u32::try_from(value.as_u64().unwrap_or(0)).expect("small");
            let op_key = number(op.key.as_deref().expect("a key"));
            Operation {
                client_id: None,
                call_time: op.invoked as i64,
                return_time: op.completed.expect("answered") as i64,
                op: Plain { key: op_key, is_read, value },
                metadata: None,
            }
        })
        .collect();
    bencher.bench(|| {
        let found = check_operations_timeout(black_box(&operations), LIMIT);
        assert_eq!(found, CheckResult::Ok);
    });
}
