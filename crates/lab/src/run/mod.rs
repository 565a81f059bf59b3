//! Runs a scenario: every variant, then the same checks on each.

mod campaign;
mod judge;
mod report;

use serde::{Deserialize, Serialize};
use steadfast_time::Clock;

pub use campaign::{Campaign, Score, campaign};
pub use report::{BoundReport, CheckReport, Report, VariantReport};

use report::Ran;

use crate::limits::CHECK_TIME;
#[cfg(feature = "real")]
use crate::system::Real;
use crate::system::Trial;
use crate::{Error, Scenario};

/// Where a trial runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// On simulated hosts, faster than real time.
    Simulated,
    /// As processes on this machine.
    Real,
}

/// How a scenario is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Everything random comes from it.
    pub seed: u64,
    /// How long each check of a history may search.
    pub check_time: std::time::Duration,
    /// How long a trial takes, instead of what the scenario says.
    pub duration: Option<std::time::Duration>,
    /// Only these variants, by name; all when empty. With some left out the verdict is
    /// [`Unknown`](crate::Verdict::Unknown) at best.
    pub only: Vec<String>,
    /// For the time that a run takes, and the checks' limits.
    pub clock: Clock,
}

impl Options {
    /// The defaults, with a seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self {
            seed,
            check_time: CHECK_TIME,
            duration: None,
            only: Vec::new(),
            clock: Clock::system(),
        }
    }
}

/// Watches a run.
pub trait Watch: Sync {
    /// A variant begins: which, its number from 0, and how many there are.
    fn variant(&self, name: &str, number: usize, all: usize) {
        let _ = (name, number, all);
    }

    /// The same again under another seed: its number from 0, and how many there are.
    fn seed(&self, number: u64, all: u64) {
        let _ = (number, all);
    }

    /// So much of the variant is done, 0 to 1.
    fn progress(&self, share: f64) {
        let _ = share;
    }

    /// Whether the run must end, leaving nothing behind.
    fn is_interrupted(&self) -> bool {
        false
    }
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Watch for Silent {}

/// Runs a scenario on simulated hosts, in this thread. Not to be called from within a task of a tokio
/// runtime, whose budget for cooperation would end long before the run does: there, give it a thread
/// of its own (`spawn_blocking`).
///
/// # Errors
/// When a system cannot be set up, or the run is interrupted.
pub fn simulate(
    scenario: &Scenario,
    options: &Options,
    watch: &dyn Watch,
) -> Result<Report, Error> {
    let started = options.clock.monotonic();
    let mut variants = Vec::new();
    let chosen = chosen(scenario, options);
    let duration = options.duration.unwrap_or(scenario.duration);
    for (number, variant) in chosen.iter().enumerate() {
        watch.variant(&variant.name, number, chosen.len());
        let trial = Trial::new(scenario, variant, options.seed, duration, watch);
        let observed = scenario.system.simulate(&trial)?;
        variants.push(judge::variant(&trial, observed, options)?);
    }
    let wall = options.clock.monotonic() - started;
    let ran = Ran { mode: Mode::Simulated, engine: None, duration, wall };
    Ok(Report::new(scenario, ran, options, variants))
}

/// Runs a scenario as processes. A variant that cannot be had on this stage is left out with its
/// reason, and the verdict is [`Unknown`](crate::Verdict::Unknown) at best. Dropped in the middle, it
/// leaves nothing running.
///
/// # Errors
/// As [`simulate`]; besides, when the system has nothing real about it.
#[cfg(feature = "real")]
pub async fn perform(
    scenario: &Scenario,
    options: &Options,
    stage: &crate::real::Stage,
    watch: &dyn Watch,
) -> Result<Report, Error> {
    let started = options.clock.monotonic();
    let mut variants = Vec::new();
    let chosen = chosen(scenario, options);
    let duration = options.duration.unwrap_or(scenario.real_duration);
    for (number, variant) in chosen.iter().enumerate() {
        watch.variant(&variant.name, number, chosen.len());
        let trial = Trial::new(scenario, variant, options.seed, duration, watch);
        variants.push(match scenario.system.perform(&trial, stage).await {
            Ok(observed) => judge::variant(&trial, observed, options)?,
            Err(Error::LeftOut { reason }) => judge::left_out(&trial, reason),
            Err(error) => return Err(error),
        });
    }
    let wall = options.clock.monotonic() - started;
    let coordinated = scenario.system.real() == Real::Coordinated;
    let engine = coordinated.then(|| stage.engine_shown());
    let ran = Ran { mode: Mode::Real, engine, duration, wall };
    Ok(Report::new(scenario, ran, options, variants))
}

fn chosen<'a>(scenario: &'a Scenario, options: &Options) -> Vec<&'a crate::scenario::Variant> {
    let is_chosen = |name: &String| options.only.is_empty() || options.only.contains(name);
    scenario.variants.iter().filter(|variant| is_chosen(&variant.name)).collect()
}
