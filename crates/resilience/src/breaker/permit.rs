//! Leave to make one call, which gives itself back.

use std::fmt;
use std::ops::Deref;

use super::{Breaker, Grant, Now, Refused, Transition};
use crate::Class;

/// Leave to make one call. Tell it what came of the call; dropped without a word, it counts as
/// cancelled, and a probe's place is free again.
///
/// `B` is how it holds on to its breaker: `&Breaker`, or `Arc<Breaker>` where it must live by
/// itself.
#[must_use = "dropping it cancels the call"]
pub struct Permit<B: Deref<Target = Breaker>> {
    breaker: B,
    grant: Option<Grant>,
}

impl<B: Deref<Target = Breaker>> Permit<B> {
    /// Asks for leave to make a call, as [`Breaker::acquire`] does.
    #[inline]
    pub fn acquire(breaker: B, now: impl Now) -> (Result<Self, Refused>, Option<Transition>) {
        let (granted, changed) = breaker.acquire(now);
        (granted.map(|grant| Self { breaker, grant: Some(grant) }), changed)
    }

    /// The call did what it should.
    #[inline]
    pub fn success(self, now: impl Now) -> Option<Transition> {
        self.end(now, false)
    }

    /// The call failed in a way that says something about the one who was asked.
    #[inline]
    pub fn failure(self, now: impl Now) -> Option<Transition> {
        self.end(now, true)
    }

    /// The call ended; a business refusal is no failure.
    #[inline]
    pub fn record(self, now: impl Now, class: Class) -> Option<Transition> {
        self.end(now, class.is_failure())
    }

    /// Whether this call is to find out if the circuit may close.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.grant.as_ref().is_some_and(Grant::is_probe)
    }

    /// The breaker that gave it.
    #[must_use]
    pub const fn breaker(&self) -> &B {
        &self.breaker
    }

    #[inline]
    fn end(mut self, now: impl Now, failed: bool) -> Option<Transition> {
        self.take().and_then(|grant| self.breaker.record(now, grant, failed))
    }

    /// What it was given, for someone who tells the breaker himself.
    #[inline]
    pub(super) const fn take(&mut self) -> Option<Grant> {
        self.grant.take()
    }
}

impl<B: Deref<Target = Breaker>> Drop for Permit<B> {
    #[inline]
    fn drop(&mut self) {
        if let Some(grant) = self.grant.take() {
            self.breaker.cancel(grant);
        }
    }
}

impl<B: Deref<Target = Breaker>> fmt::Debug for Permit<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("grant", &self.grant).finish_non_exhaustive()
    }
}
