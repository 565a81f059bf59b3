//! `replicas`: copies that take writes everywhere, and must agree later on what was written.
//!
//! Each replica takes writes by itself and sends them to the others; a replica that has two versions
//! must know which one to keep. The three rules here differ in nothing but that comparison:
//!
//! | `rule` | a version carries | and is kept over another |
//! |---|---|---|
//! | `wall-clock` | the replica's date | when its date is later: *last write wins* |
//! | `hybrid` | a [hybrid stamp](steadfast_time::logical::hybrid) | when its stamp is higher: last write wins, where *later* includes *having seen the other* |
//! | `vector` | a [version vector](steadfast_time::logical::vector) by client | when its writer had seen the other; two that had not seen each other are both kept, as *siblings* |
//!
//! Clients talk to the nearest replica, read before they write, and write over what they have read.
//! So there is a truth about who knew of what, and it is kept apart from the rules (the module
//! `ledger`): a write that is dropped for one that its writer had *seen* is a causal loss.
//!
//! # Settings
//! | key | |
//! |---|---|
//! | `rule` | see above |
//! | `replicas` | how many; `replica-1`, … |
//! | `keys` | values |
//! | `edit` | how long a client looks at what it has read before it writes, shortest and longest |
//! | `gossip` | how often a replica sends all that it has to all others |
//! | `max_offset` | of hybrid clocks: stamps further ahead are refused |
//! | `timeout` | of a client's request |
//! | `settle` | how long replicas have, once nothing goes wrong any more, to become the same |
//! | `delay`, `jitter` | of each message |
//!
//! # Limits
//! Stamps bring causal order to each value, not to several: nothing here holds an update back until
//! those that it depends on have come. So the model `causal` fits with one key only. Nothing is
//! deleted: a version that is gone would need a tombstone.

mod client;
mod ledger;
mod measure;
mod replica;
mod version;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::{Indicator, System, Trial};
use crate::check::Model;
use crate::fault::{self, Kind};
use crate::history::Recorder;
use crate::scenario::{Load, Reader};
use crate::sim::Stage;
use crate::{Error, Observed};

use client::Shared;
use ledger::Ledger;
use replica::Cluster;
use version::Rule;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Replicas;

/// How it is set up.
#[derive(Clone, Debug)]
struct Setup {
    rule: Rule,
    replicas: u32,
    clients: u32,
    /// Reads with their writes a second, of all clients together.
    rate: f64,
    keys: u64,
    edit: (Duration, Duration),
    gossip: Duration,
    max_offset: Duration,
    timeout: Duration,
    settle: Duration,
    link: fault::Link,
}

impl Setup {
    fn read(load: Load, settings: &Reader<'_>) -> Self {
        let ms = Duration::from_millis;
        let positive = |key, default| {
            let length = settings.duration(key, default);
            if length.is_zero() {
                settings.problem(key, "must be longer than nothing");
                return default;
            }
            length
        };
        let rule = settings.choice("rule", &Rule::ALL.map(Rule::name), Rule::WallClock.name());
        let replicas = settings.count("replicas", 2..=9, 3);
        Self {
            rule: Rule::ALL.into_iter().find(|it| it.name() == rule).unwrap_or(Rule::WallClock),
            replicas: u32::try_from(replicas).unwrap_or(3),
            clients: load.clients.unwrap_or(6),
            rate: load.rate.unwrap_or(6.0),
            keys: settings.count("keys", 1..=1_000, 1),
            edit: settings.durations("edit", (ms(50), ms(300))),
            gossip: positive("gossip", ms(500)),
            max_offset: positive("max_offset", ms(500)),
            timeout: positive("timeout", Duration::from_secs(1)),
            settle: settings.duration("settle", Duration::from_secs(20)),
            link: fault::Link {
                delay: settings.duration("delay", ms(1)),
                jitter: settings.duration("jitter", ms(2)),
                ..fault::Link::default()
            },
        }
    }

    fn replicas(&self) -> Vec<String> {
        (1..=self.replicas).map(|number| format!("replica-{number}")).collect()
    }

    fn clients(&self) -> Vec<String> {
        (1..=self.clients).map(|number| format!("client-{number}")).collect()
    }
}

impl System for Replicas {
    fn name(&self) -> &'static str {
        "replicas"
    }

    fn about(&self) -> &'static str {
        "Replicas that each take writes and merge later, by clocks or by version vectors."
    }

    fn faults(&self) -> &'static [Kind] {
        &[Kind::Link, Kind::Partition, Kind::Pause, Kind::Clock]
    }

    fn indicators(&self) -> &'static [Indicator] {
        &measure::INDICATORS
    }

    fn models(&self) -> &'static [Model] {
        &[Model::Causal, Model::Sequential]
    }

    fn prepare(&self, load: Load, settings: &Reader<'_>) -> Vec<String> {
        let setup = Setup::read(load, settings);
        let clients = u64::from(setup.clients);
        if setup.rule == Rule::Vector && clients > VECTOR_NODES_MAX as u64 {
            settings.problem("rule", format!("a vector holds {VECTOR_NODES_MAX} clients at most"));
        }
        let mut nodes = setup.replicas();
        nodes.extend(setup.clients());
        nodes
    }

    fn simulate(&self, trial: &Trial<'_>) -> Result<Observed, Error> {
        let setup = Setup::read(trial.load, &trial.settings.reader());
        let mut stage = Stage::new(trial.seed, &trial.nodes, setup.link);
        let ledger = Arc::new(Ledger::new(setup.clients as usize, stage.clock()));
        let hosts: Vec<_> = setup.replicas().iter().map(|name| stage.host(name)).collect();
        let cluster = Cluster::new(&setup, &hosts, stage.net(), Arc::clone(&ledger));
        for (index, host) in hosts.iter().enumerate() {
            let (cluster, clock, every) = (cluster.clone(), host.clock(), setup.gossip);
            host.boot(move || Box::pin(cluster.clone().gossip(index, clock.clone(), every)));
        }
        let recorder = Recorder::new(stage.clock());
        let shared = Rc::new(Shared::new(&setup, &stage, &recorder, &ledger, &cluster, trial));
        for (index, name) in setup.clients().into_iter().enumerate() {
            let (shared, host) = (Rc::clone(&shared), stage.host(&name));
            let (clock, rng) = (host.clock(), trial.rng(&name));
            let session = client::Session::new(index, name, setup.clients as usize, rng);
            host.spawn(client::program(shared, session, clock));
        }
        stage.direct(&trial.schedule, |_, _| {});
        let offsets = measure::offsets(&stage, &hosts, trial.duration);
        stage.run(trial)?;
        // What is under way ends, then nothing goes wrong any more.
        stage.settle(setup.timeout.saturating_mul(2));
        let history = recorder.take();
        stage.heal();
        stage.settle(setup.settle);
        let mut observed = measure::observed(&ledger, &cluster, trial.duration);
        observed.series.extend(offsets.take());
        observed.spans = stage.spans(trial.duration);
        observed.history = history;
        Ok(observed)
    }
}

/// A vector has an entry for each client that ever wrote.
const VECTOR_NODES_MAX: usize = steadfast_time::limits::VECTOR_NODES_MAX;

#[cfg(test)]
mod tests;
