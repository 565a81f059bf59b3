//! Where the domain plugs in.

use std::future::Future;

use steadfast_journal::Write;
use steadfast_time::Timestamp;

use crate::{Event, Id, Json, Next, Outcome, State, Status, Step};

/// Why the effects of a step could not be put together. The input is not taken in; it comes again
/// with its message or its timer.
pub type EffectError = Box<dyn std::error::Error + Send + Sync>;

/// The domain's side of a saga: asks the outside world, and turns what happened into effects.
pub trait Participant: Send + Sync {
    /// Carries out a step of kind [`crate::Kind::Call`].
    ///
    /// It is asked at least once, and may be asked again after any interruption, also when it has
    /// answered before: requests under one [`Call::key`] must have one effect. When the step's
    /// timeout passes, the future is dropped and the outcome is unknown.
    fn call(&self, call: &Call<'_>) -> impl Future<Output = Outcome> + Send;

    /// Undoes a step. The same holds as for [`Participant::call`], under a key of its own. A step
    /// that was never done (a wait whose signal never came) is undone by making sure that it
    /// never will be.
    fn compensate(&self, call: &Call<'_>) -> impl Future<Output = Outcome> + Send;

    /// Adds the domain's own effects to the write that records `change`: events, messages,
    /// guards, records.
    ///
    /// It is called again, with a fresh write and the state as it is then, when the write was
    /// refused because somebody else appended first; so it must read the streams that it appends
    /// to each time. A guard that it adds must be one whose refusal means *later*, for the
    /// outcome of a call stands in the same write.
    ///
    /// The answer only matters when [`Change::next`] is [`Next::Do`].
    fn effects(
        &self,
        change: &Change<'_>,
        write: &mut Write,
    ) -> impl Future<Output = Result<Follow, EffectError>> + Send;
}

/// Who sees to it that the saga does what is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// A message in the same write, which comes back as [`crate::Input::Continue`] (or any other
    /// input). No timer is needed.
    Message,
    /// Nobody: the saga's timer is set to fire at once.
    Timer,
}

/// A request to a participant.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub(crate) state: &'a State,
    pub(crate) step: &'a Step,
    pub(crate) key: &'a str,
}

impl<'a> Call<'a> {
    /// The saga that asks.
    #[must_use]
    pub const fn saga(&self) -> Id {
        self.state.id()
    }

    /// The step's name.
    #[must_use]
    pub const fn step(&self) -> &'static str {
        self.step.name()
    }

    /// The idempotency key: `<saga>/<step>`, or `<saga>/<step>/undo` for a compensation. The same
    /// in every attempt.
    #[must_use]
    pub const fn key(&self) -> &'a str {
        self.key
    }

    /// Which attempt this is, as far as is recorded; the first is 1.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.state.attempts().saturating_add(1)
    }

    /// What the saga was started with.
    #[must_use]
    pub const fn data(&self) -> &'a Json {
        self.state.data()
    }

    /// What a step has returned.
    #[must_use]
    pub fn output(&self, step: &str) -> Option<&'a Json> {
        self.state.output(step)
    }

    /// See [`State::is_finding_out`].
    #[must_use]
    pub fn is_finding_out(&self) -> bool {
        self.state.is_finding_out()
    }

    /// All that the saga knows.
    #[must_use]
    pub const fn state(&self) -> &'a State {
        self.state
    }
}

/// What one input has brought about.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    pub(crate) now: Timestamp,
    pub(crate) events: &'a [Event],
    pub(crate) before: Option<Status>,
    pub(crate) state: &'a State,
}

impl<'a> Change<'a> {
    /// The saga.
    #[must_use]
    pub const fn saga(&self) -> Id {
        self.state.id()
    }

    /// When this was decided; also the time of the write.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// What happened, in order; at least one event.
    #[must_use]
    pub const fn events(&self) -> &'a [Event] {
        self.events
    }

    /// Where the saga stood before; nothing when it has just begun.
    #[must_use]
    pub const fn before(&self) -> Option<Status> {
        self.before
    }

    /// The saga as it is afterwards.
    #[must_use]
    pub const fn state(&self) -> &'a State {
        self.state
    }

    /// What it will do next.
    #[must_use]
    pub fn next(&self) -> Next {
        self.state.next(self.now)
    }
}
