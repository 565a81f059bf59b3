//! The saga as a state machine: `(state, now, input) -> events`, with no clock and no I/O.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | what a saga knows, and what follows from it: its status, what to do next |
//! | `apply.rs` | how an event changes it; rebuilding a saga is applying its history |
//! | `decide.rs` | which events an input or an answer leads to |
//!
//! Three rules carry the weight:
//!
//! - **Not knowing is a state.** A call without an answer is asked again under the same key until
//!   somebody knows. Attempts that surely had no effect do not resolve an earlier one that may
//!   have had.
//! - **A call that is next may have been made.** Its outcome is recorded after the fact, so a
//!   process that stops in between leaves no trace. When such a saga is to be undone, the step
//!   is asked for first, under its key, and undone if it turns out to be done.
//! - **What is late is harmless, unless it is money.** An answer for a step that is no longer
//!   asked for changes nothing, but a step that turns out to be done after the saga has turned
//!   around is undone like the others, also when the saga was through already.

mod apply;
mod decide;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use steadfast_time::Timestamp;

use crate::limits::HELD_MAX;
use crate::{Definition, Id, Json, Kind, Step};

/// Where a saga stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A call is next.
    Running,
    /// A step has not been done, surely, and is tried again later.
    Retrying,
    /// A signal is awaited.
    Waiting,
    /// A step may have been done; it is being found out.
    Unknown,
    /// What was done is being undone.
    Compensating,
    /// It cannot go on by itself: a compensation, or a step after the pivot, has failed more
    /// often than its patience lasts (it is still tried, at the slowest pace), or a wait after
    /// the pivot has gone wrong.
    Stuck,
    /// All steps have been done.
    Completed,
    /// Everything that had been done has been undone.
    Compensated,
}

impl Status {
    /// Its name, as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Waiting => "waiting",
            Self::Unknown => "unknown",
            Self::Compensating => "compensating",
            Self::Stuck => "stuck",
            Self::Completed => "completed",
            Self::Compensated => "compensated",
        }
    }

    /// Whether nothing more is to be done.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Compensated)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a saga has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask for something now.
    Do(Task),
    /// Nothing before this time, or nothing before a signal or an operator comes.
    Wait(Option<Timestamp>),
    /// Nothing, ever.
    Done,
}

/// A request to a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Carry out the step at this place.
    Call(usize),
    /// Undo it.
    Compensate(usize),
}

impl Task {
    /// The place of the step.
    #[must_use]
    pub const fn step(self) -> usize {
        match self {
            Self::Call(step) | Self::Compensate(step) => step,
        }
    }
}

/// How far a step has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not done, as far as is known.
    Pending,
    /// Done.
    Done,
    /// Not done, and it will not be.
    Refused,
    /// A wait whose signal has not come and may still come.
    MayBeDone,
    /// A wait after the pivot that has gone wrong.
    Stalled,
    /// Done and undone.
    Undone,
    /// Passed over by an operator.
    Skipped,
}

/// Why a saga is being undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The step that went wrong; none when the saga was cancelled.
    pub step: Option<&'static str>,
    /// A stable code: what the participant said, or `cancelled`, `timed_out`, `unavailable`.
    pub code: String,
    /// A sentence for people.
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Forward,
    Undoing,
    Completed,
    Compensated,
}

/// The attempts at what is next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tries {
    count: u32,
    /// How often in a row the next one was held up on our side.
    held: u32,
    retry_at: Option<Timestamp>,
    /// One of them may have had its effect.
    uncertain: bool,
    problem: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct StepState {
    progress: Progress,
    output: Option<Json>,
}

/// The wait that the saga is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Waiting {
    until: Option<Timestamp>,
}

/// All that a saga knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    definition: Arc<Definition>,
    id: Id,
    data: Json,
    phase: Phase,
    steps: Vec<StepState>,
    /// The steps with a compensation that are done or may be, in the order of their success.
    undo: Vec<usize>,
    tries: Tries,
    waiting: Option<Waiting>,
    /// Why the saga is being undone, or will be once the current step is known.
    fault: Option<Fault>,
}

impl State {
    fn new(definition: Arc<Definition>, id: Id, data: Json) -> Self {
        let pending = StepState { progress: Progress::Pending, output: None };
        let steps = vec![pending; definition.steps().len()];
        Self {
            definition,
            id,
            data,
            phase: Phase::Forward,
            steps,
            undo: Vec::new(),
            tries: Tries::default(),
            waiting: None,
            fault: None,
        }
    }

    /// Which saga this is.
    #[must_use]
    pub const fn id(&self) -> Id {
        self.id
    }

