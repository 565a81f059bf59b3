//! The whole machine as a value, for snapshots.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::queue::Standing;
use super::sessions::Sessions;
use super::{Machine, MachineTime, Queue};
use crate::port::{Name, Register, SessionId};

/// A snapshot: all that the machine's further answers depend on, in an order that does not vary,
/// so that equal machines have equal snapshots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    now: MachineTime,
    counter: u64,
    sessions: Vec<(SessionId, Duration, MachineTime)>,
    queues: Vec<(Name, u64, Vec<Standing>)>,
    registers: Vec<(Name, Register)>,
}

/// A [`State`] that no machine can have been in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not the state of a machine: {0}")]
pub struct Corrupt(&'static str);

impl Machine {
    /// A copy of everything. A [restored](Machine::restore) machine behaves like this one for ever.
    #[must_use]
    pub fn snapshot(&self) -> State {
        let sessions = self.sessions.iter();
        let queues = self.queues.iter();
        let registers = self.registers.iter();
        State {
            now: self.now,
            counter: self.counter,
            sessions: sessions.map(|(id, it)| (*id, it.length, it.deadline)).collect(),
            queues: queues
                .map(|(name, queue)| (name.clone(), queue.version, queue.iter().cloned().collect()))
                .collect(),
            registers: registers.map(|(name, it)| (name.clone(), it.clone())).collect(),
        }
    }

    /// The machine that a snapshot was taken of.
    ///
    /// # Errors
    /// [`Corrupt`] when it is not a machine's: what reads it should have checked that it is whole.
    pub fn restore(state: State) -> Result<Self, Corrupt> {
        let State { now, counter, sessions, queues, registers } = state;
        let check = |holds: bool, what: &'static str| holds.then_some(()).ok_or(Corrupt(what));
        let mut restored = Sessions::default();
        for (id, length, deadline) in sessions {
            check(id.0 <= counter, "a session's number was never given")?;
            check(restored.get_mut(id).is_none(), "a session is there twice")?;
            check(deadline >= now, "a session is over")?;
            restored.insert(id, length, deadline);
        }
        let mut machine = Self { now, counter, sessions: restored, ..Self::default() };
        for (name, version, standing) in queues {
            check(!standing.is_empty(), "a queue is empty")?;
            check(version <= counter, "a queue's version was never given")?;
            let mut queue = Queue::default();
            queue.version = version;
            let mut last = None;
            for one in standing {
                let (token, session) = (one.entry.token, one.entry.session);
                check(last < Some(token), "entries are not in order")?;
                check(token.get() <= counter, "a token was never given")?;
                last = Some(token);
                let owner = machine.sessions.get_mut(session);
                let owner = owner.ok_or(Corrupt("an entry is without its session"))?;
                let before = owner.entries.insert((one.id, name.clone()), token);
                check(before.is_none(), "an entry is there twice")?;
                queue.push(one);
                machine.entries += 1;
            }
            check(machine.queues.insert(name, queue).is_none(), "a queue is there twice")?;
        }
        for (name, register) in registers {
            check(register.version <= counter, "a register's version was never given")?;
            let before = machine.registers.insert(name, register);
            check(before.is_none(), "a register is there twice")?;
        }
        Ok(machine)
    }
}
