//! What the calls to one dependency share.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use steadfast_time::Monotonic;

use super::{Machine, Options, Repeatable, Retrying, Withheld};
use crate::budget::{Budget, Throttle};
use crate::deadline::Context;
use crate::sync::{Mutex, lock};
use crate::{Class, Invalid};

/// What retries are paid from.
#[derive(Clone, Debug)]
pub enum Allowance {
    /// A share of recent calls, together with hedges.
    Budget(Arc<Budget>),
    /// gRPC's throttling, which needs no clock.
    Throttle(Arc<Throttle>),
    /// Nothing. For experiments: this is how an outage of seconds becomes one of hours.
    Unlimited,
}

impl Allowance {
    fn called(&self, now: Monotonic) {
        if let Self::Budget(budget) = self {
            budget.deposit(now);
        }
    }

    fn answered(&self, class: Class) {
        if let (Self::Throttle(throttle), Class::Success) = (self, class) {
            throttle.succeeded();
        }
    }

    /// A failure counts for a throttle whether or not it is retried. What says no is kept for when
    /// the other reasons have been looked at.
    fn failed(&self, class: Class) -> Result<(), Withheld> {
        match self {
            Self::Throttle(throttle) if class.is_transient() => Ok(throttle.failed()?),
            _ => Ok(()),
        }
    }

    fn take(&self, now: Monotonic) -> Result<(), Withheld> {
        match self {
            Self::Budget(budget) => Ok(budget.take(now)?),
            Self::Throttle(_) | Self::Unlimited => Ok(()),
        }
    }
}

impl From<Arc<Budget>> for Allowance {
    fn from(budget: Arc<Budget>) -> Self {
        Self::Budget(budget)
    }
}

impl From<Arc<Throttle>> for Allowance {
    fn from(throttle: Arc<Throttle>) -> Self {
        Self::Throttle(throttle)
    }
}

/// The retry policy of one dependency, shared by all who call it.
#[derive(Debug)]
pub struct Retry {
    options: Options,
    allowance: Allowance,
    /// Only failures come here.
    rng: Mutex<Rng>,
}

impl Retry {
    /// A policy whose retries are paid from `allowance` and spread by `rng`. Seed it differently
    /// in each process, or they wait in step.
    ///
    /// # Errors
    /// The options make no sense.
    pub fn new(
        options: Options,
        allowance: impl Into<Allowance>,
        rng: Rng,
    ) -> Result<Self, Invalid> {
        options.check()?;
        Ok(Self { options, allowance: allowance.into(), rng: Mutex::new(rng) })
    }

    /// What it is made of.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// A call begins: it is counted as one, and its first attempt may be made.
    #[must_use]
    pub fn begin(&self, now: Monotonic, repeatable: Repeatable<'_>, context: Context) -> Machine {
        self.allowance.called(now);
        Machine::new(self.options, repeatable, context)
    }

    /// An attempt was answered, well or with a refusal: there is nothing to retry.
    pub fn answered(&self, class: Class) {
        self.allowance.answered(class);
    }

    /// An attempt failed. Is there another, and when? See [`Machine::decide`].
    ///
    /// # Errors
    /// There is none, and why.
    pub fn failed(
        &self,
        call: &mut Machine,
        now: Monotonic,
        class: Class,
        expected: Duration,
    ) -> Result<Retrying, Withheld> {
        let throttled = self.allowance.failed(class);
        let take = || throttled.and_then(|()| self.allowance.take(now));
        let mut rng = lock(&self.rng).fork();
        call.decide(now, class, expected, &mut rng, take)
    }
}