    /// What it does.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// What it was started with.
    #[must_use]
    pub const fn data(&self) -> &Json {
        &self.data
    }

    /// Why it is being undone, or has been, or will be once it is known what there is to undo.
    #[must_use]
    pub const fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// How far a step has got; nothing when the definition does not have it.
    #[must_use]
    pub fn progress(&self, step: &str) -> Option<Progress> {
        self.definition.index(step).map(|index| self.steps[index].progress)
    }

    /// What a step has returned.
    #[must_use]
    pub fn output(&self, step: &str) -> Option<&Json> {
        self.definition.index(step).and_then(|index| self.steps[index].output.as_ref())
    }

    /// The step that the saga is at: to be done, or to be undone.
    #[must_use]
    pub fn step(&self) -> Option<&Step> {
        let index = match self.phase {
            Phase::Forward => self.current(),
            Phase::Undoing => self.undo.last().copied(),
            Phase::Completed | Phase::Compensated => None,
        };
        index.map(|index| &self.definition.steps()[index])
    }

    /// How many attempts at what is next have failed so far.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.tries.count
    }

    /// What went wrong with the last of them.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.tries.problem.as_deref()
    }

    /// Whether there is no way back any more.
    #[must_use]
    pub fn is_past_pivot(&self) -> bool {
        self.definition.pivot().is_some_and(|pivot| self.is_passed(pivot))
    }

    /// Whether the saga is to be undone as soon as it is known whether its current step has been
    /// done. The participant may then look instead of do: it must answer [`crate::Outcome::Done`]
    /// if the step was done under this key, and may refuse it otherwise, provided that a request
    /// that is still on its way is then refused too.
    #[must_use]
    pub fn is_finding_out(&self) -> bool {
        self.phase == Phase::Forward && self.fault.is_some()
    }

    /// Where it stands.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.phase {
            Phase::Completed => Status::Completed,
            Phase::Compensated => Status::Compensated,
            Phase::Undoing if self.is_out_of_patience() => Status::Stuck,
            Phase::Undoing => Status::Compensating,
            Phase::Forward => self.forward_status(),
        }
    }

    fn forward_status(&self) -> Status {
        if self.steps.iter().any(|step| step.progress == Progress::Stalled) {
            Status::Stuck
        } else if self.tries.uncertain {
            Status::Unknown
        } else if self.tries.count > 0 || self.tries.held > 0 {
            let stuck = self.is_past_pivot() && self.is_out_of_patience();
            if stuck { Status::Stuck } else { Status::Retrying }
        } else if self.waiting.is_some() {
            Status::Waiting
        } else {
            Status::Running
        }
    }

    fn is_out_of_patience(&self) -> bool {
        let spent = |step: &Step| self.tries.count >= step.retries().attempts;
        self.tries.held >= HELD_MAX || self.step().is_some_and(spent)
    }

    /// What is to be done at `now`.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Next {
        let task = match self.phase {
            Phase::Completed | Phase::Compensated => return Next::Done,
            Phase::Forward => match self.current() {
                Some(step) if self.definition.steps()[step].is_call() => Task::Call(step),
                _ => return Next::Wait(self.wakes_at()),
            },
            Phase::Undoing => match self.undo.last() {
                Some(&step) => Task::Compensate(step),
                None => return Next::Done,
            },
        };
        match self.tries.retry_at {
            Some(at) if at > now => Next::Wait(Some(at)),
            _ => Next::Do(task),
        }
    }

    /// When the saga's timer has to fire: the end of the wait, or the next attempt. A saga that
    /// is to do something at once, or waits for a signal only, has no such time.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Timestamp> {
        match (self.phase, self.waiting) {
            (Phase::Completed | Phase::Compensated, _) => None,
            (Phase::Forward, Some(waiting)) => waiting.until,
            (Phase::Forward | Phase::Undoing, _) => self.tries.retry_at,
        }
    }

    /// The first step that is not done.
    fn current(&self) -> Option<usize> {
        (0..self.steps.len()).find(|&index| !self.is_passed(index))
    }

    fn is_passed(&self, index: usize) -> bool {
        matches!(self.steps[index].progress, Progress::Done | Progress::Skipped)
    }

    fn is_pending(&self, index: usize) -> bool {
        self.steps[index].progress == Progress::Pending
    }

    fn timeout_of_wait(&self, index: usize) -> Option<std::time::Duration> {
        match self.definition.steps()[index].kind() {
            Kind::Wait { timeout } => timeout,
            Kind::Call { .. } => None,
        }
    }
}
