//! A second opinion that shares nothing with the first: configurations instead of orders.
//!
//! It reads the events one after the other and keeps every state that the object could be in, each
//! with the operations that have taken effect and are not answered yet. When none is left at an
//! answer, there is no order. Values are of all kinds, times are often equal, processes many.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use steadfast_lab::Verdict;
use steadfast_lab::check::Model;
use steadfast_lab::history::{Event, Kind};

use super::{checked, event};

/// A state, and which operations have taken effect, by their first events.
type Configuration = (String, BTreeSet<usize>);

/// What the object holds after an operation; none when it cannot answer so.
fn step(model: Model, state: &str, asked: &Event, answer: Option<&Event>) -> Option<String> {
    let held: Value = serde_json::from_str(state).unwrap();
    let (who, heard) = (json!(asked.process), answer.map(|event| &event.value));
    let next = match (model, &*asked.f) {
        (Model::Mutex, "acquire") => held.is_null().then_some(who),
        (Model::Mutex, _) => (held == who).then_some(Value::Null),
        (Model::Queue, "enqueue") => {
            let mut queue = held.as_array().cloned().unwrap_or_default();
            queue.push(asked.value.clone());
            Some(Value::Array(queue))
        }
        (Model::Queue, _) => {
            let mut queue = held.as_array().cloned().unwrap_or_default();
            let first = if queue.is_empty() { Value::Null } else { queue.remove(0) };
            let fits = heard.is_none_or(|heard| *heard == first);
            fits.then_some(if queue.is_empty() { Value::Null } else { Value::Array(queue) })
        }
        (_, "read") => heard.is_none_or(|heard| *heard == held).then_some(held),
        (_, "write") => Some(asked.value.clone()),
        (_, _) => (held == asked.value[0]).then(|| asked.value[1].clone()),
    };
    next.map(|next| next.to_string())
}

/// The answer to the question at `at`.
fn answer(events: &[Event], at: usize) -> Option<&Event> {
    events[at + 1..].iter().find(|event| event.process == events[at].process)
}

fn is_linearizable(model: Model, events: &[Event]) -> bool {
    let mut possible: BTreeSet<Configuration> = [("null".to_owned(), BTreeSet::new())].into();
    let mut open: Vec<usize> = Vec::new();
    for (place, event) in events.iter().enumerate() {
        match event.kind {
            Kind::Invoke if answer(events, place).is_none_or(|it| it.kind != Kind::Fail) => {
                open.push(place);
            }
            Kind::Invoke | Kind::Fail | Kind::Info => {}
            Kind::Ok => {
                let mut fresh: Vec<Configuration> = possible.iter().cloned().collect();
                while let Some((state, done)) = fresh.pop() {
                    for &at in open.iter().filter(|at| !done.contains(at)) {
                        let heard = answer(events, at).filter(|it| it.kind == Kind::Ok);
                        if let Some(state) = step(model, &state, &events[at], heard) {
                            let done = done.iter().copied().chain([at]).collect();
                            if possible.insert((state.clone(), BTreeSet::clone(&done))) {
                                fresh.push((state, done));
                            }
                        }
                    }
                }
                let asked =
                    open.iter().position(|&at| events[at].process == event.process).unwrap();
                let asked = open.remove(asked);
                possible = possible
                    .into_iter()
                    .filter_map(|(state, mut done)| done.remove(&asked).then_some((state, done)))
                    .collect();
            }
        }
    }
    !possible.is_empty()
}

/// Where each process is, and what the keys hold.
type Place = (BTreeMap<u64, usize>, BTreeMap<Option<String>, String>);

fn is_sequential(events: &[Event]) -> bool {
    let mut lanes: BTreeMap<u64, Vec<(&Event, Option<&Event>)>> = BTreeMap::new();
    for (place, event) in events.iter().enumerate().filter(|(_, it)| it.kind == Kind::Invoke) {
        let end = answer(events, place);
        if end.is_none_or(|end| end.kind != Kind::Fail) {
            let heard = end.filter(|end| end.kind == Kind::Ok);
            lanes.entry(event.process).or_default().push((event, heard));
        }
    }
    let mut fresh: Vec<Place> = vec![(BTreeMap::new(), BTreeMap::new())];
    let mut been: BTreeSet<Place> = BTreeSet::new();
    while let Some((at, memory)) = fresh.pop() {
        if !been.insert((at.clone(), memory.clone())) {
            continue;
        }
        let mut is_over = true;
        for (process, lane) in &lanes {
            let place = at.get(process).copied().unwrap_or(0);
            let Some((asked, heard)) = lane.get(place) else { continue };
            is_over &= heard.is_none();
            let key = asked.key.as_ref().map(ToString::to_string);
            let state = memory.get(&key).map_or("null", String::as_str);
            if let Some(next) = step(Model::Register, state, asked, *heard) {
                let (mut at, mut memory) = (at.clone(), memory.clone());
                at.insert(*process, place + 1);
                memory.insert(key, next);
                fresh.push((at, memory));
            }
        }
        if is_over {
            return true;
        }
    }
    false
}

