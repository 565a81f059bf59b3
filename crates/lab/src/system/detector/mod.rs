//! `detector`: who is dead, and how soon is that known?
//!
//! Nodes send heartbeats to one observer, over links that are near and quick or far and moody. Nodes
//! crash, and come back after a while. An observer that waits too short a time takes the slow for
//! dead; one that waits too long trusts the dead. A fixed timeout must be long enough for the worst
//! link at its worst hour, and then everybody is found late; a φ-accrual detector
//! ([`steadfast_resilience::detector`]) learns each node's rhythm.
//!
//! What comes in at the observer is written down once (`record.rs`), and each detector judges the
//! same record: they differ in nothing but their judgement. The detector of the variant is the real
//! [`Monitor`](steadfast_resilience::detector::Monitor), or the timeout of this folder in its place,
//! asked at every tick; those of the curve are asked without a break.
//!
//! # Settings
//! | key | |
//! |---|---|
//! | `detector` | `fixed`, or how heartbeats are taken to be distributed: `normal`, `logistic`, `exponential` |
//! | `timeout` | of `fixed` |
//! | `threshold` | the φ from which on a node is suspected |
//! | `samples`, `min_deviation`, `acceptable_pause`, `first_heartbeat` | as in [`Options`] |
//! | `tick` | how often the observer looks |
//! | `interval` | between two heartbeats |
//! | `near`, `far` | nodes: `near-1`, …, `far-1`, … What is far about them is for the schedule to say |
//! | `delay`, `jitter` | of each message |
//! | `curve` | whether to judge by many detectors besides |
//!
//! # Limits
//! A suspicion is false when the node is up at that moment, standing still or cut off as it may be:
//! it comes back, and was isolated for nothing. No false suspicion in `h` node-hours says with 95 %
//! confidence that the rate is below `3 / h` (the rule of three), and no more.

mod curve;
mod judge;
mod measure;
mod record;
mod score;

use std::time::Duration;

use steadfast_resilience::detector::{Distribution, Options};

use super::{Indicator, System, Trial};
use crate::check::Model;
use crate::fault::{self, Kind};
use crate::quantity::Unit;
use crate::scenario::{Load, Reader};
use crate::{Error, Observed};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Detector;

/// The host that everybody sends to.
const OBSERVER: &str = "observer";

/// Who judges.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    /// Suspects whoever was silent for so long.
    Fixed(Duration),
    /// Suspects by φ.
    Accrual(Options),
}

/// How it is set up.
#[derive(Clone, Debug)]
struct Setup {
    rule: Rule,
    /// For those of the curve that judge by φ.
    options: Options,
    interval: Duration,
    near: u64,
    far: u64,
    link: fault::Link,
    curve: bool,
}

const FIXED: &str = "fixed";

impl Setup {
    fn read(load: Load, settings: &Reader<'_>) -> Self {
        if load != Load::default() {
            settings.problem("interval", "heartbeats are all the load there is; drop [load]");
        }
        let ms = Duration::from_millis;
        let defaults = Options::default();
        let [normal, logistic, exponential] = Distribution::ALL.map(Distribution::as_str);
        let words = [FIXED, normal, logistic, exponential];
        let word = settings.choice("detector", &words, normal);
        let distribution = Distribution::ALL.into_iter().find(|it| it.as_str() == word);
        let samples = settings.count("samples", 1..=10_000, defaults.samples as u64);
        let tick = settings.duration("tick", ms(100));
        let options = Options {
            distribution: distribution.unwrap_or_default(),
            threshold: settings.quantity("threshold", Unit::Count).unwrap_or(defaults.threshold),
            samples: usize::try_from(samples).unwrap_or(defaults.samples),
            min_deviation: settings.duration("min_deviation", defaults.min_deviation),
            first_heartbeat: settings.duration("first_heartbeat", defaults.first_heartbeat),
            acceptable_pause: settings.duration("acceptable_pause", defaults.acceptable_pause),
            tick,
            ..defaults
        };
        let options = match options.check() {
            Ok(()) => options,
            Err(invalid) => {
                settings.problem("detector", invalid);
                defaults
            }
        };
        let timeout = settings.duration("timeout", Duration::from_secs(10));
        let interval = settings.duration("interval", Duration::from_secs(1));
        for (key, length) in [("timeout", timeout), ("interval", interval)] {
            if length < ms(1) {
                settings.problem(key, "must be a millisecond at least");
            }
        }
        Self {
            rule: if word == FIXED { Rule::Fixed(timeout) } else { Rule::Accrual(options) },
            options,
            interval: interval.max(ms(1)),
            near: settings.count("near", 1..=100, 4),
            far: settings.count("far", 1..=100, 4),
            link: fault::Link {
                delay: settings.duration("delay", ms(1)),
                jitter: settings.duration("jitter", ms(4)),
                ..fault::Link::default()
            },
            curve: settings.flag("curve", false),
        }
    }

    /// The nodes, near ones first.
    fn nodes(&self) -> Vec<String> {
        let near = (1..=self.near).map(|number| format!("near-{number}"));
        near.chain((1..=self.far).map(|number| format!("far-{number}"))).collect()
    }

    fn is_near(&self, node: usize) -> bool {
        (node as u64) < self.near
    }
}

impl System for Detector {
    fn name(&self) -> &'static str {
        "detector"
    }

    fn about(&self) -> &'static str {
        "Failure detectors: fixed timeouts and φ-accrual, over the same heartbeats."
    }

    fn faults(&self) -> &'static [Kind] {
        &[Kind::Link, Kind::Partition, Kind::Pause, Kind::Kill]
    }

    fn indicators(&self) -> &'static [Indicator] {
        &measure::INDICATORS
    }

    fn models(&self) -> &'static [Model] {
        &[]
    }

    fn prepare(&self, load: Load, settings: &Reader<'_>) -> Vec<String> {
        let mut nodes = Setup::read(load, settings).nodes();
        nodes.push(OBSERVER.to_owned());
        nodes
    }

    fn simulate(&self, trial: &Trial<'_>) -> Result<Observed, Error> {
        let setup = Setup::read(trial.load, &trial.settings.reader());
        let (record, spans) = record::record(&setup, trial)?;
        let judged = judge::judge(&setup, &record).map_err(broken)?;
        let mut observed = measure::observed(&setup, &record, &judged);
        if setup.curve {
            curve::add(&mut observed, &setup, &record).map_err(broken)?;
        }
        observed.spans = spans;
        Ok(observed)
    }
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::System { system: "detector", reason: error.to_string() }
}

#[cfg(test)]
mod tests;
