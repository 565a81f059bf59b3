//! How a policy is made.

use std::sync::Arc;

use fastrand::Rng;
use steadfast_time::Clock;

use super::{Inner, Options, Policy, counters};
use crate::breaker::Breaker;
use crate::budget::Budget;
use crate::bulkhead::Bulkhead;
use crate::event::{Events, Listener};
use crate::hedge::Hedger;
use crate::limit::Limit;
use crate::retry::{Allowance, Retry};
use crate::timeout::Timeout;
use crate::{Invalid, objective};

/// Makes a [`Policy`].
#[must_use = "it makes nothing until `build`"]
pub struct Builder {
    name: Arc<str>,
    options: Options,
    repeatable: bool,
    listener: Option<Arc<dyn Listener>>,
    budget: Option<Arc<Budget>>,
    rng: Rng,
}

impl Builder {
    pub(super) fn new(name: Arc<str>) -> Self {
        let (options, rng) = (Options::default(), Rng::new());
        Self { name, options, repeatable: false, listener: None, budget: None, rng }
    }

    /// What it is made of.
    pub fn options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    /// Every call through this policy may be repeated: doing it twice is the same as doing it
    /// once. Without this only those are that say so themselves, or carry an idempotency key.
    pub fn repeatable(self) -> Self {
        Self { repeatable: true, ..self }
    }

    /// Who hears what is decided.
    pub fn listener(self, listener: Arc<dyn Listener>) -> Self {
        Self { listener: Some(listener), ..self }
    }

    /// Shares a budget with other policies, instead of one of its own.
    pub fn budget(self, budget: Arc<Budget>) -> Self {
        Self { budget: Some(budget), ..self }
    }

    /// Makes the pauses the same in each run, for simulations.
    pub fn seed(self, seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), ..self }
    }

    /// The policy.
    ///
    /// # Errors
    /// The options make no sense: which setting, what it says, and what is allowed.
    pub fn build(self, clock: Clock) -> Result<Policy, Invalid> {
        let Self { name, options, repeatable, listener, budget, mut rng } = self;
        options.check()?;
        let events = match listener {
            Some(listener) => Events::to(name, listener),
            None => Events::silent(name),
        };
        let budget = match (budget, &options.budget) {
            (Some(shared), _) => Some(shared),
            (None, Some(options)) => Some(Arc::new(Budget::new(options)?)),
            (None, None) => None,
        };
        let allowance = budget.clone().map_or(Allowance::Unlimited, Allowance::Budget);
        let timeout = options.timeout.map(|options| Timeout::new(options.attempt)).transpose()?;
        let breaker = options.breaker.map(Breaker::new).transpose()?;
        let bulkhead =
            options.bulkhead.map(|options| Bulkhead::new(&options, clock.clone())).transpose()?;
        let limit = options.limit.map(|options| Limit::new(&options, rng.fork())).transpose()?;
        let retry = options.retry.map(|options| Retry::new(options, allowance, rng)).transpose()?;
        let hedger = options.hedge.map(Hedger::new).transpose()?;
        let objective = options.objective.map(objective::Shared::new).transpose()?;
        let inner = Inner {
            options,
            repeatable,
            events,
            clock,
            timeout,
            retry,
            budget,
            breaker,
            bulkhead,
            limit,
            hedger,
            objective,
            counters: counters::Shared::default(),
        };
        Ok(Policy { inner: Arc::new(inner) })
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("name", &self.name).finish_non_exhaustive()
    }
}
