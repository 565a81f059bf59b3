//! One run: a storage, a crew, and what is done to it.

use std::time::Duration;

use steadfast_time::Monotonic;
use tempfile::TempDir;

use super::super::settings;
use super::super::storage::Fence;
use super::director::{Director, Done, Pauses};
use super::hub::{Hub, Told};
use super::outcome::{Figures, Ran};
use super::wire::{Job, Task, Waits, What};
use super::worker::PART;
use crate::check;
use crate::check::Model;
use crate::limits::CHECK_TIME;
use crate::real::engine::Engine;
use crate::real::{Crew, Failure, Role, Stage, clock};

/// How long workers may take to start on a machine that has much to do.
const START_MAX: Duration = Duration::from_secs(60);
/// Workers ask anew for the lock after so long, whoever has it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What coordinates.
    pub engine: Engine,
    /// Where each worker finds it, when that is not the same for all.
    pub ways: Vec<Engine>,
    /// What the storage does with tokens.
    pub fence: Fence,
    /// How many workers there are.
    pub workers: u32,
    /// The length of the workers' sessions.
    pub length: Duration,
    /// How long workers wait between read and write.
    pub waits: Waits,
    /// How long they rest between two updates, on average.
    pub rest: Duration,
    /// How long they ask for the lock before they ask anew.
    pub patience: Duration,
    /// For the waits.
    pub seed: u64,
}

impl Plan {
    /// Five workers that wait up to two seconds between read and write.
    #[must_use]
    pub fn new(engine: &Engine, fence: Fence, length: Duration) -> Self {
        Self {
            engine: engine.clone(),
            ways: Vec::new(),
            fence,
            workers: 5,
            length,
            waits: Waits { min: Duration::ZERO, max: Duration::from_secs(2) },
            rest: Duration::ZERO,
            patience: PATIENCE,
            seed: fastrand::u64(..1_000_000),
        }
    }
}

/// A worker's name as a node, from its number in the first of its lives.
pub(super) fn name_of(worker: u64) -> String {
    settings::worker(u32::try_from(worker).unwrap_or(u32::MAX))
}

/// Workers at work.
#[derive(Debug)]
pub struct Working<'a> {
    /// The storage, and what the workers report.
    pub hub: Hub,
    /// Their processes, `worker-1` and so on.
    pub crew: Crew<'a>,
    /// The name of the lock.
    pub lock: String,
    /// When they began.
    pub started: Monotonic,
    plan: Plan,
    _folder: TempDir,
}

impl<'a> Working<'a> {
    /// Starts the crew, waits until all of it is there, and lets it begin.
    ///
    /// # Errors
    /// When a worker does not start, with the last line of its log.
    pub async fn start(plan: Plan, stage: &'a Stage) -> Result<Self, Failure> {
        let mut working = Self::gather(plan, Crew::new(stage), stage.folder()?, stage).await?;
        working.begin();
        Ok(working)
    }

    /// Starts the workers in a crew that others may belong to, with a folder for its socket.
    pub(super) async fn gather(
        plan: Plan,
        crew: Crew<'a>,
        folder: TempDir,
        stage: &'a Stage,
    ) -> Result<Self, Failure> {
        let hub = Hub::listen(folder.path(), plan.fence)?;
        let lock = format!("register/{:016x}", fastrand::u64(..));
        let workers = u64::from(plan.workers);
        for number in 1..=workers {
            let (path, lock, plan) = (hub.path().to_owned(), lock.clone(), plan.clone());
            let way = usize::try_from(number - 1).ok().and_then(|at| plan.ways.get(at).cloned());
            let engine = way.unwrap_or_else(|| plan.engine.clone());
            crew.add(&name_of(number), move |starts| {
                // One that is started again is another process of the history.
                let worker = starts * workers + number;
                let job = Job {
                    hub: path.clone(),
                    worker,
                    engine: engine.clone(),
                    lock: lock.clone(),
                    length: plan.length,
                    patience: plan.patience,
                    task: Task::Update { waits: plan.waits, rest: plan.rest },
                    seed: plan.seed.wrapping_add(worker),
                };
                Role::new(PART, &job)
            })?;
        }
        for number in 1..=workers {
            let ready = |told: &Told| {
                (told.worker == number && matches!(told.what, What::Ready)).then_some(())
            };
            let name = name_of(number);
            let gone = async {
                while !crew.running(&name).is_empty() {
                    hub.clock().sleep(Duration::from_millis(50)).await;
                }
            };
            let is_ready = tokio::select! {
                biased;
                ready = hub.report(0, START_MAX, ready) => ready.is_some(),
                () = gone => false,
            };
            if !is_ready {
                return Err(format!("{name} does not start{}", stage.complaint(&name)).into());
            }
        }
        let started = clock::machine().monotonic();
        Ok(Self { hub, crew, lock, started, plan, _folder: folder })
    }

    /// Lets the workers begin.
    pub(super) fn begin(&mut self) {
        self.started = self.hub.clock().monotonic();
        self.hub.begin();
    }

    /// Which node a worker is in any of its lives; none when it is the one that only looks on.
    pub(super) fn node_of(&self, worker: u64) -> Option<u32> {
        let before = worker.checked_sub(1)? % u64::from(self.plan.workers);
        u32::try_from(before + 1).ok()
    }

    /// Lets the workers finish what they are at, and looks at the register in the end. Which of them
    /// did not.
    pub async fn end(&self) -> Vec<String> {
        self.hub.end();
        let stuck = self.crew.ended("worker-", self.plan.patience + START_MAX).await;
        self.hub.final_read();
        stuck
    }

    /// Lets the workers finish, checks the history, and counts.
    ///
    /// # Errors
    /// When what the workers have reported is no history.
    pub async fn finish(self, done: Done) -> Result<Figures, Failure> {
        let seconds = (self.hub.clock().monotonic() - self.started).as_secs_f64();
        let stuck = self.end().await;
        let (known, plan) = (self.hub.known(), &self.plan);
        let history = known.history();
        let limits = check::Options { time: CHECK_TIME, clock: clock::machine() };
        let found = check::check(Model::CasRegister, &history, &limits)?;
        let ran = Ran {
            engine: plan.engine.kind(),
            seed: plan.seed,
            workers: plan.workers,
            length: plan.length,
            seconds,
            done,
            stuck: stuck.len(),
            verdict: found.verdict,
        };
        Ok(Figures::new(ran, &known, plan.fence, &history))
    }
}

/// Updates under a lock whose holders are stopped at the worst moment.
///
/// # Errors
/// When a process does not do its part.
pub async fn pause_test(plan: Plan, pauses: Pauses, stage: &Stage) -> Result<Figures, Failure> {
    let length = plan.engine.session_length(plan.length).await?;
    let working = Working::start(plan, stage).await?;
    let mut director =
        Director { hub: &working.hub, crew: &working.crew, length, done: Done::default() };
    director.run(pauses).await?;
    let (done, now) = (director.done, working.hub.clock().monotonic().as_nanos());
    // The work goes on.
    let wrote = |told: &Told| {
        (matches!(told.what, What::Wrote { taken: true, .. }) && told.at > now).then_some(())
    };
    let wrote = working.hub.report(0, START_MAX, wrote).await;
    wrote.ok_or("nobody writes after the last pause")?;
    working.finish(done).await
}
