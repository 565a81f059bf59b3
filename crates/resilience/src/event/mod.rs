//! One stream of decisions, each with its reason and its figures.
//!
//! A policy that silently refuses is a mystery at three in the morning. So every refusal, retry,
//! hedge and change of state is one typed [`Event`], and whoever wants to know hands a
//! [`Listener`] to the policy: the ready ones write `tracing` events, count for Prometheus, or
//! keep the last few. Where nobody listens no event is made: the cost is one comparison.

use std::fmt;
use std::sync::Arc;

use steadfast_time::Monotonic;

use crate::{Refusal, breaker, detector, hedge, limit, retry, timeout};

#[cfg(feature = "metrics")]
mod count;
mod recorder;
#[cfg(feature = "tracing")]
mod trace;

#[cfg(feature = "metrics")]
pub use count::{Count, DECISIONS};
pub use recorder::{Record, Recorder};
#[cfg(feature = "tracing")]
pub use trace::Trace;

/// A decision, and what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// A call, or an attempt of it, was not let through.
    Refused(Refusal),
    /// A call, or an attempt of it, was given up.
    TimedOut(timeout::TimedOut),
    /// A failed call is made again.
    Retrying(retry::Retrying),
    /// A failed call is not made again.
    RetryWithheld(retry::Withheld),
    /// A slow call got a second attempt beside it.
    Hedged(hedge::Hedged),
    /// A slow call got no second attempt.
    HedgeWithheld(hedge::Withheld),
    /// A hedged call was answered.
    HedgeWon(hedge::Won),
    /// A breaker changed its state.
    Breaker(breaker::Transition),
    /// A concurrency limit moved.
    Limit(limit::Changed),
    /// A peer is suspected.
    Suspected(detector::Suspected),
    /// A peer is trusted again.
    Trusted(detector::Trusted),
}

impl Decision {
    /// Which part decided, in one word.
    #[must_use]
    pub const fn policy(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.policy(),
            Self::TimedOut(_) => "timeout",
            Self::Retrying(_) | Self::RetryWithheld(_) => "retry",
            Self::Hedged(_) | Self::HedgeWithheld(_) | Self::HedgeWon(_) => "hedge",
            Self::Breaker(_) => "breaker",
            Self::Limit(_) => "limit",
            Self::Suspected(_) | Self::Trusted(_) => "detector",
        }
    }

    /// What was decided, in one word.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::TimedOut(_) => "timed_out",
            Self::Retrying(_) => "retrying",
            Self::RetryWithheld(_) | Self::HedgeWithheld(_) => "withheld",
            Self::Hedged(_) => "hedged",
            Self::HedgeWon(_) => "won",
            Self::Breaker(_) | Self::Limit(_) => "changed",
            Self::Suspected(_) => "suspected",
            Self::Trusted(_) => "trusted",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::TimedOut(timed_out) => timed_out.fmt(f),
            Self::Retrying(retrying) => retrying.fmt(f),
            Self::RetryWithheld(withheld) => write!(f, "no retry: {withheld}"),
            Self::Hedged(hedged) => hedged.fmt(f),
            Self::HedgeWithheld(withheld) => write!(f, "no hedge: {withheld}"),
            Self::HedgeWon(won) => won.fmt(f),
            Self::Breaker(transition) => transition.fmt(f),
            Self::Limit(changed) => changed.fmt(f),
            Self::Suspected(suspected) => suspected.fmt(f),
            Self::Trusted(trusted) => trusted.fmt(f),
        }
    }
}

/// A decision of a named policy at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// When, on the policy's clock.
    pub at: Monotonic,
    /// Whose policy: the name of the dependency, for example `stock`.
    pub name: &'a str,
    /// What was decided, and why.
    pub decision: &'a Decision,
}

/// `breaker stock: CLOSED→OPEN, 57 of the last 100 failed, next probe in 60 s`
impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.decision.policy(), self.name, self.decision)
    }
}

/// Hears decisions. Called where the decision is made, so it must be quick and must not block.
pub trait Listener: Send + Sync {
    /// A decision was made.
    fn on(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>) + Send + Sync> Listener for F {
    fn on(&self, event: &Event<'_>) {
        self(event);
    }
}

/// Several listeners, in turn.
impl Listener for Vec<Arc<dyn Listener>> {
    fn on(&self, event: &Event<'_>) {
        for listener in self {
            listener.on(event);
        }
    }
}

/// Where the decisions of one named policy go. Clones are the same.
#[derive(Clone)]
pub struct Events {
    name: Arc<str>,
    listener: Option<Arc<dyn Listener>>,
}

impl Events {
    /// For a policy of this name, to nobody.
    #[must_use]
    pub fn silent(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), listener: None }
    }

    /// For a policy of this name, to a listener.
    #[must_use]
    pub fn to(name: impl Into<Arc<str>>, listener: Arc<dyn Listener>) -> Self {
        Self { name: name.into(), listener: Some(listener) }
    }

    /// The policy's name.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether anybody listens.
    #[must_use]
    pub const fn is_heard(&self) -> bool {
        self.listener.is_some()
    }

    /// Tells the listener, if there is one; otherwise the decision is not even made up.
    pub fn emit(&self, at: Monotonic, decision: impl FnOnce() -> Decision) {
        if let Some(listener) = &self.listener {
            listener.on(&Event { at, name: &self.name, decision: &decision() });
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, .. } = self;
        f.debug_struct("Events").field("name", name).field("heard", &self.is_heard()).finish()
    }
}
