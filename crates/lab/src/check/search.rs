//! The search for an order, with limits that hold.
//!
//! Wing and Gong's search as Lowe improved it, by `porcupine-rs`: it tries operations in every order
//! that their times allow, and remembers where it has been. The problem is NP-complete (Gibbons and
//! Korach, 1997), so the search may need more time or memory than there is. The library's own time
//! limit comes with a thread per partition, and returns only when all it remembers has been freed,
//! which can take longer than was searched. So it is used without: the object under its search
//! refuses every operation once it is told to stop, or once too much is remembered, and the search
//! unwinds by itself.
//!
//! # What did not answer
//!
//! An operation that nobody knows the end of may take effect at any later time or never. Its time has
//! no end, and after everything that was answered comes one operation of our own, `end`: before it
//! such an operation takes effect as others do, after it it has none. So "never" is tried once, not at
//! every place.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use porcupine_rs::Operation;

use super::Model;
use super::objects::{Call, Fenced, Mutex, Object, Queue, Register};
use super::operation::{Op, Values};
use crate::Verdict;

/// What all searches of one check have together.
#[derive(Debug)]
pub(super) struct Shared {
    stop: AtomicBool,
    bytes: AtomicUsize,
    bytes_max: usize,
    is_full: AtomicBool,
}

impl Shared {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            stop: AtomicBool::new(false),
            bytes: AtomicUsize::new(0),
            bytes_max,
            is_full: AtomicBool::new(false),
        }
    }

    /// Every search ends soon.
    pub(super) fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Whether any search ended because it would have remembered too much.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Relaxed)
    }

    /// Takes memory; none left is false.
    pub(super) fn take(&self, bytes: usize) -> bool {
        let is_enough = self.bytes.fetch_add(bytes, Relaxed) + bytes <= self.bytes_max;
        if !is_enough {
            self.is_full.store(true, Relaxed);
        }
        is_enough
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Relaxed);
    }
}

/// How much memory is taken at once.
const GRAIN: u64 = 1 << 20;

/// The limits of one search.
#[derive(Debug)]
struct Control {
    shared: Arc<Shared>,
    /// What remembering one step costs beside its state: a set of operations, and its place in a
    /// map.
    step_bytes: u64,
    /// Bytes that may be remembered, counted since the beginning, and how many were taken.
    used: AtomicU64,
    taken: AtomicU64,
    /// Whether anything was refused that the object would have allowed.
    is_cut: AtomicBool,
}

impl Control {
    fn new(shared: &Arc<Shared>, operations: usize) -> Self {
        Self {
            shared: Arc::clone(shared),
            step_bytes: 250 + operations as u64 / 8,
            used: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            is_cut: AtomicBool::new(false),
        }
    }

    fn may_go_on(&self) -> bool {
        if self.is_cut.load(Relaxed) {
            return false;
        }
        if self.shared.is_stopped() {
            self.is_cut.store(true, Relaxed);
            return false;
        }
        true
    }

    /// A step that the library may remember. One thread searches, so there are no races here.
    fn remember(&self, state_bytes: usize) -> bool {
        let used = self.used.load(Relaxed) + self.step_bytes + state_bytes as u64;
        self.used.store(used, Relaxed);
        let taken = self.taken.load(Relaxed);
        if used <= taken {
            return true;
        }
        self.taken.store(taken + GRAIN, Relaxed);
        let is_enough = self.shared.take(GRAIN as usize);
        if !is_enough {
            self.is_cut.store(true, Relaxed);
        }
        is_enough
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.shared.give_back(self.taken.load(Relaxed) as usize);
    }
}

/// An object under limits.
#[derive(Clone, Debug)]
struct Limited<O>(PhantomData<O>);

#[derive(Clone, Copy, Debug)]
enum Step {
    /// It was answered.
    Sure(Call),
    /// Nobody knows.
    Open(Call),
    /// All that was answered has been.
    End,
}

impl<O: Object> porcupine_rs::Model for Limited<O> {
    /// None after the end.
    type State = Option<O::State>;
    type Op = (Step, Arc<Control>);
    type Metadata = ();

    fn init() -> Self::State {
        Some(O::State::default())
    }

    fn step(state: &Self::State, (step, control): &Self::Op) -> (bool, Self::State) {
        if !control.may_go_on() {
            return (false, None);
        }
        let next = match (state, *step) {
            (Some(state), Step::Sure(call) | Step::Open(call)) => O::step(state, call).map(Some),
            (Some(_), Step::End) | (None, Step::Open(_)) => Some(None),
            (None, Step::Sure(_) | Step::End) => None,
        };
        match next {
            Some(next) if control.remember(next.as_ref().map_or(0, O::weight)) => (true, next),
            _ => (false, None),
        }
    }
}

/// Whether there is an order of these operations, all of one key, that the object allows.
pub(super) fn search(model: Model, ops: &[Op], values: &Values, shared: &Arc<Shared>) -> Verdict {
    match model {
        Model::Mutex => run::<Mutex>(model, ops, values, shared),
        Model::FencedLock => run::<Fenced>(model, ops, values, shared),
        Model::Queue => run::<Queue>(model, ops, values, shared),
        _ => run::<Register>(model, ops, values, shared),
    }
}

fn run<O: Object>(model: Model, ops: &[Op], values: &Values, shared: &Arc<Shared>) -> Verdict {
    const END: i64 = i64::MAX - 2;
    let control = Arc::new(Control::new(shared, ops.len()));
    let operation = |step, call_time, return_time| Operation::<Limited<O>> {
        client_id: None,
        call_time,
        return_time,
        op: (step, Arc::clone(&control)),
        metadata: None,
    };
    let mut operations: Vec<_> = ops
        .iter()
        .map(|op| {
            let call = Call::of(op, model, values);
            if op.is_ok() {
                operation(Step::Sure(call), i64::from(op.invoked), i64::from(op.completed))
            } else {
                operation(Step::Open(call), i64::from(op.invoked), i64::MAX)
            }
        })
        .collect();
    if ops.iter().any(|op| !op.is_ok()) {
        operations.push(operation(Step::End, END, END + 1));
    }
    // One partition and no limit of its own: the library searches in this thread.
    match porcupine_rs::check_operations(&operations) {
        true => Verdict::Holds,
        false if control.is_cut.load(Relaxed) => Verdict::Unknown,
        false => Verdict::Violated,
    }
}
