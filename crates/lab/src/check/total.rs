//! All processes see messages in the same order.
//!
//! There is one order that agrees with what each receiver saw exactly when the receivers' own orders
//! together have no cycle: a topological sort finds it, or finds a cycle. Two receivers that saw two
//! messages the other way round are the shortest one; three can disagree although no two of them do.
//! A message that a receiver sees twice is a violation by itself.
//!
//! # Limits
//! A receiver may miss messages: this is about order, not about completeness. What was not answered
//! was not delivered.

use std::collections::{BTreeMap, HashMap};

use super::operation::{History, Id, Op, moment};
use super::{Found, Piece};
use crate::limits::CHECK_PIECE_OPERATIONS_MAX;

pub(super) fn check(history: &History) -> Found {
    // Of each key, what each receiver saw, in its order.
    let mut topics: BTreeMap<u32, BTreeMap<u32, Vec<Op>>> = BTreeMap::new();
    for op in history.ops.iter().filter(|op| op.is_ok()) {
        topics.entry(op.key).or_default().entry(op.process).or_default().push(*op);
    }
    for receivers in topics.values() {
        if let Some(piece) = twice(history, receivers).or_else(|| disorder(history, receivers)) {
            return Found::Violated(piece);
        }
    }
    Found::Holds
}

fn twice(history: &History, receivers: &BTreeMap<u32, Vec<Op>>) -> Option<Piece> {
    for seen in receivers.values() {
        let mut first: HashMap<Id, &Op> = HashMap::with_capacity(seen.len());
        for op in seen {
            if let Some(before) = first.insert(op.answered[0], op) {
                let what = format!(
                    "process {} saw message {}{} twice, at {} and at {}",
                    history.process(op),
                    history.show(op.answered[0]),
                    history.of_key(op),
                    moment(before.to),
                    moment(op.to)
                );
                return Some(Piece { what, events: history.events(&[*before, *op]) });
            }
        }
    }
    None
}

/// `earlier` was seen before `later` by one process.
#[derive(Clone, Copy)]
struct Seen {
    earlier: Op,
    later: Op,
}

fn disorder(history: &History, receivers: &BTreeMap<u32, Vec<Op>>) -> Option<Piece> {
    let cycle = shorten(cycle(receivers)?, receivers);
    let more = match cycle.len().saturating_sub(TOLD_MAX) {
        0 => String::new(),
        more => format!("; and so on, {more} more, back to the first message"),
    };
    let seen = cycle.iter().take(TOLD_MAX).map(|seen| {
        format!(
            "process {} saw {} at {} and then {} at {}",
            history.process(&seen.earlier),
            history.show(seen.earlier.answered[0]),
            moment(seen.earlier.to),
            history.show(seen.later.answered[0]),
            moment(seen.later.to)
        )
    });
    let key = cycle.first().map_or_else(String::new, |seen| history.of_key(&seen.earlier));
    let what = format!(
        "no one order of the messages{key} agrees with what was seen: {}{more}",
        seen.collect::<Vec<_>>().join("; ")
    );
    let mut ops: Vec<Op> = cycle.iter().flat_map(|seen| [seen.earlier, seen.later]).collect();
    ops.sort_by_key(|op| op.invoked);
    ops.dedup();
    if ops.len() > CHECK_PIECE_OPERATIONS_MAX {
        ops.clear();
    }
    Some(Piece { what, events: history.events(&ops) })
}

/// Messages in a circle, each seen before the next.
fn cycle(receivers: &BTreeMap<u32, Vec<Op>>) -> Option<Vec<Seen>> {
    let mut next: HashMap<Id, Vec<Id>> = HashMap::new();
    let mut before: HashMap<Id, u32> = HashMap::new();
    for seen in receivers.values() {
        for op in seen {
            before.entry(op.answered[0]).or_insert(0);
        }
        for pair in seen.windows(2) {
            let (from, to) = (pair[0].answered[0], pair[1].answered[0]);
            next.entry(from).or_default().push(to);
            *before.entry(to).or_insert(0) += 1;
        }
    }
    // Kahn: take away what has nothing before it, until nothing is left, or only circles and what
    // follows them.
    let mut free: Vec<Id> = before.iter().filter(|(_, n)| **n == 0).map(|(id, _)| *id).collect();
    while let Some(id) = free.pop() {
        before.remove(&id);
        for &to in next.get(&id).map_or(&[][..], Vec::as_slice) {
            if let Some(left) = before.get_mut(&to) {
                *left -= 1;
                if *left == 0 {
                    free.push(to);
                }
            }
        }
    }
    // Each message that is left has one before it that is left too: going back meets itself.
    let mut back: BTreeMap<Id, Seen> = BTreeMap::new();
    for seen in receivers.values() {
        for pair in seen.windows(2) {
            let left = |op: &Op| before.contains_key(&op.answered[0]);
            if left(&pair[0]) && left(&pair[1]) {
                let found = Seen { earlier: pair[0], later: pair[1] };
                back.entry(pair[1].answered[0]).or_insert(found);
            }
        }
    }
    let mut at = *back.keys().next()?;
    let mut met: HashMap<Id, usize> = HashMap::new();
    let mut path: Vec<Seen> = Vec::new();
    loop {
        if let Some(&start) = met.get(&at) {
            path.drain(..start);
            path.reverse();
            return Some(path);
        }
        met.insert(at, path.len());
        let step = back.get(&at)?;
        path.push(*step);
        at = step.earlier.answered[0];
    }
}

/// The most steps of a circle that are told one by one.
const TOLD_MAX: usize = 8;

/// How often it is looked whether a receiver saw one message before another, to make a circle
/// smaller. A circle of thousands without a shorter way takes that many; it is a violation all the
/// same.
const LOOKS_MAX: usize = 1 << 21;

/// A circle of fewer messages: wherever one receiver orders two of them directly, the way between
/// them is left out.
fn shorten(mut cycle: Vec<Seen>, receivers: &BTreeMap<u32, Vec<Op>>) -> Vec<Seen> {
    // Who saw each message of the circle.
    let mut seen_by: HashMap<Id, HashMap<u32, Op>> =
        cycle.iter().map(|seen| (seen.earlier.answered[0], HashMap::new())).collect();
    for op in receivers.values().flatten() {
        if let Some(all) = seen_by.get_mut(&op.answered[0]) {
            all.insert(op.process, *op);
        }
    }
    let direct = |from: Id, to: Id| {
        let (earlier, later) = (seen_by.get(&from)?, seen_by.get(&to)?);
        let both = earlier.values().filter_map(|earlier| {
            let later = *later.get(&earlier.process)?;
            (earlier.completed < later.completed).then_some(Seen { earlier: *earlier, later })
        });
        // Whichever the map names first: the same each time.
        both.min_by_key(|seen| seen.earlier.process)
    };
    let mut looks = 0;
    'again: while cycle.len() > 2 {
        let n = cycle.len();
        // From message i over `skip` others: the longest way that is left out first.
        for skip in (2..n).rev() {
            for i in 0..n {
                let from = cycle[i].earlier.answered[0];
                looks += seen_by.get(&from).map_or(0, HashMap::len);
                if looks > LOOKS_MAX {
                    break 'again;
                }
                let to = cycle[(i + skip) % n].earlier.answered[0];
                if let Some(seen) = direct(from, to) {
                    let rest = (skip..n).map(|k| cycle[(i + k) % n]);
                    cycle = std::iter::once(seen).chain(rest).collect();
                    continue 'again;
                }
            }
        }
        break;
    }
    cycle
}
