//! Which events an input or an answer leads to.

use std::borrow::Cow;
use std::sync::Arc;

use steadfast_time::Timestamp;

use super::{Phase, Progress, State, Task};
use crate::event::{Event, StepName, clip};
use crate::limits::HELD_MAX;
use crate::{Definition, Finding, Id, Input, Json, Operator, Outcome, Signal};

impl State {
    /// A saga that begins, and the events that say so.
    #[must_use]
    pub fn start(
        definition: &Arc<Definition>,
        id: Id,
        now: Timestamp,
        data: Json,
    ) -> (Self, Vec<Event>) {
        let saga = Cow::Borrowed(definition.name());
        let mut events = vec![Event::Started { saga, data: data.clone() }];
        let mut state = Self::new(Arc::clone(definition), id, data);
        state.settle(now, &mut events);
        (state, events)
    }

    /// Takes an input in, and returns what it brought about: nothing when it is late, repeated,
    /// or not possible in this state.
    pub fn take(&mut self, now: Timestamp, input: &Input) -> Vec<Event> {
        let mut events = Vec::new();
        match input {
            Input::Start { .. } | Input::Continue => {}
            Input::Due => self.due(now, &mut events),
            Input::Signal { step, signal } => self.signal(step, signal, &mut events),
            Input::Cancel { reason } => {
                if self.phase == Phase::Forward && self.fault.is_none() && !self.is_past_pivot() {
                    let reason = clip(reason.clone());
                    self.emit(&mut events, Event::CancelRequested { reason });
                }
            }
            Input::Operator(operator) => self.operator(operator, &mut events),
        }
        self.settle(now, &mut events);
        events
    }

    /// Takes in what came of a task, and returns what it brought about: nothing when the answer
    /// is not asked for any more.
    pub fn answer(&mut self, now: Timestamp, task: Task, outcome: &Outcome) -> Vec<Event> {
        let mut events = Vec::new();
        match task {
            Task::Call(step) if !self.definition.steps()[step].is_call() => {}
            Task::Call(step) if self.phase == Phase::Forward && self.current() == Some(step) => {
                self.called(now, step, outcome, &mut events);
            }
            Task::Call(step) => {
                if let Outcome::Done(output) = outcome {
                    self.late(step, output, &mut events);
                }
            }
            Task::Compensate(step) => {
                if self.phase == Phase::Undoing && self.undo.last() == Some(&step) {
                    self.compensated(now, step, outcome, &mut events);
                }
            }
        }
        self.settle(now, &mut events);
        events
    }

    fn name(&self, step: usize) -> StepName {
        Cow::Borrowed(self.definition.steps()[step].name())
    }

    fn emit(&mut self, events: &mut Vec<Event>, event: Event) {
        self.apply(&event);
        events.push(event);
    }

    /// What follows without anybody's doing: a wait begins, the saga ends.
    fn settle(&mut self, now: Timestamp, events: &mut Vec<Event>) {
        match self.phase {
            Phase::Forward => match self.current() {
                None => self.emit(events, Event::Completed {}),
                Some(index) => {
                    let is_wait = !self.definition.steps()[index].is_call();
                    if is_wait && self.waiting.is_none() && self.is_pending(index) {
                        let until = self.timeout_of_wait(index).map(|timeout| now + timeout);
                        let step = self.name(index);
                        self.emit(events, Event::Waiting { step, until });
                    }
                }
            },
            Phase::Undoing if self.undo.is_empty() => self.emit(events, Event::Compensated {}),
            Phase::Undoing | Phase::Completed | Phase::Compensated => {}
        }
    }

    fn due(&mut self, now: Timestamp, events: &mut Vec<Event>) {
        let until = self.waiting.and_then(|waiting| waiting.until);
        let (Some(until), Some(index)) = (until, self.current()) else {
            return;
        };
        if self.phase != Phase::Forward || until > now {
            return;
        }
        let step = self.name(index);
        self.emit(
            events,
            if self.is_past_pivot() {
                Event::Stalled { step, reason: "no signal came in time".to_owned() }
            } else {
                Event::TimedOut { step }
            },
        );
    }

    fn signal(&mut self, step: &str, signal: &Signal, events: &mut Vec<Event>) {
        let Some(index) = self.definition.index(step) else {
            return;
        };
        if self.definition.steps()[index].is_call() {
            return;
        }
        let step = self.name(index);
        let progress = self.steps[index].progress;
        match (self.phase, signal) {
            (Phase::Forward, Signal::Done(output)) => {
                if matches!(progress, Progress::Pending | Progress::Stalled) {
                    self.emit(events, Event::Succeeded { step, output: output.clone() });
                } else {
                    self.late(index, output, events);
                }
            }
            (Phase::Forward, Signal::Refused { code, reason }) => {
                if progress == Progress::Pending {
                    let (code, reason) = (clip_code(code.clone()), clip(reason.clone()));
                    self.emit(
                        events,
                        if self.is_past_pivot() {
                            Event::Stalled { step, reason: format!("{code}: {reason}") }
                        } else {
                            Event::Refused { step, code, reason }
                        },
                    );
                }
            }
            (_, Signal::Done(output)) => self.late(index, output, events),
            (_, Signal::Refused { .. }) => {}
        }
    }

    /// A step turns out to be done although the saga had turned around without it.
    fn late(&mut self, step: usize, output: &Json, events: &mut Vec<Event>) {
        let missed = matches!(self.steps[step].progress, Progress::Pending | Progress::Refused);
        if missed && self.fault.is_some() && self.definition.steps()[step].is_compensated() {
            let (step, output) = (self.name(step), output.clone());
            self.emit(events, Event::Succeeded { step, output });
        }
    }

