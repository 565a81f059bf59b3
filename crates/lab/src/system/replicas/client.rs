//! Clients: each reads a value at the nearest replica, looks at it for a while, and writes over it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures::FutureExt as _;
use serde_json::Value;
use steadfast_time::logical::hybrid::Stamp;
use steadfast_time::logical::vector::Vector;
use steadfast_time::{Clock, Monotonic};

use super::Setup;
use super::ledger::{Knowledge, Ledger};
use super::replica::{Cluster, Request};
use super::version::{Mark, Version};
use crate::history::Recorder;
use crate::sim::{Net, Stage};
use crate::system::Trial;

const REQUEST_BYTES: usize = 128;

/// What all clients of a trial share.
pub(super) struct Shared {
    setup: Setup,
    net: Net,
    truth: Clock,
    recorder: Recorder,
    ledger: Arc<Ledger>,
    cluster: Cluster,
    end: Monotonic,
    processes: Cell<u64>,
}

/// What a client remembers.
pub(super) struct Session {
    index: usize,
    name: String,
    process: Option<u64>,
    rng: Rng,
    /// The truth about it.
    knows: Knowledge,
    /// What it can tell a replica: the highest stamp that it has read, by value ...
    stamps: BTreeMap<u64, Stamp>,
    /// ... and the versions that it has read.
    vectors: BTreeMap<u64, Vector<usize>>,
}

impl Session {
    pub(super) fn new(index: usize, name: String, clients: usize, rng: Rng) -> Self {
        let knows = Knowledge::new(clients);
        let (stamps, vectors) = (BTreeMap::new(), BTreeMap::new());
        Self { index, name, process: None, rng, knows, stamps, vectors }
    }

    fn exponential(&mut self, mean: f64) -> Duration {
        let wait = -mean * (1.0 - self.rng.f64()).ln();
        Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX)
    }

    fn between(&mut self, (least, most): (Duration, Duration)) -> Duration {
        least + most.saturating_sub(least).mul_f64(self.rng.f64())
    }

    /// Takes in what it has read.
    fn learn(&mut self, key: u64, versions: &[Version]) {
        for version in versions {
            match &version.mark {
                Mark::WallClock(..) => {}
                Mark::Hybrid(stamp, _) => {
                    let highest = self.stamps.entry(key).or_default();
                    *highest = (*highest).max(*stamp);
                }
                Mark::Vector(vector) => {
                    // As many clients as a vector has room for; the scenario was refused otherwise.
                    let _ = self.vectors.entry(key).or_default().merge(vector);
                }
            }
        }
    }
}

impl Shared {
    pub(super) fn new(
        setup: &Setup,
        stage: &Stage,
        recorder: &Recorder,
        ledger: &Arc<Ledger>,
        cluster: &Cluster,
        trial: &Trial<'_>,
    ) -> Self {
        Self {
            setup: setup.clone(),
            net: stage.net(),
            truth: stage.clock(),
            recorder: recorder.clone(),
            ledger: Arc::clone(ledger),
            cluster: cluster.clone(),
            end: Monotonic::from_start(trial.duration),
            processes: Cell::new(0),
        }
    }

    fn process(&self, session: &mut Session) -> u64 {
        *session.process.get_or_insert_with(|| {
            self.processes.set(self.processes.get() + 1);
            self.processes.get() - 1
        })
    }

    /// Reads; says whether there was an answer.
    async fn read(&self, session: &mut Session, clock: &Clock, key: u64) -> bool {
        let process = self.process(session);
        let pending = self.recorder.invoke_on(process, name(key), "read", Value::Null);
        let (replica, to) = self.cluster.nearest(session.index);
        let cluster = self.cluster.clone();
        let work = move || {
            let cluster = cluster.clone();
            async move { cluster.read(replica, key) }.boxed()
        };
        let call = self.net.call(&session.name, to, REQUEST_BYTES, work);
        let Ok(Ok(versions)) = clock.timeout(self.setup.timeout, call).await else {
            pending.fail(Value::Null, "no answer in time");
            self.ledger.unanswered();
            return false;
        };
        session.learn(key, &versions);
        let writes: Vec<u64> = versions.iter().map(|version| version.write).collect();
        self.ledger.seen(&mut session.knows, &writes);
        pending.ok(match writes[..] {
            [] => Value::Null,
            [write] => write.into(),
            _ => writes.into(),
        });
        true
    }

    /// Writes over all that it has read.
    async fn write(&self, session: &mut Session, clock: &Clock, key: u64) {
        let vector = session.vectors.entry(key).or_default();
        if vector.increment(session.index).is_err() {
            return;
        }
        let vector = vector.clone();
        let stamp = session.stamps.get(&key).copied().unwrap_or_default();
        let process = self.process(session);
        let write = self.ledger.write(session.index, &mut session.knows);
        let pending = self.recorder.invoke_on(process, name(key), "write", write.into());
        let request = Request { key, write, stamp, vector };
        let (replica, to) = self.cluster.nearest(session.index);
        let cluster = self.cluster.clone();
        let work = move || {
            let (cluster, request) = (cluster.clone(), request.clone());
            async move { cluster.write(replica, &request) }.boxed()
        };
        let call = self.net.call(&session.name, to, REQUEST_BYTES, work);
        match clock.timeout(self.setup.timeout, call).await {
            Ok(Ok(Ok(()))) => {
                self.ledger.acknowledge(write);
                pending.ok(write.into());
            }
            Ok(Ok(Err(refusal))) => {
                self.ledger.unanswered();
                pending.fail(write.into(), refusal.to_string());
            }
            Ok(Err(_)) | Err(_) => {
                self.ledger.unanswered();
                pending.info(write.into(), "no answer in time");
                // The write may be done at any time: the process asks nothing more.
                session.process = None;
            }
        }
    }
}

fn name(key: u64) -> String {
    format!("key-{}", key + 1)
}

/// What a client's host runs.
pub(super) async fn program(shared: Rc<Shared>, mut session: Session, clock: Clock) {
    let mean = f64::from(shared.setup.clients) / shared.setup.rate;
    loop {
        let wait = session.exponential(mean);
        clock.sleep(wait).await;
        if shared.truth.monotonic() >= shared.end {
            return;
        }
        let key = session.rng.u64(..shared.setup.keys);
        if shared.read(&mut session, &clock, key).await {
            let look = session.between(shared.setup.edit);
            clock.sleep(look).await;
            shared.write(&mut session, &clock, key).await;
        }
    }
}
