//! The machine and those who wait for it: what is done with a job, without any I/O.
//!
//! A round takes jobs in order at one time. Commands that are met go into the batch; what is
//! answered goes into one of two lists. *Late* answers are given when the batch is durable: those
//! of commands, and those of questions too, because what a question saw may be part of the same
//! batch. *Early* ones are given at once: a renewal that is met, see
//! [`machine`](crate::engine::machine). A round with nothing but questions and renewals needs no
//! write; its renewals go along with the next batch.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ask::{Ask, Excess, Job, Origin, Reply, ReplyTo};
use super::log::Batch;
use super::records;
use super::waits::Waits;
use crate::engine::machine::{Change, Command, Machine, MachineTime, Output, Query};
use crate::port::Name;

/// Answers to be given.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) early: Vec<(Origin, ReplyTo, Reply)>,
    pub(super) late: Vec<(Origin, ReplyTo, Reply)>,
}

/// See the module.
pub(super) struct Core {
    machine: Machine,
    waits: Waits,
    batch: Batch,
    /// The time of the first command in the batch.
    base: MachineTime,
    /// Commands in the batch.
    commands: usize,
    /// Whether somebody waits for the batch.
    is_urgent: bool,
    changes: Vec<Change>,
}

impl Core {
    pub(super) fn new(machine: Machine) -> Self {
        Self {
            machine,
            waits: Waits::default(),
            batch: Batch::new(),
            base: MachineTime(0),
            commands: 0,
            is_urgent: false,
            changes: Vec::new(),
        }
    }

    pub(super) const fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Begins a round: ends the sessions that are due.
    pub(super) fn begin(&mut self, at: MachineTime) {
        if self.machine.is_due(at) {
            self.log(at, Command::Expire);
        }
    }

    /// Logs a command of the server's own.
    pub(super) fn log(&mut self, at: MachineTime, command: Command) {
        let before = self.append(at, &command);
        if self.machine.apply(at, command, &mut self.changes).is_err() {
            self.take_back(before);
        } else {
            self.is_urgent = true;
        }
    }

    /// Does one job.
    pub(super) fn take(&mut self, at: MachineTime, job: Job, answers: &mut Answers) {
        match job {
            Job::Cancel(origin) => self.waits.cancel(origin),
            Job::CancelAll { peer } => self.waits.cancel_all(peer),
            Job::Ask { ask, origin, to } => self.ask(at, ask, origin, to, answers),
        }
    }

    fn ask(
        &mut self,
        at: MachineTime,
        ask: Ask,
        origin: Origin,
        to: ReplyTo,
        answers: &mut Answers,
    ) {
        let reply = match ask {
            Ask::Command(command) => {
                let is_renewal = matches!(command, Command::Renew { .. });
                let reply = self.command(at, command, is_renewal);
                if is_renewal && matches!(reply, Reply::Met(_)) {
                    answers.early.push((origin, to, reply));
                    return;
                }
                reply
            }
            Ask::Query(query) => self.query(at, &query),
            Ask::Gone { queue, token } => {
                if self.machine.holds(&queue, token) {
                    if !self.waits.is_full() {
                        self.waits.for_entry(token, origin, to);
                        return;
                    }
                    Reply::Full(Excess::Waits)
                } else {
                    Reply::Met(Output::Done)
                }
            }
            Ask::Changed { queue, since } => {
                if self.machine.version(&queue) == since {
                    if !self.waits.is_full() {
                        self.waits.for_queue(queue, since, origin, to);
                        return;
                    }
                    Reply::Full(Excess::Waits)
                } else {
                    self.query(at, &Query::List { queue })
                }
            }
            Ask::Cancel(request) => {
                self.waits.cancel(Origin { request, ..origin });
                return;
            }
        };
        answers.late.push((origin, to, reply));
    }

    fn command(&mut self, at: MachineTime, command: Command, is_renewal: bool) -> Reply {
        let before = self.append(at, &command);
        match self.machine.apply(at, command, &mut self.changes) {
            Ok(output) => {
                self.is_urgent |= !is_renewal;
                Reply::Met(output)
            }
            // Nothing has changed, so nothing has to be told again.
            Err(refusal) => {
                self.take_back(before);
                Reply::Refused(refusal)
            }
        }
    }

    fn query(&mut self, at: MachineTime, query: &Query) -> Reply {
        self.begin(at);
        match self.machine.query(at, query) {
            Ok(Ok(output)) => Reply::Met(output),
            Ok(Err(refusal)) => Reply::Refused(refusal),
            Err(due) => Reply::stopped(&due.to_string().into()),
        }
    }

    fn append(&mut self, at: MachineTime, command: &Command) -> usize {
        let before = self.batch.len();
        if before == 0 {
            self.base = at;
        }
        records::append_command(at.0.saturating_sub(self.base.0), command, self.batch.payload());
        self.commands += 1;
        before
    }

    fn take_back(&mut self, before: usize) {
        self.batch.truncate(before);
        self.commands -= 1;
    }

    /// Ends a round: adds the answers to those whose wait is over.
    pub(super) fn end(&mut self, at: MachineTime, answers: &mut Answers) {
        let mut queues: BTreeSet<Name> = BTreeSet::new();
        for Change { queue, gone } in std::mem::take(&mut self.changes) {
            if let Some(token) = gone {
                let woken = self.waits.gone(token);
                let done = |(origin, to)| (origin, to, Reply::Met(Output::Done));
                answers.late.extend(woken.map(done));
            }
            if self.waits.has_queue(&queue) {
                queues.insert(queue);
            }
        }
        for queue in queues {
            let woken = self.waits.changed(&queue, self.machine.version(&queue));
            if woken.is_empty() {
                continue;
            }
            let listing = self.query(at, &Query::List { queue });
            answers
                .late
                .extend(woken.into_iter().map(|(origin, to)| (origin, to, listing.clone())));
        }
    }

    /// The batch, when it has to be written: its time and how many commands it has.
    pub(super) fn batch(&mut self, force: bool) -> Option<(MachineTime, usize, &mut Batch)> {
        let is_wanted = self.is_urgent || (force && self.commands > 0);
        is_wanted.then_some((self.base, self.commands, &mut self.batch))
    }

    /// Bytes of the batch.
    pub(super) fn batch_len(&self) -> usize {
        self.batch.len()
    }

    /// The batch is durable.
    pub(super) fn written(&mut self) {
        self.batch.clear();
        self.commands = 0;
        self.is_urgent = false;
    }

    /// Everybody who waits is told that nothing more will come.
    pub(super) fn stop(&mut self, reason: &Arc<str>, answers: &mut Answers) {
        for (origin, to) in self.waits.drain() {
            answers.late.push((origin, to, Reply::stopped(reason)));
        }
    }

    pub(super) fn waits(&self) -> usize {
        self.waits.len()
    }
}
