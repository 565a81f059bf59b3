//! Many detectors over one record: detection time against mistakes.
//!
//! Here a detector is asked without a break: a node is suspected at the very moment at which its
//! silence becomes too long, not at the next tick.

use std::time::Duration;

use steadfast_resilience::Invalid;
use steadfast_resilience::detector::{Detector, Distribution, Options};
use steadfast_time::Monotonic;

use super::Setup;
use super::judge::{Suspicions, begin};
use super::record::{Input, Record};
use super::score::Score;
use crate::Observed;
use crate::observed::{Chart, Table};

/// Fixed timeouts that are tried, in milliseconds.
const TIMEOUTS_MS: [u64; 12] =
    [200, 500, 1_000, 1_500, 2_000, 3_000, 4_000, 5_000, 6_000, 8_000, 10_000, 15_000];

/// Thresholds of φ that are tried.
const THRESHOLDS: [f64; 10] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0];

/// A detector with its setting, and how good it was.
struct Tried {
    line: String,
    setting: String,
    score: Score,
}

/// Adds the chart and the table.
pub(super) fn add(observed: &mut Observed, setup: &Setup, record: &Record) -> Result<(), Invalid> {
    let mut all = Vec::new();
    for timeout in TIMEOUTS_MS.map(Duration::from_millis) {
        let score = Score::of(record, &fixed(timeout, record));
        let (line, setting) = ("fixed timeout".to_owned(), format!("{timeout:?}"));
        all.push(Tried { line, setting, score });
    }
    for distribution in Distribution::ALL {
        for threshold in THRESHOLDS {
            let options = Options { distribution, threshold, ..setup.options };
            let score = Score::of(record, &accrual(&options, record)?);
            let (line, setting) = (format!("φ, {distribution}"), format!("φ = {threshold}"));
            all.push(Tried { line, setting, score });
        }
    }
    observed.charts.push(chart(&all));
    observed.tables.push(table(&all, setup));
    Ok(())
}

fn fixed(timeout: Duration, record: &Record) -> Suspicions {
    let mut suspicions = vec![Vec::new(); record.downs.len()];
    let mut heard: Vec<Option<Monotonic>> = vec![None; record.downs.len()];
    for &(now, input) in &record.inputs {
        let Input::Beat(node, _) = input else { continue };
        if let Some(last) = heard[node].replace(now) {
            silent(&mut suspicions, node, last + timeout, now.since_start());
        }
    }
    for (node, last) in heard.iter().enumerate() {
        if let Some(last) = last {
            silent(&mut suspicions, node, *last + timeout, record.duration);
        }
    }
    suspicions
}

fn accrual(options: &Options, record: &Record) -> Result<Suspicions, Invalid> {
    let mut suspicions = vec![Vec::new(); record.downs.len()];
    let unknown = Detector::new(options)?;
    let mut known: Vec<Option<(Detector, Monotonic, u64)>> = vec![None; record.downs.len()];
    let too_long = |(detector, last, _): &(Detector, Monotonic, u64)| {
        detector.allowance().map(|allowance| *last + allowance)
    };
    for &(now, input) in &record.inputs {
        let Input::Beat(node, incarnation) = input else { continue };
        if let Some(limit) = known[node].as_ref().and_then(too_long) {
            silent(&mut suspicions, node, limit, now.since_start());
        }
        match &mut known[node] {
            Some((detector, last, life)) if *life == incarnation => {
                detector.heartbeat(now);
                *last = now;
            }
            // It has started anew: nothing is known of it.
            place => {
                let mut detector = unknown.clone();
                detector.heartbeat(now);
                *place = Some((detector, now, incarnation));
            }
        }
    }
    for (node, known) in known.iter().enumerate() {
        if let Some(limit) = known.as_ref().and_then(too_long) {
            silent(&mut suspicions, node, limit, record.duration);
        }
    }
    Ok(suspicions)
}

/// A silence that ends at `until`, and was too long from `limit` on.
fn silent(suspicions: &mut Suspicions, node: usize, limit: Monotonic, until: Duration) {
    if limit.since_start() < until {
        begin(suspicions, node, limit.since_start(), until);
    }
}

fn chart(all: &[Tried]) -> Chart {
    let hours = all.first().map_or(0.0, |tried| tried.score.node_hours());
    // Nothing has no place on a logarithmic axis: half of a single one stands for it.
    let least = if hours > 0.0 { 0.5 / hours } else { f64::MIN_POSITIVE };
    let mut lines: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for tried in all {
        let Some(mean) = tried.score.mean(|_| true) else { continue };
        let point = (mean.as_secs_f64(), tried.score.mistake_rate().max(least));
        match lines.iter_mut().find(|(name, _)| *name == tried.line) {
            Some((_, points)) => points.push(point),
            None => lines.push((tried.line.clone(), vec![point])),
        }
    }
    Chart {
        title: "Detection time against false suspicions, over the same heartbeats".to_owned(),
        x: "mean detection time, s".to_owned(),
        y: format!("false suspicions per node and hour (none is drawn at {least:.3})"),
        log: (true, true),
        lines,
    }
}

fn table(all: &[Tried], setup: &Setup) -> Table {
    let time = |time: Option<Duration>| {
        time.map_or_else(|| "–".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()))
    };
    let row = |Tried { line, setting, score }: &Tried| {
        vec![
            line.clone(),
            setting.clone(),
            time(score.mean(|_| true)),
            time(score.p99()),
            time(score.mean(|node| setup.is_near(node))),
            time(score.mean(|node| !setup.is_near(node))),
            score.mistakes.len().to_string(),
            format!("{:.3}", score.mistake_rate()),
        ]
    };
    let head = [
        "detector",
        "setting",
        "detection, mean",
        "p99",
        "near, mean",
        "far, mean",
        "false suspicions",
        "per node and hour",
    ];
    Table {
        title: "Detectors over the same heartbeats".to_owned(),
        head: head.map(str::to_owned).to_vec(),
        rows: all.iter().map(row).collect(),
    }
}
