//! Calls to dependencies that fail, are slow, or stand still, and the policies in front of them.
//!
//! Clients call an API node, whether earlier calls were answered or not; it asks one of its
//! dependencies for each call, through a real `steadfast_resilience::policy::Policy`; a dependency
//! has workers and a queue, and knows nothing of deadlines. A client that hears nothing gives up
//! after its patience; what it has set off goes on.
//!
//! ```text
//! clients ─► API node ─► policy: deadline, retry, budget, hedge, bulkhead, breaker, timeout
//!                          └─► link or HTTP proxy, with faults ─► queue ─► workers
//! ```
//!
//! What a scenario may set:
//!
//! | key | default | |
//! |---|---|---|
//! | `arrivals` | `"poisson"` | how calls follow each other: `poisson`, `even` |
//! | `patience` | `"1s"` | how long a client waits |
//! | `propagate` | `true` | whether the API node knows that, and stops when nobody waits any more |
//! | `dependencies` | `["dependency"]` | their names; each call needs one of them, drawn evenly |
//! | `workers`, `service`, `queue` | 2, `"15ms"`, 100 | what each of them is made of |
//! | `attempt` | `"350ms"` | how long one attempt may take |
//! | `retry` | `"backoff"` | `none`; `fixed`: after `interval`, always; `backoff`: 100, 200, 400 ms, full jitter |
//! | `attempts`, `interval` | 4, `"100ms"` | how often at most; the pause of `fixed`, and the delay of `eager` |
//! | `budget`, `budget_floor` | none, 0 | what retries and hedges may cost: a share of the calls, and so many a second besides |
//! | `breaker`, `open_for` | `false`, `"60s"` | 50 % of the last 100 |
//! | `hedge` | `"off"` | `conditional`: behind all gates; `eager`: after `interval`, always |
//! | `objective` | `"99.9%"` | the calls that are to go well: the error budget that hedging looks at |
//! | `bulkhead`, `bulkhead_wait` | 0, `"50ms"` | places for each dependency, and how long to wait for one |
//! | `pool` | 0 | places that the calls to all dependencies share |
//!
//! # Limits
//! In real mode clients and the API node are the lab's own process; each dependency is another
//! one, behind an HTTP proxy. Links between processes of one machine are not disturbed there: a
//! scenario with faults of links is simulated only.

mod answer;
mod api;
mod clients;
mod drive;
mod meter;
mod phases;
#[cfg(feature = "real")]
mod real;
mod result;
#[cfg(feature = "real")]
pub(crate) mod server;
mod settings;
mod sim;
mod station;
#[cfg(test)]
mod tests;

#[cfg(feature = "real")]
use futures::future::BoxFuture;

use crate::check::Model;
use crate::fault::{self, Fault};
use crate::limits::CALLS_MAX;
use crate::quantity::Unit;
use crate::scenario::{Load, Reader};
use crate::system::{Indicator, Real, System, Trial};
use crate::{Error, Observed};
use settings::Settings;

/// The API node's name.
const API: &str = "api";

/// Calls through policies to dependencies that fail.
#[derive(Clone, Copy, Debug)]
pub struct Calls;

const fn indicator(name: &'static str, unit: Unit, about: &'static str) -> Indicator {
    Indicator { name, unit, about }
}

const INDICATORS: &[Indicator] = &[
    indicator("dep.retry_rate", Unit::Share, "retries, of all attempts that were sent"),
    indicator("dep.timeout_rate", Unit::Share, "attempts without an answer in time, of all sent"),
    indicator("hedged_share", Unit::Share, "second attempts beside a slow first, of all sent"),
    indicator("hedges_won", Unit::Count, "second attempts that answered first"),
    indicator("upstream.qps", Unit::Rate, "attempts sent to the dependencies, on average"),
    indicator("amplification", Unit::Times, "attempts sent, over first attempts sent"),
    indicator("breaker.opens", Unit::Count, "how often a circuit opened"),
    indicator(
        "breaker.reaction",
        Unit::Time,
        "from the beginning of an outage to the open circuit",
    ),
    indicator("outage.qps", Unit::Rate, "attempts sent in the second half of an outage"),
    indicator("api.success", Unit::Share, "calls answered well and in time, of all"),
    indicator("api.success.during", Unit::Share, "the same, from the first fault to the last"),
    indicator(
        "api.success.after",
        Unit::Share,
        "the same, in the second half of the time after it",
    ),
    indicator(
        "api.latency_ms.p99",
        Unit::Time,
        "what 99 % of the calls took, answered or given up",
    ),
    indicator(
        "recovery",
        Unit::Time,
        "from the end of the last fault until calls are answered again",
    ),
    indicator(
        "bystander.success",
        Unit::Share,
        "calls to dependencies that no fault hits, during it",
    ),
    indicator("bystander.latency_ms.p99", Unit::Time, "what 99 % of those took"),
    indicator("struck.success", Unit::Share, "calls to dependencies that a fault hits, during it"),
];

impl System for Calls {
    fn name(&self) -> &'static str {
        "calls"
    }

    fn about(&self) -> &'static str {
        "an API node that asks dependencies of finite capacity through a resilience policy"
    }

    fn faults(&self) -> &'static [fault::Kind] {
        use fault::Kind;
        &[Kind::Http, Kind::Link, Kind::Partition, Kind::Pause, Kind::Kill]
    }

    fn indicators(&self) -> &'static [Indicator] {
        INDICATORS
    }

    fn models(&self) -> &'static [Model] {
        &[]
    }

    fn real(&self) -> Real {
        Real::Processes
    }

    fn prepare(&self, load: Load, settings: &Reader<'_>) -> Vec<String> {
        let settings = Settings::read(load, settings);
        std::iter::once(API.to_owned()).chain(settings.dependencies).collect()
    }

    fn simulate(&self, trial: &Trial<'_>) -> Result<Observed, Error> {
        let settings = settings_of(trial)?;
        sim::run(trial, &settings)
    }

    #[cfg(feature = "real")]
    fn perform<'a>(
        &'a self,
        trial: &'a Trial<'a>,
        stage: &'a crate::real::Stage,
    ) -> BoxFuture<'a, Result<Observed, Error>> {
        Box::pin(async move {
            let settings = settings_of(trial)?;
            real::run(self, trial, stage, &settings).await
        })
    }
}

/// The trial's settings, unless it asks for what cannot be.
fn settings_of(trial: &Trial<'_>) -> Result<Settings, Error> {
    let settings = Settings::read(trial.load, &trial.settings.reader());
    if settings.rate * trial.duration.as_secs_f64() > CALLS_MAX {
        return Err(broken(format!("more than {CALLS_MAX} calls; lower load.rate or duration")));
    }
    // Links may begin or end at the API node; everything else is done to a dependency.
    let stopped = trial.schedule.iter().find(|planned| match &planned.fault {
        Fault::Link { .. } | Fault::Partition { .. } => false,
        fault => fault.nodes().any(|node| node == API),
    });
    match stopped {
        Some(planned) => Err(broken(format!(
            "{}: this fault can hit a dependency only, not the API node",
            planned.fault
        ))),
        None => Ok(settings),
    }
}

fn broken(reason: impl std::fmt::Display) -> Error {
    Error::System { system: "calls", reason: reason.to_string() }
}
