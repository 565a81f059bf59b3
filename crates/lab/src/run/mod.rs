//! Runs a scenario: every variant, then the same checks on each.

mod judge;
mod report;

use serde::Serialize;
use steadfast_time::Clock;

pub use report::{BoundReport, CheckReport, Report, VariantReport};

use crate::limits::CHECK_TIME;
use crate::system::Trial;
use crate::{Error, Scenario};

/// Where a trial runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
        Self { seed, check_time: CHECK_TIME, only: Vec::new(), clock: Clock::system() }
    }
}

/// Watches a run.
pub trait Watch: Sync {
    /// A variant begins: which, its number from 0, and how many there are.
    fn variant(&self, name: &str, number: usize, all: usize) {
        let _ = (name, number, all);
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

/// Runs a scenario on simulated hosts, in this thread.
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
    for (number, variant) in chosen.iter().enumerate() {
        watch.variant(&variant.name, number, chosen.len());
        let trial = Trial::new(scenario, variant, options.seed, scenario.duration, watch);
        let observed = scenario.system.simulate(&trial)?;
        variants.push(judge::variant(&trial, observed, options)?);
    }
    let wall = options.clock.monotonic() - started;
    Ok(Report::new(scenario, Mode::Simulated, options, scenario.duration, wall, variants))
}

/// Runs a scenario as processes.
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
    for (number, variant) in chosen.iter().enumerate() {
        watch.variant(&variant.name, number, chosen.len());
        let trial = Trial::new(scenario, variant, options.seed, scenario.real_duration, watch);
        let observed = scenario.system.perform(&trial, stage).await?;
        variants.push(judge::variant(&trial, observed, options)?);
    }
    let wall = options.clock.monotonic() - started;
    Ok(Report::new(scenario, Mode::Real, options, scenario.real_duration, wall, variants))
}

fn chosen<'a>(scenario: &'a Scenario, options: &Options) -> Vec<&'a crate::scenario::Variant> {
    let is_chosen = |name: &String| options.only.is_empty() || options.only.contains(name);
    scenario.variants.iter().filter(|variant| is_chosen(&variant.name)).collect()
}
