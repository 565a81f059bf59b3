//! The same scenario under many seeds.
//!
//! One seed may have been lucky. How often a protected variant held and how often its broken twin
//! was caught, out of many, says more; and the number of seeds that it takes to catch a twin says
//! how good the experiment is at finding what it looks for.

use serde::{Deserialize, Serialize};

use super::{Options, Report, VariantReport, Watch, simulate};
use crate::{Error, Scenario, Verdict};

/// What came of many seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Campaign {
    /// The first seed.
    pub first_seed: u64,
    /// How many, one after the other.
    pub seeds: u64,
    /// The seeds under which the experiment did not go as it should.
    pub failed: Vec<u64>,
    /// Each variant's score.
    pub variants: Vec<Score>,
}

/// A variant under many seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Its name.
    pub name: String,
    /// Whether it must hold.
    pub protected: bool,
    /// How often it held.
    pub holds: u64,
    /// How often it was violated.
    pub violated: u64,
    /// How often that was not found out.
    pub unknown: u64,
    /// How many seeds it takes in the mean to see a violation; none when there was none.
    pub seeds_to_detect: Option<f64>,
}

impl Score {
    fn new(variant: &VariantReport) -> Self {
        let (name, protected) = (variant.name.clone(), variant.protected);
        Self { name, protected, holds: 0, violated: 0, unknown: 0, seeds_to_detect: None }
    }

    fn count(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Holds => &mut self.holds,
            Verdict::Violated => &mut self.violated,
            Verdict::Unknown => &mut self.unknown,
        } += 1;
        let seeds = (self.holds + self.violated + self.unknown) as f64;
        self.seeds_to_detect = (self.violated > 0).then(|| seeds / self.violated as f64);
    }
}

impl Campaign {
    fn new(first: &Report) -> Self {
        let variants = first.variants.iter().map(Score::new).collect();
        Self { first_seed: first.seed, seeds: 0, failed: Vec::new(), variants }
    }

    fn count(&mut self, report: &Report) {
        self.seeds += 1;
        // Not the verdict: that is open whenever only some of the variants are run.
        if report.variants.iter().any(|variant| !variant.as_expected) {
            self.failed.push(report.seed);
        }
        for (score, variant) in self.variants.iter_mut().zip(&report.variants) {
            score.count(variant.verdict);
        }
    }
}

/// Runs a scenario under `seeds` seeds from the options' one on. The report is that of the first
/// seed with the worst verdict (violated, then open), with the score of all; so its verdict is that
/// of all.
///
/// # Errors
/// As [`simulate`].
pub fn campaign(
    scenario: &Scenario,
    options: &Options,
    seeds: u64,
    watch: &dyn Watch,
) -> Result<Report, Error> {
    let started = options.clock.monotonic();
    watch.seed(0, seeds.max(1));
    let mut shown = simulate(scenario, options, watch)?;
    let mut campaign = Campaign::new(&shown);
    campaign.count(&shown);
    for number in 1..seeds.max(1) {
        watch.seed(number, seeds);
        let options = Options { seed: options.seed.wrapping_add(number), ..options.clone() };
        let report = simulate(scenario, &options, watch)?;
        campaign.count(&report);
        if shown.verdict.and(report.verdict) != shown.verdict {
            shown = report;
        }
    }
    if seeds > 1 {
        let wall_s = (options.clock.monotonic() - started).as_secs_f64();
        shown.speed *= shown.wall_s * campaign.seeds as f64 / wall_s.max(f64::MIN_POSITIVE);
        shown.wall_s = wall_s;
        if !campaign.failed.is_empty() {
            let (failed, seeds) = (campaign.failed.len(), campaign.seeds);
            shown.because = format!("{failed} of {seeds} seeds: {}", shown.because);
        }
        shown.campaign = Some(campaign);
    }
    Ok(shown)
}
