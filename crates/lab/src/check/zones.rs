//! Registers whose written values all differ need no search.
//!
//! Gibbons and Korach ("Testing Shared Memories", SIAM J. Computing 26, 1997): when it is known which
//! write each read saw, the write and its reads, a *cluster*, stand together in any legal order. The
//! cluster's *zone* lies between the first end and the last beginning of its operations. If the first
//! end comes first, the value is in the register for that whole zone (a *forward* zone); else all of
//! the cluster overlaps in it, and can stand at any one point of it (a *backward* zone). There is a
//! legal order exactly when
//!
//! 1. no read ends before its write begins,
//! 2. no two forward zones overlap,
//! 3. no backward zone lies within a forward one.
//!
//! The first value, `null`, is a write before everything. A write that was never answered has no end,
//! but its readers do.

use super::operation::{F, NEVER, NIL, Op};
use crate::Verdict;

/// From the first end to the last beginning, one more than their places: 0 is before everything.
#[derive(Clone, Copy)]
struct Zone {
    end: u32,
    begin: u32,
}

/// Whether the reads and writes of one register are linearizable; none when this test does not apply:
/// a compare-and-set, or a value that was written twice.
pub(super) fn test(ops: &[Op]) -> Option<Verdict> {
    let mut sorted: Vec<(u32, bool, u32, u32)> = Vec::with_capacity(ops.len() + 1);
    sorted.push((NIL, false, 0, 0));
    for op in ops {
        let end = op.end().saturating_add(1);
        match op.f {
            F::Write => sorted.push((op.asked[0], false, op.invoked + 1, end)),
            F::Read => sorted.push((op.answered[0], true, op.invoked + 1, end)),
            _ => return None,
        }
    }
    // By value, each write before its reads.
    sorted.sort_unstable();
    let (mut forward, mut backward) = (Vec::new(), Vec::new());
    let mut is_broken = false;
    for cluster in sorted.chunk_by(|a, b| a.0 == b.0) {
        match cluster {
            [(_, false, ..), (_, false, ..), ..] => return None,
            // Read, never written. Still looks whether a value was written twice.
            [(_, true, ..), ..] | [] => {
                is_broken = true;
                continue;
            }
            [(.., begin, _), reads @ ..] => {
                is_broken |= reads.iter().any(|(.., end)| end < begin);
            }
        }
        let end = cluster.iter().map(|(.., end)| *end).min().unwrap_or(NEVER);
        let begin = cluster.iter().map(|(_, _, begin, _)| *begin).max().unwrap_or(0);
        if end < begin { &mut forward } else { &mut backward }.push(Zone { end, begin });
    }
    if is_broken {
        return Some(Verdict::Violated);
    }
    forward.sort_unstable_by_key(|zone| zone.end);
    if forward.windows(2).any(|pair| pair[1].end < pair[0].begin) {
        return Some(Verdict::Violated);
    }
    // Forward zones are apart now: the last that starts before a backward one is the only candidate.
    let is_within = |zone: &Zone| {
        let after = forward.partition_point(|it| it.end < zone.begin);
        after.checked_sub(1).is_some_and(|at| zone.end < forward[at].begin)
    };
    let is_violated = backward.iter().any(is_within);
    Some(if is_violated { Verdict::Violated } else { Verdict::Holds })
}
