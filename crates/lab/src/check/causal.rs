//! Causal consistency: no effect is seen without its cause.
//!
//! What a process did before and what it read before is the cause of what it does next, and so on.
//! Each read must have an explanation: some order of what it depends on that keeps causes before
//! effects and ends with the value that was read. When each value is written once to a key, there is
//! one exactly when none of four *bad patterns* is there (Bouajjani, Enea, Guerraoui and Hamza, "On
//! verifying causal consistency", POPL 2017):
//!
//! | pattern | a process |
//! |---|---|
//! | ThinAirRead | read what nobody wrote |
//! | CyclicCO | read something that depends on what it does itself later |
//! | WriteCOInitRead | read the first value, though it depends on a write of the key |
//! | WriteCORead | read a write, though it depends on a later one of the key |
//!
//! # Limits
//! This is their CC. Causal memory (CM) also wants that one process's reads agree with one another on
//! the order of concurrent writes, and convergence (CCv) that all processes do: `sequential` implies
//! both. When a value was written twice to a key, nobody knows which write a read saw: unknown.

use std::sync::Arc;

use super::operation::{F, History, Op};
use super::search::Shared;
use super::shrink::relevant;
use super::web::{Source, Web};
use super::{Deadline, Found, crew, linear};
use crate::Verdict;
use crate::limits::CHECK_BYTES_MAX;

pub(super) fn check(history: History, deadline: &Deadline) -> Found {
    let (history, shared) = (Arc::new(history), Arc::new(Shared::new(CHECK_BYTES_MAX)));
    let work = {
        let (history, shared) = (Arc::clone(&history), Arc::clone(&shared));
        move || {
            let ops = relevant(history.model, history.ops.clone());
            (decide(&history, &ops, &shared), ops)
        }
    };
    let (verdict, ops) = match crew::one(deadline, &shared, work) {
        Err(lost) => return Found::Unknown(lost.reason().to_owned()),
        Ok(found) => found,
    };
    match verdict {
        Verdict::Holds => Found::Holds,
        Verdict::Violated => Found::Violated(linear::smaller(&history, ops, deadline, decide)),
        Verdict::Unknown if shared.is_stopped() => Found::Unknown("the time is over".to_owned()),
        Verdict::Unknown if shared.is_full() => Found::Unknown(format!(
            "more than {} MiB would have to be remembered",
            CHECK_BYTES_MAX >> 20
        )),
        Verdict::Unknown => Found::Unknown(
            "a value was written twice to one key, so nobody knows which of them a read saw; let \
             every write have a value of its own"
                .to_owned(),
        ),
    }
}

fn decide(_: &History, ops: &[Op], shared: &Arc<Shared>) -> Verdict {
    let web = Web::new(ops);
    if web.sources.contains(&Source::Nobody) {
        return Verdict::Violated;
    }
    let bytes = web.ops.len() * web.width() * size_of::<u32>();
    if !web.is_unique || !shared.take(bytes) {
        return Verdict::Unknown;
    }
    let verdict = patterns(&web, shared);
    shared.give_back(bytes);
    verdict
}

fn patterns(web: &Web, shared: &Shared) -> Verdict {
    let Some(clocks) = web.clocks(&[]) else { return Verdict::Violated };
    for (read, source) in (0_u32..).zip(&web.sources) {
        if shared.is_stopped() {
            return Verdict::Unknown;
        }
        let seen = clocks.of(read);
        for (lane, writes) in &web.writes[web.ops[read as usize].key as usize] {
            // The last write of this process that the read depends on: the others depend on less.
            let known = writes.partition_point(|&it| web.at[it as usize].1 < seen[*lane as usize]);
            let Some(&newer) = known.checked_sub(1).and_then(|last| writes.get(last)) else {
                continue;
            };
            let is_bad = match *source {
                Source::Beginning => true,
                Source::Write(own) => newer != own && web.is_before(&clocks, own, newer),
                Source::None | Source::Nobody | Source::Several => false,
            };
            debug_assert!(web.ops[newer as usize].f == F::Write);
            if is_bad {
                return Verdict::Violated;
            }
        }
    }
    Verdict::Holds
}
