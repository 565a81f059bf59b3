//! At no time two holders.
//!
//! A process believes that it holds a lock from the moment it is told so until it lets go. If two
//! beliefs overlap, two processes have been in the critical section together, whatever the lock
//! service thinks of it. Who learns that its lease ran out, or is stopped for good, lets go in that
//! moment, and its history says so: with the `release` that it invokes.
//!
//! # Limits
//! An `acquire` without an answer gives no belief. A `release` ends one with its question, however it
//! is answered.

use std::collections::BTreeMap;

use super::operation::{F, History, NEVER, Op, moment};
use super::{Found, Piece};

pub(super) fn check(history: &History) -> Found {
    // What is told or asked, in its order; only answers to `acquire` and questions of `release`.
    let mut moments: Vec<(u32, &Op)> = history
        .ops
        .iter()
        .filter_map(|op| match op.f {
            F::Acquire if op.is_ok() => Some((op.completed, op)),
            F::Release => Some((op.invoked, op)),
            _ => None,
        })
        .collect();
    moments.sort_unstable_by_key(|(place, _)| *place);
    let mut holders: BTreeMap<u32, &Op> = BTreeMap::new();
    for &(place, op) in &moments {
        let holder = holders.get(&op.key).copied();
        match (op.f, holder) {
            (F::Acquire, None) => {
                holders.insert(op.key, op);
            }
            (F::Acquire, Some(holder)) if holder.process != op.process => {
                let end = moments.iter().find(|(later, it)| {
                    *later > place
                        && it.f == F::Release
                        && (it.key, it.process) == (holder.key, holder.process)
                });
                return Found::Violated(piece(history, holder, op, end.map(|(_, op)| *op)));
            }
            (F::Release, Some(holder)) if holder.process == op.process => {
                holders.remove(&op.key);
            }
            _ => {}
        }
    }
    Found::Holds
}

fn piece(history: &History, first: &Op, second: &Op, end: Option<&Op>) -> Piece {
    let until = match end {
        Some(end) => format!("let go only at {}", moment(end.from)),
        None => "never let go".to_owned(),
    };
    let what = format!(
        "process {} was told at {} that it holds the lock{}, which process {} had been told that it \
         holds at {}, and {until}",
        history.process(second),
        moment(second.to),
        history.of_key(second),
        history.process(first),
        moment(first.to),
    );
    let mut ops = vec![*first, *second];
    // Only that it was let go matters, not whether that worked.
    ops.extend(end.map(|end| Op { completed: NEVER, ..*end }));
    Piece { what, events: history.events(&ops) }
}
