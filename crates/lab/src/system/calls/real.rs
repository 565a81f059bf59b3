//! On real sockets: each dependency a process of its own behind an HTTP proxy.
//!
//! ```text
//! the lab's process                                            another one
//! clients ─► API node ─► policy ─► HTTP ─► fault proxy ─► HTTP ─► dependency
//! ```
//!
//! Faults of HTTP are the proxy's business; pauses and kills are signals.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use http::{Request, StatusCode};
use http_body_util::Full;
use steadfast_time::{Clock, Monotonic};

use super::answer::{Done, Failed};
use super::api::{Api, Transport, Unanswered};
use super::clients::Clients;
use super::meter::{Meter, PIECES};
use super::phases::Phases;
use super::server::{Job, PART, WAITING};
use super::settings::Settings;
use super::{Calls, broken, result};
use crate::fault::Fault;
use crate::history::Recorder;
use crate::observed::Table;
use crate::real::http_proxy::{HttpProxy, Requests, client};
use crate::real::schedule::{self, Log};
use crate::real::tasks::Tasks;
use crate::real::{Crew, Failure, Role, Stage, clock};
use crate::run::Silent;
use crate::system::{System as _, Trial};
use crate::{Error, Observed};

/// How often a trial looks after its processes.
const LOOK: Duration = Duration::from_millis(10);

/// How long a process may take to say where it listens.
const START_MAX: Duration = Duration::from_secs(20);

/// The indicators that a real trial is compared by.
const COMPARED: [&str; 6] = [
    "dep.retry_rate",
    "amplification",
    "upstream.qps",
    "dep.timeout_rate",
    "hedged_share",
    "api.success",
];

/// The processes, and the proxies in front of them.
struct Plant<'a> {
    stage: &'a Stage,
    clock: Clock,
    crew: Crew<'a>,
    sites: Vec<Site>,
}

struct Site {
    name: String,
    /// Where the process writes down its address, each time it starts.
    address: PathBuf,
    proxy: HttpProxy,
}

impl<'a> Plant<'a> {
    /// Starts all processes, and waits until they listen.
    async fn start(
        trial: &Trial<'_>,
        stage: &'a Stage,
        folder: &Path,
        settings: &Settings,
        clock: &Clock,
    ) -> Result<Self, Failure> {
        let mut plant =
            Self { stage, clock: clock.clone(), crew: Crew::new(stage), sites: Vec::new() };
        for name in &settings.dependencies {
            let address = folder.join(name);
            let seed = trial.rng(&format!("work of {name}")).u64(..);
            let job = Job { address: address.clone(), capacity: settings.capacity, seed };
            plant.crew.add(name, move |starts| {
                let seed = job.seed.wrapping_add(starts);
                Role::new(PART, &Job { seed, ..job.clone() })
            })?;
            let proxy = HttpProxy::start(clock.clone(), trial.rng(&format!("faults of {name}")));
            plant.sites.push(Site { name: name.clone(), address, proxy: proxy.await? });
        }
        let until = clock.monotonic() + START_MAX;
        while !plant.look()? {
            if clock.monotonic() > until {
                return Err(format!("not all dependencies listen after {START_MAX:?}").into());
            }
            clock.sleep(LOOK).await;
        }
        Ok(plant)
    }

    /// Sends requests to where the processes listen now. Says whether all have said so.
    fn look(&self) -> Result<bool, Failure> {
        if let Some(name) = self.crew.gone().first() {
            return Err(format!("{name} has ended{}", self.stage.complaint(name)).into());
        }
        let mut all = true;
        for site in &self.sites {
            // It is renamed into place: it is there whole, or not at all.
            match std::fs::read_to_string(&site.address) {
                Ok(text) => site.proxy.forward_to(Some(text.trim().parse()?)),
                Err(_) => all = false,
            }
        }
        Ok(all)
    }

    /// Looks after the processes; ends only when one of them has.
    async fn keep(&self) -> Failure {
        loop {
            if let Err(failure) = self.look() {
                return failure;
            }
            self.clock.sleep(LOOK).await;
        }
    }

    fn disturb(&self, fault: &Fault, begins: bool) {
        let Fault::Http { node, http } = fault else { return };
        for site in self.sites.iter().filter(|site| site.name == *node) {
            site.proxy.set(*http, begins);
        }
    }
}

/// Runs a trial.
pub(super) async fn run(
    system: &Calls,
    trial: &Trial<'_>,
    stage: &Stage,
    settings: &Settings,
) -> Result<Observed, Error> {
    refuse_links(trial)?;
    let clock = clock::machine();
    let folder = stage.folder().map_err(broken)?;
    let plant = tokio::select! {
        plant = Plant::start(trial, stage, folder.path(), settings, &clock) => {
            plant.map_err(broken)?
        }
        // Not begun yet, and it may have to end already.
        error = schedule::watch(trial, clock.monotonic() + trial.duration, &clock) => {
            return Err(error);
        }
    };
    let mut observed = observe(trial, settings, &plant, &clock).await?;
    drop(plant);
    beside_its_twin(system, trial, &mut observed).await?;
    Ok(observed)
}

