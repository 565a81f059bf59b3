//! What waits, what is next, and what is thrown away.

use std::collections::BTreeMap;
use std::time::Duration;

use steadfast_time::Monotonic;

use super::overload::Overload;
use super::{Options, Priority, Reason, Refused};
use crate::Invalid;
use crate::bulkhead::Ticket;
use crate::deadline::Deadline;
use crate::limits::RETRY_AFTER_MIN;

/// Work that was thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thrown<T> {
    /// Its number.
    pub ticket: Ticket,
    /// The work.
    pub item: T,
    /// Why, with figures.
    pub refused: Refused,
}

/// Work whose turn has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken<T> {
    /// Its number.
    pub ticket: Ticket,
    /// The work.
    pub item: T,
    /// How important it is.
    pub priority: Priority,
    /// How long it waited.
    pub waited: Duration,
}

/// A bounded queue that throws away what cannot be done in time, the least important and longest
/// waiting first, so that what *is* done is still of use to somebody. A state machine: it reads no
/// clock, and every piece of work that it throws away is handed back with the reason.
///
/// - **When all is well**: first come, first served. Nothing waits for longer than
///   [`Options::interval`] or past its deadline. A full queue makes room for more important work.
/// - **Under overload**: the most important first, and of those the newest, which is the most likely
///   still to be waited for. What has waited for longer than [`Options::target`] is thrown away,
///   except for what is next (a free worker never goes without) and for critical work, which is
///   kept for the whole interval.
#[derive(Debug)]
pub struct Queue<T> {
    options: Options,
    /// By priority, then by arrival.
    classes: [BTreeMap<Ticket, Waiting<T>>; 3],
    overload: Overload,
    next: Ticket,
}

#[derive(Debug)]
struct Waiting<T> {
    item: T,
    since: Monotonic,
    deadline: Option<Deadline>,
}

impl<T> Waiting<T> {
    fn is_overdue(&self, now: Monotonic) -> bool {
        self.deadline.is_some_and(|deadline| deadline.has_passed(now))
    }
}

impl<T> Queue<T> {
    /// An empty one.
    ///
    /// # Errors
    /// The settings make no sense.
    pub fn new(options: &Options) -> Result<Self, Invalid> {
        options.check()?;
        let overload = Overload::new(options.target, options.interval);
        let classes = [BTreeMap::new(), BTreeMap::new(), BTreeMap::new()];
        Ok(Self { options: *options, classes, overload, next: Ticket::FIRST })
    }

    /// Work comes that is needed before `deadline`. What is thrown away for it goes to `thrown`.
    ///
    /// # Errors
    /// It is thrown away itself: its deadline has passed, or the queue is full of work that is at
    /// least as important. (Under overload equally important work that has waited longest makes
    /// room.)
    pub fn push(
        &mut self,
        now: Monotonic,
        item: T,
        priority: Priority,
        deadline: Option<Deadline>,
        mut thrown: impl FnMut(Thrown<T>),
    ) -> Result<Ticket, (T, Refused)> {
        self.shed(now, &mut thrown);
        let waiting = Waiting { item, since: now, deadline };
        let reason = if waiting.is_overdue(now) {
            Some(Reason::Deadline)
        } else if self.len() >= self.options.queue {
            match self.displace(now, priority) {
                Some(gone) => {
                    thrown(gone);
                    None
                }
                None => Some(Reason::QueueFull),
            }
        } else {
            None
        };
        if let Some(reason) = reason {
            let refused = self.refused(reason, priority, Duration::ZERO);
            return Err((waiting.item, refused));
        }
        let ticket = self.next.take();
        self.classes[priority as usize].insert(ticket, waiting);
        self.observe(now);
        Ok(ticket)
    }

    /// A worker is free: what is it to do? `None`: nothing waits, and that is the sign that there
    /// is capacity to spare. What is thrown away goes to `thrown`.
    pub fn pop(&mut self, now: Monotonic, mut thrown: impl FnMut(Thrown<T>)) -> Option<Taken<T>> {
        self.observe(now);
        if self.is_empty() {
            self.overload.spare();
            return None;
        }
        let taken = loop {
            let Some((priority, ticket)) = self.next_up() else { break None };
            let Some(waiting) = self.classes[priority as usize].remove(&ticket) else {
                unreachable!("what is next waits")
            };
            let waited = now - waiting.since;
            let reason = if waiting.is_overdue(now) {
                Reason::Deadline
            } else if waited >= self.options.interval {
                Reason::WaitedTooLong
            } else {
                break Some(Taken { ticket, item: waiting.item, priority, waited });
            };
            let refused = self.refused(reason, priority, waited);
            thrown(Thrown { ticket, item: waiting.item, refused });
        };
        self.shed(now, &mut thrown);
        taken
    }

