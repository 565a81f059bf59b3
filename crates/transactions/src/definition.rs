//! What a saga does, and what it does when that fails.
//!
//! A [`Definition`] is a list of steps. A *call* asks somebody to do something and has the answer
//! at once, or does not know; a *wait* ends when a signal arrives or its time is up. Whatever a
//! step has done is undone by its compensation, in reverse order, until the *pivot* has
//! succeeded: from then on the saga can only go forward, so its remaining steps are tried until
//! they succeed (Garcia-Molina and Salem, "Sagas", 1987, who call this backward and forward
//! recovery; "pivot" is Richardson's word, *Microservices Patterns*, chapter 4).
//!
//! Histories name their steps. A step that sagas under way have reached can therefore gain a
//! timeout or another retry policy, but it cannot be renamed, removed or moved; give a changed
//! sequence of steps a new definition with a new name.

use std::time::Duration;

use crate::limits::{CALL_TIMEOUT_MAX, NAME_BYTES_MAX, STEPS_MAX, WAIT_TIMEOUT_MAX};
use crate::{Retry, RetryError};

/// How a step is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody is asked, under an idempotency key. Without an answer within `timeout` the
    /// outcome is unknown.
    Call {
        /// How long one attempt may take.
        timeout: Duration,
    },
    /// A signal ends it, or its `timeout`.
    Wait {
        /// How long the signal may take; nothing waits forever.
        timeout: Option<Duration>,
    },
}

/// One step of a saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    name: &'static str,
    kind: Kind,
    compensated: bool,
    pivot: bool,
    retry: Retry,
}

impl Step {
    /// How long one attempt of a call may take unless told otherwise, and how long one attempt
    /// to undo a wait may take.
    pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

    /// Asks somebody.
    #[must_use]
    pub const fn call(name: &'static str) -> Self {
        Self::new(name, Kind::Call { timeout: Self::CALL_TIMEOUT })
    }

    /// Waits for a signal, forever unless told otherwise.
    #[must_use]
    pub const fn wait(name: &'static str) -> Self {
        Self::new(name, Kind::Wait { timeout: None })
    }

    const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, compensated: false, pivot: false, retry: Retry::DEFAULT }
    }

    /// How long one attempt of a call may take, or how long a wait may last.
    #[must_use]
    pub const fn timeout(mut self, length: Duration) -> Self {
        self.kind = match self.kind {
            Kind::Call { .. } => Kind::Call { timeout: length },
            Kind::Wait { .. } => Kind::Wait { timeout: Some(length) },
        };
        self
    }

    /// The step leaves something behind that must be undone when the saga does not complete. A
    /// wait is undone also when its signal has not come: what was being waited for may be on
    /// its way.
    #[must_use]
    pub const fn compensated(mut self) -> Self {
        self.compensated = true;
        self
    }

    /// Once this step has succeeded there is no way back.
    #[must_use]
    pub const fn pivot(mut self) -> Self {
        self.pivot = true;
        self
    }

    /// When to try again.
    #[must_use]
    pub const fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Its name, unique within the definition.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How it is carried out.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it has to be undone when the saga does not complete.
    #[must_use]
    pub const fn is_compensated(&self) -> bool {
        self.compensated
    }

    /// Whether it is the point of no return.
    #[must_use]
    pub const fn is_pivot(&self) -> bool {
        self.pivot
    }

    /// When it is tried again.
    #[must_use]
    pub const fn retries(&self) -> &Retry {
        &self.retry
    }

    pub(crate) const fn is_call(&self) -> bool {
        matches!(self.kind, Kind::Call { .. })
    }
}

/// A checked list of steps with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    name: &'static str,
    steps: Vec<Step>,
    pivot: Option<usize>,
}

/// Why a list of steps is not a saga.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// It has no step, or too many.
    #[error("saga {saga:?} has {steps} steps; 1 to {STEPS_MAX} are possible")]
    Steps {
        /// The definition.
        saga: &'static str,
        /// How many it has.
        steps: usize,
    },
    /// A name does not fit.
    #[error("{name:?} is not a name: 1 to {NAME_BYTES_MAX} of a-z, 0-9 and '-'")]
    Name {
        /// The name.
        name: &'static str,
    },
    /// Two steps have one name, and so would have one idempotency key.
    #[error("saga {saga:?} has two steps named {step:?}")]
    Twice {
        /// The definition.
        saga: &'static str,
        /// The name.
        step: &'static str,
    },
    /// Two steps are said to be the point of no return.
    #[error("saga {saga:?} has two pivots, {first:?} and {second:?}")]
    Pivots {
        /// The definition.
        saga: &'static str,
        /// The first.
        first: &'static str,
        /// The second.
        second: &'static str,
    },
    /// A compensation could never run.
    #[error(
        "step {step:?} of saga {saga:?} has a compensation that could never run: \
         nothing is undone once the pivot {pivot:?} has succeeded"
    )]
    Unreachable {
        /// The definition.
        saga: &'static str,
        /// The step.
        step: &'static str,
        /// The point of no return.
        pivot: &'static str,
    },
    /// A timeout is zero or too long.
    #[error(
        "the timeout of step {step:?} of saga {saga:?} is {timeout:?}; up to {max:?} is possible"
    )]
    Timeout {
        /// The definition.
        saga: &'static str,
        /// The step.
        step: &'static str,
        /// The timeout.
        timeout: Duration,
        /// The longest one.
        max: Duration,
    },
    /// A retry policy makes no sense.
    #[error("step {step:?} of saga {saga:?}: {source}")]
    Retry {
        /// The definition.
        saga: &'static str,
        /// The step.
        step: &'static str,
        /// What is wrong with it.
        #[source]
        source: RetryError,
    },
}

