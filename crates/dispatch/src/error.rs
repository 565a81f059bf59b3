//! What a service answers when it cannot do what is asked.

use std::borrow::Cow;
use std::time::Duration;

use steadfast_journal as journal;

use crate::order::{EventError, Problem, Refused};

/// Why a service did not do what was asked. [`Error::code`] is stable; the words are not.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such thing.
    #[error("there is no {what} {id:?}")]
    NotFound {
        /// What kind of thing: `order`, `offer`, `courier`, `zone`.
        what: &'static str,
        /// Its name as it was given.
        id: String,
    },
    /// The request breaks a rule.
    #[error(transparent)]
    Invalid(#[from] Problem),
    /// The order is not in a state in which it can.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The caller meant another version of the order.
    #[error("the order is at version {actual}, not {expected}")]
    VersionMismatch {
        /// What the caller knew.
        expected: u64,
        /// What it is.
        actual: u64,
    },
    /// The idempotency key belongs to another request.
    #[error("this idempotency key was used for another request")]
    KeyReused,
    /// The first request with this idempotency key is still at work.
    #[error("the first request with this idempotency key is still being processed")]
    KeyInFlight {
        /// When it is worth asking again.
        retry_after: Duration,
    },
    /// Too much work is under way.
    #[error("{what}; try again in a moment")]
    Overloaded {
        /// What is full, and whose policy says so.
        what: Cow<'static, str>,
        /// When it is worth asking again.
        retry_after: Duration,
    },
    /// The deadline passed. The work may still be done: ask again with the same key.
    #[error("{what}; it may still be done: ask again with the same key")]
    DeadlineExceeded {
        /// Which limit was reached.
        what: Cow<'static, str>,
    },
    /// Shutting down, or the storage failed.
    #[error("not available: {reason}")]
    Unavailable {
        /// Why, for the operator's eyes.
        reason: String,
    },
    /// The journal holds something that this version cannot read.
    #[error("cannot read what is stored: {0}")]
    Unreadable(String),
}

impl Error {
    /// The stable code of this error. Each has a line in `docs/errors.md`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound { what, .. } => match what.as_bytes() {
                b"order" => "order_not_found",
                b"offer" => "offer_not_found",
                b"courier" => "courier_not_found",
                _ => "not_found",
            },
            Self::Invalid(_) => "invalid_request",
            Self::Refused(Refused::Status { .. } | Refused::Done) => "order_state",
            Self::Refused(Refused::OfferClosed { .. }) => "offer_closed",
            Self::Refused(Refused::OfferExpired { .. }) => "offer_expired",
            Self::Refused(Refused::WrongCourier { .. }) => "wrong_courier",
            Self::VersionMismatch { .. } => "version_mismatch",
            Self::KeyReused => "idempotency_key_reused",
            Self::KeyInFlight { .. } => "idempotency_key_in_flight",
            Self::Overloaded { .. } => "overloaded",
            Self::DeadlineExceeded { .. } => "deadline_exceeded",
            Self::Unavailable { .. } => "unavailable",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

impl Error {
    /// The request's own deadline has passed.
    pub(crate) const fn late() -> Self {
        Self::DeadlineExceeded { what: Cow::Borrowed("not done within the deadline") }
    }
}

impl From<journal::StorageError> for Error {
    fn from(error: journal::StorageError) -> Self {
        Self::Unavailable { reason: error.to_string() }
    }
}

impl From<EventError> for Error {
    fn from(error: EventError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl From<journal::Error> for Error {
    fn from(error: journal::Error) -> Self {
        match error {
            journal::Error::Overloaded { .. } => Self::Overloaded {
                what: "the journal's queue is full".into(),
                retry_after: Duration::from_secs(1),
            },
            journal::Error::TooLarge { what, actual, limit } => Self::Invalid(Problem::new(
                "body",
                format!("{what} is {actual}, over the limit of {limit}"),
            )),
            other => Self::Unavailable { reason: other.to_string() },
        }
    }
}
