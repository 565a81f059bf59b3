//! Small random histories of each model: an object that answers rightly most of the time.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use steadfast_lab::check::Model;
use steadfast_lab::history::{Event, Kind};

use super::{event, timed};

/// An object that does everything at once, when it is asked to.
#[derive(Clone, Debug, Default)]
pub struct Real {
    registers: BTreeMap<Value2, Value>,
    holder: Option<u64>,
    token: u64,
    seen: u64,
    queue: Vec<Value>,
    list: Vec<Value>,
    log: Vec<Value>,
    read: BTreeMap<u64, usize>,
    accounts: [i64; 2],
}

type Value2 = Option<&'static str>;

/// One question: its operation, key and argument.
pub type Question = (&'static str, Value2, Value);

impl Real {
    pub fn new() -> Self {
        Self { accounts: [5, 5], ..Self::default() }
    }

    /// The answer, and the effect; none is a refusal.
    pub fn apply(&mut self, model: Model, who: u64, question: &Question) -> Option<Value> {
        let (f, key, asked) = question;
        let register = self.registers.entry(*key).or_insert(Value::Null);
        match (model, *f) {
            (Model::Bank, "read") => {
                return Some(json!({"a": self.accounts[0], "b": self.accounts[1]}));
            }
            (Model::Bank, _) => {
                let amount = asked["amount"].as_i64().unwrap();
                let (from, to) = if asked["from"] == "a" { (0, 1) } else { (1, 0) };
                if self.accounts[from] < amount {
                    return None;
                }
                self.accounts[from] -= amount;
                self.accounts[to] += amount;
            }
            (Model::Updates, "read") => return Some(json!(self.list)),
            (Model::FencedLock, "acquire") => {
                self.token += 1;
                return Some(json!(self.token));
            }
            (Model::FencedLock, "release") => {}
            (Model::FencedLock, "write") => {
                let token = asked[0].as_u64().unwrap();
                if token < self.seen {
                    return None;
                }
                self.seen = token;
                *register = asked[1].clone();
            }
            (_, "read") => return Some(register.clone()),
            (_, "write") => *register = asked.clone(),
            (_, "cas") if *register == asked[0] => *register = asked[1].clone(),
            (_, "acquire") if self.holder.is_none() => self.holder = Some(who),
            (_, "release") if self.holder == Some(who) => self.holder = None,
            (_, "enqueue") => self.queue.push(asked.clone()),
            (_, "dequeue") if self.queue.is_empty() => {}
            (_, "dequeue") => return Some(self.queue.remove(0)),
            (_, "update") => self.list.push(asked.clone()),
            (_, "deliver") => {
                let read = self.read.entry(who).or_insert(0);
                if *read == self.log.len() {
                    self.log.push(json!(format!("m{read}")));
                }
                *read += 1;
                return Some(self.log[*read - 1].clone());
            }
            _ => return None,
        }
        Some(Value::Null)
    }
}

/// A question; `fresh` differs each time.
pub fn question(model: Model, rng: &mut fastrand::Rng, fresh: u64) -> Question {
    let value = |rng: &mut fastrand::Rng| json!(rng.u64(1..=3));
    let may_be_null = |rng: &mut fastrand::Rng| match rng.u64(0..=3) {
        0 => Value::Null,
        value => json!(value),
    };
    let f = *rng.choice(model.operations()).unwrap();
    let asked = match (model, f) {
        (Model::FencedLock, "write") => json!([rng.u64(1..=3), value(rng)]),
        (Model::Bank, "transfer") => {
            let (from, to) = if rng.bool() { ("a", "b") } else { ("b", "a") };
            json!({"from": from, "to": to, "amount": rng.u64(0..=6)})
        }
        (Model::Causal, "write") => json!(fresh),
        // Values that all differ, half of the time: they are checked in another way.
        (Model::Register | Model::Sequential, "write") if fresh.is_multiple_of(2) => json!(fresh),
        (Model::Updates, "update") => json!(fresh),
        (_, "write" | "enqueue") => value(rng),
        (_, "cas") => json!([may_be_null(rng), value(rng)]),
        _ => Value::Null,
    };
    let key = match model {
        Model::Sequential | Model::Causal => Some(if rng.bool() { "x" } else { "y" }),
        _ => None,
    };
    (f, key, asked)
}

/// An answer that may be wrong.
fn wrong(model: Model, f: &str, rng: &mut fastrand::Rng, fresh: u64) -> Value {
    match (model, f) {
        (Model::Bank, "read") => json!({"a": rng.i64(-1..=9), "b": rng.i64(0..=6)}),
        (Model::Updates, "read") => (0..fresh).filter(|_| rng.bool()).map(|it| json!(it)).collect(),
        (Model::FencedLock, "acquire") => json!(rng.u64(1..=3)),
        (Model::TotalOrder, _) => json!(format!("m{}", rng.u64(0..=3))),
        (_, "read" | "dequeue") => match rng.u64(0..=fresh.max(3)) {
            0 => Value::Null,
            value => json!(value),
        },
        _ => Value::Null,
    }
}

/// A history of about so many operations, of which some are answered wrongly.
pub fn history(model: Model, rng: &mut fastrand::Rng, operations: usize) -> Vec<Event> {
    let mut real = Real::new();
    // All written values differ in a history with an even seed.
    let is_unique = rng.bool();
    let (mut next, mut fresh) = (0_u64, 0_u64);
    let mut idle: Vec<u64> = Vec::new();
    // Who, what, whether it has taken effect, the answer.
    let mut busy: Vec<(u64, Question, Option<Option<Value>>)> = Vec::new();
    let mut events = Vec::new();
    let mut left = operations;
    let clients = rng.usize(1..=3);
    let errors = rng.f64() * 0.4;
    while left > 0 || !busy.is_empty() {
        while idle.len() + busy.len() < clients {
            idle.push(next);
            next += 1;
        }
        if left > 0 && !idle.is_empty() && (busy.is_empty() || rng.bool()) {
            let who = idle.swap_remove(rng.usize(..idle.len()));
            fresh += 1;
            let stamp = if is_unique { fresh * 2 } else { fresh * 2 - 1 };
            let stamp = if matches!(model, Model::Causal | Model::Updates) { fresh } else { stamp };
            let asked = question(model, rng, stamp);
            let invoke = event(who, Kind::Invoke, asked.0, asked.2.clone());
            events.push(Event { key: asked.1.map(Into::into), ..invoke });
            busy.push((who, asked, None));
            left -= 1;
            continue;
        }
        let at = rng.usize(..busy.len());
        if busy[at].2.is_none() {
            let (who, asked, _) = busy[at].clone();
            busy[at].2 = Some(real.apply(model, who, &asked));
            if rng.bool() {
                continue;
            }
        }
        let (who, asked, done) = busy.swap_remove(at);
        let roll = rng.f64();
        let (kind, value) = match done.flatten() {
            _ if roll < 0.08 => (Kind::Info, Value::Null),
            _ if roll < 0.10 => continue,
            _ if roll < 0.12 => (Kind::Fail, Value::Null),
            Some(_) | None if rng.f64() < errors => (Kind::Ok, wrong(model, asked.0, rng, fresh)),
            Some(value) => (Kind::Ok, value),
            None => (Kind::Fail, Value::Null),
        };
        if model == Model::TotalOrder && kind == Kind::Ok && value.is_null() {
            continue;
        }
        let end = event(who, kind, asked.0, value);
        events.push(Event { key: asked.1.map(Into::into), ..end });
        if kind == Kind::Ok || kind == Kind::Fail {
            idle.push(who);
        }
    }
    timed(events)
}
