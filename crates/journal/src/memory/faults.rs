//! When the simulated machine stops.

use std::fmt;

use fastrand::Rng;

/// A point at which the machine can stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A commit has been asked for; nothing has happened. A crash here loses the batch.
    Begin,
    /// The batch has been checked and staged, not synced. A crash here loses the whole batch.
    Staged,
    /// The batch is durable and nobody has been told. A crash here keeps the whole batch.
    Synced,
    /// Pruning has been asked for; nothing has happened.
    PruneBegin,
    /// What was pruned is gone for good, and the caller has not been told.
    PruneSynced,
}

/// One arrival at a [`Step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Moment {
    /// Where the engine is.
    pub step: Step,
    /// How many steps this engine has reached before, since it started.
    pub number: u64,
}

/// What happens at a [`Moment`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The machine goes on.
    Continue,
    /// The machine stops. Every later call answers [`crate::StorageError::Crashed`].
    Crash,
}

/// The plan of one engine's crashes.
pub struct Faults {
    decide: Box<dyn FnMut(Moment) -> Decision + Send>,
    reached: u64,
}

impl Faults {
    /// Any plan.
    #[must_use]
    pub fn new(decide: impl FnMut(Moment) -> Decision + Send + 'static) -> Self {
        Self { decide: Box::new(decide), reached: 0 }
    }

    /// No crash.
    #[must_use]
    pub fn none() -> Self {
        Self::new(|_| Decision::Continue)
    }

    /// A crash at the step with this [number](Moment::number), from 0. Counting up until a run
    /// ends without a crash visits every step that the run has.
    #[must_use]
    pub fn at(number: u64) -> Self {
        Self::new(
            move |moment| {
                if moment.number == number { Decision::Crash } else { Decision::Continue }
            },
        )
    }

    /// A crash at each step with a probability (clamped to 0..=1); the same seed crashes at the
    /// same steps.
    #[must_use]
    pub fn random(seed: u64, probability: f64) -> Self {
        let mut rng = Rng::with_seed(seed);
        Self::new(
            move |_| {
                if rng.f64() < probability { Decision::Crash } else { Decision::Continue }
            },
        )
    }

    pub(super) fn decide(&mut self, step: Step) -> Decision {
        let moment = Moment { step, number: self.reached };
        self.reached += 1;
        (self.decide)(moment)
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self::none()
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("reached", &self.reached).finish_non_exhaustive()
    }
}
