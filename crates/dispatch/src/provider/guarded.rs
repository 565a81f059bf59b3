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
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

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
        // Attempts that may have done something: of two side by side, the one that is certain to
        // have done nothing does not speak for the other.
        let open = AtomicU32::new(0);
        let attempt = |attempt: Attempt| {
            let deadline = attempt.deadline.map_or(call.deadline, Deadline::moment);
            open.fetch_add(1, Relaxed);
            let (asked, open) = (ask(Call { deadline, ..call.clone() }), &open);
            async move {
                match asked.await {
                    Err(Failure::Unknown { .. }) if self.clock.monotonic() >= deadline => {
                        // The policy's own limit is up now.
                        std::future::pending().await
                    }
                    unknown @ Err(Failure::Unknown { .. }) => unknown,
                    answer => {
                        open.fetch_sub(1, Relaxed);
                        answer
                    }
                }
            }
        };
        let request = self.policy.request().key(&call.key).attempt(call.attempt);
        let context = Context::current().tightened(Deadline::at(call.deadline));
        match context.scope(request.call(attempt)).await.map_err(Failure::from) {
            Err(Failure::Unavailable { reason, .. } | Failure::Held { reason, .. })
                if open.load(Relaxed) > 0 =>
            {
                Err(Failure::Unknown { reason })
            }
            answer => answer,
        }
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use steadfast_resilience::policy::Options;
    use steadfast_resilience::{Share, budget, hedge, objective};
    use steadfast_time::Uuid;
    use steadfast_time::sim::Simulation;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Answers from the last of these to the first, each after a while.
    struct Script(Clock, Mutex<Vec<(u64, Result<String, Failure>)>>);

    impl Stock for Script {
        fn reserve<'a>(&'a self, _: &'a Call, _: OrderId, _: &'a [Item]) -> Answer<'a, String> {
            let (after, answer) = self.1.lock().unwrap().pop().unwrap();
            Box::pin(async move {
                self.0.sleep(ms(after)).await;
                answer
            })
        }

        fn release<'a>(&'a self, _: &'a Call, _: OrderId) -> Answer<'a, ()> {
            unreachable!("nobody asks")
        }
    }

    /// What comes of a slow call, whose second attempt begins after 40 ms.
    fn hedged(first: (u64, Failure), second: (u64, Failure)) -> Failure {
        let mut sim = Simulation::new(1);
        let hedge = hedge::Options {
            p95_above: ms(30),
            observed_min: 20,
            share_max: Share::ALL,
            delay: hedge::Delay::Fixed(ms(40)),
            ..hedge::Options::default()
        };
        let options = Options {
            budget: Some(budget::Options::default()),
            objective: Some(objective::Options::default()),
            hedge: Some(hedge),
            ..Options::NONE
        };
        let clock = sim.clock();
        let policy = Policy::builder("stock").options(options).build(clock.clone()).unwrap();
        let ((first, failed), (second, too)) = (first, second);
        let mut answers = vec![(second, Err(too)), (first, Err(failed))];
        answers.extend((0..30).map(|_| (35, Ok("r".to_owned()))));
        let script = Arc::new(Script(clock.clone(), Mutex::new(answers)));
        let stock = Guarded::<dyn Stock>::new(script, policy.clone(), clock.clone());
        let failure = sim.block_on(async move {
            let order = OrderId(Uuid::from_u128(1));
            let call =
                || Call { key: "k".to_owned(), deadline: clock.monotonic() + ms(100), attempt: 1 };
            for _ in 0..30 {
                stock.reserve(&call(), order, &[]).await.unwrap();
            }
            stock.reserve(&call(), order, &[]).await.unwrap_err()
        });
        assert_eq!(policy.counters().hedges, 1);
        failure
    }

    #[test]
    fn an_attempt_that_did_nothing_does_not_speak_for_one_that_may_have() {
        let unknown = || Failure::Unknown { reason: "reset".to_owned() };
        let away = || Failure::unavailable("away");
        let is_unknown = |failure| matches!(failure, Failure::Unknown { .. });
        assert!(is_unknown(hedged((50, unknown()), (20, away()))));
        assert!(is_unknown(hedged((60, away()), (10, unknown()))));
        assert_eq!(hedged((50, away()), (20, away())), away());
    }
}
