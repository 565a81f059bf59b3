//! The port to stock and payment: services that belong to somebody else.
//!
//! Whoever calls across a network cannot tell a lost request from a lost answer. So every call
//! carries an idempotency key that is the same each time it is repeated, and a deadline; and its
//! failure says which of three things is known: it was *refused*, it surely *did not happen*, or
//! nobody knows ([`Failure::Unknown`]), which is never taken for "no".

mod guarded;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use steadfast_time::Monotonic;

use crate::names::OrderId;
use crate::order::{Item, Money};

pub use guarded::Guarded;

/// The code of a refusal that is none of the business: the service rejects our requests as such
/// (a wrong token, a path that it does not know). Something for an operator.
pub const PROVIDER_REJECTED: &str = "provider_rejected";

/// What accompanies each call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The idempotency key: the same for every repetition of this call.
    pub key: String,
    /// The answer is worthless after this moment.
    pub deadline: Monotonic,
    /// Which attempt this is; the first is 1. All but the first are paid for from a budget.
    pub attempt: u32,
}

impl Call {
    /// The first attempt at something.
    #[must_use]
    pub fn first(key: impl Into<String>, deadline: Monotonic) -> Self {
        Self { key: key.into(), deadline, attempt: 1 }
    }
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The service decided against it, and would again: out of stock, payment declined.
    #[error("refused ({code}): {reason}")]
    Refused {
        /// A stable code: `out_of_stock`, `payment_declined`, …
        code: String,
        /// The same in words.
        reason: String,
    },
    /// It did not happen: the service could not be reached, or said so. Asking again may help.
    #[error("unavailable: {reason}")]
    Unavailable {
        /// What was seen.
        reason: String,
        /// How long to wait before asking again, if the service says so: its `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// It did not happen, for it was not sent: a policy of ours would not have it. That says
    /// nothing about the service, and costs a saga none of its attempts.
    #[error("held: {reason}")]
    Held {
        /// Which policy, and why.
        reason: String,
        /// When it may let a call through, if it knows.
        retry_after: Option<Duration>,
    },
    /// It may have happened: no answer came in time, or one that cannot be understood. Only
    /// asking again with the same key tells.
    #[error("outcome unknown: {reason}")]
    Unknown {
        /// What was seen.
        reason: String,
    },
}

impl Failure {
    /// It did not happen, and nothing is known about when it may.
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into(), retry_after: None }
    }
}

/// The future of a call.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// The stock service. All calls are idempotent by their key, and each is also idempotent by the
/// order: there is at most one reservation for an order.
pub trait Stock: Send + Sync + 'static {
    /// Sets articles aside, all or none; returns the service's name for the reservation.
    fn reserve<'a>(
        &'a self,
        call: &'a Call,
        order: OrderId,
        items: &'a [Item],
    ) -> Answer<'a, String>;

    /// Puts them back. Succeeds when there is nothing to put back, and makes sure that a
    /// reservation for this order that is still on the wire cannot succeed later.
    fn release<'a>(&'a self, call: &'a Call, order: OrderId) -> Answer<'a, ()>;
}

/// The payment service, under the same rules.
pub trait Payment: Send + Sync + 'static {
    /// Holds an amount; returns the service's name for the authorization.
    fn authorize<'a>(
        &'a self,
        call: &'a Call,
        order: OrderId,
        amount: &'a Money,
    ) -> Answer<'a, String>;

    /// Takes the held amount; returns the service's name for the capture.
    fn capture<'a>(&'a self, call: &'a Call, order: OrderId) -> Answer<'a, String>;

    /// Lets the held amount go. Succeeds when nothing is held, and makes sure that an
    /// authorization for this order that is still on the wire cannot succeed later.
    fn void<'a>(&'a self, call: &'a Call, order: OrderId) -> Answer<'a, ()>;
}
