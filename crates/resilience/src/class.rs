//! What an outcome says about the one who was asked.
//!
//! Every policy needs the same judgement of an outcome: is it a sign of ill health (breaker,
//! concurrency limit), and may asking again help (retry, hedge)? A refusal is an answer: a shop
//! that says "out of stock" is in the best of health, and would say it again.

use std::time::Duration;

/// What an outcome says about the one who was asked, and whether to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It was done.
    Success,
    /// It was decided against: a business refusal, most of 4xx. Healthy, and final.
    Refusal,
    /// It failed in a way that may pass: no answer in time, 429, 503. Unhealthy; asked again where
    /// the call may be repeated.
    Transient {
        /// How long the other side wants to be left alone, if it says so.
        retry_after: Option<Duration>,
    },
    /// It failed in a way that asking again will not mend: 500, 401. Unhealthy, and final.
    Permanent,
}

impl Class {
    /// It failed in a way that may pass, and nothing is said about when.
    pub const TRANSIENT: Self = Self::Transient { retry_after: None };

    /// Whether it counts against the health of the one who was asked.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Transient { .. } | Self::Permanent)
    }

    /// Whether asking again may help.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::Transient { .. })
    }
}

/// An error that knows its class.
pub trait Classified {
    /// What it says about the one who was asked.
    fn class(&self) -> Class;
}

/// Judges outcomes. Implemented by closures.
pub trait Classify<T, E> {
    /// What the outcome says about the one who was asked.
    fn classify(&self, outcome: &Result<T, E>) -> Class;
}

impl<T, E, F: Fn(&Result<T, E>) -> Class> Classify<T, E> for F {
    fn classify(&self, outcome: &Result<T, E>) -> Class {
        self(outcome)
    }
}

/// Asks the error itself; whatever is not an error is a success.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByError;

impl<T, E: Classified> Classify<T, E> for ByError {
    fn classify(&self, outcome: &Result<T, E>) -> Class {
        match outcome {
            Ok(_) => Class::Success,
            Err(error) => error.class(),
        }
    }
}
