//! The protocol of our own engines: a deterministic state machine.
//!
//! Whoever decides who holds a lock must decide the same again when it is started anew, in a test,
//! in a simulation, and in five years from a log. So the [`Machine`] has no clock, no randomness
//! and no I/O. It is told what happens, as a [`Command`] with the [`MachineTime`] at which it
//! happens, both taken from a log, and what it is afterwards follows from those alone. A copy of
//! lease state that asks its own clock while it applies a log is not a copy.
//!
//! # How a shell uses it
//!
//! - **Commands** get a time and are appended to the log in the order of their times, and
//!   [applied](Machine::apply) in the order of the log. An answer is given when the command is
//!   durable. A renewal that is met is an exception: it may be answered as soon as it is applied,
//!   because if the log should lose it, the [`Command::Restart`] that follows gives the session as
//!   much.
//! - **Questions** are not logged. They see the machine as of their own time: when a session is
//!   due, [`Machine::query`] answers [`Due`], and the shell first logs and applies
//!   [`Command::Expire`]. A question is answered when all that was applied before it is durable. If
//!   not, it could tell a client that it is its turn because a session has ended, and a crash would
//!   bring that session back.
//! - **Time**: the shell counts on from [`Machine::now`] when it starts, so machine time stands
//!   still while no server runs, and logs [`Command::Restart`] before anything else.
//! - **Expiry** is not a thing that the machine does by itself either: when nothing else comes, the
//!   shell logs [`Command::Expire`] at [`Machine::next_deadline`], so that those who wait are woken.
//! - **Waiting** is the shell's, too: commands report each [`Change`], which names the entry that is
//!   gone and the queue that is another one now.
//!
//! # Numbers
//!
//! One counter numbers sessions, entries (that is the token), and versions of queues and registers.
//! So tokens rise over the whole engine, and no queue has a version again that it had, even if it
//! was empty in between. An empty queue is forgotten and has version 0.
//!
//! # Limits
//!
//! [`limits`](crate::limits) bounds sessions, entries, registers and values; what is beyond is
//! refused. A [`State`] is a copy, so a snapshot of a full machine needs twice its memory for a
//! moment. The counter ends after 2⁶⁴ changes, which is beyond 50,000 years at ten million a second.

mod command;
#[cfg(test)]
mod model;
mod queue;
mod sessions;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::time::Duration;

use steadfast_fencing::FencingToken;

pub use command::{Answer, Bounded, Change, Command, Due, MachineTime, Output, Query, Refusal};
pub use state::{Corrupt, State};

use self::queue::{Queue, Standing};
use self::sessions::Sessions;
use crate::limits::{
    ENTRIES_MAX, LENGTH_MAX, LENGTH_MIN, LIST_MAX, QUEUE_ENTRIES_MAX, VALUE_BYTES_MAX,
};
use crate::port::{Entry, EntryId, Listing, Mode, Name, Register, SessionId};

/// Sessions, queues and registers. See the module for how it is used.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    now: MachineTime,
    /// The last number that was given.
    counter: u64,
    sessions: Sessions,
    queues: BTreeMap<Name, Queue>,
    /// Entries in all queues.
    entries: usize,
    registers: BTreeMap<Name, Register>,
}

impl Machine {
    /// An empty machine at time zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty machine whose numbers, tokens among them, are all above one.
    #[must_use]
    pub fn starting_after(number: u64) -> Self {
        Self { counter: number, ..Self::default() }
    }

    /// The time of the last command.
    #[must_use]
    pub const fn now(&self) -> MachineTime {
        self.now
    }

    /// When the next session ends if nothing else happens.
    #[must_use]
    pub fn next_deadline(&self) -> Option<MachineTime> {
        self.sessions.next_deadline()
    }

    /// Whether a session ends at or before a time, so that [`Command::Expire`] has work to do.
    #[must_use]
    pub fn is_due(&self, at: MachineTime) -> bool {
        self.next_deadline().is_some_and(|deadline| deadline <= at)
    }

    /// The version of a queue, as its listing would have it.
    #[must_use]
    pub fn version(&self, queue: &Name) -> u64 {
        self.queues.get(queue).map_or(0, |queue| queue.version)
    }

    /// Whether an entry is in its queue.
    #[must_use]
    pub fn holds(&self, queue: &Name, token: FencingToken) -> bool {
        self.queues.get(queue).is_some_and(|queue| queue.place(token).is_some())
    }

