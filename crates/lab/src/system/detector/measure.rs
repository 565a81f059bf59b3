//! Figures and curves.

use std::time::Duration;

use super::Setup;
use super::judge::Judged;
use super::record::{Input, Record};
use super::score::Score;
use crate::Observed;
use crate::observed::Series;
use crate::quantity::{Quantity, Unit};
use crate::system::Indicator;

/// Points of a curve.
const POINTS: u32 = 360;

/// φ is drawn up to here: that of a node that is down grows to thousands, and says no more.
const PHI_DRAWN_MAX: f64 = 20.0;

pub(super) const INDICATORS: [Indicator; 9] = [
    Indicator {
        name: "fd.false_suspect_rate",
        unit: Unit::Count,
        about: "Suspicions of a node that was up, per node and hour of being up. The sources' \
                0.1 %/h is 0.001.",
    },
    Indicator {
        name: "false_suspicions.count",
        unit: Unit::Count,
        about: "Suspicions of a node that was up.",
    },
    Indicator {
        name: "node_hours.count",
        unit: Unit::Count,
        about: "Hours that nodes were up, of all nodes together: what the rate rests on.",
    },
    Indicator {
        name: "detection.mean",
        unit: Unit::Time,
        about: "From a crash until the node is suspected, on average.",
    },
    Indicator {
        name: "detection.p99",
        unit: Unit::Time,
        about: "From a crash until the node is suspected, of 99 % of the crashes at most.",
    },
    Indicator {
        name: "detection_near.mean",
        unit: Unit::Time,
        about: "The mean detection time of near nodes.",
    },
    Indicator {
        name: "detection_far.mean",
        unit: Unit::Time,
        about: "The mean detection time of far nodes.",
    },
    Indicator { name: "crashes.count", unit: Unit::Count, about: "Crashes." },
    Indicator {
        name: "missed_crashes.count",
        unit: Unit::Count,
        about: "Crashes that went unnoticed until the node was back.",
    },
];

pub(super) fn observed(setup: &Setup, record: &Record, judged: &Judged) -> Observed {
    let score = Score::of(record, &judged.suspicions);
    let mut observed = Observed::default();
    let bare = |value| Quantity { value, unit: Unit::Count };
    observed.indicator("fd.false_suspect_rate", bare(score.mistake_rate()));
    let mistakes = score.mistakes.len() as u64;
    observed.indicator("false_suspicions.count", Quantity::count(mistakes));
    observed.indicator("node_hours.count", bare(score.node_hours()));
    observed.indicator("crashes.count", Quantity::count(score.detections.len() as u64));
    observed.indicator("missed_crashes.count", Quantity::count(score.missed));
    // Without a crash there is no detection time, and a bound on it stays open.
    let times = [
        ("detection.mean", score.mean(|_| true)),
        ("detection.p99", score.p99()),
        ("detection_near.mean", score.mean(|node| setup.is_near(node))),
        ("detection_far.mean", score.mean(|node| !setup.is_near(node))),
    ];
    for (name, time) in times {
        if let Some(time) = time {
            observed.indicator(name, Quantity::time(time));
        }
    }
    if mistakes == 0 && score.node_hours() > 0.0 {
        observed.note(format!(
            "no false suspicion in {:.1} node-hours: with 95 % confidence the rate is below {:.3} \
             per node and hour (the rule of three)",
            score.node_hours(),
            3.0 / score.node_hours()
        ));
    }
    series(&mut observed, setup, record, judged, &score);
    observed
}

fn series(observed: &mut Observed, setup: &Setup, record: &Record, judged: &Judged, score: &Score) {
    let mut silences = Vec::new();
    let mut heard = vec![None; record.downs.len()];
    for &(now, input) in &record.inputs {
        if let Input::Beat(node, incarnation) = input {
            // A silence between two lives is no lateness.
            if let Some((last, life)) = heard[node].replace((now, incarnation))
                && life == incarnation
            {
                silences.push((now.since_start(), node, (now - last).as_secs_f64()));
            }
        }
    }
    let drawn = |&(at, node, phi): &(Duration, usize, f64)| (at, node, phi.min(PHI_DRAWN_MAX));
    let phi: Vec<_> = judged.phi.iter().map(drawn).collect();
    let groups = [("near", true), ("far", false)];
    for (name, near) in groups {
        let of = |node| setup.is_near(node) == near;
        let curve = Series::new("silence", &format!("{name}, longest"), Unit::Time);
        observed.series.push(highest(curve, &silences, of, record.duration));
        if !phi.is_empty() {
            let curve = Series::new("phi", &format!("{name}, highest"), Unit::Count);
            observed.series.push(highest(curve, &phi, of, record.duration));
        }
        let mut detections = Series::new("detection", name, Unit::Time);
        let mut of_group: Vec<_> = score.detections.iter().filter(|(node, ..)| of(*node)).collect();
        of_group.sort_unstable_by_key(|(_, crash, _)| *crash);
        for (_, crash, took) in of_group {
            detections.push(*crash, took.as_secs_f64());
        }
        observed.series.push(detections);
    }
}

/// The highest value in each stretch of time.
fn highest(
    mut series: Series,
    values: &[(Duration, usize, f64)],
    of: impl Fn(usize) -> bool,
    duration: Duration,
) -> Series {
    let step = (duration / POINTS).max(Duration::from_millis(1));
    let mut most = vec![None::<f64>; POINTS as usize];
    for (at, _, value) in values.iter().filter(|(_, node, _)| of(*node)) {
        let place = usize::try_from(at.as_nanos() / step.as_nanos()).unwrap_or(usize::MAX);
        if let Some(most) = most.get_mut(place) {
            *most = Some(most.map_or(*value, |highest| highest.max(*value)));
        }
    }
    for (number, value) in (0..).zip(most) {
        if let Some(value) = value {
            series.push(step * number, value);
        }
    }
    series
}
