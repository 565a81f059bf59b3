//! The bulkhead as a state machine.

use std::time::Duration;

use steadfast_time::Monotonic;

use super::line::Line;
use super::places::Discipline;
use super::{Options, Refused, Ticket};
use crate::Invalid;
use crate::deadline::Deadline;

/// What becomes of somebody who wants a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It has one.
    Acquired,
    /// It waits; [`Machine::release`] names its ticket when a place is free.
    Queued(Ticket),
    /// It gets none.
    Refused(Refused),
}

/// The rule of a bulkhead, without clocks, threads or tasks: so many places, a bounded queue,
/// first come, first served, and nobody waits past its deadline. [`super::Bulkhead`] is this rule
/// for many threads; the tests hold the two against each other.
#[derive(Debug)]
pub struct Machine {
    line: Line,
    in_use: u32,
}

impl Machine {
    /// With all places free.
    ///
    /// # Errors
    /// The settings make no sense.
    pub fn new(options: &Options) -> Result<Self, Invalid> {
        options.check()?;
        Ok(Self { line: Line::new(*options), in_use: 0 })
    }

    /// Somebody wants a place, needed before `deadline`. It is refused at once when the deadline
    /// has passed or the queue is full. How long calls will take is not guessed.
    pub fn acquire(&mut self, now: Monotonic, deadline: Option<Deadline>) -> Admission {
        if deadline.is_some_and(|deadline| deadline.has_passed(now)) {
            return Admission::Refused(self.line.late(&deadline, Duration::ZERO, self.in_use));
        }
        let free = self.in_use < self.line.options().limit && !self.line.is_closed();
        if free && self.line.len() == 0 {
            self.in_use += 1;
            return Admission::Acquired;
        }
        match self.line.join(now, self.in_use, &deadline, &mut |_, _| {}) {
            Ok(waiting) => Admission::Queued(waiting.ticket),
            Err(refused) => Admission::Refused(refused),
        }
    }

    /// A place is given back. It goes to whoever has waited longest and still has time; those
    /// before it whose time is over are named to `gone`.
    ///
    /// # Panics
    /// Nobody has a place: the caller gave one back twice.
    pub fn release(
        &mut self,
        now: Monotonic,
        mut gone: impl FnMut(Ticket, Refused),
    ) -> Option<Ticket> {
        assert!(self.in_use > 0, "a place was given back that nobody had");
        let next = self.line.next(now, &mut gone);
        if next.is_none() {
            self.in_use -= 1;
        }
        next
    }

    /// A waiter went away. Says whether it still waited: if not, it has been given a place (or was
    /// named as gone), and whoever had one must give it back.
    pub fn cancel(&mut self, ticket: Ticket) -> bool {
        self.line.leave(ticket, Monotonic::default())
    }

    /// Names everybody to `gone` whose time is over, in the order in which they came.
    pub fn expire(&mut self, now: Monotonic, mut gone: impl FnMut(Ticket, Refused)) {
        self.line.expire(now, &mut gone);
    }

    /// When to call [`Machine::expire`] next; `None` when nobody waits.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Monotonic> {
        self.line.next_expiry()
    }

    /// From now on nobody gets a place. Everybody who waits is named to `gone`; who has a place
    /// keeps it.
    pub fn close(&mut self, now: Monotonic, mut gone: impl FnMut(Ticket, Refused)) {
        self.line.close(now, &mut gone);
    }

    /// Calls at work.
    #[must_use]
    pub const fn in_use(&self) -> u32 {
        self.in_use
    }

    /// Calls that wait.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.line.len()
    }
}
