//! Operations, made small.
//!
//! A history of a gigabyte has some ten million operations. As events they would take many times the
//! file's size; as [`Op`] they take 56 bytes each, because values, processes and keys are numbers
//! here, and each distinct one is kept once.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Value, json};

use super::Model;
use super::shape::Shape;
use crate::history::{Event, Kind, Outcome};

/// A value, by its number in [`Values`].
pub(super) type Id = u32;

/// `null`: what a register holds before the first write, what an empty queue answers.
pub(super) const NIL: Id = 0;

/// The place of an event that never came.
pub(super) const NEVER: u32 = u32::MAX;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum F {
    Read,
    Write,
    Cas,
    Acquire,
    Release,
    Enqueue,
    Dequeue,
    Deliver,
    Transfer,
    Update,
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Op {
    /// Its number in [`History::processes`].
    pub process: u32,
    /// Its number in [`History::keys`].
    pub key: u32,
    pub f: F,
    pub outcome: Outcome,
    /// What was asked, as the [`Shape`] has it; of a write under a token, the value comes first.
    pub asked: [Id; 2],
    /// What was answered, when it is [`Outcome::Ok`].
    pub answered: [Id; 2],
    /// The place of its first event.
    pub invoked: u32,
    /// The place of its last event, or [`NEVER`].
    pub completed: u32,
    /// When it began, in nanoseconds.
    pub from: u64,
    /// When it was answered.
    pub to: u64,
}

impl Op {
    pub(super) fn is_ok(&self) -> bool {
        self.outcome == Outcome::Ok
    }

    /// The place by which it has taken effect: that of its answer, if it is certain that it did.
    pub(super) fn end(&self) -> u32 {
        if self.is_ok() { self.completed } else { NEVER }
    }

    /// Whether it had been answered before the other was asked.
    pub(super) fn is_before(&self, other: &Self) -> bool {
        self.end() < other.invoked
    }

    /// The value that it puts into a register or a queue.
    pub(super) fn written(&self) -> Option<Id> {
        match self.f {
            F::Write | F::Enqueue => Some(self.asked[0]),
            F::Cas => Some(self.asked[1]),
            _ => None,
        }
    }

    /// The value that it must find in a register or a queue.
    pub(super) fn found(&self) -> Option<Id> {
        match self.f {
            F::Read | F::Dequeue if self.is_ok() => Some(self.answered[0]),
            F::Cas => Some(self.asked[0]),
            _ => None,
        }
    }
}

/// Every distinct value, once.
#[derive(Debug)]
pub(super) struct Values {
    all: Vec<Value>,
    numbers: HashMap<u64, Id>,
    others: HashMap<Value, Id>,
    bytes: usize,
}

/// What a number costs: a value, and its place in a map.
const NUMBER_BYTES: usize = 64;

/// What a value takes, as an estimate: on the heap too, with all that is in it.
fn weight(value: &Value) -> usize {
    const NODE: usize = size_of::<Value>();
    NODE + match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(parts) => parts.iter().map(weight).sum(),
        Value::Object(entries) => {
            entries.iter().map(|(key, value)| NODE + key.len() + weight(value)).sum()
        }
    }
}

impl Values {
    pub(super) fn new() -> Self {
        Self { all: vec![Value::Null], numbers: HashMap::new(), others: HashMap::new(), bytes: 0 }
    }

    /// The number of a value.
    pub(super) fn id(&mut self, value: &Value) -> Id {
        // Fewer values than events, and those are counted in 32 bits.
        let next = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        let id = match value {
            Value::Null => return NIL,
            Value::Number(number) if number.is_u64() => {
                *self.numbers.entry(number.as_u64().unwrap_or(0)).or_insert(next)
            }
            other => match self.others.get(other) {
                Some(&id) => id,
                None => *self.others.entry(other.clone()).or_insert(next),
            },
        };
        if id == next {
            self.all.push(value.clone());
            // What is no number is there twice: in its place, and in the map.
            self.bytes += if value.is_u64() { NUMBER_BYTES } else { 2 * weight(value) };
        }
        id
    }

    pub(super) fn get(&self, id: Id) -> &Value {
        self.all.get(id as usize).unwrap_or(&Value::Null)
    }

    /// How many bytes all of them take, as an estimate.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A token's number.
    pub(super) fn token(&self, id: Id) -> u64 {
        self.get(id).as_u64().unwrap_or(0)
    }
}

/// A whole history, made small.
#[derive(Debug)]
pub(super) struct History {
    pub model: Model,
    /// In the order in which they began.
    pub ops: Vec<Op>,
    pub values: Values,
    pub processes: Vec<u64>,
    pub keys: Vec<Option<Cow<'static, str>>>,
}

impl History {
    /// The events of some operations, in their order. An answer that the model does not look at is
    /// shown as what was asked.
    pub(super) fn events(&self, ops: &[Op]) -> Vec<Event> {
        let mut events: Vec<(u32, Event)> = Vec::with_capacity(ops.len() * 2);
        for op in ops {
            let Some(spec) = self.model.specs().iter().find(|spec| spec.f == op.f) else {
                continue;
            };
            let asked = self.value(spec.asked, op.asked);
            let event = |kind, value, time| Event {
                process: self.process(op),
                kind,
                f: Cow::Borrowed(spec.name),
                key: self.keys.get(op.key as usize).cloned().flatten(),
                value,
                time,
                error: None,
            };
            if op.completed != NEVER {
                let (kind, value) = match op.outcome {
                    Outcome::Fail => (Kind::Fail, asked.clone()),
                    Outcome::Info => (Kind::Info, asked.clone()),
                    Outcome::Ok if spec.answered == Shape::Ignored => (Kind::Ok, asked.clone()),
                    Outcome::Ok => (Kind::Ok, self.value(spec.answered, op.answered)),
                };
                events.push((op.completed, event(kind, value, op.to)));
            }
            events.push((op.invoked, event(Kind::Invoke, asked, op.from)));
        }
        events.sort_by_key(|(place, _)| *place);
        events.into_iter().map(|(_, event)| event).collect()
    }

    fn value(&self, shape: Shape, [first, second]: [Id; 2]) -> Value {
        match shape {
            Shape::Pair => json!([self.values.get(first), self.values.get(second)]),
            Shape::Guarded => json!([self.values.get(second), self.values.get(first)]),
            _ => self.values.get(first).clone(),
        }
    }

    /// Who.
    pub(super) fn process(&self, op: &Op) -> u64 {
        self.processes.get(op.process as usize).copied().unwrap_or(u64::MAX)
    }

    /// " of key k", when there are several.
    pub(super) fn of_key(&self, op: &Op) -> String {
        match self.keys.get(op.key as usize) {
            Some(Some(key)) => format!(" of {key:?}"),
            _ => String::new(),
        }
    }

    /// A value as it is written in a sentence.
    pub(super) fn show(&self, id: Id) -> String {
        self.values.get(id).to_string()
    }
}

/// A moment as it is written in a sentence.
pub(super) fn moment(nanos: u64) -> String {
    format!("{:.3} s", nanos as f64 / 1e9)
}