    /// Applies a command at a time; one before that of the last command counts as that. Sessions
    /// that are due end first. Changes are added to `changes`, also when the command is refused.
    ///
    /// # Errors
    /// [`Refusal`]: apart from what was due, nothing has changed.
    pub fn apply(
        &mut self,
        at: MachineTime,
        command: Command,
        changes: &mut Vec<Change>,
    ) -> Answer {
        self.now = self.now.max(at);
        // A restart comes before all that happened since: nobody could renew.
        if command == Command::Restart {
            self.sessions.renew_all(self.now);
        }
        while let Some((id, session)) = self.sessions.pop_due(self.now) {
            self.end(id, session, changes);
        }
        match command {
            Command::Restart | Command::Expire => Ok(Output::Done),
            Command::Open { length } => self.open(length),
            Command::Renew { session } => {
                let renewed = self.sessions.renew(session, self.now);
                if renewed { Ok(Output::Done) } else { Err(Refusal::SessionOver(session)) }
            }
            Command::Close { session: id } => {
                if let Some(session) = self.sessions.remove(id) {
                    self.end(id, session, changes);
                }
                Ok(Output::Done)
            }
            Command::Enter { queue, session, id, mode, value, wait } => {
                let entry = Arrival { session, id, mode, value, wait };
                self.enter(queue, entry, changes)
            }
            Command::Leave { queue, token } => {
                self.leave(queue, token, changes);
                Ok(Output::Done)
            }
            Command::Set { queue, token, value } => self.set(queue, token, value, changes),
            Command::Store { register, expected, value } => self.store(register, expected, value),
        }
    }

    /// Answers a question as of a time.
    ///
    /// # Errors
    /// [`Due`] when [`Command::Expire`] has to be applied at that time first.
    pub fn query(&self, at: MachineTime, query: &Query) -> Result<Answer, Due> {
        if self.is_due(at) {
            return Err(Due);
        }
        Ok(match query {
            Query::Place { queue, token } => {
                let place = self.queues.get(queue).and_then(|queue| queue.place(*token));
                let over = || Refusal::Over { queue: queue.clone(), token: *token };
                place.map(Output::Place).ok_or_else(over)
            }
            Query::List { queue } => {
                let listing = self.queues.get(queue).map_or_else(Listing::default, Queue::list);
                Ok(Output::Listing(listing))
            }
            Query::Queues { after } => Ok(Output::Queues(self.names_after(after.as_ref()))),
            Query::Load { register } => Ok(Output::Register(self.registers.get(register).cloned())),
        })
    }

    fn names_after(&self, after: Option<&Name>) -> Vec<Name> {
        use std::ops::Bound::{Excluded, Unbounded};
        let start = after.map_or(Unbounded, Excluded);
        let names = self.queues.range::<Name, _>((start, Unbounded));
        names.take(LIST_MAX).map(|(name, _)| name.clone()).collect()
    }

    const fn next_number(&mut self) -> u64 {
        self.counter = self.counter.saturating_add(1);
        self.counter
    }

    fn open(&mut self, length: Duration) -> Answer {
        if !(LENGTH_MIN..=LENGTH_MAX).contains(&length) {
            return Err(Refusal::Length(length));
        }
        if self.sessions.len() >= ENTRIES_MAX {
            return Err(Refusal::Full(Bounded::Sessions));
        }
        let id = SessionId(self.next_number());
        self.sessions.insert(id, length, self.now + length);
        Ok(Output::Opened(id))
    }

    fn enter(&mut self, name: Name, arrival: Arrival, changes: &mut Vec<Change>) -> Answer {
        let Arrival { session, id, mode, value, wait } = arrival;
        fits(&value)?;
        let owner = self.sessions.get_mut(session).ok_or(Refusal::SessionOver(session))?;
        let owned = match owner.entries.entry((id, name.clone())) {
            Slot::Vacant(vacant) => vacant,
            Slot::Occupied(entry) => {
                let token = *entry.get();
                let place = self.queues.get(&name).and_then(|queue| queue.place(token));
                // It is there: an entry goes from its queue and its session at once.
                return place.map(Output::Place).ok_or(Refusal::Over { queue: name, token });
            }
        };
        let slot = self.queues.entry(name);
        let (len, blocker) = match &slot {
            Slot::Vacant(_) => (0, None),
            Slot::Occupied(queue) => (queue.get().len(), queue.get().blocker(mode)),
        };
        if let Some(holder) = blocker.filter(|_| !wait) {
            return Err(Refusal::Busy { queue: slot.key().clone(), holder });
        }
        if len >= QUEUE_ENTRIES_MAX {
            return Err(Refusal::Full(Bounded::EntriesOfQueue));
        }
        if self.entries >= ENTRIES_MAX {
            return Err(Refusal::Full(Bounded::Entries));
        }
        self.counter = self.counter.saturating_add(1);
        let token = FencingToken::new(self.counter).unwrap_or(FencingToken::FIRST);
        changes.push(Change { queue: slot.key().clone(), gone: None });
        let queue = slot.or_default();
        queue.version = self.counter;
        let place = queue.push(Standing { id, entry: Entry { token, session, mode, value } });
        owned.insert(token);
        self.entries += 1;
        Ok(Output::Place(place))
    }

