//! What an operator sees of a policy.

use std::sync::Arc;
use std::time::Duration;

use super::{Counters, Inner};
use crate::{Share, breaker, budget, objective};

/// How a policy stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Whose policy.
    pub name: Arc<str>,
    /// What it has done so far.
    pub counters: Counters,
    /// How long an attempt that begins now may take.
    pub timeout: Option<Duration>,
    /// The breaker.
    pub breaker: Option<breaker::Snapshot>,
    /// What retries and hedges may cost.
    pub budget: Option<budget::Figures>,
    /// The bulkhead: attempts at work, attempts that wait.
    pub bulkhead: Option<(u32, u32)>,
    /// The concurrency limit: attempts at work, and how many may be.
    pub limit: Option<(u32, u32)>,
    /// Of the calls lately, how many were hedged.
    pub hedged_share: Option<Share>,
    /// What is left of the error budget.
    pub objective: Option<objective::Report>,
}

impl Snapshot {
    pub(super) fn of(inner: &Inner) -> Self {
        let now = inner.clock.monotonic();
        Self {
            name: inner.events.name().clone(),
            counters: inner.counters.read(),
            timeout: inner.timeout.as_ref().map(|timeout| timeout.limit(now)),
            breaker: inner.breaker.as_ref().map(|breaker| breaker.snapshot(now)),
            budget: inner.budget.as_ref().map(|budget| budget.figures(now)),
            bulkhead: inner.bulkhead.as_ref().map(|b| (b.in_use(), b.waiting())),
            limit: inner.limit.as_ref().map(|limit| (limit.in_flight(), limit.limit())),
            hedged_share: inner.hedger.as_ref().map(|hedger| hedger.share(now)),
            objective: inner.objective.as_ref().map(|objective| objective.report(now)),
        }
    }
}
