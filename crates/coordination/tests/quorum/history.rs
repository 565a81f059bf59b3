//! What clients did and heard, and whether one register could have answered so.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use porcupine_rs::{CheckResult, Model, Operation, check_operations_timeout};
use steadfast_time::Clock;

#[derive(Clone, Copy, Debug)]
pub enum Op {
    Read(u64),
    Write(u64),
}

/// A register that holds zero at first.
#[derive(Clone, Debug)]
pub struct RegisterModel;

impl Model for RegisterModel {
    type State = u64;
    type Op = Op;
    type Metadata = ();

    fn init() -> u64 {
        0
    }

    fn step(&held: &u64, op: &Op) -> (bool, u64) {
        match *op {
            Op::Read(value) => (value == held, held),
            Op::Write(value) => (true, value),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Holds,
    Violated,
}

#[derive(Default)]
struct Recorded {
    operations: Vec<Operation<RegisterModel>>,
    /// Orders what happens at the same simulated moment.
    calls: i64,
}

/// Clones are the same history.
#[derive(Clone)]
pub struct History {
    clock: Clock,
    recorded: Arc<Mutex<Recorded>>,
}

impl History {
    pub fn new(clock: Clock) -> Self {
        Self { clock, recorded: Arc::default() }
    }

    fn moment(&self, recorded: &mut Recorded) -> i64 {
        recorded.calls += 1;
        let micros = self.clock.monotonic().as_nanos() / 1_000;
        i64::try_from(micros).unwrap() * 1_000 + recorded.calls % 1_000
    }

    pub fn call(&self) -> i64 {
        self.moment(&mut self.recorded.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, client: u64, call_time: i64, op: Op, is_answered: bool) {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let answered = self.moment(&mut recorded);
        // An operation without an answer may take effect at any later moment.
        let return_time = if is_answered { answered } else { i64::MAX };
        let client_id = is_answered.then(|| u32::try_from(client).unwrap());
        let operation = Operation { client_id, call_time, return_time, op, metadata: None };
        recorded.operations.push(operation);
    }

    pub fn wrote(&self, client: u64, call: i64, value: u64) {
        self.push(client, call, Op::Write(value), true);
    }

    pub fn may_have_written(&self, client: u64, call: i64, value: u64) {
        self.push(client, call, Op::Write(value), false);
    }

    pub fn read(&self, client: u64, call: i64, value: u64) {
        self.push(client, call, Op::Read(value), true);
    }

    pub fn len(&self) -> usize {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).operations.len()
    }

    pub fn check(&self) -> Verdict {
        let recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        match check_operations_timeout(&recorded.operations, Duration::from_secs(20)) {
            CheckResult::Ok => Verdict::Holds,
            CheckResult::Illegal => Verdict::Violated,
            CheckResult::Unknown => panic!("no verdict within 20 s"),
        }
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let mut operations: Vec<_> = recorded.operations.iter().collect();
        operations.sort_by_key(|operation| operation.call_time);
        f.debug_list().entries(operations).finish()
    }
}
