//! What came before what, by what processes did and read, whatever the clock says.
//!
//! Two relations are certain: a process's own order, and that a write comes before a read of its
//! value. A *clock* of an operation says how far it can look back along them into each process, so
//! that "is a before b" is one comparison, as with vector clocks.

use std::collections::HashMap;

use super::operation::{F, Id, NIL, Op};

/// What a read read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// It is no read.
    None,
    /// The first value.
    Beginning,
    /// The write at this place.
    Write(u32),
    /// A value that nobody wrote.
    Nobody,
    /// A value that was written more than once: nobody knows which it was.
    Several,
}

/// Reads and writes of some processes.
#[derive(Debug)]
pub(super) struct Web {
    pub ops: Vec<Op>,
    /// Each process's operations, in its order.
    pub lanes: Vec<Vec<u32>>,
    /// The lane of an operation, and where it is in it.
    pub at: Vec<(u32, u32)>,
    /// Where the value of each read comes from.
    pub sources: Vec<Source>,
    /// For each key and lane with writes of it, those writes in their order.
    pub writes: Vec<Vec<(u32, Vec<u32>)>>,
    /// Whether no value was written twice to a key, nor the first one again.
    pub is_unique: bool,
}

impl Web {
    /// Of operations that matter, in the order in which they began.
    pub(super) fn new(ops: &[Op]) -> Self {
        let mut lane_of: HashMap<u32, u32> = HashMap::new();
        let mut key_of: HashMap<u32, u32> = HashMap::new();
        let mut web = Self {
            ops: Vec::with_capacity(ops.len()),
            lanes: Vec::new(),
            at: Vec::with_capacity(ops.len()),
            sources: Vec::new(),
            writes: Vec::new(),
            is_unique: true,
        };
        let mut writers: HashMap<(u32, Id), Source> = HashMap::new();
        for (number, op) in (0_u32..).zip(ops) {
            let mut op = *op;
            let lane = *lane_of.entry(op.process).or_insert(web.lanes.len() as u32);
            if lane as usize == web.lanes.len() {
                web.lanes.push(Vec::new());
            }
            let key = *key_of.entry(op.key).or_insert(web.writes.len() as u32);
            if key as usize == web.writes.len() {
                web.writes.push(Vec::new());
            }
            op.key = key;
            let own = &mut web.lanes[lane as usize];
            web.at.push((lane, own.len() as u32));
            own.push(number);
            if op.f == F::Write {
                let of_key = &mut web.writes[key as usize];
                match of_key.iter_mut().find(|(it, _)| *it == lane) {
                    Some((_, list)) => list.push(number),
                    None => of_key.push((lane, vec![number])),
                }
                let value = op.asked[0];
                let source = match writers.get(&(key, value)) {
                    None if value != NIL => Source::Write(number),
                    _ => Source::Several,
                };
                web.is_unique &= source != Source::Several;
                writers.insert((key, value), source);
            }
            web.ops.push(op);
        }
        let source = |op: &Op| match op.found() {
            None => Source::None,
            Some(value) => match writers.get(&(op.key, value)) {
                Some(source) => *source,
                None if value == NIL => Source::Beginning,
                None => Source::Nobody,
            },
        };
        web.sources = web.ops.iter().map(source).collect();
        web
    }

    pub(super) fn width(&self) -> usize {
        self.lanes.len()
    }

    /// How far each operation can look back: of each lane, how many operations come before it or are
    /// it. `more` are further pairs (before, after). None when something comes before itself.
    pub(super) fn clocks(&self, more: &[(u32, u32)]) -> Option<Clocks> {
        let (n, width) = (self.ops.len(), self.width());
        let mut after: Vec<Vec<u32>> = vec![Vec::new(); n];
        let mut waits: Vec<u32> = vec![0; n];
        let mut edge = |from: u32, to: u32| {
            after[from as usize].push(to);
            waits[to as usize] += 1;
        };
        for lane in &self.lanes {
            lane.windows(2).for_each(|pair| edge(pair[0], pair[1]));
        }
        for (to, source) in (0_u32..).zip(&self.sources) {
            if let Source::Write(from) = *source {
                edge(from, to);
            }
        }
        more.iter().for_each(|&(from, to)| edge(from, to));
        let mut clocks = Clocks { all: vec![0; n * width], width };
        let mut free: Vec<u32> = (0..n as u32).filter(|&op| waits[op as usize] == 0).collect();
        let mut done = 0;
        while let Some(op) = free.pop() {
            done += 1;
            let (lane, index) = self.at[op as usize];
            clocks.all[op as usize * width + lane as usize] = index + 1;
            for &to in &after[op as usize] {
                clocks.join(to as usize, op as usize);
                waits[to as usize] -= 1;
                if waits[to as usize] == 0 {
                    free.push(to);
                }
            }
        }
        (done == n).then_some(clocks)
    }

    /// Whether one comes before another, or is it.
    pub(super) fn is_before(&self, clocks: &Clocks, first: u32, second: u32) -> bool {
        let (lane, index) = self.at[first as usize];
        clocks.of(second)[lane as usize] > index
    }
}

/// A clock for each operation.
#[derive(Debug)]
pub(super) struct Clocks {
    all: Vec<u32>,
    width: usize,
}

impl Clocks {
    pub(super) fn of(&self, op: u32) -> &[u32] {
        &self.all[op as usize * self.width..][..self.width]
    }

    fn join(&mut self, into: usize, from: usize) {
        for lane in 0..self.width {
            let seen = self.all[from * self.width + lane];
            let own = &mut self.all[into * self.width + lane];
            *own = seen.max(*own);
        }
    }
}
