//! Sequential consistency: one order of everything that keeps each process's own (Lamport, 1979).
//!
//! Whether there is one is NP-complete (Gibbons and Korach, 1997). Two things settle most histories.
//! *Saturation*: when a read saw write w, and another write w' of the key comes before the read, it
//! comes before w; and when w comes before w', the read does too. Each such pair gives others; when
//! something comes before itself, there is no order (Biswas and Enea, "On the complexity of checking
//! transactional consistency", OOPSLA 2019, do so for transactions). It needs written values that
//! differ. *Search*, for all else: it takes one process's next operation after another, reads as soon
//! as they fit (never wrong: they change nothing), and remembers where it has been.
//!
//! # Limits
//! A place is remembered as 128 bits of it. Two among 2⁴⁰ places would be taken for one with a
//! probability of 2⁻⁴⁸.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::operation::{F, History, Id, NIL, Op};
use super::search::Shared;
use super::shrink::relevant;
use super::web::{Clocks, Source, Web};
use super::{Deadline, Found, crew, linear};
use crate::Verdict;
use crate::limits::CHECK_BYTES_MAX;

/// What one remembered place costs in memory.
const PLACE_BYTES: usize = 40;

/// What one pair costs: itself, twice while their list grows, and its edge.
const PAIR_BYTES: usize = 20;

/// How many places, or pairs, are accounted for at once.
const GRAIN: usize = 1 << 14;

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
        Verdict::Unknown if shared.is_full() => Found::Unknown(format!(
            "there are too many possible orders: more than {} MiB would have to be remembered",
            CHECK_BYTES_MAX >> 20
        )),
        Verdict::Unknown => Found::Unknown("the time is over".to_owned()),
    }
}

fn decide(_: &History, ops: &[Op], shared: &Arc<Shared>) -> Verdict {
    let web = Web::new(ops);
    if web.sources.contains(&Source::Nobody) {
        return Verdict::Violated;
    }
    if !web.is_unique {
        return Search::new(&web, None, shared).run();
    }
    let bytes = web.ops.len() * web.width() * size_of::<u32>();
    if !shared.take(bytes) {
        return Verdict::Unknown;
    }
    let mut taken = 0;
    let saturated = saturate(&web, shared, &mut taken);
    shared.give_back(taken);
    let verdict = match saturated {
        Ok(Some(clocks)) => Search::new(&web, Some(&clocks), shared).run(),
        Ok(None) => Verdict::Violated,
        Err(Stopped) => Verdict::Unknown,
    };
    shared.give_back(bytes);
    verdict
}

struct Stopped;

/// All that must come before something; none when that is itself.
fn saturate(web: &Web, shared: &Shared, taken: &mut usize) -> Result<Option<Clocks>, Stopped> {
    let mut pairs: Vec<(u32, u32)> = Vec::new();
    loop {
        let Some(clocks) = web.clocks(&pairs) else { return Ok(None) };
        let before = pairs.len();
        for (read, source) in (0_u32..).zip(&web.sources) {
            if shared.is_stopped() {
                return Err(Stopped);
            }
            if pairs.len() * PAIR_BYTES > *taken {
                *taken += GRAIN * PAIR_BYTES;
                if !shared.take(GRAIN * PAIR_BYTES) {
                    return Err(Stopped);
                }
            }
            if matches!(source, Source::None | Source::Nobody | Source::Several) {
                continue;
            }
            let seen = clocks.of(read);
            for (lane, writes) in &web.writes[web.ops[read as usize].key as usize] {
                let place = |write: u32| web.at[write as usize].1;
                // The last write of the process that comes before the read.
                let known = writes.partition_point(|&it| place(it) < seen[*lane as usize]);
                let last = known.checked_sub(1).and_then(|at| writes.get(at)).copied();
                // The first that comes after what was read.
                let next = match *source {
                    Source::Write(own) => {
                        if let Some(last) = last.filter(|&last| last != own)
                            && !web.is_before(&clocks, last, own)
                        {
                            pairs.push((last, own));
                        }
                        let after = writes
                            .partition_point(|&it| it == own || !web.is_before(&clocks, own, it));
                        writes.get(after).copied()
                    }
                    _ if last.is_some() => return Ok(None),
                    _ => writes.first().copied(),
                };
                if let Some(next) = next
                    && !web.is_before(&clocks, read, next)
                {
                    pairs.push((read, next));
                }
            }
        }
        if pairs.len() == before {
            return Ok(Some(clocks));
        }
    }
}

/// One step back: a lane moved by one, and what its write replaced.
#[derive(Clone, Copy)]
struct Undo {
    lane: u32,
    replaced: Option<(u32, Id)>,
}

/// A place where there was more than one way on.
struct Fork {
    /// How many steps had been taken.
    steps: usize,
    /// The next lane to try.
    lane: usize,
}

struct Search<'a> {
    web: &'a Web,
    clocks: Option<&'a Clocks>,
    shared: &'a Shared,
    /// How many operations of each lane are done.
    done: Vec<u32>,
    held: Vec<Id>,
    /// Reads that still need what is held: by key and value. Only when values are unique.
    wanted: BTreeMap<(u32, Id), u32>,
    left: usize,
    steps: Vec<Undo>,
    been: HashSet<u128>,
    place: u128,
}

