//! Providers behind a policy.
//!
//! Stock and payment belong to somebody else, and somebody else has bad days. Each of the two has
//! a [`Policy`] of its own: a slow payment service takes nobody's place at the stock service, and
//! a circuit that is open for one is not for the other.
//!
//! The saga decides when a call is repeated, for its decisions survive a crash; the policy decides
//! whether it may be: a repetition is paid from the budget, and an open circuit says when to come
//! back. What a policy turned away has not even been sent ([`Failure::Held`]); what it gave
//! up waiting for may have ([`Failure::Unknown`]).
//!
//! A provider that keeps to its deadline gives up in the same moment as the policy. Then it is the
//! policy who says so, so that it is counted as what it is.

use std::sync::Arc;

use steadfast_resilience::deadline::{Context, Deadline};
use steadfast_resilience::policy::{Attempt, Policy};
use steadfast_resilience::{Class, Classified, Error};
use steadfast_time::Clock;

use super::{Answer, Call, Failure, PROVIDER_REJECTED, Payment, Stock};
use crate::names::OrderId;
use crate::order::{Item, Money};

impl Classified for Failure {
    fn class(&self) -> Class {
        match self {
            // It understands us differently than we mean it: nobody's order is at fault, and the
            // next one will fare no better.
            Self::Refused { code, .. } if code == PROVIDER_REJECTED => Class::Permanent,
            Self::Refused { .. } => Class::Refusal,
            Self::Unavailable { retry_after, .. } => Class::Transient { retry_after: *retry_after },
            Self::Held { retry_after, .. } => Class::Transient { retry_after: *retry_after },
            Self::Unknown { .. } => Class::TRANSIENT,
        }
    }
}

impl From<Error<Self>> for Failure {
    fn from(error: Error<Self>) -> Self {
        match &error {
            Error::Refused { refusal, .. } => {
                let retry_after = refusal.retry_after();
                Self::Held { reason: error.to_string(), retry_after }
            }
            Error::TimedOut { .. } => Self::Unknown { reason: error.to_string() },
            Error::Call(failure) => failure.clone(),
        }
    }
}

/// A provider, and what stands between it and us. `P` is `dyn Stock` or `dyn Payment`.
#[derive(Debug)]
pub struct Guarded<P: ?Sized> {
    provider: Arc<P>,
    policy: Policy,
    clock: Clock,
}

impl<P: ?Sized> Guarded<P> {
    /// This provider, behind this policy.
    pub const fn new(provider: Arc<P>, policy: Policy, clock: Clock) -> Self {
        Self { provider, policy, clock }
    }

    async fn ask<T, F, Fut>(&self, call: &Call, ask: F) -> Result<T, Failure>
    where
        F: Fn(Call) -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        let attempt = |attempt: Attempt| {
            let deadline = attempt.deadline.map_or(call.deadline, Deadline::moment);
            let asked = ask(Call { deadline, ..call.clone() });
            async move {
                match asked.await {
                    Err(Failure::Unknown { .. }) if self.clock.monotonic() >= deadline => {
                        // The policy's own limit is up now.
                        std::future::pending().await
                    }
                    answer => answer,
                }
            }
        };
        let request = self.policy.request().key(&call.key).attempt(call.attempt);
        let context = Context::current().tightened(Deadline::at(call.deadline));
        Ok(context.scope(request.call(attempt)).await?)
    }
}

impl Stock for Guarded<dyn Stock> {
    fn reserve<'a>(
        &'a self,
        call: &'a Call,
        order: OrderId,
        items: &'a [Item],
    ) -> Answer<'a, String> {
        let provider = &self.provider;
        Box::pin(
            self.ask(call, move |call| async move { provider.reserve(&call, order, items).await }),
        )
    }

    fn release<'a>(&'a self, call: &'a Call, order: OrderId) -> Answer<'a, ()> {
        let provider = &self.provider;
        Box::pin(self.ask(call, move |call| async move { provider.release(&call, order).await }))
    }
}

impl Payment for Guarded<dyn Payment> {
    fn authorize<'a>(
        &'a self,
        call: &'a Call,
        order: OrderId,
        amount: &'a Money,
    ) -> Answer<'a, String> {
        let provider = &self.provider;
        Box::pin(
            self.ask(
                call,
                move |call| async move { provider.authorize(&call, order, amount).await },
            ),
        )
    }

    fn capture<'a>(&'a self, call: &'a Call, order: OrderId) -> Answer<'a, String> {
        let provider = &self.provider;
        Box::pin(self.ask(call, move |call| async move { provider.capture(&call, order).await }))
    }

    fn void<'a>(&'a self, call: &'a Call, order: OrderId) -> Answer<'a, ()> {
        let provider = &self.provider;
        Box::pin(self.ask(call, move |call| async move { provider.void(&call, order).await }))
    }
}
