//! One run: a server if need be, a storage, a crew, and what is done to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::crew::{Crew, Process};
use super::director::{Director, Done, Pauses};
use super::engine::{self, Engine, Kind};
use super::history;
use super::hub::{Hub, Told};
use super::outcome::{Figures, Ran};
use super::role::{Again, Role};
use super::wire::{Job, Task, Waits, What};
use super::{Fence, Outcome, clock};

/// How long servers and workers may take to start on a machine that has much to do.
const START_MAX: Duration = Duration::from_secs(60);
/// Workers ask anew for the lock after so long, whoever has it.
const PATIENCE: Duration = Duration::from_secs(30);

/// An embedded server in a process of its own.
pub struct Served {
    pub process: Process,
    pub engine: Engine,
    folder: PathBuf,
}

impl Served {
    /// Starts it on what is in the folder, and waits until it answers.
    pub async fn start(again: &Again, folder: &Path) -> Outcome<Self> {
        let role = Role::Server { folder: folder.to_owned() };
        let process = Process::start(again, &role, &folder.join("server.log"))?;
        let engine = Engine::new(Kind::Embedded, engine::address(folder));
        let clock = clock::machine();
        let up = async {
            while engine.connect(clock.clone()).await.is_err() {
                clock.sleep(Duration::from_millis(10)).await;
            }
        };
        clock.timeout(START_MAX, up).await.map_err(|_| "the server does not come up")?;
        Ok(Self { process, engine, folder: folder.to_owned() })
    }

    /// Kills it, and starts it on its data.
    pub async fn restart(&mut self, again: &Again) -> Outcome<()> {
        self.process.kill()?;
        let folder = self.folder.clone();
        *self = Self::start(again, &folder).await?;
        Ok(())
    }
}

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub engine: Engine,
    pub fence: Fence,
    pub workers: u32,
    /// The length of the workers' sessions.
    pub length: Duration,
    /// How long workers wait between read and write.
    pub waits: Waits,
    pub patience: Duration,
    pub pauses: Pauses,
    pub seed: u64,
}

impl Plan {
    pub fn new(engine: &Engine, fence: Fence, length: Duration, pauses: Pauses) -> Self {
        let waits = Waits { min: Duration::ZERO, max: Duration::from_secs(2) };
        let seed = fastrand::u64(..1_000_000);
        let engine = engine.clone();
        Self { engine, fence, workers: 5, length, waits, patience: PATIENCE, pauses, seed }
    }
}

/// Workers at work.
pub struct Working {
    pub hub: Hub,
    pub crew: Crew,
    plan: Plan,
    pub lock: String,
    _sockets: TempDir,
}

impl Working {
    /// Starts the crew, and waits until all of it is there. Logs go to a folder.
    pub async fn start(plan: Plan, again: &Again, logs: &Path) -> Outcome<Self> {
        // The kernel's limit for the path of a socket is short.
        let sockets = tempfile::Builder::new().prefix("pause-").tempdir()?;
        let hub = Hub::listen(sockets.path(), plan.fence)?;
        let lock = format!("register/{:016x}", fastrand::u64(..));
        let mut workers = Vec::new();
        for number in 0..plan.workers {
            let job = Job {
                hub: hub.path().to_owned(),
                number,
                engine: plan.engine.clone(),
                lock: lock.clone(),
                length: plan.length,
                patience: plan.patience,
                task: Task::Update { waits: plan.waits },
                seed: plan.seed.wrapping_add(u64::from(number)),
            };
            let log = logs.join(format!("worker-{number}.log"));
            workers.push(Process::start(again, &Role::Worker(job), &log)?);
        }
        let working = Self { hub, crew: Crew::new(workers), plan, lock, _sockets: sockets };
        for number in 0..working.plan.workers {
            let ready = |told: &Told| {
                (told.worker == number && matches!(told.what, What::Ready)).then_some(())
            };
            let ready = working.hub.report(0, START_MAX, ready).await;
            ready.ok_or_else(|| {
                format!("worker {number} does not start; its log is in {}", logs.display())
            })?;
        }
        Ok(working)
    }

    /// Lets the workers finish, writes the history down, and counts.
    pub async fn finish(self, done: Done, started: u64, out: &Path) -> Outcome<Figures> {
        let Self { hub, crew, plan, .. } = &self;
        let now = hub.clock().monotonic().as_nanos();
        hub.end();
        let stuck = crew.ended(plan.patience + START_MAX).await;
        hub.final_read(plan.workers);
        let known = hub.known();
        let lines = known.told.iter().filter_map(|told| match &told.what {
            What::History(line) => Some(line.clone()),
            _ => None,
        });
        let lines = history::complete(lines.collect());
        let name = format!("{}-{}.jsonl", plan.engine.kind, plan.fence);
        history::write(&lines, &out.join(name))?;
        let ran = Ran {
            engine: plan.engine.kind,
            seed: plan.seed,
            workers: plan.workers,
            length_ms: plan.length.as_millis(),
            seconds: Duration::from_nanos(now - started).as_secs_f64(),
            done,
            stuck,
            history: history::check(&lines)?,
        };
        Ok(Figures::new(ran, &known, plan.fence, &lines))
    }
}

/// The pause test. Histories and logs go to a folder.
pub async fn pause_test(plan: Plan, again: &Again, out: &Path) -> Outcome<Figures> {
    let length = plan.engine.session_length(plan.length).await?;
    let (pauses, random) = (plan.pauses, fastrand::Rng::with_seed(plan.seed));
    let working = Working::start(plan, again, out).await?;
    let started = working.hub.clock().monotonic().as_nanos();
    let mut director =
        Director { hub: &working.hub, crew: &working.crew, length, random, done: Done::default() };
    director.run(pauses).await?;
    let done = director.done;
    working.finish(done, started, out).await
}
