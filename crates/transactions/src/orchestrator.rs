//! The shell around the state machine: reads, asks, commits.
//!
//! One input is one step, and one step is one [`Write`]: the saga's events, the mark of the
//! message that brought the input, the saga's timer, and the domain's own effects. An input makes
//! at most one call (another one only when a rival had the answer to the first). Whatever is next
//! is brought on by the next input: the message that the domain added to the write, or the timer.
//!
//! ```text
//!  message ──► handle ──► take the input in ──► one call, if one is due ──► one Write ──► commit
//!     ▲                                                                       │
//!     └─────────── outbox ── relay ── bus ── consumer ◄───────────────────────┤
//!     └─────────── timer  ◄───────────────────────────────────────────────────┘
//! ```
//!
//! A process that stops before the commit has recorded nothing, so the message (or the timer)
//! comes again, and the call is repeated under the same key. A process that stops after it has
//! recorded everything, the mark included.
//!
//! # Limits
//! Several processes may handle the sagas of one journal, but it pays to let one of them handle a
//! given saga: states are kept in memory, and rivals make calls that the other one has made.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use steadfast_journal::{
    Append, Error as JournalError, Expected, Journal, Processed, Refusal, Timer, TimerChange,
    Version, Write,
};
use steadfast_time::{Clock, Timestamp};

use crate::cache::{Cache, Kept};
use crate::event::{self, Event};
use crate::limits::{CACHED_SAGAS_MAX, CONFLICTS_MAX, OVERLOAD_PAUSE, OVERLOADS_MAX, STREAM_PAGE};
use crate::participant::{Call, Change, Follow, Participant};
use crate::turns::Turns;
use crate::{
    Definition, Error, Id, Input, Kind, Next, Operator, Outcome, State, Status, Step, Task,
    attention,
};

/// Runs the sagas of one definition.
pub struct Orchestrator<P> {
    definition: Arc<Definition>,
    participant: P,
    journal: Journal,
    clock: Clock,
    cache: Cache,
    turns: Turns,
}

/// What came of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handled {
    /// Where the saga stands now.
    pub status: Status,
    /// The version of its stream.
    pub version: Version,
    /// How many events were recorded; zero when the input was late or repeated.
    pub recorded: usize,
    /// The message had been processed before.
    pub duplicate: bool,
    /// What the saga does next.
    pub next: Next,
}

/// An input on its way, over several rounds if others write first.
struct Work<'a> {
    id: Id,
    input: &'a Input,
    mark: Option<Processed>,
    /// The call that was made and what came of it: made once, recorded as often as it takes.
    answer: Option<(Task, Outcome)>,
    duplicate: bool,
}

/// A saga after an input, not yet committed.
struct Decision {
    kept: Kept,
    before: Before,
    events: Vec<Event>,
    now: Timestamp,
}

/// A saga before an input; all empty when there was none.
#[derive(Clone, Copy, Default)]
struct Before {
    status: Option<Status>,
    wakes_at: Option<Timestamp>,
}

enum Round {
    Finished(Handled),
    /// Somebody else was here; read again.
    Again,
    /// The journal's queue is full.
    Overloaded(JournalError),
}

impl<P: Participant> Orchestrator<P> {
    /// An orchestrator over a journal. Share it; handling needs no exclusive access.
    pub fn new(definition: Definition, participant: P, journal: Journal, clock: Clock) -> Self {
        Self {
            definition: Arc::new(definition),
            participant,
            journal,
            clock,
            cache: Cache::new(CACHED_SAGAS_MAX),
            turns: Turns::default(),
        }
    }

    /// What its sagas do.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The domain's side.
    #[must_use]
    pub const fn participant(&self) -> &P {
        &self.participant
    }

    pub(crate) const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Takes an input in, makes the one call that is due then, and commits what came of it
    /// together with `mark`. Completes when that is durable.
    ///
    /// Inputs that are late, repeated or not possible record nothing but the mark. Dropping the
    /// future is safe at any point, as a crash is.
    ///
    /// # Errors
    /// See [`Error`]. The input was not taken in and can be given again.
    pub async fn handle(
        &self,
        id: Id,
        input: Input,
        mark: Option<Processed>,
    ) -> Result<Handled, Error> {
        self.check(&input)?;
        let _turn = self.turns.take(id).await;
        let mut work = Work { id, input: &input, mark, answer: None, duplicate: false };
        let mut kept = self.cache.take(id);
        let (mut conflicts, mut overloads) = (0, 0);
        loop {
            match self.round(&mut work, kept.take()).await? {
                Round::Finished(handled) => return Ok(handled),
                Round::Again if conflicts < CONFLICTS_MAX => conflicts += 1,
                Round::Again => {
                    return Err(Error::Contended { id, rounds: conflicts + 1 });
                }
                Round::Overloaded(_) if work.answer.is_some() && overloads < OVERLOADS_MAX => {
                    // A call has been made; it would be a pity to make it again.
                    self.clock.sleep(OVERLOAD_PAUSE * 2_u32.pow(overloads)).await;
                    overloads += 1;
                }
                Round::Overloaded(error) => return Err(error.into()),
            }
        }
    }

