//! How a call ends that a policy had a hand in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{breaker, budget, bulkhead, deadline, limit, shed, timeout};

/// Why a policy did not let a call through. Nothing has been sent.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// There is not enough time left.
    #[error("{0}")]
    Deadline(#[from] deadline::Refused),
    /// The circuit is open.
    #[error("{0}")]
    Breaker(#[from] breaker::Refused),
    /// Too many calls are under way.
    #[error("{0}")]
    Bulkhead(#[from] bulkhead::Refused),
    /// More calls are under way than the other side has been able to take.
    #[error("{0}")]
    Limit(#[from] limit::Refused),
    /// Too much is waiting, or has waited for too long.
    #[error("{0}")]
    Shed(#[from] shed::Refused),
    /// A retry that somebody else decided on, and that the budget has nothing left for.
    #[error("{0}")]
    Budget(budget::Spent),
}

impl Refusal {
    /// Which policy refused, in one word.
    #[must_use]
    pub const fn policy(&self) -> &'static str {
        match self {
            Self::Deadline(_) => "deadline",
            Self::Breaker(_) => "breaker",
            Self::Bulkhead(_) => "bulkhead",
            Self::Limit(_) => "limit",
            Self::Shed(_) => "shed",
            Self::Budget(_) => "budget",
        }
    }

    /// When to try again. `None`: nobody knows. The deadline is too near, whatever is done within
    /// it, or an operator keeps the circuit open; [`Refusal::is_late`] tells them apart.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Deadline(_) => None,
            Self::Breaker(refused) => refused.retry_after,
            Self::Bulkhead(refused) => Some(refused.retry_after),
            Self::Limit(refused) => Some(refused.retry_after),
            Self::Shed(refused) => Some(refused.retry_after),
            // The floor gives something back every second or so.
            Self::Budget(_) => Some(Duration::from_secs(1)),
        }
    }

    /// Whether it was time that ran out, here or in a queue.
    #[must_use]
    pub const fn is_late(&self) -> bool {
        match self {
            Self::Deadline(_) => true,
            Self::Bulkhead(refused) => matches!(refused.reason, bulkhead::Reason::Deadline),
            Self::Shed(refused) => matches!(refused.reason, shed::Reason::Deadline),
            Self::Breaker(_) | Self::Limit(_) | Self::Budget(_) => false,
        }
    }

    /// The status for whoever asked over HTTP: 504 when time ran out, otherwise 503.
    #[must_use]
    pub const fn status(&self) -> u16 {
        if self.is_late() { 504 } else { 503 }
    }
}

/// How a call failed that went through a policy.
#[derive(Clone, Debug, PartialEq)]
pub enum Error<E> {
    /// A policy did not let it through: nothing was sent.
    Refused {
        /// Whose policy, for example `stock`.
        name: Arc<str>,
        /// Which part of it, why, and when to try again.
        refusal: Refusal,
    },
    /// No answer came in time. What was sent may have been done.
    TimedOut {
        /// Whose policy.
        name: Arc<str>,
        /// Which limit was reached.
        timeout: timeout::TimedOut,
    },
    /// The call itself failed.
    Call(E),
}

impl<E> Error<E> {
    /// Which policy made this error, in one word; `None` when the call itself failed.
    #[must_use]
    pub const fn policy(&self) -> Option<&'static str> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal.policy()),
            Self::TimedOut { .. } => Some("timeout"),
            Self::Call(_) => None,
        }
    }

    /// When to try again, if a policy refused and knows.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { refusal, .. } => refusal.retry_after(),
            Self::TimedOut { .. } | Self::Call(_) => None,
        }
    }

    /// Whether it is certain that nothing was sent.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// The call's own error, otherwise this one.
    ///
    /// # Errors
    /// A policy made this error.
    pub fn into_call(self) -> Result<E, Self> {
        match self {
            Self::Call(error) => Ok(error),
            other => Err(other),
        }
    }

    /// The same, with another kind of error of the call.
    pub fn map<F>(self, map: impl FnOnce(E) -> F) -> Error<F> {
        match self {
            Self::Refused { name, refusal } => Error::Refused { name, refusal },
            Self::TimedOut { name, timeout } => Error::TimedOut { name, timeout },
            Self::Call(error) => Error::Call(map(error)),
        }
    }
}

impl<E> Error<Error<E>> {
    /// Of two policies one inside the other, the error of whichever made it.
    pub fn flatten(self) -> Error<E> {
        match self {
            Self::Refused { name, refusal } => Error::Refused { name, refusal },
            Self::TimedOut { name, timeout } => Error::TimedOut { name, timeout },
            Self::Call(inner) => inner,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { name, refusal } => write!(f, "{} {name}: {refusal}", refusal.policy()),
            Self::TimedOut { name, timeout } => write!(f, "timeout {name}: {timeout}"),
            Self::Call(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal),
            Self::TimedOut { timeout, .. } => Some(timeout),
            Self::Call(error) => error.source(),
        }
    }
}