    fn leave(&mut self, name: Name, token: FencingToken, changes: &mut Vec<Change>) {
        let Slot::Occupied(mut slot) = self.queues.entry(name) else { return };
        let Some(Standing { id, entry }) = slot.get_mut().remove(token) else { return };
        self.counter = self.counter.saturating_add(1);
        self.entries -= 1;
        let name = if slot.get().is_empty() {
            slot.remove_entry().0
        } else {
            slot.get_mut().version = self.counter;
            slot.key().clone()
        };
        changes.push(Change { queue: name.clone(), gone: Some(token) });
        if let Some(owner) = self.sessions.get_mut(entry.session) {
            owner.entries.remove(&(id, name));
        }
    }

    fn set(
        &mut self,
        name: Name,
        token: FencingToken,
        value: Vec<u8>,
        changes: &mut Vec<Change>,
    ) -> Answer {
        fits(&value)?;
        let number = self.counter.saturating_add(1);
        let Some(queue) = self.queues.get_mut(&name) else {
            return Err(Refusal::Over { queue: name, token });
        };
        let Some(old) = queue.value_mut(token) else {
            return Err(Refusal::Over { queue: name, token });
        };
        *old = value;
        queue.version = number;
        self.counter = number;
        changes.push(Change { queue: name, gone: None });
        Ok(Output::Done)
    }

    fn store(&mut self, name: Name, expected: Option<u64>, value: Vec<u8>) -> Answer {
        fits(&value)?;
        let full = self.registers.len() >= ENTRIES_MAX;
        let number = self.counter.saturating_add(1);
        let slot = self.registers.entry(name);
        let version = match &slot {
            Slot::Vacant(_) => None,
            Slot::Occupied(register) => Some(register.get().version),
        };
        if version != expected {
            return Err(Refusal::Conflict { register: slot.key().clone(), version });
        }
        if version.is_none() && full {
            return Err(Refusal::Full(Bounded::Registers));
        }
        let stored = Register { value, version: number };
        match slot {
            Slot::Vacant(slot) => {
                slot.insert(stored);
            }
            Slot::Occupied(mut slot) => {
                slot.insert(stored);
            }
        }
        self.counter = number;
        Ok(Output::Version(number))
    }

    /// Takes a session's entries out of their queues.
    fn end(&mut self, id: SessionId, session: sessions::Session, changes: &mut Vec<Change>) {
        let entries = session.entries.into_iter().map(|((_, name), token)| (name, token));
        let mut entries: Vec<(Name, FencingToken)> = entries.collect();
        entries.sort_unstable();
        for of_queue in entries.chunk_by(|left, right| left.0 == right.0) {
            let Some((name, _)) = of_queue.first() else { continue };
            let number = self.next_number();
            let Slot::Occupied(mut slot) = self.queues.entry(name.clone()) else { continue };
            if let [(_, token)] = of_queue {
                slot.get_mut().remove(*token);
            } else {
                slot.get_mut().remove_session(id);
            }
            slot.get_mut().version = number;
            if slot.get().is_empty() {
                slot.remove();
            }
            self.entries -= of_queue.len();
            let gone = |(queue, token): &(Name, FencingToken)| Change {
                queue: queue.clone(),
                gone: Some(*token),
            };
            changes.extend(of_queue.iter().map(gone));
        }
    }
}

/// What comes to a queue.
struct Arrival {
    session: SessionId,
    id: EntryId,
    mode: Mode,
    value: Vec<u8>,
    wait: bool,
}

const fn fits(value: &[u8]) -> Result<(), Refusal> {
    if value.len() > VALUE_BYTES_MAX { Err(Refusal::TooLarge(value.len())) } else { Ok(()) }
}
