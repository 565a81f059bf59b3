//! What a gallery and the documentation need of a run, read from its JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::draw::curve::thinned;
use super::words;
use crate::run::{BoundReport, Campaign, CheckReport, Mode, Report, VariantReport};
use crate::{Quantity, Verdict};

/// How many points a small picture has at most.
const SPARK_POINTS: usize = 120;

/// A text that is no report of a run.
#[derive(Debug, thiserror::Error)]
#[error("no report of a run: {0}")]
pub struct NotAReport(#[from] serde_json::Error);

/// A run in short.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Summary {
    /// The scenario's name.
    pub experiment: String,
    /// Its title.
    pub title: String,
    /// What is claimed.
    pub claim: String,
    /// Where it ran.
    pub mode: Mode,
    /// The coordination engine's address, of a real run.
    #[serde(default)]
    pub engine: Option<String>,
    /// Its seed.
    pub seed: u64,
    /// Whether the protected variants hold, and the others are caught.
    pub verdict: Verdict,
    /// Why, in a sentence.
    pub because: String,
    /// How long each trial took, in the system's time, in seconds.
    pub duration_s: f64,
    /// Time of the system over time here; none when the run took no time.
    pub speed: Option<f64>,
    /// The command that repeats it.
    pub command: String,
    /// The score over many seeds, if there were many.
    #[serde(default)]
    pub campaign: Option<Campaign>,
    /// The variants.
    pub variants: Vec<VariantSummary>,
}

/// A variant in short.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct VariantSummary {
    /// Its name.
    pub name: String,
    /// Whether it must hold.
    pub protected: bool,
    /// Why it was not run, when it was not.
    #[serde(default)]
    pub left_out: Option<String>,
    /// What came of it.
    pub verdict: Verdict,
    /// Whether that is as it should be.
    pub as_expected: bool,
    /// The models that its history was checked against.
    pub checks: Vec<CheckReport>,
    /// The bounds that its figures were held against.
    pub bounds: Vec<BoundReport>,
    /// Its figures by name.
    pub indicators: BTreeMap<String, Quantity>,
    /// Its curves and charts, thinned.
    #[serde(rename = "observed")]
    pub(crate) seen: Seen,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Seen {
    pub(crate) series: Vec<Curve>,
    pub(crate) charts: Vec<Chart>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) panel: String,
    #[serde(deserialize_with = "few")]
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) states: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) log: (bool, bool),
    pub(crate) lines: Vec<(String, Points)>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Points(#[serde(deserialize_with = "few")] pub(crate) Vec<(f64, f64)>);

/// Points, thinned; one that is not finite is `null` in JSON.
fn few<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(f64, f64)>, D::Error> {
    let all = Vec::<(Option<f64>, Option<f64>)>::deserialize(deserializer)?;
    let number = |value: Option<f64>| value.unwrap_or(f64::NAN);
    let all: Vec<_> = all.into_iter().map(|(x, y)| (number(x), number(y))).collect();
    Ok(thinned(&all, SPARK_POINTS))
}

/// Reads a run in short from its JSON.
///
/// # Errors
/// When it is no report.
pub fn load(json: &str) -> Result<Summary, NotAReport> {
    Ok(serde_json::from_str(json)?)
}

impl From<&Report> for Summary {
    fn from(report: &Report) -> Self {
        Self {
            experiment: report.experiment.clone(),
            title: report.title.clone(),
            claim: report.claim.clone(),
            mode: report.mode,
            engine: report.engine.clone(),
            seed: report.seed,
            verdict: report.verdict,
            because: report.because.clone(),
            duration_s: report.duration_s,
            speed: Some(report.speed),
            command: report.command.clone(),
            campaign: report.campaign.clone(),
            variants: report.variants.iter().map(VariantSummary::from).collect(),
        }
    }
}

impl From<&VariantReport> for VariantSummary {
    fn from(variant: &VariantReport) -> Self {
        let few = |points: &[(f64, f64)]| thinned(points, SPARK_POINTS);
        let series = variant.observed.series.iter().map(|series| Curve {
            name: series.name.clone(),
            panel: series.panel.clone(),
            points: few(&series.points),
            states: series.states.clone(),
        });
        let charts = variant.observed.charts.iter().map(|chart| Chart {
            title: chart.title.clone(),
            log: chart.log,
            lines: chart
                .lines
                .iter()
                .map(|(name, points)| (name.clone(), Points(few(points))))
                .collect(),
        });
        Self {
            name: variant.name.clone(),
            protected: variant.protected,
            left_out: variant.left_out.clone(),
            verdict: variant.verdict,
            as_expected: variant.as_expected,
            checks: variant.checks.clone(),
            bounds: variant.bounds.clone(),
            indicators: variant.indicators.clone(),
            seen: Seen { series: series.collect(), charts: charts.collect() },
        }
    }
}

impl Summary {
    /// The name of its page, beside the gallery.
    #[must_use]
    pub fn page(&self) -> String {
        format!("{}.html", self.stem())
    }

    pub(crate) fn stem(&self) -> String {
        words::stem(&self.experiment, self.mode, self.engine.as_deref(), self.seed)
    }
}
