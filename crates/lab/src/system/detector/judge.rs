//! The detector of the variant, over a record.

use std::time::Duration;

use steadfast_resilience::Invalid;
use steadfast_resilience::detector::{Full, Monitor, Options};
use steadfast_resilience::event::Events;
use steadfast_time::Monotonic;

use super::record::{Input, Record};
use super::{Rule, Setup};

/// From when to when each node was suspected, by the observer's clock; in order.
pub(super) type Suspicions = Vec<Vec<(Duration, Duration)>>;

/// What a detector made of a record.
#[derive(Clone, Debug, Default)]
pub(super) struct Judged {
    pub(super) suspicions: Suspicions,
    /// φ of a node when its heartbeat came, which is when it is highest; for detectors that have
    /// one.
    pub(super) phi: Vec<(Duration, usize, f64)>,
}

/// Why a detector could not judge.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Options(#[from] Invalid),
    #[error(transparent)]
    Full(#[from] Full),
}

/// A suspicion that may not be over.
pub(super) fn begin(suspicions: &mut Suspicions, node: usize, at: Duration, end: Duration) {
    if let Some(list) = suspicions.get_mut(node) {
        list.push((at, end));
    }
}

/// The suspicion of a node is over, if there is one.
fn end(suspicions: &mut Suspicions, node: usize, at: Duration) {
    if let Some((_, end)) = suspicions.get_mut(node).and_then(|list| list.last_mut())
        && *end > at
    {
        *end = at;
    }
}

pub(super) fn judge(setup: &Setup, record: &Record) -> Result<Judged, Error> {
    match setup.rule {
        Rule::Fixed(timeout) => Ok(fixed(timeout, record)),
        Rule::Accrual(options) => accrual(options, record),
    }
}

/// Whoever was silent for so long at a tick is suspected until it is heard again.
fn fixed(timeout: Duration, record: &Record) -> Judged {
    let mut judged = Judged { suspicions: vec![Vec::new(); record.downs.len()], phi: Vec::new() };
    let mut heard: Vec<Option<(Monotonic, bool)>> = vec![None; record.downs.len()];
    for &(now, input) in &record.inputs {
        match input {
            Input::Beat(node, _) => {
                if let Some((_, true)) = heard[node].replace((now, false)) {
                    end(&mut judged.suspicions, node, now.since_start());
                }
            }
            Input::Tick => {
                for (node, heard) in heard.iter_mut().enumerate() {
                    if let Some((last, is_suspected @ false)) = heard
                        && now - *last >= timeout
                    {
                        *is_suspected = true;
                        begin(&mut judged.suspicions, node, now.since_start(), record.duration);
                    }
                }
            }
        }
    }
    judged
}

fn accrual(options: Options, record: &Record) -> Result<Judged, Error> {
    let mut judged = Judged { suspicions: vec![Vec::new(); record.downs.len()], phi: Vec::new() };
    let mut monitor = Monitor::new(options, Events::silent("nodes"))?;
    for &(now, input) in &record.inputs {
        let at = now.since_start();
        match input {
            Input::Beat(node, incarnation) => {
                if let Some(phi) = monitor.phi(now, &node) {
                    judged.phi.push((at, node, phi));
                }
                if monitor.heartbeat_of(now, &node, incarnation)?.is_some() {
                    end(&mut judged.suspicions, node, at);
                }
            }
            Input::Tick => {
                for (node, _) in monitor.tick(now) {
                    begin(&mut judged.suspicions, node, at, record.duration);
                }
            }
        }
    }
    Ok(judged)
}