/// Values that are easily taken for one another.
fn value(rng: &mut fastrand::Rng) -> Value {
    match rng.u32(0..9) {
        0 => json!(1),
        1 => json!(1.0),
        2 => json!("1"),
        3 => json!([1]),
        4 => json!({"1": null}),
        5 => json!([]),
        6 => json!("null"),
        7 => json!(-1),
        _ => json!(2),
    }
}

fn maybe(rng: &mut fastrand::Rng) -> Value {
    if rng.u32(0..4) == 0 { Value::Null } else { value(rng) }
}

/// A question, and what the object said.
type Doing = (Event, Option<Event>);

/// An object that works, and says now and then what is not so.
fn history(model: Model, rng: &mut fastrand::Rng) -> Vec<Event> {
    let keys: &[Option<&'static str>] = match (model, rng.bool()) {
        (Model::Sequential, _) => &[Some("x"), Some("null")],
        (_, true) => &[None],
        (_, false) => &[None, Some(""), Some("null")],
    };
    let (clients, mut left) = (rng.u64(1..=5), rng.usize(3..=11));
    let (lies, losses) = (rng.f64() * 0.3, rng.f64() * 0.5);
    let fresh = rng.bool();
    let mut states: BTreeMap<Option<&'static str>, String> = BTreeMap::new();
    // Who each client is now, its question, and what the object said.
    let mut busy: Vec<(u64, Option<Doing>)> = (0..clients).map(|who| (who, None)).collect();
    let (mut next, mut time, mut events) = (clients, 0, Vec::new());
    while left > 0 || busy.iter().any(|(_, doing)| doing.is_some()) {
        time += u64::from(rng.u32(0..3) == 0);
        let at = rng.usize(..busy.len());
        let (who, doing) = &mut busy[at];
        match doing.take() {
            None if left > 0 => {
                left -= 1;
                let key = *rng.choice(keys).unwrap();
                let f = *rng.choice(model.operations()).unwrap();
                let asked = match f {
                    "write" if fresh => json!(left),
                    "write" => maybe(rng),
                    "enqueue" => value(rng),
                    "cas" => json!([maybe(rng), maybe(rng)]),
                    _ => Value::Null,
                };
                let asked =
                    Event { time, key: key.map(Into::into), ..event(*who, Kind::Invoke, f, asked) };
                events.push(asked.clone());
                *doing = Some((asked, None));
            }
            None => {}
            // Told before it has happened: it may happen later, or never.
            Some((asked, None)) if rng.f64() < losses * 0.5 => {
                if rng.bool() {
                    events.push(Event { kind: Kind::Info, time, value: value(rng), ..asked });
                }
                (*who, next) = (next, next + 1);
            }
            Some((asked, None)) => {
                let key = keys.iter().find(|key| **key == asked.key.as_deref()).unwrap();
                let state = states.entry(*key).or_insert_with(|| "null".to_owned());
                let held: Value = serde_json::from_str(state).unwrap();
                let said = match &*asked.f {
                    "read" => held,
                    "dequeue" => held.get(0).cloned().unwrap_or_default(),
                    _ => Value::Null,
                };
                let said = if rng.f64() < lies { maybe(rng) } else { said };
                let ok = Event { kind: Kind::Ok, value: said, ..asked.clone() };
                let end = match step(model, state, &asked, None) {
                    Some(after) => {
                        *state = after;
                        ok
                    }
                    None if rng.f64() < lies => ok,
                    None => Event { kind: Kind::Fail, ..asked.clone() },
                };
                *doing = Some((asked, Some(end)));
            }
            Some((asked, Some(_))) if rng.f64() < losses * 0.5 => {
                events.push(Event { kind: Kind::Info, time, ..asked });
                (*who, next) = (next, next + 1);
            }
            Some((_, Some(end))) => events.push(Event { time, ..end }),
        }
    }
    events
}

fn allows(model: Model, events: &[Event]) -> bool {
    if model == Model::Sequential {
        return is_sequential(events);
    }
    let keys: BTreeSet<_> = events.iter().map(|event| event.key.clone()).collect();
    keys.into_iter().all(|key| {
        let of_key: Vec<Event> = events.iter().filter(|it| it.key == key).cloned().collect();
        is_linearizable(model, &of_key)
    })
}

fn compare(model: Model, histories: u64) {
    let mut seen = [0_u64; 2];
    for seed in 0..histories {
        let events = history(model, &mut fastrand::Rng::with_seed(seed));
        let is_allowed = allows(model, &events);
        let report = checked(model, &events);
        let expected = if is_allowed { Verdict::Holds } else { Verdict::Violated };
        assert_eq!(report.verdict, expected, "{model}, seed {seed}: {report:#?}\n{events:#?}");
        seen[usize::from(is_allowed)] += 1;
        if let Some(piece) = report.piece {
            assert!(!allows(model, &piece.events), "{model}, seed {seed}: {piece:#?}");
        }
    }
    assert!(seen.iter().all(|&n| n > histories / 20), "{model}: {seen:?}");
}

#[test]
fn register() {
    compare(Model::Register, 3_000);
}

#[test]
fn cas_register() {
    compare(Model::CasRegister, 3_000);
}

#[test]
fn mutex() {
    compare(Model::Mutex, 3_000);
}

#[test]
fn queue() {
    compare(Model::Queue, 3_000);
}

#[test]
fn sequential() {
    compare(Model::Sequential, 2_000);
}
