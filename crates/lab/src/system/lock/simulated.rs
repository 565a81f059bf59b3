//! A trial on simulated hosts.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use steadfast_coordination::Name;
use steadfast_coordination::redlock::{Node, Redlock};

use super::journal::{Journal, What};
use super::observer::{self, Watched};
use super::redis::Redis;
use super::settings::{self, Engine, Settings};
use super::storage::Storage;
use super::worker::{Service, Shared, Worker};
use super::{COORDINATOR, redis};
use crate::fault::Link;
use crate::history::Recorder;
use crate::sim::Stage;
use crate::sim::coordinator::{Granted, Server, Way};
use crate::system::{System as _, Trial};
use crate::{Error, Observed};

/// The network of a data centre: half a millisecond to one and a half each way.
const BASE: Link = Link {
    delay: Duration::from_micros(500),
    jitter: Duration::from_millis(1),
    loss: 0.0,
    duplicate: 0.0,
    reorder: 0.0,
    bandwidth: None,
};

/// After the end, faults are over and each worker finishes the round that it is in: they wait for
/// each other's leases and work, and take no new turn.
fn farewell(settings: &Settings) -> Duration {
    (settings.lease + settings.work.1) * 2 + Duration::from_secs(5)
}

/// Runs it.
pub(super) fn run(trial: &Trial<'_>) -> Result<Observed, Error> {
    let settings = Settings::read(trial.load, &trial.settings.reader());
    let mut stage = Stage::new(trial.seed, &trial.nodes, BASE);
    let storage = Arc::new(Storage::new(settings.fence));
    let shared = Rc::new(Shared {
        settings: settings.clone(),
        net: stage.net(),
        storage: Arc::clone(&storage),
        recorder: Recorder::new(stage.clock()),
        journal: Journal::new(stage.clock()),
        lock: Name::new("document").map_err(broken)?,
        turns: Cell::new(0),
        stop: Cell::new(false),
    });
    let mut rng = trial.rng("workers");
    for (number, service) in (1..).zip(services(&stage, &shared)?) {
        let host = stage.host(&settings::worker(number));
        let worker = Worker::new(number, Rc::clone(&shared), service, host.clock(), rng.fork());
        host.boot(move || Rc::clone(&worker).live().boxed_local());
    }
    stage.direct(&trial.schedule, |_, _| {});
    stage.run(trial)?;
    shared.stop.set(true);
    stage.heal();
    stage.settle(farewell(&settings));
    Ok(observer::observe(Watched {
        settings: &settings,
        duration: trial.duration,
        history: shared.recorder.take(),
        journal: &shared.journal.take(),
        value: &storage.value(),
        refused: storage.refused(),
        stale: storage.stale_writes(),
        spans: stage.spans(trial.duration),
    }))
}

/// Starts what grants the lock; gives each worker its way there.
fn services(stage: &Stage, shared: &Shared) -> Result<Vec<Service>, Error> {
    let workers = 1..=shared.settings.workers;
    match shared.settings.engine {
        Engine::Memory => {
            let server = Server::start(&stage.host(COORDINATOR));
            let way = |worker| {
                let way = Way::new(stage.net(), &settings::worker(worker), server.clone());
                let journal = shared.journal.clone();
                Service::Coordinator(Arc::new(way.seen_by(move |granted| {
                    journal.note(
                        worker,
                        match granted {
                            Granted::Opened(session) => What::Opened(session.0),
                            Granted::Renewed(session) => What::Renewed(session.0),
                        },
                    );
                })))
            };
            Ok(workers.map(way).collect())
        }
        Engine::Redlock(expiry) => {
            let servers = shared.settings.coordinators();
            let servers = servers.iter().map(|name| Redis::serve(&stage.host(name), expiry));
            let servers: Vec<Redis> = servers.collect();
            let way = |worker| {
                let way = |server: &Redis| {
                    Arc::new(redis::Way::new(stage.net(), worker, server.clone())) as Arc<dyn Node>
                };
                let clock = stage.host(&settings::worker(worker)).clock();
                let redlock = Redlock::over(servers.iter().map(way).collect(), clock);
                redlock.map(Service::Redlock).map_err(broken)
            };
            workers.map(way).collect()
        }
    }
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::System { system: super::Lock.name(), reason: error.to_string() }
}