impl Definition {
    /// Checks the steps.
    ///
    /// # Errors
    /// [`DefinitionError`] says which step does not fit, and why.
    pub fn new(name: &'static str, steps: Vec<Step>) -> Result<Self, DefinitionError> {
        if !is_name(name) {
            return Err(DefinitionError::Name { name });
        }
        if !(1..=STEPS_MAX).contains(&steps.len()) {
            return Err(DefinitionError::Steps { saga: name, steps: steps.len() });
        }
        let mut pivot: Option<usize> = None;
        for (index, step) in steps.iter().enumerate() {
            check_step(name, step)?;
            if steps[..index].iter().any(|earlier| earlier.name == step.name) {
                return Err(DefinitionError::Twice { saga: name, step: step.name });
            }
            if let (Some(first), true) = (pivot, step.pivot) {
                let first = steps[first].name;
                return Err(DefinitionError::Pivots { saga: name, first, second: step.name });
            }
            if step.pivot {
                pivot = Some(index);
            }
            // A pivot that waits may be withdrawn while it waits; one that calls is all or nothing.
            let undoable = pivot.is_none() || (step.pivot && !step.is_call());
            if let (Some(pivot), true, false) = (pivot, step.compensated, undoable) {
                let pivot = steps[pivot].name;
                return Err(DefinitionError::Unreachable { saga: name, step: step.name, pivot });
            }
        }
        Ok(Self { name, steps, pivot })
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its steps, first to last.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The place of the point of no return.
    #[must_use]
    pub const fn pivot(&self) -> Option<usize> {
        self.pivot
    }

    /// The place of a step.
    #[must_use]
    pub fn index(&self, step: &str) -> Option<usize> {
        self.steps.iter().position(|candidate| candidate.name == step)
    }
}

fn check_step(saga: &'static str, step: &Step) -> Result<(), DefinitionError> {
    if !is_name(step.name) {
        return Err(DefinitionError::Name { name: step.name });
    }
    let (timeout, max) = match step.kind {
        Kind::Call { timeout } => (Some(timeout), CALL_TIMEOUT_MAX),
        Kind::Wait { timeout } => (timeout, WAIT_TIMEOUT_MAX),
    };
    if let Some(timeout) = timeout
        && (timeout.is_zero() || timeout > max)
    {
        return Err(DefinitionError::Timeout { saga, step: step.name, timeout, max });
    }
    step.retry.check().map_err(|source| DefinitionError::Retry { saga, step: step.name, source })
}

fn is_name(name: &str) -> bool {
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(steps: Vec<Step>) -> String {
        Definition::new("trip", steps).unwrap_err().to_string()
    }

    #[test]
    fn steps_are_found_by_name() {
        let steps = vec![Step::call("hotel").compensated(), Step::call("pay").pivot()];
        let trip = Definition::new("trip", steps).unwrap();
        assert_eq!((trip.index("pay"), trip.index("car"), trip.pivot()), (Some(1), None, Some(1)));
    }

    #[test]
    fn a_list_of_steps_must_make_sense() {
        let zero = Duration::ZERO;
        for (steps, complaint) in [
            (vec![], "has 0 steps"),
            (vec![Step::call("Hotel")], "\"Hotel\" is not a name"),
            (vec![Step::call("a"), Step::wait("a")], "two steps named \"a\""),
            (vec![Step::call("a").pivot(), Step::call("b").pivot()], "two pivots"),
            (vec![Step::call("a").pivot(), Step::call("b").compensated()], "never run"),
            (vec![Step::call("a").pivot().compensated()], "never run"),
            (vec![Step::call("a").timeout(zero)], "timeout"),
            (vec![Step::wait("a").timeout(WAIT_TIMEOUT_MAX * 2)], "timeout"),
            (vec![Step::call("a").retry(Retry { attempts: 0, ..Retry::DEFAULT })], "attempt"),
        ] {
            let error = error(steps);
            assert!(error.contains(complaint), "{error}");
        }
        assert!(error(vec![Step::call("a"); STEPS_MAX + 1]).contains("33 steps"));
    }

    #[test]
    fn a_pivot_that_waits_can_be_withdrawn_while_it_waits() {
        assert!(Definition::new("trip", vec![Step::wait("a").pivot().compensated()]).is_ok());
    }
}