    fn called(&mut self, now: Timestamp, index: usize, outcome: &Outcome, events: &mut Vec<Event>) {
        let step = self.name(index);
        let attempt = self.tries.count.saturating_add(1);
        let patience = *self.definition.steps()[index].retries();
        let pause = patience.pause_for(self.id, index, attempt, outcome.retry_after());
        let retry_at = now + pause;
        let no_way_back = self.is_past_pivot();
        let may_give_up = !no_way_back && !self.tries.uncertain;
        let event = match outcome {
            Outcome::Held { reason, .. } if may_give_up && self.tries.held + 1 >= HELD_MAX => {
                Event::GaveUp { step, reason: clip(reason.clone()) }
            }
            Outcome::Held { reason, .. } => self.held(now, index, reason, outcome),
            Outcome::Done(output) => Event::Succeeded { step, output: output.clone() },
            Outcome::Refused { code, reason } if no_way_back => {
                let reason = clip(format!("{code}: {reason}"));
                Event::Deferred { step, attempt, retry_at, reason }
            }
            Outcome::Refused { code, reason } => {
                Event::Refused { step, code: clip_code(code.clone()), reason: clip(reason.clone()) }
            }
            Outcome::Unknown { reason } => {
                Event::Unknown { step, attempt, retry_at, reason: clip(reason.clone()) }
            }
            // That this attempt had no effect says nothing about the one before.
            Outcome::Unavailable { reason, .. } if self.tries.uncertain => {
                Event::Unknown { step, attempt, retry_at, reason: clip(reason.clone()) }
            }
            Outcome::Unavailable { reason, .. } if no_way_back || attempt < patience.attempts => {
                Event::Deferred { step, attempt, retry_at, reason: clip(reason.clone()) }
            }
            Outcome::Unavailable { reason, .. } => {
                Event::GaveUp { step, reason: clip(reason.clone()) }
            }
        };
        self.emit(events, event);
    }

    /// The attempt was not made, so it is the next one still. What grows is the pause, and only
    /// with how often in a row that happens.
    fn held(&self, now: Timestamp, index: usize, reason: &str, outcome: &Outcome) -> Event {
        let times = self.tries.held.saturating_add(1);
        let patience = self.definition.steps()[index].retries();
        let pause = patience.pause_for(self.id, index, times, outcome.retry_after());
        let (step, reason) = (self.name(index), clip(reason.to_owned()));
        Event::Held { step, times, retry_at: now + pause, reason }
    }

    fn compensated(
        &mut self,
        now: Timestamp,
        index: usize,
        outcome: &Outcome,
        events: &mut Vec<Event>,
    ) {
        let step = self.name(index);
        let reason = match outcome {
            Outcome::Done(_) => return self.emit(events, Event::Undone { step }),
            Outcome::Held { reason, .. } => {
                let event = self.held(now, index, reason, outcome);
                return self.emit(events, event);
            }
            Outcome::Refused { code, reason } => format!("{code}: {reason}"),
            Outcome::Unknown { reason } | Outcome::Unavailable { reason, .. } => reason.clone(),
        };
        let attempt = self.tries.count.saturating_add(1);
        let patience = self.definition.steps()[index].retries();
        let pause = patience.pause_for(self.id, index, attempt, outcome.retry_after());
        let (retry_at, reason) = (now + pause, clip(reason));
        self.emit(events, Event::UndoFailed { step, attempt, retry_at, reason });
    }

    fn operator(&mut self, operator: &Operator, events: &mut Vec<Event>) {
        match operator {
            Operator::Retry { by } => {
                if self.tries.retry_at.is_some() {
                    self.emit(events, Event::RetryRequested { by: clip(by.clone()) });
                }
            }
            Operator::Skip { step, by, reason } => {
                let Some(index) = self.at(step) else { return };
                if self.phase == Phase::Undoing || self.is_past_pivot() {
                    let (by, reason) = (clip(by.clone()), clip(reason.clone()));
                    self.emit(events, Event::Skipped { step: self.name(index), by, reason });
                }
            }
            Operator::Resolve { step, by, reason, finding } => {
                let Some(index) = self.at(step) else { return };
                let Some(event) = self.found(index, finding) else {
                    return;
                };
                let (by, reason) = (clip(by.clone()), clip(reason.clone()));
                self.emit(events, Event::Resolved { step: self.name(index), by, reason });
                self.emit(events, event);
            }
        }
    }

    /// The place of a step, when the saga is at it and does not get on by itself.
    fn at(&self, step: &str) -> Option<usize> {
        let index = self.definition.index(step)?;
        let is_untried_call = self.phase == Phase::Forward
            && self.definition.steps()[index].is_call()
            && self.tries == super::Tries::default();
        (self.step()?.name() == step && !is_untried_call).then_some(index)
    }

    fn found(&self, index: usize, finding: &Finding) -> Option<Event> {
        let step = self.name(index);
        match (self.phase, finding) {
            (Phase::Undoing, Finding::NotDone) => Some(Event::Undone { step }),
            (Phase::Forward, Finding::Done(output)) => {
                Some(Event::Succeeded { step, output: output.clone() })
            }
            (Phase::Forward, Finding::NotDone) if !self.is_past_pivot() => Some(Event::Refused {
                step,
                code: Cow::Borrowed("resolved"),
                reason: "an operator found that it had not been done".to_owned(),
            }),
            _ => None,
        }
    }
}

fn clip_code(code: Cow<'static, str>) -> Cow<'static, str> {
    match code {
        Cow::Borrowed(code) => Cow::Borrowed(code),
        Cow::Owned(code) => Cow::Owned(clip(code)),
    }
}
