//! Linearizability: each operation takes effect at one moment between its question and its answer.
//!
//! Keys are checked by themselves, for a history is linearizable exactly when each of its objects is
//! (Herlihy and Wing, 1990). Each goes the cheapest way that decides it: a read of what nobody wrote
//! settles it at once, a register whose written values differ has a test without a search (`zones`),
//! and all else is searched (`search`).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::operation::{History, Id, NIL, Op};
use super::search::{Shared, search};
use super::shrink::{relevant, shrink};
use super::{Deadline, Found, Model, Piece, crew, explain, zones};
use crate::Verdict;
use crate::limits::{CHECK_BYTES_MAX, CHECK_PIECE_OPERATIONS_MAX, SHRINK_TIME};

/// Below so many operations a second thread takes longer to start than it helps.
const OPS_PER_THREAD: usize = 4_000;

/// Sorts a history by its keys; where in it the operations of each key are.
fn by_key(mut history: History) -> (History, Vec<(usize, usize)>) {
    history.ops.sort_unstable_by_key(|op| (op.key, op.invoked));
    let mut keys: Vec<(usize, usize)> = Vec::with_capacity(history.keys.len());
    let mut start = 0;
    for of_key in history.ops.chunk_by(|a, b| a.key == b.key) {
        keys.push((start, start + of_key.len()));
        start += of_key.len();
    }
    (history, keys)
}

pub(super) fn check(history: History, deadline: &Deadline) -> Found {
    let shared = Arc::new(Shared::new(CHECK_BYTES_MAX));
    let (history, keys) = match crew::one(deadline, &shared, move || by_key(history)) {
        Ok(sorted) => sorted,
        Err(lost) => return Found::Unknown(lost.reason().to_owned()),
    };
    let (history, keys) = (Arc::new(history), Arc::new(keys));
    let work = {
        let (history, keys, shared) =
            (Arc::clone(&history), Arc::clone(&keys), Arc::clone(&shared));
        move |job: usize| {
            let (start, end) = keys[job];
            let ops = relevant(history.model, history.ops[start..end].to_vec());
            decide(&history, &ops, &shared)
        }
    };
    let threads = 1 + history.ops.len() / OPS_PER_THREAD;
    let outcome = match crew::all(keys.len(), threads, deadline, &shared, work) {
        Ok(outcome) => outcome,
        Err(lost) => return Found::Unknown(lost.reason().to_owned()),
    };
    if let Some(job) = outcome.violated {
        let (start, end) = keys[job];
        let ops = relevant(history.model, history.ops[start..end].to_vec());
        return Found::Violated(smaller(&history, ops, deadline, decide));
    }
    match outcome.unknown {
        None => Found::Holds,
        Some(job) => {
            let (start, end) = keys[job];
            let key = history.ops.get(start).map_or_else(String::new, |op| history.of_key(op));
            let why = if shared.is_full() {
                format!("more than {} MiB would have to be remembered", CHECK_BYTES_MAX >> 20)
            } else {
                "the time is over".to_owned()
            };
            Found::Unknown(format!(
                "the {} operations{key} have too many possible orders: {why}; fewer clients on one \
                 key at a time, or values that all differ, make them fewer",
                end - start
            ))
        }
    }
}

/// Whether operations of one key are linearizable.
pub(super) fn decide(history: &History, ops: &[Op], shared: &Arc<Shared>) -> Verdict {
    if is_out_of_thin_air(history.model, ops) {
        return Verdict::Violated;
    }
    if matches!(history.model, Model::Register | Model::CasRegister)
        && let Some(verdict) = zones::test(ops)
    {
        return verdict;
    }
    search(history.model, ops, &history.values, shared)
}

/// Whether a value was found that was never put there; in a queue, or not so often.
fn is_out_of_thin_air(model: Model, ops: &[Op]) -> bool {
    match model {
        Model::Mutex => false,
        Model::Queue => {
            let mut balance: HashMap<Id, i64> = HashMap::new();
            for op in ops {
                if let Some(value) = op.written() {
                    *balance.entry(value).or_insert(0) += 1;
                } else if let Some(value) = op.found().filter(|&value| value != NIL) {
                    *balance.entry(value).or_insert(0) -= 1;
                }
            }
            balance.values().any(|&left| left < 0)
        }
        _ => {
            let written: HashSet<Id> = ops.iter().filter_map(Op::written).collect();
            let is_known = |value: Id| value == NIL || written.contains(&value);
            ops.iter().filter(|op| op.is_ok()).filter_map(Op::found).any(|value| !is_known(value))
        }
    }
}

/// What [`Found::Violated`] shows of operations that are violated, within the time that is left. When
/// there was too little of it to make them few, none of them is shown.
pub(super) fn smaller(
    history: &Arc<History>,
    ops: Vec<Op>,
    deadline: &Deadline,
    decide: fn(&History, &[Op], &Arc<Shared>) -> Verdict,
) -> Piece {
    let best = Arc::new(Mutex::new(ops.clone()));
    let shared = Arc::new(Shared::new(CHECK_BYTES_MAX));
    let work = {
        let (history, best, shared) = (Arc::clone(history), Arc::clone(&best), Arc::clone(&shared));
        move || {
            let is_violated = |some: &[Op]| decide(&history, some, &shared) == Verdict::Violated;
            let keep = |some: &[Op]| {
                *best.lock().unwrap_or_else(PoisonError::into_inner) = some.to_vec();
            };
            drop(shrink(history.model, ops, is_violated, keep));
        }
    };
    // Late or not, what it came to is in `best`.
    let _ = crew::one(&deadline.within(SHRINK_TIME), &shared, work);
    let ops = {
        let best = best.lock().unwrap_or_else(PoisonError::into_inner);
        if best.len() > CHECK_PIECE_OPERATIONS_MAX {
            let what = format!(
                "there is no order of {} operations{}; there was no time to find the few that show it",
                best.len(),
                best.first().map_or_else(String::new, |op| history.of_key(op)),
            );
            return Piece { what, events: Vec::new() };
        }
        best.clone()
    };
    Piece { what: explain::explain(history, &ops), events: history.events(&ops) }
}
