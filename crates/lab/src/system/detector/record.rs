//! What an observer hears, and the truth about the nodes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use steadfast_time::{Clock, Monotonic};

use super::{OBSERVER, Setup};
use crate::Error;
use crate::observed::Span;
use crate::sim::Stage;
use crate::system::Trial;

/// Bytes of a heartbeat.
const BEAT_BYTES: usize = 64;

/// What the observer experiences, at a time by its own clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Input {
    /// A heartbeat of a node and of which of its lives.
    Beat(usize, u64),
    /// Time to look who is silent.
    Tick,
}

/// A trial, for any detector to judge.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Record {
    pub(super) inputs: Vec<(Monotonic, Input)>,
    /// From when to when each node was down; in order.
    pub(super) downs: Vec<Vec<(Duration, Duration)>>,
    pub(super) duration: Duration,
}

/// Shared by everybody on the stage.
#[derive(Clone)]
struct Log(Arc<Mutex<Record>>);

impl Log {
    fn with(&self, change: impl FnOnce(&mut Record)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A node's life: it is told of the end by whatever ends it.
struct Life {
    log: Log,
    truth: Clock,
    node: usize,
}

impl Life {
    fn begin(log: Log, truth: Clock, node: usize) -> Self {
        let now = truth.monotonic().since_start();
        log.with(|record| {
            if let Some((_, end)) = record.downs[node].last_mut() {
                *end = now;
            }
        });
        Self { log, truth, node }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let now = self.truth.monotonic().since_start();
        self.log.with(|record| {
            // The end of the trial is no crash.
            if let Some(downs) = record.downs.get_mut(self.node)
                && now < record.duration
            {
                downs.push((now, record.duration));
            }
        });
    }
}

/// Runs the trial.
pub(super) fn record(setup: &Setup, trial: &Trial<'_>) -> Result<(Record, Vec<Span>), Error> {
    let mut stage = Stage::new(trial.seed, &trial.nodes, setup.link);
    let nodes = setup.nodes();
    let downs = vec![Vec::new(); nodes.len()];
    let empty = Record { inputs: Vec::new(), downs, duration: trial.duration };
    let log = Log(Arc::new(Mutex::new(empty)));
    let observer = stage.host(OBSERVER);
    let (clock, ticks, every) = (observer.clock(), log.clone(), setup.options.tick);
    observer.boot(move || {
        let (clock, ticks) = (clock.clone(), ticks.clone());
        async move {
            loop {
                clock.sleep(every).await;
                ticks.with(|record| record.inputs.push((clock.monotonic(), Input::Tick)));
            }
        }
        .boxed_local()
    });
    let mut rng = trial.rng("phases");
    for (node, name) in nodes.iter().enumerate() {
        let (host, name) = (stage.host(name), name.clone());
        let (net, truth, clock) = (stage.net(), stage.clock(), host.clock());
        let (log, ear, interval) = (log.clone(), observer.clock(), setup.interval);
        // Nodes do not beat all at once.
        let phase = interval.mul_f64(rng.f64());
        host.boot(move || {
            let (net, clock, name) = (net.clone(), clock.clone(), name.clone());
            let life = Life::begin(log.clone(), truth.clone(), node);
            // When it was started tells this life from the others.
            let incarnation = truth.monotonic().as_nanos();
            let (log, ear) = (log.clone(), ear.clone());
            async move {
                let _life = life;
                let mut at = clock.monotonic() + phase;
                loop {
                    clock.sleep_until(at).await;
                    let (log, ear) = (log.clone(), ear.clone());
                    net.post(&name, OBSERVER, BEAT_BYTES, move || {
                        let (log, ear) = (log.clone(), ear.clone());
                        async move {
                            let beat = Input::Beat(node, incarnation);
                            log.with(|record| record.inputs.push((ear.monotonic(), beat)));
                        }
                        .boxed()
                    });
                    // At a steady pace: a late one does not make the next one late.
                    at = (at + interval).max(clock.monotonic());
                }
            }
            .boxed_local()
        });
    }
    stage.direct(&trial.schedule, |_, _| {});
    stage.run(trial)?;
    let spans = stage.spans(trial.duration);
    let mut record = Record::default();
    log.with(|log| record = std::mem::take(log));
    Ok((record, spans))
}
