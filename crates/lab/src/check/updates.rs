//! No acknowledged update is missing in the end.
//!
//! Each update adds its own value; the last read shows all that is there. What was acknowledged
//! before that read was asked must be in it; what was never asked, or was refused, must not be in
//! any read; what nobody knows about may be in it or not.
//!
//! # Limits
//! Only the last answered read of a key is held to completeness: an earlier one may be behind. A value
//! that is there twice is not looked at. Without any read nothing is known.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::operation::{History, Id, NEVER, Op, Values, moment};
use super::{Found, Piece};
use crate::history::{Kind, Outcome};

/// What was read. Of each key the last list is kept, no other.
#[derive(Debug, Default)]
pub(super) struct Updates {
    asked: HashMap<(u32, Id), First>,
    last: BTreeMap<u32, Last>,
    /// The first read of a value that nobody had asked to add.
    strange: Option<(Op, Id)>,
}

#[derive(Debug)]
struct First {
    /// The read that saw it first.
    seen: Option<Op>,
}

#[derive(Debug)]
struct Last {
    op: Op,
    list: Vec<Id>,
}

impl Updates {
    pub(super) fn asked(&mut self, op: &Op) {
        self.asked.entry((op.key, op.asked[0])).or_insert(First { seen: None });
    }

    pub(super) fn read(&mut self, op: &Op, value: &Value, values: &mut Values) {
        let Value::Array(list) = value else { return };
        let list: Vec<Id> = list.iter().map(|value| values.id(value)).collect();
        for &id in &list {
            match self.asked.get_mut(&(op.key, id)) {
                Some(first) => {
                    first.seen.get_or_insert(*op);
                }
                None => {
                    self.strange.get_or_insert((*op, id));
                }
            }
        }
        // The last one is the one that was asked last.
        if self.last.get(&op.key).is_none_or(|last| last.op.invoked < op.invoked) {
            self.last.insert(op.key, Last { op: *op, list });
        }
    }

    pub(super) fn check(&self, history: &History) -> Found {
        if let Some((read, id)) = &self.strange {
            let what = format!(
                "process {} read {} at {}{}, which nobody had asked to add",
                history.process(read),
                history.show(*id),
                moment(read.to),
                history.of_key(read)
            );
            return self.violated(history, what, &[*read], *id);
        }
        // Of each value, the first update that was acknowledged, and since when it may be there.
        let mut kept: HashMap<(u32, Id), (Option<Op>, u32)> = HashMap::new();
        for op in history.ops.iter().filter(|op| op.f == super::operation::F::Update) {
            let (acknowledged, possible) =
                kept.entry((op.key, op.asked[0])).or_insert((None, NEVER));
            if op.outcome != Outcome::Fail {
                *possible = op.invoked.min(*possible);
            }
            if op.is_ok() && acknowledged.is_none() {
                *acknowledged = Some(*op);
            }
        }
        let lists: BTreeMap<u32, std::collections::HashSet<Id>> = self
            .last
            .iter()
            .map(|(key, last)| (*key, last.list.iter().copied().collect()))
            .collect();
        for op in history.ops.iter().filter(|op| op.f == super::operation::F::Update) {
            let (acknowledged, possible) = kept[&(op.key, op.asked[0])];
            let seen = self.asked.get(&(op.key, op.asked[0])).and_then(|first| first.seen);
            // One that was refused may be tried again, and is seen then; not before.
            if let Some(read) = seen.filter(|read| read.completed < possible) {
                let what = format!(
                    "process {} read {} at {}{}, although process {} had been told that its update \
                     with it failed",
                    history.process(&read),
                    history.show(op.asked[0]),
                    moment(read.to),
                    history.of_key(op),
                    history.process(op)
                );
                return self.violated(history, what, &[*op, read], op.asked[0]);
            }
            let Some(last) = self.last.get(&op.key) else { continue };
            let missing = acknowledged.filter(|told| told.is_before(&last.op));
            let is_there = lists.get(&op.key).is_some_and(|list| list.contains(&op.asked[0]));
            if let (Some(told), false) = (missing, is_there) {
                let what = format!(
                    "process {} had been told at {} that {} was added{}, and the read of process {} \
                     at {} does not show it",
                    history.process(&told),
                    moment(told.to),
                    history.show(op.asked[0]),
                    history.of_key(op),
                    history.process(&last.op),
                    moment(last.op.to)
                );
                return self.violated(history, what, &[told, last.op], op.asked[0]);
            }
        }
        let unread = history.ops.iter().find(|op| !self.last.contains_key(&op.key));
        match unread {
            Some(op) => Found::Unknown(format!(
                "no read{} was answered, so nobody has seen what is there",
                history.of_key(op)
            )),
            None => Found::Holds,
        }
    }

    /// Lists are long, and only the last is kept: an earlier read is shown with the value that
    /// matters alone.
    fn violated(&self, history: &History, what: String, ops: &[Op], id: Id) -> Found {
        let mut events = history.events(ops);
        for event in events.iter_mut().filter(|it| it.f == "read" && it.kind == Kind::Ok) {
            let last = self.last.values().find(|last| {
                ops.iter().any(|op| op.invoked == last.op.invoked) && last.op.to == event.time
            });
            let list = last.map_or(vec![id], |last| last.list.clone());
            event.value = list.iter().map(|&id| history.values.get(id).clone()).collect();
        }
        Found::Violated(Piece { what, events })
    }
}
