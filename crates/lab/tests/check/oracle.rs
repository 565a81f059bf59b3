//! The same questions answered in the dumbest way: by trying everything. Shares no code with the
//! checks but the pairing of events, which the checks do by themselves.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use steadfast_lab::check::Model;
use steadfast_lab::history::{Event, Operation, Outcome, pairs};

/// Whether a history is allowed; none when that is not known from it.
pub fn allows(model: Model, events: &[Event]) -> Option<bool> {
    let ops: Vec<Operation> = pairs(events).unwrap();
    let live: Vec<&Operation> = ops.iter().filter(|op| op.outcome != Outcome::Fail).collect();
    match model {
        Model::Register | Model::CasRegister | Model::Mutex | Model::FencedLock | Model::Queue => {
            Some(linearizable(model, &live, &Object::default()))
        }
        Model::Sequential => Some(sequential(&live, &BTreeMap::new())),
        Model::Causal => Some(causal(&live)),
        Model::TotalOrder => Some(total(&live)),
        Model::Bank => bank(&ops),
        Model::Holder => Some(holder(&ops)),
        Model::Updates => updates(&ops),
    }
}

#[derive(Clone, Default)]
struct Object {
    value: Value,
    holder: Option<u64>,
    given: Option<u64>,
    seen: Option<u64>,
    queue: Vec<Value>,
}

impl Object {
    fn step(&self, model: Model, op: &Operation) -> Option<Self> {
        let mut next = self.clone();
        let is_ok = op.outcome == Outcome::Ok;
        let fits = match (model, &*op.f) {
            (Model::FencedLock, "acquire") => {
                let token = op.answer.as_u64();
                let fits = !is_ok || token > self.given;
                next.given = if is_ok { token } else { self.given };
                fits
            }
            (Model::FencedLock, "release") => true,
            (Model::FencedLock, "write") => {
                let token = op.argument[0].as_u64();
                next.seen = token;
                next.value = op.argument[1].clone();
                token >= self.seen
            }
            (_, "read") => !is_ok || op.answer == self.value,
            (_, "write") => {
                next.value = op.argument.clone();
                true
            }
            (_, "cas") => {
                next.value = op.argument[1].clone();
                op.argument[0] == self.value
            }
            (_, "acquire") => {
                next.holder = Some(op.process);
                self.holder.is_none()
            }
            (_, "release") => {
                next.holder = None;
                self.holder == Some(op.process)
            }
            (_, "enqueue") => {
                next.queue.push(op.argument.clone());
                true
            }
            (_, "dequeue") if self.queue.is_empty() => is_ok && op.answer.is_null(),
            (_, "dequeue") => {
                let first = next.queue.remove(0);
                !is_ok || op.answer == first
            }
            other => panic!("{other:?}"),
        };
        fits.then_some(next)
    }
}

fn linearizable(model: Model, left: &[&Operation], object: &Object) -> bool {
    if left.iter().all(|op| op.outcome == Outcome::Info) {
        return true;
    }
    let is_ok = |op: &&&Operation| op.outcome == Outcome::Ok;
    let first_end = left.iter().filter(is_ok).map(|op| op.completed.unwrap()).min();
    left.iter().enumerate().any(|(at, op)| {
        first_end.is_none_or(|end| op.invoked < end)
            && object.step(model, op).is_some_and(|next| {
                let rest = [&left[..at], &left[at + 1..]].concat();
                linearizable(model, &rest, &next)
            })
    })
}

type Key = Option<String>;

fn key(op: &Operation) -> Key {
    op.key.as_ref().map(ToString::to_string)
}

/// What a read of a key answers now.
fn held<'a>(memory: &'a BTreeMap<Key, Value>, op: &Operation) -> &'a Value {
    memory.get(&key(op)).unwrap_or(&Value::Null)
}

fn sequential(left: &[&Operation], memory: &BTreeMap<Key, Value>) -> bool {
    if left.iter().all(|op| op.outcome == Outcome::Info) {
        return true;
    }
    left.iter().enumerate().any(|(at, op)| {
        let is_next = left[..at].iter().all(|before| before.process != op.process);
        let fits = op.f == "write" || op.outcome == Outcome::Info || *held(memory, op) == op.answer;
        is_next && fits && {
            let mut memory = memory.clone();
            if op.f == "write" {
                memory.insert(key(op), op.argument.clone());
            }
            sequential(&[&left[..at], &left[at + 1..]].concat(), &memory)
        }
    })
}