/// 128 well-mixed bits for one part of a place (splitmix64's finalizer, twice).
fn mixed(kind: u64, at: u32, value: u32) -> u128 {
    let half = |salt: u64| {
        let word = (u64::from(at) << 32 | u64::from(value)).wrapping_add(salt);
        let mut z = word.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt.rotate_left(31);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    u128::from(half(kind.wrapping_mul(0xd6e8_feb8_6659_fd93) | 1)) << 64
        | u128::from(half(kind.wrapping_add(0xa076_1d64_78bd_642f)))
}

impl<'a> Search<'a> {
    fn new(web: &'a Web, clocks: Option<&'a Clocks>, shared: &'a Shared) -> Self {
        let mut wanted = BTreeMap::new();
        for op in web.ops.iter().filter(|op| op.f == F::Read) {
            *wanted.entry((op.key, op.answered[0])).or_insert(0) += 1;
        }
        Self {
            web,
            clocks,
            shared,
            done: vec![0; web.width()],
            held: vec![NIL; web.writes.len()],
            wanted,
            left: web.ops.iter().filter(|op| op.is_ok()).count(),
            steps: Vec::new(),
            been: HashSet::new(),
            place: 0,
        }
    }

    fn next(&self, lane: usize) -> Option<&'a Op> {
        let op = *self.web.lanes[lane].get(self.done[lane] as usize)?;
        let is_ready = self.clocks.is_none_or(|clocks| {
            clocks
                .of(op)
                .iter()
                .enumerate()
                .all(|(other, &n)| other == lane || self.done[other] >= n)
        });
        is_ready.then(|| &self.web.ops[op as usize])
    }

    /// Takes the next operation of a lane.
    fn take(&mut self, lane: usize, op: &Op) {
        let done = &mut self.done[lane];
        self.place ^= mixed(1, lane as u32, *done);
        *done += 1;
        self.place ^= mixed(1, lane as u32, *done);
        let replaced = (op.f == F::Write).then(|| self.hold(op.key, op.asked[0]));
        if op.f == F::Read
            && let Some(wanted) = self.wanted.get_mut(&(op.key, op.answered[0]))
        {
            *wanted -= 1;
        }
        self.left -= usize::from(op.is_ok());
        self.steps.push(Undo { lane: lane as u32, replaced: replaced.map(|id| (op.key, id)) });
    }

    fn hold(&mut self, key: u32, value: Id) -> Id {
        let held = std::mem::replace(&mut self.held[key as usize], value);
        self.place ^= mixed(2, key, held) ^ mixed(2, key, value);
        held
    }

    fn undo(&mut self, steps: usize) {
        while self.steps.len() > steps {
            let Some(undo) = self.steps.pop() else { return };
            let lane = undo.lane as usize;
            let done = &mut self.done[lane];
            self.place ^= mixed(1, undo.lane, *done);
            *done -= 1;
            self.place ^= mixed(1, undo.lane, *done);
            let op = self.web.ops[self.web.lanes[lane][*done as usize] as usize];
            if op.f == F::Read
                && let Some(wanted) = self.wanted.get_mut(&(op.key, op.answered[0]))
            {
                *wanted += 1;
            }
            self.left += usize::from(op.is_ok());
            if let Some((key, value)) = undo.replaced {
                self.hold(key, value);
            }
        }
    }

    /// All reads that fit now.
    fn read(&mut self) {
        let mut is_moved = true;
        while std::mem::take(&mut is_moved) {
            for lane in 0..self.done.len() {
                while let Some(op) = self.next(lane) {
                    if op.f != F::Read || self.held[op.key as usize] != op.answered[0] {
                        break;
                    }
                    self.take(lane, op);
                    is_moved = true;
                }
            }
        }
    }

    /// A write that may come next. When values are unique, not while what it replaces is wanted.
    fn write(&self, lane: usize) -> Option<&'a Op> {
        let op = self.next(lane).filter(|op| op.f == F::Write)?;
        let held = (op.key, self.held[op.key as usize]);
        let is_wanted = self.clocks.is_some() && self.wanted.get(&held).is_some_and(|n| *n > 0);
        (!is_wanted).then_some(op)
    }

    fn run(mut self) -> Verdict {
        let mut taken = 0;
        let verdict = self.go(&mut taken);
        self.shared.give_back(taken);
        verdict
    }

    fn go(&mut self, taken: &mut usize) -> Verdict {
        self.read();
        let mut forks = vec![Fork { steps: self.steps.len(), lane: 0 }];
        while self.left > 0 {
            if self.shared.is_stopped() {
                return Verdict::Unknown;
            }
            let Some(fork) = forks.last_mut() else { return Verdict::Violated };
            self.undo(fork.steps);
            let way = (fork.lane..self.done.len()).find_map(|it| Some((it, self.write(it)?)));
            let Some((lane, op)) = way else {
                forks.pop();
                continue;
            };
            fork.lane = lane + 1;
            self.take(lane, op);
            self.read();
            if !self.been.insert(self.place) {
                continue;
            }
            if self.been.len() * PLACE_BYTES > *taken {
                *taken += GRAIN * PLACE_BYTES;
                if !self.shared.take(GRAIN * PLACE_BYTES) {
                    return Verdict::Unknown;
                }
            }
            forks.push(Fork { steps: self.steps.len(), lane: 0 });
        }
        Verdict::Holds
    }
}