    fn check(&self, input: &Input) -> Result<(), Error> {
        let (step, needs_wait) = match input {
            Input::Signal { step, .. } => (step, true),
            Input::Operator(Operator::Skip { step, .. } | Operator::Resolve { step, .. }) => {
                (step, false)
            }
            _ => return Ok(()),
        };
        let definition = self.definition.name();
        match self.definition.index(step) {
            None => Err(Error::NoSuchStep { definition, step: step.to_string() }),
            Some(index) if needs_wait && self.definition.steps()[index].is_call() => {
                Err(Error::NotAWait { definition, step: step.to_string() })
            }
            Some(_) => Ok(()),
        }
    }

    async fn round(&self, work: &mut Work<'_>, kept: Option<Kept>) -> Result<Round, Error> {
        let from_cache = kept.is_some();
        let kept = match kept {
            Some(kept) => Some(kept),
            None => self.load(work.id)?,
        };
        let mut decision = self.decide(work, kept).await?;
        if decision.events.is_empty() {
            // Nothing to record, so no version would tell that this was decided on an old state.
            let Kept { stream, version, .. } = &decision.kept;
            if from_cache && self.journal.store().version(stream)? != *version {
                return Ok(Round::Again);
            }
            if matches!(work.input, Input::Due) && self.is_timer_astray(&decision)? {
                decision.events.push(Event::Rescheduled {});
            }
        }
        if decision.events.is_empty() && work.mark.is_none() {
            return Ok(Round::Finished(self.finish(work, decision, None)));
        }
        let write = self.write(work, &decision).await?;
        match self.journal.commit(write).await {
            Ok(committed) => {
                // The saga's events are the write's last append.
                let version = committed.versions.last().copied();
                Ok(Round::Finished(self.finish(work, decision, version)))
            }
            Err(JournalError::Refused(Refusal::Conflict { stream, .. })) => {
                tracing::debug!(saga = %work.id, %stream, "somebody else wrote first");
                Ok(Round::Again)
            }
            Err(JournalError::Refused(Refusal::AlreadyProcessed { .. })) if work.mark.is_some() => {
                // The effect is there already. What is left to do is to record the answer of a
                // call that was made meanwhile, should it still be of interest.
                work.mark = None;
                work.duplicate = true;
                Ok(Round::Again)
            }
            Err(error @ JournalError::Overloaded { .. }) => Ok(Round::Overloaded(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a saga back from its stream.
    pub(crate) fn load(&self, id: Id) -> Result<Option<Kept>, Error> {
        let stream = id.stream();
        let (mut state, mut version) = (None, Version::NONE);
        loop {
            let page = self.journal.store().stream(&stream, version, STREAM_PAGE)?;
            for record in &page {
                State::replay_one(&mut state, &self.definition, id, record)
                    .map_err(|source| Error::History { id, source })?;
                version = record.version;
            }
            if page.len() < STREAM_PAGE {
                break;
            }
        }
        Ok(state.map(|state| Kept { state, version, stream }))
    }

    async fn decide(&self, work: &mut Work<'_>, kept: Option<Kept>) -> Result<Decision, Error> {
        let mut now = self.clock.now();
        let (mut kept, before, mut events) = match (kept, work.input) {
            (Some(mut kept), input) => {
                let before =
                    Before { status: Some(kept.state.status()), wakes_at: kept.state.wakes_at() };
                let events = if work.duplicate { Vec::new() } else { kept.state.take(now, input) };
                (kept, before, events)
            }
            (None, Input::Start { data }) => {
                let (state, events) = State::start(&self.definition, work.id, now, data.clone());
                let kept = Kept { state, version: Version::NONE, stream: work.id.stream() };
                (kept, Before::default(), events)
            }
            (None, _) => return Err(Error::NotFound { id: work.id }),
        };
        let goes_on = !work.duplicate
            && (!events.is_empty()
                || matches!(work.input, Input::Start { .. } | Input::Continue | Input::Due));
        if let Some((task, outcome)) = &work.answer {
            let more = kept.state.answer(now, *task, outcome);
            if more.is_empty() {
                // A rival had the same answer first; this input is still to bring the saga on.
                work.answer = None;
            }
            events.extend(more);
        }
        // To turn back is a decision that the journal and the participant may still refuse, and what
        // is undone cannot be done again: nothing is undone before that decision is durable.
        let goes_back = matches!(before.status, Some(Status::Compensating | Status::Stuck));
        let turns_back =
            |task| matches!(task, Task::Compensate(_)) && !goes_back && !events.is_empty();
        if goes_on
            && work.answer.is_none()
            && let Next::Do(task) = kept.state.next(now)
            && !turns_back(task)
        {
            let outcome = self.ask(&kept.state, task).await;
            now = self.clock.now();
            events.extend(kept.state.answer(now, task, &outcome));
            work.answer = Some((task, outcome));
        }
        Ok(Decision { kept, before, events, now })
    }

    async fn ask(&self, state: &State, task: Task) -> Outcome {
        let step = &self.definition.steps()[task.step()];
        let (id, name) = (state.id(), step.name());
        let limit = match step.kind() {
            Kind::Call { timeout } => timeout,
            Kind::Wait { .. } => Step::CALL_TIMEOUT,
        };
        let answer = match task {
            Task::Call(_) => {
                let key = format!("{id}/{name}");
                let call = Call { state, step, key: &key };
                self.clock.timeout(limit, self.participant.call(&call)).await
            }
            Task::Compensate(_) => {
                let key = format!("{id}/{name}/undo");
                let call = Call { state, step, key: &key };
                self.clock.timeout(limit, self.participant.compensate(&call)).await
            }
        };
        answer.unwrap_or_else(|elapsed| Outcome::unknown(format!("no answer: {elapsed}")))
    }

    /// Whether the stored timer is not where the state wants it.
    fn is_timer_astray(&self, decision: &Decision) -> Result<bool, Error> {
        let state = &decision.kept.state;
        let stored = self.journal.store().timer(&state.id().timer())?.map(|timer| timer.due);
        Ok(stored != state.wakes_at())
    }

    async fn write(&self, work: &Work<'_>, decision: &Decision) -> Result<Write, Error> {
        let Decision { kept, before, events, now } = decision;
        let (id, state) = (work.id, &kept.state);
        let mut write = Write::at(*now);
        write.processed.extend(work.mark.clone());
        if events.is_empty() {
            return Ok(write);
        }
        let change = Change { now: *now, events, before: before.status, state };
        let follow = self
            .participant
            .effects(&change, &mut write)
            .await
            .map_err(|source| Error::Effects { id, source })?;
        let wanted = match (state.next(*now), follow) {
            (Next::Do(_), Follow::Timer) => Some(*now),
            (Next::Do(_), Follow::Message) => None,
            (Next::Wait(_) | Next::Done, _) => state.wakes_at(),
        };
        let fired = matches!(work.input, Input::Due);
        match wanted {
            Some(due) if fired || before.wakes_at != Some(due) => {
                let payload = Bytes::from_static(self.definition.name().as_bytes());
                write.timers.push(TimerChange::Set(Timer { id: id.timer(), due, payload }));
            }
            None if fired || before.wakes_at.is_some() => {
                write.timers.push(TimerChange::Clear { id: id.timer() });
            }
            Some(_) | None => {}
        }
        attention::update(before.status, state, *now, &mut write)
            .and_then(|()| event::encode(events))
            .map(|record| {
                write.appends.push(Append {
                    stream: kept.stream.clone(),
                    expected: Expected::Exactly(kept.version),
                    events: vec![record],
                });
            })
            .map_err(|source| Error::Encoding { id, source })?;
        Ok(write)
    }

    fn finish(&self, work: &Work<'_>, decision: Decision, version: Option<Version>) -> Handled {
        let Decision { mut kept, before, events, now } = decision;
        if let (Some(version), false) = (version, events.is_empty()) {
            kept.version = version;
        }
        let status = kept.state.status();
        if status == Status::Stuck && before.status != Some(Status::Stuck) {
            let step = kept.state.step().map(Step::name);
            let problem = kept.state.problem();
            tracing::warn!(saga = %work.id, step, problem, "a saga is stuck; an operator should look");
        }
        let handled = Handled {
            status,
            version: kept.version,
            recorded: events.len(),
            duplicate: work.duplicate,
            next: kept.state.next(now),
        };
        if !status.is_final() {
            self.cache.put(kept);
        }
        handled
    }
}

impl<P> std::fmt::Debug for Orchestrator<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let definition = Cow::Borrowed(self.definition.name());
        f.debug_struct("Orchestrator").field("definition", &definition).finish_non_exhaustive()
    }
}
