//! How an event changes a saga.

use std::sync::Arc;

use super::{Fault, Phase, Progress, State, Tries, Waiting};
use crate::event::{self, Event, HistoryError};
use crate::{Definition, Id, Json};

impl State {
    /// Rebuilds a saga from the records of its stream, oldest first; nothing when there are none.
    ///
    /// # Errors
    /// The records are not the history of a saga of this definition.
    pub fn replay<'a>(
        definition: &Arc<Definition>,
        id: Id,
        records: impl IntoIterator<Item = &'a steadfast_journal::Event>,
    ) -> Result<Option<Self>, HistoryError> {
        let mut state = None;
        for record in records {
            Self::replay_one(&mut state, definition, id, record)?;
        }
        Ok(state)
    }

    pub(crate) fn replay_one(
        state: &mut Option<Self>,
        definition: &Arc<Definition>,
        id: Id,
        record: &steadfast_journal::Event,
    ) -> Result<(), HistoryError> {
        for event in event::decode(definition, record)? {
            match (event, &mut *state) {
                (Event::Started { data, .. }, None) => {
                    *state = Some(Self::new(Arc::clone(definition), id, data));
                }
                (event, Some(state)) => state.apply(&event),
                (_, None) => {
                    return Err(HistoryError::NoStart { version: record.version.0 });
                }
            }
        }
        Ok(())
    }

    /// Steps that the definition does not have were refused when the event was read.
    fn place(&self, step: &str) -> usize {
        let index = self.definition.index(step);
        debug_assert!(index.is_some(), "no step {step:?}");
        index.unwrap_or_default()
    }

    pub(super) fn apply(&mut self, event: &Event) {
        match event {
            Event::Started { .. } | Event::Resolved { .. } | Event::Rescheduled {} => {}
            Event::Succeeded { step, output } => self.succeeded(self.place(step), output),
            Event::Refused { step, code, reason } => {
                let index = self.place(step);
                let was_current = self.current() == Some(index);
                let was_sound = self.fault.is_none();
                self.steps[index].progress = Progress::Refused;
                self.blame(Some(index), code, reason);
                if was_current {
                    self.turn_around();
                } else if was_sound {
                    self.halt();
                }
            }
            Event::Unknown { attempt, retry_at, reason, .. } => {
                self.tries = Tries {
                    count: *attempt,
                    held: 0,
                    retry_at: Some(*retry_at),
                    uncertain: true,
                    problem: Some(reason.clone()),
                };
            }
            Event::Deferred { attempt, retry_at, reason, .. }
            | Event::UndoFailed { attempt, retry_at, reason, .. } => {
                self.tries = Tries {
                    count: *attempt,
                    held: 0,
                    retry_at: Some(*retry_at),
                    uncertain: false,
                    problem: Some(reason.clone()),
                };
            }
            Event::Held { times, retry_at, reason, .. } => {
                self.tries.held = *times;
                self.tries.retry_at = Some(*retry_at);
                self.tries.problem = Some(reason.clone());
            }
            Event::GaveUp { step, reason } => {
                self.blame(Some(self.place(step)), "unavailable", reason);
                self.turn_around();
            }
            Event::Waiting { until, .. } => self.waiting = Some(Waiting { until: *until }),
            Event::TimedOut { step } => {
                self.blame(Some(self.place(step)), "timed_out", "no signal came in time");
                self.turn_around();
            }
            Event::Stalled { step, .. } => {
                let index = self.place(step);
                if self.current() == Some(index) {
                    self.waiting = None;
                }
                self.steps[index].progress = Progress::Stalled;
            }
            Event::CancelRequested { reason } => {
                self.blame(None, "cancelled", reason);
                self.halt();
            }
            Event::Undone { step } => self.undone(self.place(step), Progress::Undone),
            Event::RetryRequested { .. } => self.tries.retry_at = None,
            Event::Skipped { step, .. } => {
                let index = self.place(step);
                if self.phase == Phase::Undoing {
                    self.undone(index, Progress::Skipped);
                } else {
                    self.passed(index, Progress::Skipped);
                }
            }
            Event::Completed {} => self.phase = Phase::Completed,
            Event::Compensated {} => self.phase = Phase::Compensated,
        }
    }

    fn succeeded(&mut self, index: usize, output: &Json) {
        self.steps[index].output = Some(output.clone());
        let was_current = self.current() == Some(index);
        match self.phase {
            Phase::Forward => self.passed(index, Progress::Done),
            // Late: on top of what is to be undone, also when all else has been.
            Phase::Undoing | Phase::Compensated | Phase::Completed => {
                self.steps[index].progress = Progress::Done;
                self.phase = Phase::Undoing;
                self.tries = Tries::default();
            }
        }
        if self.definition.steps()[index].is_compensated() {
            self.undo.push(index);
        }
        if self.phase == Phase::Forward && self.fault.is_some() {
            if self.definition.pivot() == Some(index) {
                self.lapse();
            } else if was_current {
                self.turn_around();
            }
        }
    }

    /// Marks a step that need not be looked at again on the way forward.
    fn passed(&mut self, index: usize, progress: Progress) {
        if self.current() == Some(index) {
            self.tries = Tries::default();
            self.waiting = None;
        }
        self.steps[index].progress = progress;
    }

    fn undone(&mut self, index: usize, progress: Progress) {
        self.steps[index].progress = progress;
        self.undo.retain(|&step| step != index);
        self.tries = Tries::default();
    }

    /// The first thing that goes wrong is why the saga is undone.
    fn blame(&mut self, step: Option<usize>, code: &str, reason: &str) {
        if self.fault.is_none() {
            let step = step.map(|index| self.definition.steps()[index].name());
            self.fault = Some(Fault { step, code: code.to_owned(), reason: reason.to_owned() });
        }
    }

    /// Turns around, unless the current call may have been made: then that is found out first.
    fn halt(&mut self) {
        let asked = self.current().is_some_and(|index| {
            let step = &self.definition.steps()[index];
            // What leaves nothing to undo, and decides nothing, need not be known.
            self.is_pending(index) && step.is_call() && (step.is_compensated() || step.is_pivot())
        });
        if asked {
            self.tries.uncertain = true;
            self.tries.retry_at = None;
        } else {
            self.turn_around();
        }
    }

    fn turn_around(&mut self) {
        if self.waiting.take().is_some()
            && let Some(index) = self.current()
            && self.is_pending(index)
            && self.definition.steps()[index].is_compensated()
        {
            self.steps[index].progress = Progress::MayBeDone;
            self.undo.push(index);
        }
        self.phase = Phase::Undoing;
        self.tries = Tries::default();
    }

    /// The pivot turned out to be done: there is nothing to be undone any more, and whatever was
    /// refused before it needs somebody to look at.
    fn lapse(&mut self) {
        self.fault = None;
        for step in &mut self.steps {
            if step.progress == Progress::Refused {
                step.progress = Progress::Stalled;
            }
        }
    }
}