    /// Throws away everything whose time is over, whatever its place. Not needed for what
    /// [`Queue::push`] and [`Queue::pop`] promise; it tells callers sooner. Looks at everything.
    pub fn expire(&mut self, now: Monotonic, mut thrown: impl FnMut(Thrown<T>)) {
        self.shed(now, &mut thrown);
        let interval = self.options.interval;
        let over: Vec<Ticket> = self
            .classes
            .iter()
            .flatten()
            .filter(|(_, waiting)| waiting.is_overdue(now) || now - waiting.since >= interval)
            .map(|(ticket, _)| *ticket)
            .collect();
        for ticket in over {
            self.give_up(ticket, now).into_iter().for_each(&mut thrown);
        }
    }

    /// Throws one piece of work away because its time is over. `None` when it does not wait.
    pub fn give_up(&mut self, ticket: Ticket, now: Monotonic) -> Option<Thrown<T>> {
        self.observe(now);
        let (priority, waiting) = self.remove(ticket)?;
        self.observe(now);
        let overdue = waiting.is_overdue(now);
        let reason = if overdue { Reason::Deadline } else { Reason::WaitedTooLong };
        let refused = self.refused(reason, priority, now - waiting.since);
        Some(Thrown { ticket, item: waiting.item, refused })
    }

    /// Whoever wanted this has gone. `None` when it does not wait.
    pub fn cancel(&mut self, now: Monotonic, ticket: Ticket) -> Option<T> {
        self.observe(now);
        let (_, waiting) = self.remove(ticket)?;
        self.observe(now);
        Some(waiting.item)
    }

    /// A worker was free and nothing waited, without having asked.
    pub(super) const fn spare(&mut self) {
        self.overload.spare();
    }

    /// How much waits.
    #[must_use]
    pub fn len(&self) -> u32 {
        let waiting: usize = self.classes.iter().map(BTreeMap::len).sum();
        u32::try_from(waiting).unwrap_or(u32::MAX)
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it serves the newest first.
    #[must_use]
    pub const fn is_overloaded(&self) -> bool {
        self.overload.has_begun()
    }

    /// Its settings.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// What a refusal says: worth trying again after an interval, which is how long it takes to
    /// know that the overload is over.
    pub(super) fn refused(&self, reason: Reason, priority: Priority, waited: Duration) -> Refused {
        let retry_after = self.options.interval.max(RETRY_AFTER_MIN);
        Refused { reason, priority, waited, waiting: self.len(), retry_after }
    }

    fn oldest(&self) -> Option<Monotonic> {
        let first = |class: &BTreeMap<Ticket, Waiting<T>>| Some(class.first_key_value()?.1.since);
        self.classes.iter().filter_map(first).min()
    }

    fn observe(&mut self, now: Monotonic) {
        self.overload.observe(now, self.oldest());
    }

    fn remove(&mut self, ticket: Ticket) -> Option<(Priority, Waiting<T>)> {
        let mut classes = Priority::ALL.into_iter();
        classes.find_map(|class| Some((class, self.classes[class as usize].remove(&ticket)?)))
    }

    /// What a worker would be given: the first who came, or under overload the newest of the most
    /// important.
    fn next_up(&self) -> Option<(Priority, Ticket)> {
        let class = |class: Priority| &self.classes[class as usize];
        if self.is_overloaded() {
            let newest = |it| Some((it, *class(it).last_key_value()?.0));
            Priority::ALL.into_iter().rev().find_map(newest)
        } else {
            let first = |it| Some((it, *class(it).first_key_value()?.0));
            Priority::ALL.into_iter().filter_map(first).min_by_key(|(_, ticket)| *ticket)
        }
    }

    /// Under overload, throws away what has waited too long.
    fn shed(&mut self, now: Monotonic, thrown: &mut impl FnMut(Thrown<T>)) {
        self.observe(now);
        if !self.is_overloaded() {
            return;
        }
        let next_up = self.next_up();
        for priority in Priority::ALL {
            let Options { target, interval, .. } = self.options;
            let patience = if priority == Priority::Critical { interval } else { target };
            while let Some((ticket, waiting)) = self.classes[priority as usize].first_key_value() {
                let (ticket, waited) = (*ticket, now - waiting.since);
                let spared = next_up == Some((priority, ticket)) && waited < interval;
                if waited <= patience || spared {
                    break;
                }
                self.give_up(ticket, now).into_iter().for_each(&mut *thrown);
            }
        }
        self.observe(now);
    }

    /// Makes room in a full queue for work of this priority: throws away the least important work,
    /// if that is less important. Of that, what would be served last: the newest, or under overload
    /// the oldest, which then also makes room for its equals.
    fn displace(&mut self, now: Monotonic, priority: Priority) -> Option<Thrown<T>> {
        let overloaded = self.is_overloaded();
        let least = Priority::ALL.into_iter().find(|it| !self.classes[*it as usize].is_empty())?;
        let reason = if least < priority {
            Reason::Displaced
        } else if least == priority && overloaded {
            Reason::QueueFull
        } else {
            return None;
        };
        let class = &mut self.classes[least as usize];
        let last = if overloaded { class.pop_first() } else { class.pop_last() };
        let (ticket, waiting) = last?;
        let refused = self.refused(reason, least, now - waiting.since);
        Some(Thrown { ticket, item: waiting.item, refused })
    }
}