/// By the definition: a causal order, and for each read an order of its past that explains it.
fn causal(ops: &[&Operation]) -> bool {
    let n = ops.len();
    let is_read = |op: &Operation| op.f == "read" && op.outcome == Outcome::Ok;
    let mut before = vec![vec![false; n]; n];
    for i in 0..n {
        for j in 0..n {
            let wrote = ops[i].f == "write" && ops[j].f == "read" && is_read(ops[j]);
            let is_seen = wrote && key(ops[i]) == key(ops[j]) && ops[i].argument == ops[j].answer;
            before[i][j] = is_seen || (i < j && ops[i].process == ops[j].process);
        }
    }
    for k in 0..n {
        for i in 0..n {
            for j in 0..n {
                before[i][j] |= before[i][k] && before[k][j];
            }
        }
    }
    if (0..n).any(|i| before[i][i]) {
        return false;
    }
    (0..n).filter(|&read| is_read(ops[read])).all(|read| {
        let past: Vec<usize> = (0..n).filter(|&i| before[i][read]).collect();
        explained(ops, &before, &past, &BTreeMap::new(), read)
    })
}

fn explained(
    ops: &[&Operation],
    before: &[Vec<bool>],
    past: &[usize],
    memory: &BTreeMap<Key, Value>,
    read: usize,
) -> bool {
    if past.is_empty() {
        return *held(memory, ops[read]) == ops[read].answer;
    }
    past.iter().any(|&next| {
        past.iter().all(|&other| !before[other][next]) && {
            let mut memory = memory.clone();
            if ops[next].f == "write" {
                memory.insert(key(ops[next]), ops[next].argument.clone());
            }
            let rest: Vec<usize> = past.iter().copied().filter(|&it| it != next).collect();
            explained(ops, before, &rest, &memory, read)
        }
    })
}

fn total(ops: &[&Operation]) -> bool {
    let mut seen: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for op in ops.iter().filter(|op| op.outcome == Outcome::Ok) {
        seen.entry(op.process).or_default().push(op.answer.to_string());
    }
    let mut orders: Vec<&[String]> = seen.values().map(Vec::as_slice).collect();
    ordered(&mut orders)
}

/// Whether messages can be taken from the fronts of all of them, each once.
fn ordered(orders: &mut [&[String]]) -> bool {
    let fronts: BTreeSet<String> = orders.iter().filter_map(|it| it.first().cloned()).collect();
    if fronts.is_empty() {
        return true;
    }
    fronts.iter().any(|message| {
        let mut rest: Vec<&[String]> = orders
            .iter()
            .map(|order| if order.first() == Some(message) { &order[1..] } else { *order })
            .collect();
        !rest.iter().any(|order| order.contains(message)) && ordered(&mut rest)
    })
}

fn bank(ops: &[Operation]) -> Option<bool> {
    let mut reads: Vec<&Operation> =
        ops.iter().filter(|op| op.f == "read" && op.outcome == Outcome::Ok).collect();
    reads.sort_by_key(|op| op.completed);
    let balances = |op: &Operation| -> Vec<i64> {
        op.answer.as_object().unwrap().values().map(|it| it.as_i64().unwrap()).collect()
    };
    let total: i64 = match (reads.first(), ops.is_empty()) {
        (Some(first), _) => balances(first).iter().sum(),
        (None, true) => return Some(true),
        (None, false) => return None,
    };
    let fits = |all: Vec<i64>| all.iter().sum::<i64>() == total && all.iter().all(|&it| it >= 0);
    Some(reads.iter().all(|op| fits(balances(op))))
}

/// Looks at every moment, who believes.
fn holder(ops: &[Operation]) -> bool {
    let last = ops.iter().flat_map(|op| [op.invoked, op.completed.unwrap_or(0)]).max();
    (0..=last.unwrap_or(0)).all(|moment| {
        let believes = |process: u64| {
            let told = ops
                .iter()
                .filter(|op| op.process == process && op.f == "acquire")
                .filter(|op| op.outcome == Outcome::Ok)
                .filter_map(|op| op.completed)
                .filter(|&it| it <= moment)
                .max();
            let let_go = ops
                .iter()
                .filter(|op| op.process == process && op.f == "release" && op.invoked <= moment)
                .map(|op| op.invoked)
                .max();
            told.is_some_and(|told| let_go.is_none_or(|let_go| let_go < told))
        };
        let processes: BTreeSet<u64> = ops.iter().map(|op| op.process).collect();
        processes.into_iter().filter(|&process| believes(process)).count() <= 1
    })
}

fn updates(ops: &[Operation]) -> Option<bool> {
    let updates = || ops.iter().filter(|op| op.f == "update");
    let reads = || ops.iter().filter(|op| op.f == "read" && op.outcome == Outcome::Ok);
    let list = |op: &Operation| op.answer.as_array().unwrap().clone();
    let is_strange = reads().any(|read| {
        list(read).iter().any(|value| {
            !updates().any(|op| {
                op.argument == *value
                    && op.outcome != Outcome::Fail
                    && Some(op.invoked) < read.completed
            })
        })
    });
    if is_strange {
        return Some(false);
    }
    let Some(last) = reads().max_by_key(|op| op.invoked) else {
        return ops.is_empty().then_some(true);
    };
    let acknowledged = updates()
        .filter(|op| op.outcome == Outcome::Ok && op.completed.unwrap() < last.invoked)
        .all(|op| list(last).contains(&op.argument));
    Some(acknowledged)
}
