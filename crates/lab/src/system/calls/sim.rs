//! On simulated hosts and links.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use futures::FutureExt as _;
use http::StatusCode;
use steadfast_time::{Clock, Monotonic};

use super::answer::{Done, Failed};
use super::api::{Api, Transport, Unanswered};
use super::clients::Clients;
use super::meter::Meter;
use super::phases::Phases;
use super::settings::Settings;
use super::station::Station;
use super::{API, broken, result};
use crate::fault::{Fault, Link, Obstacles};
use crate::history::Recorder;
use crate::sim::{Net, Stage};
use crate::system::Trial;
use crate::{Error, Observed};

/// Where clients call from. No fault hits them, so they are no host.
const CLIENTS: &str = "clients";

/// A link within a data centre.
const LINK: Link = Link {
    delay: Duration::from_micros(250),
    jitter: Duration::from_micros(250),
    loss: 0.0,
    duplicate: 0.0,
    reorder: 0.0,
    bandwidth: None,
};

/// A request or an answer, with its headers.
const BYTES: usize = 512;

/// A dependency as the simulated API node reaches it.
#[derive(Clone)]
struct Reach {
    name: Arc<str>,
    /// The time there.
    clock: Clock,
    station: Arc<Mutex<Station>>,
    /// The HTTP faults in front of it, and what they draw from.
    obstacles: Arc<Mutex<(Obstacles, Rng)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a trial.
pub(super) fn run(trial: &Trial<'_>, settings: &Settings) -> Result<Observed, Error> {
    let mut stage = Stage::new(trial.seed, &trial.nodes, LINK);
    let phases = Phases::of(trial, &settings.dependencies);
    let origin = stage.clock().monotonic();
    let lanes = settings.dependencies.len();
    let meter = Meter::new(origin, trial.duration, lanes, phases.settled);

    let reaches: Vec<Reach> =
        settings.dependencies.iter().map(|name| reach(trial, &stage, settings, name)).collect();
    direct(trial, &stage, &reaches);
    let clock = stage.host(API).clock();
    let transport = transport(stage.net(), clock.clone(), reaches);
    let api = Api::new(settings, clock, trial.seed, transport, meter.clone()).map_err(broken)?;
    let api = Arc::new(api);

    let history = Recorder::new(stage.clock());
    let clients = Clients::new(trial, settings, stage.clock(), history.clone(), meter.clone());
    let (net, served) = (stage.net(), Arc::clone(&api));
    stage.spawn(clients.run(origin, move |to| {
        let (net, api) = (net.clone(), Arc::clone(&served));
        async move {
            let work = move || {
                let api = Arc::clone(&api);
                async move { api.serve(to).await }.boxed()
            };
            match net.call(CLIENTS, API, BYTES, work).await {
                Ok(answer) => answer,
                Err(refused) => Err(Unanswered { why: refused.to_string(), doubtful: false }),
            }
        }
    }));
    sample(&stage, origin, meter.clone(), Arc::clone(&api));

    stage.run(trial)?;
    stage.heal();
    // Nobody waits for longer than this any more.
    stage.settle(settings.patience + Duration::from_secs(1));
    meter.counters(api.policies());
    let mut observed = result::observe(settings, &phases, trial.duration, meter.take());
    observed.history = history.take();
    observed.spans = stage.spans(trial.duration);
    Ok(observed)
}

/// A dependency on its host: empty each time it starts.
fn reach(trial: &Trial<'_>, stage: &Stage, settings: &Settings, name: &str) -> Reach {
    let host = stage.host(name);
    let rng = Arc::new(Mutex::new(trial.rng(&format!("work of {name}"))));
    let capacity = settings.capacity;
    let empty = move || Station::new(capacity, lock(&rng).fork());
    let station = Arc::new(Mutex::new(empty()));
    let started = Arc::clone(&station);
    host.boot(move || {
        *lock(&started) = empty();
        async {}.boxed_local()
    });
    let faults = (Obstacles::default(), trial.rng(&format!("faults of {name}")));
    let obstacles = Arc::new(Mutex::new(faults));
    Reach { name: name.into(), clock: host.clock(), station, obstacles }
}

/// Applies the trial's faults.
fn direct(trial: &Trial<'_>, stage: &Stage, reaches: &[Reach]) {
    let reaches = reaches.to_vec();
    stage.direct(&trial.schedule, move |fault, begins| {
        let Fault::Http { node, http } = fault else { return };
        for reach in reaches.iter().filter(|reach| *reach.name == **node) {
            lock(&reach.obstacles).0.set(*http, begins);
        }
    });
}

/// The way of a request to a dependency and back.
fn transport(net: Net, clock: Clock, reaches: Vec<Reach>) -> Transport {
    Arc::new(move |to| {
        let Some(reach) = reaches.get(to).cloned() else {
            return futures::future::ready(Err(Failed::Refused)).boxed();
        };
        let (net, clock) = (net.clone(), clock.clone());
        let fate = {
            let (obstacles, rng) = &mut *lock(&reach.obstacles);
            obstacles.fate(rng)
        };
        async move {
            if let Some(status) = fate.status {
                clock.sleep(fate.delay).await;
                // A status that is none is refused when a scenario is read.
                let status = StatusCode::from_u16(status);
                return Err(Failed::Status(status.unwrap_or(StatusCode::SERVICE_UNAVAILABLE)));
            }
            let (station, there) = (reach.station, reach.clock);
            let work = move || {
                let (station, clock) = (Arc::clone(&station), there.clone());
                async move { work(&station, &clock).await }.boxed()
            };
            let answer = net.call(API, &reach.name, BYTES, work).await;
            if fate.lost {
                std::future::pending::<()>().await;
            }
            if !fate.delay.is_zero() {
                clock.sleep(fate.delay).await;
            }
            answer.unwrap_or(Err(Failed::Refused))
        }
        .boxed()
    })
}

/// What a dependency does with a request.
async fn work(station: &Mutex<Station>, clock: &Clock) -> Result<Done, Failed> {
    let turn = lock(station).admit(clock.monotonic());
    match turn {
        Ok(turn) => {
            clock.sleep_until(turn.done).await;
            Ok(Done { waiting: turn.waiting })
        }
        Err(super::station::Full) => Err(Failed::Status(StatusCode::SERVICE_UNAVAILABLE)),
    }
}

/// Reads the policies' counters at the end of each piece of the trial.
fn sample(stage: &Stage, origin: Monotonic, meter: Meter, api: Arc<Api>) {
    let (clock, step) = (stage.clock(), meter.step());
    stage.spawn(async move {
        for piece in 1..super::meter::PIECES {
            clock.sleep_until(origin + step * piece).await;
            meter.counters(api.policies());
        }
    });
}
