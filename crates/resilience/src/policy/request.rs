//! One call, and what there is to say about it.

use super::{Attempt, Policy};
use crate::retry::Repeatable;
use crate::{ByError, Classify, Error};

/// A call that is about to be made through a policy.
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is called until `call` or `once`"]
pub struct Request<'a, C = ByError> {
    pub(super) policy: &'a Policy,
    pub(super) repeatable: Repeatable<'a>,
    pub(super) classify: C,
    /// `None`: this policy decides on retries.
    pub(super) attempt: Option<u32>,
}

impl<'a> Request<'a> {
    pub(super) const fn new(policy: &'a Policy, repeatable: Repeatable<'a>) -> Self {
        Self { policy, repeatable, classify: ByError, attempt: None }
    }
}

impl<'a, C> Request<'a, C> {
    /// By what right it may be repeated.
    pub fn repeatable(self, repeatable: Repeatable<'a>) -> Self {
        Self { repeatable, ..self }
    }

    /// It carries an idempotency key, so it may be repeated.
    pub fn key(self, key: &'a str) -> Self {
        self.repeatable(Repeatable::Key(key))
    }

    /// Judges outcomes by this, instead of by what the error says of itself.
    pub fn classify<D>(self, classify: D) -> Request<'a, D> {
        let Self { policy, repeatable, attempt, .. } = self;
        Request { policy, repeatable, classify, attempt }
    }

    /// Somebody else decides on retries (a saga with a durable timer, say), and this is the nth
    /// attempt; the first is 1. Then there are no retries here, and from the second attempt on it
    /// is paid from the budget like any other retry.
    pub fn attempt(self, attempt: u32) -> Self {
        Self { attempt: Some(attempt.max(1)), ..self }
    }

    /// Makes the call; `call` is called once for each attempt.
    ///
    /// # Errors
    /// The call's own error, after whatever retries were due; or a policy's: see [`Error`].
    pub fn call<T, E, F, Fut>(self, call: F) -> impl Future<Output = Result<T, Error<E>>>
    where
        C: Classify<T, E>,
        F: Fn(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        super::run::call(self, call)
    }

    /// Makes the call in one attempt: what it takes along need not be copied.
    ///
    /// # Errors
    /// The call's own error, or a policy's: see [`Error`].
    pub fn once<T, E, F, Fut>(self, call: F) -> impl Future<Output = Result<T, Error<E>>>
    where
        C: Classify<T, E>,
        F: FnOnce(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        super::run::once(self, call)
    }
}
