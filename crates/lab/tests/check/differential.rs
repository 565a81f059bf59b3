//! Against brute force, on thousands of small random histories for each model.

use serde_json::Value;
use steadfast_lab::Verdict;
use steadfast_lab::check::Model;
use steadfast_lab::history::{Event, Kind};

use super::{checked, oracle, random};

fn verdict(allowed: Option<bool>) -> Verdict {
    match allowed {
        Some(true) => Verdict::Holds,
        Some(false) => Verdict::Violated,
        None => Verdict::Unknown,
    }
}

/// Whether this is how an event may be shown: an answer without a value repeats the question's.
fn is_shown(model: Model, real: &Event, shown: &Event) -> bool {
    let one_of = |list: &Value, some: &Value| {
        let of = |list: &Value| list.as_array().cloned().unwrap_or_default();
        of(some).iter().all(|value| of(list).contains(value))
    };
    match real.kind {
        Kind::Invoke => real.value == shown.value,
        Kind::Ok if model == Model::Updates => {
            real.value.is_null() || one_of(&real.value, &shown.value)
        }
        Kind::Ok => real.value.is_null() || real.value == shown.value,
        Kind::Fail | Kind::Info => true,
    }
}

/// The piece is made of what happened, and is a violation by itself, in both opinions.
fn is_sound(model: Model, events: &[Event], piece: &[Event]) {
    for event in piece {
        let is_real = events.iter().any(|it| {
            (it.process, it.kind, it.time) == (event.process, event.kind, event.time)
                && (&it.f, &it.key) == (&event.f, &event.key)
                && is_shown(model, it, event)
        });
        assert!(is_real, "{model}: {event:?} never happened in {events:#?}");
    }
    let alone = checked(model, piece).verdict;
    assert_eq!(alone, Verdict::Violated, "{model}: piece {piece:#?} of {events:#?}");
    if model != Model::Bank {
        assert_eq!(oracle::allows(model, piece), Some(false), "{model}: {piece:#?}");
    }
}

fn compare(model: Model, histories: u64) {
    let mut seen = [0_u64; 3];
    for seed in 0..histories {
        let mut rng = fastrand::Rng::with_seed(seed);
        let operations = rng.usize(1..=7);
        let events = random::history(model, &mut rng, operations);
        let report = checked(model, &events);
        let expected = verdict(oracle::allows(model, &events));
        assert_eq!(report.verdict, expected, "{model}, seed {seed}: {report:#?}\n{events:#?}");
        seen[expected as usize] += 1;
        if report.verdict == Verdict::Violated {
            is_sound(model, &events, &report.piece.unwrap().events);
        }
    }
    // A comparison in which everything holds, or nothing does, shows little.
    let enough = histories / 20;
    assert!(seen[0] > enough && seen[1] > enough, "{model}: {seen:?}");
}

#[test]
fn register() {
    compare(Model::Register, 6_000);
}

#[test]
fn cas_register() {
    compare(Model::CasRegister, 6_000);
}

#[test]
fn mutex() {
    compare(Model::Mutex, 4_000);
}

#[test]
fn fenced_lock() {
    compare(Model::FencedLock, 4_000);
}

#[test]
fn queue() {
    compare(Model::Queue, 6_000);
}

#[test]
fn sequential() {
    compare(Model::Sequential, 6_000);
}

#[test]
fn causal() {
    compare(Model::Causal, 4_000);
}

#[test]
fn total_order() {
    compare(Model::TotalOrder, 4_000);
}

#[test]
fn bank() {
    compare(Model::Bank, 2_000);
}

#[test]
fn holder() {
    compare(Model::Holder, 4_000);
}

#[test]
fn updates() {
    compare(Model::Updates, 4_000);
}
