//! The API node: one of its calls needs an answer of one dependency, and a policy stands between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use steadfast_resilience::bulkhead::Bulkhead;
use steadfast_resilience::deadline::{Context, Deadline};
use steadfast_resilience::policy::Policy;
use steadfast_resilience::{Error, Invalid};
use steadfast_time::Clock;

use super::answer::{Done, Failed};
use super::meter::{Meter, Sent};
use super::settings::Settings;

/// Sends a request to a dependency, by its number.
pub(super) type Transport =
    Arc<dyn Fn(usize) -> BoxFuture<'static, Result<Done, Failed>> + Send + Sync>;

/// The API node. The same on simulated and on real transports.
pub(super) struct Api {
    clock: Clock,
    policies: Vec<Policy>,
    pool: Option<Bulkhead>,
    patience: Duration,
    propagate: bool,
    transport: Transport,
    meter: Meter,
}

/// Why a call got no answer, and whether something may have been done all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unanswered {
    pub why: String,
    pub doubtful: bool,
}

impl Api {
    pub fn new(
        settings: &Settings,
        clock: Clock,
        seed: u64,
        transport: Transport,
        meter: Meter,
    ) -> Result<Self, Invalid> {
        let policies = (0..).zip(&settings.dependencies).map(|(number, name)| {
            Policy::builder(name.as_str())
                .options(settings.policy)
                .repeatable()
                .seed(seed.wrapping_add(number))
                .listener(meter.listener(number as usize))
                .build(clock.clone())
        });
        let policies = policies.collect::<Result<_, _>>()?;
        let pool =
            settings.pool.map(|options| Bulkhead::new(&options, clock.clone())).transpose()?;
        let Settings { patience, propagate, .. } = *settings;
        Ok(Self { clock, policies, pool, patience, propagate, transport, meter })
    }

    /// What stands in front of each dependency.
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// Serves one call.
    pub async fn serve(&self, to: usize) -> Result<(), Unanswered> {
        let (sent, settled) = (AtomicU32::new(0), AtomicU32::new(0));
        let context = if self.propagate {
            Context::until(Deadline::within(self.clock.monotonic(), self.patience))
        } else {
            Context::default()
        };
        let answer = context.scope(self.ask(to, context.deadline, &sent, &settled)).await;
        answer.map_err(|why| {
            let doubtful = sent.load(Ordering::Relaxed) != settled.load(Ordering::Relaxed);
            Unanswered { why, doubtful }
        })
    }

    async fn ask(
        &self,
        to: usize,
        deadline: Option<Deadline>,
        sent: &AtomicU32,
        settled: &AtomicU32,
    ) -> Result<(), String> {
        let _place = match &self.pool {
            Some(pool) => {
                Some(pool.acquire(deadline).await.map_err(|full| format!("pool: {full}"))?)
            }
            None => None,
        };
        let Some(policy) = self.policies.get(to) else { return Err("no such dependency".into()) };
        let outcome = policy
            .call(|attempt| {
                sent.fetch_add(1, Ordering::Relaxed);
                let which = match (attempt.hedge, attempt.number) {
                    (true, _) => Sent::Hedge,
                    (false, 1) => Sent::First,
                    (false, _) => Sent::Retry,
                };
                self.meter.sent(self.clock.monotonic(), to, which);
                let answer = (self.transport)(to);
                async move {
                    let answer = answer.await;
                    if answer.as_ref().err().is_none_or(|failed| failed.is_definite()) {
                        settled.fetch_add(1, Ordering::Relaxed);
                    }
                    if let Ok(done) = answer {
                        self.meter.waiting(to, self.clock.monotonic(), done.waiting);
                    }
                    answer
                }
            })
            .await;
        match outcome {
            Ok(_) => Ok(()),
            Err(Error::Call(failed)) => Err(failed.to_string()),
            Err(Error::TimedOut { .. }) => Err("no answer in time".to_owned()),
            Err(Error::Refused { refusal, .. }) => Err(format!("refused: {}", refusal.policy())),
        }
    }
}
