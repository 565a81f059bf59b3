//! What stands between the services and what they call.
//!
//! Not to be confused with [`crate::policy`], which matches orders with couriers. These are the
//! policies of `steadfast-resilience`, one for each dependency, with the sources' numbers:
//!
//! | call | limit | retried | otherwise |
//! |---|---|---|---|
//! | orders → journal | 250 ms | no | its outcome would be unknown, and the caller's key finds out |
//! | saga → stock | 100 ms | by the saga, from a budget of 5 % | breaker: 50 % of the last 100 |
//! | saga → payment | 100 ms | by the saga, from a budget of its own | the same |

use std::sync::Arc;
use std::time::Duration;

use steadfast_journal as journal;
use steadfast_resilience::event::Listener;
use steadfast_resilience::policy::{Options as Parts, Policy};
use steadfast_resilience::{
    Class, Error as Guarded, Invalid, breaker, budget, bulkhead, objective, timeout,
};
use steadfast_time::Clock;

use crate::Error;

/// What the policies are made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Writes on somebody's request.
    pub journal: Parts,
    /// Calls of the stock service.
    pub stock: Parts,
    /// Calls of the payment service.
    pub payment: Parts,
}

impl Default for Options {
    fn default() -> Self {
        let provider = provider(Duration::from_millis(100));
        Self { journal: journal(Duration::from_millis(250)), stock: provider, payment: provider }
    }
}

/// Writes: a limit of time and nothing else. The journal bounds its own queue, and a storage that
/// fails ends the process; there is no circuit to open.
#[must_use]
pub fn journal(limit: Duration) -> Parts {
    let timeout = timeout::Options { attempt: timeout::Attempt::Fixed(limit), overall: None };
    Parts { timeout: Some(timeout), objective: Some(objective::Options::default()), ..Parts::NONE }
}

/// Calls of a provider. No retries: the saga makes them, and pays from the same budget.
#[must_use]
pub fn provider(limit: Duration) -> Parts {
    let timeout = timeout::Options { attempt: timeout::Attempt::Fixed(limit), overall: None };
    Parts {
        timeout: Some(timeout),
        budget: Some(budget::Options::default()),
        breaker: Some(breaker::Options::default()),
        bulkhead: Some(bulkhead::Options {
            limit: crate::limits::PROVIDER_CALLS_MAX,
            queue: crate::limits::PROVIDER_WAITS_MAX,
            wait: limit,
        }),
        objective: Some(objective::Options::default()),
        ..Parts::NONE
    }
}

/// The policies of one process. Clones are the same.
#[derive(Clone, Debug)]
pub struct Policies {
    /// Writes on somebody's request.
    pub journal: Policy,
    /// Calls of the stock service.
    pub stock: Policy,
    /// Calls of the payment service.
    pub payment: Policy,
}

impl Policies {
    /// Policies that tell `listener`, if there is one, what they decide.
    ///
    /// # Errors
    /// Options that make no sense: which one, what it says, and what is allowed.
    pub fn new(
        options: Options,
        clock: &Clock,
        listener: Option<&Arc<dyn Listener>>,
    ) -> Result<Self, Invalid> {
        let policy = |name: &'static str, options| {
            let mut builder = Policy::builder(name).options(options);
            if let Some(listener) = listener {
                builder = builder.listener(Arc::clone(listener));
            }
            builder.build(clock.clone()).map_err(|invalid| invalid.within(name))
        };
        Ok(Self {
            journal: policy("journal", options.journal)?,
            stock: policy("stock", options.stock)?,
            payment: policy("payment", options.payment)?,
        })
    }

    /// Policies with the default options, which nobody hears.
    #[must_use]
    pub fn standard(clock: &Clock) -> Self {
        match Self::new(Options::default(), clock, None) {
            Ok(policies) => policies,
            Err(invalid) => unreachable!("the defaults make sense: {invalid}"),
        }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> [&Policy; 3] {
        [&self.journal, &self.stock, &self.payment]
    }
}

/// What a commit that went wrong says about the journal.
pub(crate) fn class<T>(outcome: &Result<T, journal::Error>) -> Class {
    match outcome {
        Ok(_) => Class::Success,
        // A refusal is the journal at its best.
        Err(journal::Error::Refused(_) | journal::Error::TooLarge { .. }) => Class::Refusal,
        Err(journal::Error::Overloaded { .. }) => Class::TRANSIENT,
        Err(journal::Error::Closed | journal::Error::Storage(_)) => Class::Permanent,
    }
}

impl From<Guarded<journal::Error>> for Error {
    fn from(error: Guarded<journal::Error>) -> Self {
        match error {
            Guarded::Call(error) => error.into(),
            Guarded::Refused { ref refusal, .. } if !refusal.is_late() => {
                // A circuit that an operator keeps open says nothing about when.
                let retry_after = refusal.retry_after().unwrap_or(Duration::from_secs(1));
                Self::Overloaded { what: error.to_string().into(), retry_after }
            }
            Guarded::Refused { .. } | Guarded::TimedOut { .. } => {
                Self::DeadlineExceeded { what: error.to_string().into() }
            }
        }
    }
}

impl From<bulkhead::Refused> for Error {
    fn from(refused: bulkhead::Refused) -> Self {
        let what = format!("bulkhead preparing: {refused}").into();
        match refused.reason {
            bulkhead::Reason::Deadline => Self::DeadlineExceeded { what },
            _ => Self::Overloaded { what, retry_after: refused.retry_after },
        }
    }
}
