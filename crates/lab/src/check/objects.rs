//! The objects that are checked for linearizability: what each does, one operation after another.

use std::fmt::Debug;
use std::hash::Hash;

use super::Model;
use super::operation::{F, Id, NIL, Op, Values};

/// One operation with its answer, as far as the object cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Read(Id),
    Write(Id),
    Cas(Id, Id),
    /// By which process.
    Acquire(u32),
    Release(u32),
    /// A token that was given out.
    Grant(u64),
    /// A write under a token.
    Guarded(u64, Id),
    Enqueue(Id),
    /// What was taken out; [`NIL`] when there was nothing.
    Dequeue(Id),
    /// Took out whatever there was: nobody knows.
    Take,
}

impl Call {
    pub(super) fn of(op: &Op, model: Model, values: &Values) -> Self {
        match op.f {
            F::Write if model == Model::FencedLock => {
                Self::Guarded(values.token(op.asked[1]), op.asked[0])
            }
            F::Write => Self::Write(op.asked[0]),
            F::Cas => Self::Cas(op.asked[0], op.asked[1]),
            F::Acquire if model == Model::FencedLock => Self::Grant(values.token(op.answered[0])),
            F::Acquire => Self::Acquire(op.process),
            F::Release => Self::Release(op.process),
            F::Enqueue => Self::Enqueue(op.asked[0]),
            F::Dequeue if op.is_ok() => Self::Dequeue(op.answered[0]),
            F::Dequeue => Self::Take,
            F::Read | F::Deliver | F::Transfer | F::Update => Self::Read(op.answered[0]),
        }
    }
}

/// A sequential object.
pub(super) trait Object: Clone + Send + Sync + 'static {
    /// What it holds; the default is what it holds at first.
    type State: Clone + Debug + Default + Eq + Hash + Send + Sync;

    /// What it holds after an operation; none when it cannot answer so.
    fn step(state: &Self::State, call: Call) -> Option<Self::State>;

    /// What a state keeps on the heap, in bytes.
    fn weight(_: &Self::State) -> usize {
        0
    }
}

/// A register that holds `null` at first.
#[derive(Clone, Debug)]
pub(super) struct Register;

impl Object for Register {
    type State = Id;

    fn step(&held: &Id, call: Call) -> Option<Id> {
        match call {
            Call::Read(value) => (value == held).then_some(held),
            Call::Write(value) => Some(value),
            Call::Cas(from, to) => (from == held).then_some(to),
            _ => None,
        }
    }
}

/// A lock that only its holder can release.
#[derive(Clone, Debug)]
pub(super) struct Mutex;

impl Object for Mutex {
    type State = Option<u32>;

    fn step(holder: &Option<u32>, call: Call) -> Option<Option<u32>> {
        match call {
            Call::Acquire(process) => holder.is_none().then_some(Some(process)),
            Call::Release(process) => (*holder == Some(process)).then_some(None),
            _ => None,
        }
    }
}

/// A lock that gives out tokens, and the resource that it guards.
#[derive(Clone, Debug)]
pub(super) struct Fenced;

/// The last token that was given out, the highest that the resource has seen, and what it holds. A
/// token may be 0, so none is less than any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Fence {
    given: Option<u64>,
    seen: Option<u64>,
    value: Id,
}

impl Object for Fenced {
    type State = Fence;

    fn step(state: &Fence, call: Call) -> Option<Fence> {
        match call {
            Call::Grant(token) => {
                let is_higher = state.given < Some(token);
                is_higher.then(|| Fence { given: Some(token), ..state.clone() })
            }
            Call::Guarded(token, value) => {
                let is_allowed = state.seen <= Some(token);
                is_allowed.then_some(Fence { given: state.given, seen: Some(token), value })
            }
            Call::Read(value) => (value == state.value).then(|| state.clone()),
            _ => None,
        }
    }
}

/// First in, first out.
#[derive(Clone, Debug)]
pub(super) struct Queue;

impl Object for Queue {
    type State = Vec<Id>;

    fn step(held: &Vec<Id>, call: Call) -> Option<Vec<Id>> {
        match call {
            Call::Enqueue(value) => {
                let mut held = held.clone();
                held.push(value);
                Some(held)
            }
            Call::Dequeue(NIL) => held.is_empty().then(Vec::new),
            Call::Dequeue(value) => {
                let is_first = held.first() == Some(&value);
                is_first.then(|| held.get(1..).unwrap_or_default().to_vec())
            }
            Call::Take => held.get(1..).map(<[Id]>::to_vec),
            _ => None,
        }
    }

    fn weight(held: &Vec<Id>) -> usize {
        held.capacity() * size_of::<Id>()
    }
}
