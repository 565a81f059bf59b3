//! Makes a violation small.
//!
//! A violation among ten thousand operations tells nobody anything. What is shown is a *piece*: some
//! of the operations, so chosen that they are a violation by themselves, and that **any legal order of
//! the whole history would be a legal order of the piece**. So the piece proves that there is none, and
//! it does so with what really happened: leaving something out never makes a legal history illegal.
//! Two things may be left out:
//!
//! - *the rest of the history*: linearizability is closed under prefixes. An operation that was not
//!   answered by then may still take effect, or not;
//! - *operations that nobody depends on*: a read, freely; a write, when nothing that stays has found
//!   its value, for else that would be out of thin air; of a lock, an `acquire` with its `release`; of
//!   a queue, everything about one value.
//!
//! The shortest prefix is found by halving; then pieces are left out, half of the operations first,
//! then ever smaller parts, as in Zeller and Hildebrandt's delta debugging (IEEE TSE 28, 2002), until
//! no single one can go, or until time is over.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::Model;
use super::operation::{F, Id, NEVER, NIL, Op};
use crate::history::Outcome;

/// Leaves out what has no say: what failed, what was read without an answer, what may have happened
/// without anybody seeing it.
pub(super) fn relevant(model: Model, mut ops: Vec<Op>) -> Vec<Op> {
    ops.retain(|op| match (op.outcome, op.f) {
        (Outcome::Fail, _) => false,
        // A lease may run out at any time: that a fenced lock was let go is no news.
        (_, F::Release) if model == Model::FencedLock => false,
        (Outcome::Ok, _) | (_, F::Release | F::Dequeue) => true,
        // Who does not know that it has a lock never lets go; it can only be in the way.
        (_, F::Read | F::Acquire | F::Deliver | F::Transfer | F::Update) => false,
        (_, F::Write | F::Cas | F::Enqueue) => true,
    });
    // Writes that may have happened, and that nobody saw. One that goes may free another.
    while ops.iter().any(|op| !op.is_ok()) {
        let found: HashSet<(u32, Id)> =
            ops.iter().filter_map(|op| Some((op.key, op.found()?))).collect();
        let before = ops.len();
        ops.retain(|op| {
            op.is_ok() || op.written().is_none_or(|value| found.contains(&(op.key, value)))
        });
        if ops.len() == before {
            break;
        }
    }
    ops
}

/// The history as it was after its event at `place`.
fn prefix(model: Model, ops: &[Op], place: u32) -> Vec<Op> {
    let until = ops.iter().filter(|op| op.invoked <= place).map(|op| {
        let mut op = *op;
        if op.completed > place {
            (op.outcome, op.completed, op.to) = (Outcome::Info, NEVER, u64::MAX);
            op.answered = [NIL; 2];
        }
        op
    });
    relevant(model, until.collect())
}

/// A small piece of `ops`, which are violated. `is_violated` answers no when it does not know;
/// `keep` is shown each smaller piece at once.
pub(super) fn shrink(
    model: Model,
    ops: Vec<Op>,
    is_violated: impl Fn(&[Op]) -> bool,
    mut keep: impl FnMut(&[Op]),
) -> Vec<Op> {
    let mut ops = ops;
    if !matches!(model, Model::Sequential | Model::Causal) {
        ops = first_moment(model, ops, &is_violated);
        keep(&ops);
    }
    let mut size = ops.len().div_ceil(2);
    while size > 0 {
        let before = ops.len();
        let mut start = 0;
        while start < ops.len() {
            let end = (start + size).min(ops.len());
            let less = [Bond::Stay, Bond::Go].into_iter().find_map(|bond| {
                let less = without(model, &ops, start..end, bond);
                (less.len() < ops.len() && is_violated(&less)).then_some(less)
            });
            if let Some(less) = less {
                // What follows has moved here.
                ops = less;
                keep(&ops);
            } else {
                start = end;
            }
        }
        // Again with single ones as long as that helps.
        size = if size > 1 { size / 2 } else { usize::from(ops.len() < before) };
    }
    ops
}

/// The shortest prefix that is violated: more events never mend a history.
fn first_moment(model: Model, ops: Vec<Op>, is_violated: &impl Fn(&[Op]) -> bool) -> Vec<Op> {
    let mut answers: Vec<u32> = ops.iter().filter(|op| op.is_ok()).map(|op| op.completed).collect();
    answers.sort_unstable();
    let (mut low, mut high) = (0, answers.len());
    let mut best = ops;
    while low < high {
        let middle = low + (high - low) / 2;
        let some = prefix(model, &best, answers[middle]);
        if is_violated(&some) {
            high = middle;
            best = some;
        } else {
            low = middle + 1;
        }
    }
    best
}

/// What becomes of those who find a value, and of those who wrote it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bond {
    /// Who wrote what somebody finds stays.
    Stay,
    /// Who finds what somebody wrote who goes, goes too.
    Go,
}

/// `ops` without as many of those in `range` as may be left out, and what must go with them.
fn without(model: Model, ops: &[Op], range: Range<usize>, bond: Bond) -> Vec<Op> {
    let mut stays = vec![true; ops.len()];
    match model {
        Model::Mutex => {
            // An `acquire` with the next `release` of its process.
            let mut held: HashMap<u32, usize> = HashMap::new();
            for (at, op) in ops.iter().enumerate() {
                match op.f {
                    F::Acquire => {
                        stays[at] = !range.contains(&at);
                        held.insert(op.process, at);
                    }
                    _ => stays[at] = held.remove(&op.process).is_none_or(|acquire| stays[acquire]),
                }
            }
        }
        Model::Queue => {
            let about = |op: &Op| op.written().or(op.found()).filter(|&value| value != NIL);
            let gone: HashSet<Id> = ops[range.clone()].iter().filter_map(about).collect();
            for (at, op) in ops.iter().enumerate() {
                stays[at] = match about(op) {
                    Some(value) => !gone.contains(&value),
                    // Found it empty: no more than a read. What may have taken anything must stay.
                    None => !(op.is_ok() && range.contains(&at)),
                };
            }
        }
        _ => {
            let within = |at: usize| range.contains(&at);
            (0..ops.len()).filter(|&at| within(at)).for_each(|at| stays[at] = false);
            // Either who finds a value goes with who wrote it, or who wrote it stays with who finds
            // it; and then the same for what those found or wrote.
            let mut is_changed = true;
            while std::mem::take(&mut is_changed) {
                let of = |stays: &[bool], wanted: bool, value: fn(&Op) -> Option<Id>| {
                    let some = ops.iter().zip(stays).filter(|(_, stays)| **stays == wanted);
                    some.filter_map(|(op, _)| Some((op.key, value(op)?))).collect::<HashSet<_>>()
                };
                let (found, gone) = match bond {
                    Bond::Stay => (of(&stays, true, Op::found), HashSet::new()),
                    Bond::Go => (HashSet::new(), of(&stays, false, Op::written)),
                };
                for (at, op) in ops.iter().enumerate() {
                    let is_in = |set: &HashSet<(u32, Id)>, value: Option<Id>| {
                        value.is_some_and(|value| set.contains(&(op.key, value)))
                    };
                    let changes = match bond {
                        Bond::Stay => !stays[at] && is_in(&found, op.written()),
                        Bond::Go => stays[at] && is_in(&gone, op.found()),
                    };
                    if changes {
                        (stays[at], is_changed) = (!stays[at], true);
                    }
                }
            }
        }
    }
    ops.iter().zip(stays).filter(|(_, stays)| *stays).map(|(op, _)| *op).collect()
}
