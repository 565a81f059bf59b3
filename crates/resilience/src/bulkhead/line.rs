//! Who waits for a place, and who is next.

use std::collections::BTreeMap;
use std::time::Duration;

use steadfast_time::Monotonic;

use super::places::{Discipline, Waiting};
use super::{Options, Reason, Refused, Ticket};
use crate::deadline::Deadline;

/// A bounded queue, first come, first served, in which nobody waits for longer than it makes
/// sense.
#[derive(Debug)]
pub(super) struct Line {
    options: Options,
    waiters: BTreeMap<Ticket, Waiter>,
    next: Ticket,
    closed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Waiter {
    since: Monotonic,
    until: Monotonic,
    /// Why it would go at `until`.
    reason: Reason,
}

impl Line {
    pub(super) const fn new(options: Options) -> Self {
        Self { options, waiters: BTreeMap::new(), next: Ticket::FIRST, closed: false }
    }

    pub(super) const fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.waiters.len()).unwrap_or(u32::MAX)
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// When the next waiter gives up.
    pub(super) fn next_expiry(&self) -> Option<Monotonic> {
        self.waiters.values().map(|waiter| waiter.until).min()
    }

    /// All who have waited for too long go.
    pub(super) fn expire(&mut self, now: Monotonic, gone: &mut dyn FnMut(Ticket, Refused)) {
        let over = |(ticket, waiter): (&Ticket, &Waiter)| (waiter.until <= now).then_some(*ticket);
        let tickets: Vec<Ticket> = self.waiters.iter().filter_map(over).collect();
        for ticket in tickets {
            if let Some(refused) = self.give_up(ticket, now) {
                gone(ticket, refused);
            }
        }
    }

    /// Everybody goes, and nobody comes any more.
    pub(super) fn close(&mut self, now: Monotonic, gone: &mut dyn FnMut(Ticket, Refused)) {
        self.closed = true;
        while let Some((ticket, waiter)) = self.waiters.pop_first() {
            gone(ticket, self.refused(Reason::Closed, waiter.since, now));
        }
    }

    /// A refusal by a bulkhead whose places are all taken: the only time when somebody waits.
    fn refused(&self, reason: Reason, since: Monotonic, now: Monotonic) -> Refused {
        let in_use = self.options.limit;
        Refused::new(reason, &self.options, in_use, self.len(), now - since)
    }
}

impl Discipline for Line {
    type Wish = Option<Deadline>;
    type Refused = Refused;

    fn deadline(wish: &Option<Deadline>) -> Option<Deadline> {
        *wish
    }

    fn join(
        &mut self,
        now: Monotonic,
        at_work: u32,
        deadline: &Option<Deadline>,
        _: &mut dyn FnMut(Ticket, Refused),
    ) -> Result<Waiting, Refused> {
        let reason = if self.closed {
            Some(Reason::Closed)
        } else if deadline.is_some_and(|deadline| deadline.has_passed(now)) {
            Some(Reason::Deadline)
        } else {
            (self.len() >= self.options.queue).then_some(Reason::QueueFull)
        };
        if let Some(reason) = reason {
            let waiting = self.len();
            return Err(Refused::new(reason, &self.options, at_work, waiting, Duration::ZERO));
        }
        let patience = now + self.options.wait;
        let (until, reason) = match deadline.map(Deadline::moment) {
            Some(deadline) if deadline <= patience => (deadline, Reason::Deadline),
            _ => (patience, Reason::WaitedTooLong),
        };
        let ticket = self.next.take();
        self.waiters.insert(ticket, Waiter { since: now, until, reason });
        Ok(Waiting { ticket, until })
    }

    fn next(&mut self, now: Monotonic, gone: &mut dyn FnMut(Ticket, Refused)) -> Option<Ticket> {
        while let Some((ticket, waiter)) = self.waiters.pop_first() {
            if now < waiter.until {
                return Some(ticket);
            }
            gone(ticket, self.refused(waiter.reason, waiter.since, now));
        }
        None
    }

    fn leave(&mut self, ticket: Ticket, _: Monotonic) -> bool {
        self.waiters.remove(&ticket).is_some()
    }

    fn give_up(&mut self, ticket: Ticket, now: Monotonic) -> Option<Refused> {
        let waiter = self.waiters.remove(&ticket)?;
        Some(self.refused(waiter.reason, waiter.since, now))
    }

    fn late(&self, _: &Option<Deadline>, waited: Duration, at_work: u32) -> Refused {
        Refused::new(Reason::Deadline, &self.options, at_work, self.len(), waited)
    }
}