async fn observe(
    trial: &Trial<'_>,
    settings: &Settings,
    plant: &Plant<'_>,
    clock: &Clock,
) -> Result<Observed, Error> {
    let phases = Phases::of(trial, &settings.dependencies);
    let origin = clock.monotonic();
    let meter = Meter::new(origin, trial.duration, plant.sites.len(), phases.settled);
    let transport = transport(plant.sites.iter().map(|site| site.proxy.address()).collect());
    let api = Api::new(settings, clock.clone(), trial.seed, transport, meter.clone());
    let api = Arc::new(api.map_err(broken)?);
    let history = Recorder::new(clock.clone());
    let clients = Clients::new(trial, settings, clock.clone(), history.clone(), meter.clone());
    let (tasks, served) = (Tasks::default(), Arc::clone(&api));
    let calling = clients.run(origin, |to| {
        let api = Arc::clone(&served);
        // Whether the client still waits or not, the API node goes on.
        let answer = tasks.ask(async move { api.serve(to).await });
        async move {
            let ended = || Unanswered { why: "the API node has ended".into(), doubtful: true };
            answer.await.unwrap_or_else(|_| Err(ended()))
        }
    });
    let log = Log::default();
    let directing =
        schedule::direct(&plant.crew, &trial.schedule, origin, &log, |_, fault, begins| {
            plant.disturb(fault, begins);
        });
    // Faults may all be over long before the calls are.
    let directing = async {
        match directing.await {
            Ok(()) => std::future::pending().await,
            Err(failure) => failure,
        }
    };
    tokio::select! {
        () = calling => {}
        failure = directing => return Err(broken(failure)),
        failure = plant.keep() => return Err(broken(failure)),
        error = schedule::watch(trial, origin, clock) => return Err(error),
        () = sample(clock, origin, &meter, &api) => {}
    }
    tasks.end();
    meter.counters(api.policies());
    let mut observed = result::observe(settings, &phases, trial.duration, meter.take());
    observed.history = history.take();
    for event in &mut observed.history {
        event.time = event.time.saturating_sub(origin.as_nanos());
    }
    observed.spans = log.spans(trial.duration);
    Ok(observed)
}

/// Reads the policies' counters at the end of each piece of the trial; does not end.
async fn sample(clock: &Clock, origin: Monotonic, meter: &Meter, api: &Api) {
    let step = meter.step();
    for piece in 1..PIECES {
        clock.sleep_until(origin + step * piece).await;
        meter.counters(api.policies());
    }
    std::future::pending().await
}

/// Processes of one machine have no links between them that could be disturbed.
fn refuse_links(trial: &Trial<'_>) -> Result<(), Error> {
    let is_link = |fault: &Fault| matches!(fault, Fault::Link { .. } | Fault::Partition { .. });
    match trial.schedule.iter().find(|planned| is_link(&planned.fault)) {
        None => Ok(()),
        Some(planned) => Err(Error::Mode {
            system: "calls",
            mode: "real",
            reason: format!("{} is simulated only; run it without --real", planned.fault),
        }),
    }
}

/// The way of a request to a dependency and back.
fn transport(addresses: Vec<SocketAddr>) -> Transport {
    let requests = client();
    Arc::new(move |to| {
        let address = addresses.get(to).copied();
        let requests = requests.clone();
        async move {
            match address {
                Some(address) => ask(&requests, address).await,
                None => Err(Failed::Refused),
            }
        }
        .boxed()
    })
}

async fn ask(requests: &Requests, address: SocketAddr) -> Result<Done, Failed> {
    let request = Request::get(format!("http://{address}/")).body(Full::<Bytes>::default());
    let request = request.map_err(|_| Failed::Refused)?;
    let answer = requests.request(request).await;
    let answer =
        answer.map_err(|error| if error.is_connect() { Failed::Refused } else { Failed::Lost })?;
    if answer.status() != StatusCode::OK {
        return Err(Failed::Status(answer.status()));
    }
    let waiting = answer.headers().get(WAITING).and_then(|value| value.to_str().ok()?.parse().ok());
    Ok(Done { waiting: waiting.unwrap_or(0) })
}

/// Puts the simulated trial of the same length and seed beside the real one.
async fn beside_its_twin(
    system: &Calls,
    trial: &Trial<'_>,
    observed: &mut Observed,
) -> Result<(), Error> {
    let Trial { scenario, variant, seed, duration, .. } = *trial;
    let twin = Trial::new(scenario, variant, seed, duration, &Silent);
    // A simulation is one long step for the runtime here, whose budget for a step would stop the
    // channels within it for good.
    let twin = tokio::task::unconstrained(async { system.simulate(&twin) }).await?;
    let mut rows = Vec::new();
    for name in COMPARED {
        let of = |observed: &Observed| observed.indicators.get(name).copied();
        let (Some(real), Some(simulated)) = (of(observed), of(&twin)) else { continue };
        let apart = match simulated.value {
            0.0 => "–".to_owned(),
            value => format!("{:+.1} %", (real.value / value - 1.0) * 100.0),
        };
        rows.push(vec![name.to_owned(), real.to_string(), simulated.to_string(), apart]);
    }
    let title = "The same trial for real and simulated".to_owned();
    let head = ["", "real", "simulated", "apart"].map(str::to_owned).to_vec();
    observed.tables.push(Table { title, head, rows });
    Ok(())
}
