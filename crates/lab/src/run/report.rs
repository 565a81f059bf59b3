//! What came of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Campaign, Mode, Options};
use crate::check::{Model, Piece};
use crate::fault::Planned;
use crate::limits::CHECK_TIME;
use crate::{Observed, Quantity, Scenario, Verdict};

/// What came of a run. As JSON it is the machine-readable result.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The scenario's name.
    pub experiment: String,
    /// Its title.
    pub title: String,
    /// What is claimed.
    pub claim: String,
    /// Where the claim comes from.
    pub source: String,
    /// What was put under test.
    pub system: String,
    /// Where it ran.
    pub mode: Mode,
    /// The coordination engine of a real run, without a password; none for a simulated one.
    pub engine: Option<String>,
    /// Its seed.
    pub seed: u64,
    /// Whether the protected variants hold, and the others are caught.
    pub verdict: Verdict,
    /// Why, in a sentence.
    pub because: String,
    /// How long each trial took, in the system's time, in seconds.
    pub duration_s: f64,
    /// How long all of it took here, in seconds.
    pub wall_s: f64,
    /// Time of the system over time here, all variants together.
    pub speed: f64,
    /// The command that repeats it.
    pub command: String,
    /// The score over many seeds, if there were many. Everything else is of one of them.
    pub campaign: Option<Campaign>,
    /// The variants, in the order of the scenario.
    pub variants: Vec<VariantReport>,
}

/// What came of one variant.
#[derive(Clone, Debug, Serialize)]
pub struct VariantReport {
    /// Its name.
    pub name: String,
    /// What is different about it.
    pub about: String,
    /// Whether it must hold.
    pub protected: bool,
    /// Why it was not run, when it was not; its verdict is [`Verdict::Unknown`] then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
    /// Whether all that is claimed holds for it.
    pub verdict: Verdict,
    /// Whether that is as it should be: protected and holds, or not and caught.
    pub as_expected: bool,
    /// The models that its history was checked against.
    pub checks: Vec<CheckReport>,
    /// The bounds that its figures were held against.
    pub bounds: Vec<BoundReport>,
    /// Its figures by name.
    pub indicators: BTreeMap<String, Quantity>,
    /// The faults that it was given.
    pub schedule: Vec<Planned>,
    /// Everything that was seen.
    pub observed: Observed,
}

/// A model that a history was checked against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Which.
    pub model: Model,
    /// Whether the history fits.
    pub verdict: Verdict,
    /// How many operations were looked at.
    pub operations: u64,
    /// A small piece of it that does not fit.
    pub piece: Option<Piece>,
}

/// A bound that a figure was held against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoundReport {
    /// Which figure.
    pub indicator: String,
    /// What it is; none when the system did not measure it in this variant.
    pub value: Option<Quantity>,
    /// The lowest that is allowed.
    pub at_least: Option<Quantity>,
    /// The highest that is allowed.
    pub at_most: Option<Quantity>,
    /// Whether it is kept; a figure that was not measured is unknown.
    pub verdict: Verdict,
}

/// Where it ran, and for how long.
pub(super) struct Ran {
    pub(super) mode: Mode,
    pub(super) engine: Option<String>,
    /// Of each trial, in the system's time.
    pub(super) duration: Duration,
    /// Of all of it, here.
    pub(super) wall: Duration,
}

impl Report {
    pub(super) fn new(
        scenario: &Scenario,
        ran: Ran,
        options: &Options,
        variants: Vec<VariantReport>,
    ) -> Self {
        let (verdict, because) = super::judge::experiment(scenario, &variants);
        let trials = u32::try_from(variants.len()).unwrap_or(u32::MAX);
        let Ran { mode, engine, duration, wall } = ran;
        let simulated = duration.as_secs_f64() * f64::from(trials);
        let wall_s = wall.as_secs_f64();
        let command = command(scenario, mode, engine.as_deref(), options);
        Self {
            experiment: scenario.name.clone(),
            title: scenario.title.clone(),
            claim: scenario.claim.clone(),
            source: scenario.source.clone(),
            system: scenario.system.name().to_owned(),
            mode,
            engine,
            seed: options.seed,
            verdict,
            because,
            duration_s: duration.as_secs_f64(),
            wall_s,
            speed: if wall_s > 0.0 { simulated / wall_s } else { 0.0 },
            command,
            campaign: None,
            variants,
        }
    }
}

/// The command that repeats a run, as it is typed at a shell.
fn command(scenario: &Scenario, mode: Mode, engine: Option<&str>, options: &Options) -> String {
    let name = scenario.path.as_ref().map(|path| path.display().to_string());
    let name = name.unwrap_or_else(|| scenario.name.clone());
    let mut words = vec!["steadfast".to_owned(), "lab".to_owned(), "run".to_owned(), quoted(&name)];
    let mut option = |key: &str, value: &str| words.extend([key.to_owned(), quoted(value)]);
    option("--seed", &options.seed.to_string());
    if let Some(length) = options.duration {
        option("--duration", &exact(length));
    }
    for variant in &options.only {
        option("--variant", variant);
    }
    if options.check_time != CHECK_TIME {
        option("--check-time", &exact(options.check_time));
    }
    if mode == Mode::Real {
        words.push("--real".to_owned());
        if let Some(engine) = engine {
            words.extend(["--engine".to_owned(), quoted(engine)]);
        }
    }
    words.join(" ")
}

/// A length of time with nothing rounded away.
fn exact(length: Duration) -> String {
    let nanos = length.as_nanos();
    match nanos {
        0 => "0s".to_owned(),
        _ if nanos.is_multiple_of(1_000_000_000) => format!("{}s", length.as_secs()),
        _ if nanos.is_multiple_of(1_000_000) => format!("{}ms", length.as_millis()),
        _ if nanos.is_multiple_of(1_000) => format!("{}us", length.as_micros()),
        _ => format!("{nanos}ns"),
    }
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@,+=%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_repeats_what_was_run() {
        let mut scenario = crate::experiment::find("fencing").unwrap();
        let mut options = Options::seeded(4);
        let simulated = |scenario: &Scenario, options: &Options| {
            command(scenario, Mode::Simulated, None, options)
        };
        assert_eq!(simulated(&scenario, &options), "steadfast lab run fencing --seed 4");
        options.duration = Some(Duration::from_millis(1_500));
        options.only = vec!["fenced".to_owned()];
        options.check_time = Duration::from_secs(90);
        scenario.path = Some("it's mine.toml".into());
        assert_eq!(
            simulated(&scenario, &options),
            "steadfast lab run 'it'\\''s mine.toml' --seed 4 --duration 1500ms --variant fenced \
             --check-time 90s"
        );
        let real = command(&scenario, Mode::Real, Some("etcd://h:1/?a=b&c"), &Options::seeded(1));
        assert!(real.ends_with("--seed 1 --real --engine 'etcd://h:1/?a=b&c'"), "{real}");
    }
}
