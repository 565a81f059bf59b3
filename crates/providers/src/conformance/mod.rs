//! The suites that every engine of the provider port passes.
//!
//! They use nothing but the port, so they say the same of a ledger in this process, of a service
//! behind a network, and of a service of your own. What cannot be asked for is observed: two
//! scarce articles show how many pieces are really set aside, a race of capture and void shows
//! who had the money.
//!
//! A caller of the port that hears [`Failure::Unknown`] or [`Failure::Unavailable`] asks again
//! with the same key, and so do the suites. So they can be run against an engine that loses every
//! third answer, and must hold all the same.
//!
//! # Limits
//! The suites leave about a hundred orders behind, under new ids, and nothing set aside. Nobody
//! else may order the scarce articles meanwhile.

mod payment;
mod stock;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use steadfast_dispatch::names::OrderId;
use steadfast_dispatch::provider::{Call, Failure};
use steadfast_time::{Clock, Ids};

pub use payment::{PaymentFixture, payment};
pub use stock::{StockFixture, stock};

/// How often a call is repeated before it counts as without an answer.
const REPEATS_MAX: usize = 100;

/// How many calls are made at once where a suite races them.
const RACE: usize = 50;

/// How long each attempt may take, unless told otherwise.
pub const ATTEMPT_DEFAULT: Duration = Duration::from_secs(5);

/// What a suite needs besides the engine.
#[derive(Debug)]
pub struct Setup {
    /// The clock that the engine runs by.
    pub clock: Clock,
    /// Where new order ids come from. Two runs against the same service need different ones.
    pub ids: Ids,
    /// How long each attempt of a call may take.
    pub attempt: Duration,
}

/// The engine broke a promise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{case}: {problem}")]
pub struct Violation {
    /// The promise.
    pub case: &'static str,
    /// What was expected, and what was seen.
    pub problem: String,
}

/// An answer that does not change any more: a result, or a refusal's code.
type Final<T> = Result<T, String>;

/// One case of a suite.
struct Case<'a> {
    name: &'static str,
    setup: &'a Setup,
}

impl<'a> Case<'a> {
    const fn new(name: &'static str, setup: &'a Setup) -> Self {
        Self { name, setup }
    }

    fn order(&self) -> OrderId {
        OrderId(self.setup.ids.next(self.setup.clock.now()))
    }

    fn violated(&self, problem: impl Into<String>) -> Violation {
        Violation { case: self.name, problem: problem.into() }
    }

    /// Asks with one key until the answer is final.
    async fn ask<T, F>(&self, key: &str, ask: impl Fn(Call) -> F) -> Result<Final<T>, Violation>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut last = None;
        for _ in 0..REPEATS_MAX {
            let deadline = self.setup.clock.monotonic() + self.setup.attempt;
            match ask(Call::first(key, deadline)).await {
                Ok(answer) => return Ok(Ok(answer)),
                Err(Failure::Refused { code, .. }) => return Ok(Err(code)),
                Err(failure) => last = Some(failure),
            }
        }
        let last = last.map_or_else(String::new, |failure| failure.to_string());
        Err(self.violated(format!("{key}: no answer after {REPEATS_MAX} attempts: {last}")))
    }

    /// Asks once, when there is no time left.
    async fn ask_late<T, F>(&self, key: &str, ask: impl Fn(Call) -> F) -> Result<(), Violation>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let deadline = self.setup.clock.monotonic();
        match ask(Call::first(key, deadline)).await {
            Ok(_) => Err(self.violated(format!("{key}: a success after the deadline"))),
            Err(_) => Ok(()),
        }
    }

    fn same<T: PartialEq + fmt::Debug>(
        &self,
        what: &str,
        seen: &T,
        expected: &T,
    ) -> Result<(), Violation> {
        if seen == expected {
            Ok(())
        } else {
            Err(self.violated(format!("{what}: {seen:?} instead of {expected:?}")))
        }
    }

    fn granted<T: fmt::Debug>(&self, what: &str, seen: Final<T>) -> Result<T, Violation> {
        seen.map_err(|code| self.violated(format!("{what} was refused with {code:?}")))
    }

    fn refused<T: fmt::Debug>(&self, what: &str, seen: Final<T>) -> Result<String, Violation> {
        match seen {
            Err(code) => Ok(code),
            Ok(answer) => Err(self.violated(format!("{what} was granted: {answer:?}"))),
        }
    }
}
