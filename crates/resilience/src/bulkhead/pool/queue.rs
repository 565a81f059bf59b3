//! What waits for a thread.

use std::collections::BTreeMap;
use std::time::Duration;

use steadfast_time::Monotonic;

use super::Options;
use crate::bulkhead::{Reason, Refused, Ticket};
use crate::deadline::Deadline;
use crate::limits::RETRY_AFTER_MIN;

/// A piece of work. It is told whether it may begin, and answers its caller itself.
pub(super) type Job = Box<dyn FnOnce(Result<(), Refused>) + Send>;

/// Jobs in the order in which they came, and what is known of those that are done.
pub(super) struct Queue {
    options: Options,
    jobs: BTreeMap<Ticket, Waiting>,
    next: Ticket,
    busy: u32,
    closed: bool,
    /// How long a job takes: a moving mean, each new one counting for an eighth (the smoothing of
    /// TCP's round-trip time, RFC 6298). Zero until there is one.
    mean: Duration,
}

struct Waiting {
    since: Monotonic,
    deadline: Option<Deadline>,
    job: Job,
}

/// What a thread does next.
pub(super) enum Next {
    Run(Job),
    /// Its deadline passed while it waited.
    Skip(Job, Refused),
    Wait,
    End,
}

impl Queue {
    pub(super) const fn new(options: Options) -> Self {
        Self {
            options,
            jobs: BTreeMap::new(),
            next: Ticket::FIRST,
            busy: 0,
            closed: false,
            mean: Duration::ZERO,
        }
    }

    pub(super) fn push(
        &mut self,
        now: Monotonic,
        deadline: Option<Deadline>,
        job: Job,
    ) -> Result<Ticket, Refused> {
        let reason = if deadline.is_some_and(|deadline| deadline.has_passed(now)) {
            Some(Reason::Deadline)
        } else if self.closed {
            Some(Reason::Closed)
        } else {
            // Jobs that idle threads are about to take do not wait.
            let room = self.options.queue + (self.options.threads - self.busy);
            (self.waiting() >= room).then_some(Reason::QueueFull)
        };
        if let Some(reason) = reason {
            return Err(self.refused(reason, Duration::ZERO));
        }
        let ticket = self.next.take();
        self.jobs.insert(ticket, Waiting { since: now, deadline, job });
        Ok(ticket)
    }

    pub(super) fn take(&mut self, now: Monotonic) -> Next {
        let Some((_, Waiting { since, deadline, job })) = self.jobs.pop_first() else {
            return if self.closed { Next::End } else { Next::Wait };
        };
        if deadline.is_some_and(|deadline| deadline.has_passed(now)) {
            return Next::Skip(job, self.refused(Reason::Deadline, now - since));
        }
        self.busy += 1;
        Next::Run(job)
    }

    pub(super) fn done(&mut self, took: Duration) {
        self.busy -= 1;
        self.mean = if self.mean.is_zero() { took } else { (self.mean * 7 + took) / 8 };
    }

    /// Takes a job out that has not begun, with a refusal for its caller.
    pub(super) fn remove(&mut self, ticket: Ticket, now: Monotonic) -> Option<(Job, Refused)> {
        let Waiting { since, job, .. } = self.jobs.remove(&ticket)?;
        Some((job, self.refused(Reason::Deadline, now - since)))
    }

    /// Takes no more.
    pub(super) const fn close(&mut self) {
        self.closed = true;
    }

    /// Takes out everything that has not begun.
    pub(super) fn empty(&mut self, now: Monotonic) -> Vec<(Job, Refused)> {
        let jobs = std::mem::take(&mut self.jobs);
        let refuse =
            |waiting: Waiting| (waiting.job, self.refused(Reason::Closed, now - waiting.since));
        jobs.into_values().map(refuse).collect()
    }

    pub(super) const fn busy(&self) -> u32 {
        self.busy
    }

    pub(super) fn waiting(&self) -> u32 {
        u32::try_from(self.jobs.len()).unwrap_or(u32::MAX)
    }

    /// Worth trying again when those who wait have been worked off, as long as jobs take as long as
    /// they did.
    fn refused(&self, reason: Reason, waited: Duration) -> Refused {
        let Options { threads, queue } = self.options;
        let waiting = self.waiting();
        let retry_after = (self.mean * (waiting + 1) / threads).max(RETRY_AFTER_MIN);
        Refused { reason, in_use: self.busy, limit: threads, waiting, queue, waited, retry_after }
    }
}
