//! Events as operations: what was asked, with its answer.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;

use super::event::{Event, Kind};

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Ok,
    /// It had no effect.
    Fail,
    /// Nobody knows; it may take effect at any later time.
    Info,
}

/// An operation from its beginning to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Who.
    pub process: u64,
    /// What.
    pub f: Cow<'static, str>,
    /// On which object.
    pub key: Option<Cow<'static, str>>,
    /// What was asked.
    pub argument: Value,
    /// What was answered: the value of its last event.
    pub answer: Value,
    /// How it ended.
    pub outcome: Outcome,
    /// The place of its first event in the history, from 0.
    pub invoked: usize,
    /// The place of its last event; none when it was never answered.
    pub completed: Option<usize>,
    /// When it began, in nanoseconds.
    pub from: u64,
    /// When it ended; when it never did, or nobody knows, `u64::MAX`.
    pub to: u64,
}

/// Events that are no history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {place}: {what}")]
pub struct Malformed {
    /// Which event, from 0.
    pub place: usize,
    /// What is wrong with it.
    pub what: String,
}

/// The operations of a history, in the order in which they began. What was never answered ends as
/// [`Outcome::Info`].
///
/// # Errors
/// When a process invokes twice without an answer between, hears an answer to nothing, or one to
/// another operation than it asked; or when time runs backwards.
pub fn pairs(events: &[Event]) -> Result<Vec<Operation>, Malformed> {
    let mut open: HashMap<u64, usize> = HashMap::new();
    let mut operations: Vec<Operation> = Vec::with_capacity(events.len() / 2);
    let mut last = 0;
    for (place, event) in events.iter().enumerate() {
        let malformed = |what: String| Malformed { place, what };
        if event.time < last {
            return Err(malformed(format!("time runs backwards, from {last} to {}", event.time)));
        }
        last = event.time;
        if event.kind == Kind::Invoke {
            if open.insert(event.process, operations.len()).is_some() {
                return Err(malformed(format!(
                    "process {} invokes {:?} before it has an answer to what it invoked before",
                    event.process, event.f
                )));
            }
            operations.push(Operation {
                process: event.process,
                f: event.f.clone(),
                key: event.key.clone(),
                argument: event.value.clone(),
                answer: Value::Null,
                outcome: Outcome::Info,
                invoked: place,
                completed: None,
                from: event.time,
                to: u64::MAX,
            });
            continue;
        }
        let Some(at) = open.remove(&event.process) else {
            return Err(malformed(format!(
                "process {} hears an answer, and has asked nothing",
                event.process
            )));
        };
        let operation = &mut operations[at];
        if operation.f != event.f || operation.key != event.key {
            return Err(malformed(format!(
                "process {} asked {:?}, and hears an answer to {:?}",
                event.process, operation.f, event.f
            )));
        }
        operation.answer.clone_from(&event.value);
        operation.completed = Some(place);
        (operation.outcome, operation.to) = match event.kind {
            Kind::Ok => (Outcome::Ok, event.time),
            Kind::Fail => (Outcome::Fail, event.time),
            Kind::Invoke | Kind::Info => (Outcome::Info, u64::MAX),
        };
    }
    Ok(operations)
}
