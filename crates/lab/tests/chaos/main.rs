//! The pause test while its server is killed, started again, frozen, and cut off in one direction
//! with the connections held open.
//!
//! What holds throughout: no second holder at the storage; every worker makes progress again, by
//! itself, within a bound; a wait with a deadline ends by it, also in the middle of the fault. Around
//! each fault a holder stands still between its read and its write until another one has written.
#![cfg(all(
    feature = "etcd",
    feature = "postgres",
    feature = "real",
    feature = "redis",
    feature = "zookeeper"
))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed check is a panic")]

#[path = "../support/again.rs"]
mod again;
#[path = "../support/engines.rs"]
mod engines;
#[path = "../../../coordination/tests/support/etcd.rs"]
mod etcd;
#[path = "../../../coordination/tests/support/postgres.rs"]
mod postgres;
mod probe;
#[path = "../../../coordination/tests/support/redis.rs"]
mod redis;
mod server;
#[path = "../../../coordination/tests/support/zookeeper.rs"]
mod zookeeper;

use std::time::Duration;

use again::stage;
use probe::Probe;
use server::Server;
use steadfast_coordination::Patience;
use steadfast_lab::real::Stage;
use steadfast_lab::real::engine::Kind;
use steadfast_lab::real::tcp_proxy::Direction;
use steadfast_lab::system::lock::real::{
    Director, Done, Fence, Figures, Known, Plan, Table, Told, Waits, What, Working,
};
use steadfast_time::Monotonic;

const LENGTH: Duration = Duration::from_millis(600);
const WORKERS: u64 = 4;
const MS: Duration = Duration::from_millis(1);
/// By how much a wait may be late where the processors are shared with everything else.
const LATE_MAX: Duration = Duration::from_millis(400);
/// Within how long all workers must have written again: some lengths of a session, and what drivers
/// take to give up a connection that is silent.
const BACK_MAX: Duration = Duration::from_secs(40);

/// Not a test but the other processes of the tests, when they ask for it.
#[test]
fn another_process() {
    again::play();
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    KilledAndStartedAgain,
    Frozen,
    CutOff(Direction),
}

const FAULTS: [Fault; 4] = [
    Fault::KilledAndStartedAgain,
    Fault::Frozen,
    Fault::CutOff(Direction::Requests),
    Fault::CutOff(Direction::Answers),
];

/// A server, its workers, and what is done to both.
struct Storm<'a> {
    server: Server<'a>,
    working: Working<'a>,
    probe: Probe,
    length: Duration,
    done: Done,
}

impl<'a> Storm<'a> {
    async fn start(kind: Kind, fence: Fence, stage: &'a Stage) -> Option<Self> {
        let server = Server::start(kind, stage).await?;
        let asked = server.engine.length_above(LENGTH).await.unwrap();
        let length = server.engine.session_length(asked).await.unwrap();
        let plan = Plan {
            workers: u32::try_from(WORKERS).unwrap(),
            waits: Waits { min: MS * 150, max: MS * 250 },
            patience: Duration::from_secs(2),
            ..Plan::new(&server.engine, fence, asked)
        };
        let working = Working::start(plan, stage).await.unwrap();
        let client = server.engine.client(asked, "probe").await.unwrap();
        let probe = Probe::start(client, &working.lock);
        let storm = Self { server, working, probe, length, done: Done::default() };
        storm.all_write(storm.working.started).await.unwrap();
        Some(storm)
    }

    fn director(&self) -> Director<'_> {
        Director {
            hub: &self.working.hub,
            crew: &self.working.crew,
            length: self.length,
            done: self.done,
        }
    }

    fn now(&self) -> Monotonic {
        self.working.hub.clock().monotonic()
    }

    async fn sleep(&self, length: Duration) {
        self.working.hub.clock().sleep(length).await;
    }

    /// Waits until every worker has written after a moment; how long that took.
    async fn all_write(&self, since: Monotonic) -> Result<Duration, String> {
        for worker in 1..=WORKERS {
            let wrote = |told: &Told| {
                let writes = matches!(told.what, What::Wrote { taken: true, .. });
                (told.worker == worker && writes && told.at > since.as_nanos()).then_some(())
            };
            let wrote = self.working.hub.report(0, BACK_MAX, wrote).await;
            wrote.ok_or(format!("worker {worker} writes no more"))?;
        }
        Ok(self.now() - since)
    }

    /// A fault with a holder that stands still from before it until another has written after it.
    async fn befall(&mut self, fault: Fault) {
        let mut director = self.director();
        let (stopped, _) = director.stop_a_reader(None).await.unwrap();
        self.done = director.done;
        let began = self.now();
        match fault {
            Fault::KilledAndStartedAgain => {
                self.server.kill();
                self.sleep(self.length).await;
            }
            Fault::Frozen => {
                self.server.freeze();
                self.endless_waits_stay(self.length * 3 / 2).await;
            }
            Fault::CutOff(direction) => {
                self.server.cut(direction);
                self.sleep(self.length * 3 / 2).await;
            }
        }
        self.waits_ended_in_time(fault, began);
        match fault {
            Fault::KilledAndStartedAgain => self.server.restart().await,
            Fault::Frozen => self.server.thaw(),
            Fault::CutOff(direction) => self.server.mend(direction),
        }
        let over = self.now();
        let another_wrote = |told: &Told| {
            let wrote = matches!(told.what, What::Wrote { taken: true, .. });
            (wrote && told.worker != stopped && told.at > over.as_nanos()).then_some(())
        };
        let wrote = self.working.hub.report(0, BACK_MAX, another_wrote).await;
        wrote.unwrap_or_else(|| panic!("{fault:?}: nobody writes any more"));
        self.working.crew.go_on(&format!("worker-{stopped}")).unwrap();
        self.done.sure += 1;
        match self.all_write(over).await {
            Ok(took) => eprintln!("{}: {fault:?}: all are back after {took:.1?}", self.kind()),
            Err(error) => panic!("{fault:?}: {error}"),
        }
    }

    fn kind(&self) -> Kind {
        self.server.engine.kind()
    }

    fn waits_ended_in_time(&self, fault: Fault, began: Monotonic) {
        let waits = self.probe.between(began, self.now());
        let late = waits.iter().map(|wait| wait.late).max();
        let late = late.unwrap_or_else(|| panic!("{fault:?}: no wait has ended during it"));
        assert!(late < LATE_MAX, "{fault:?}: a wait was late by {late:?}: {waits:?}");
        let strange = waits.iter().find(|wait| !wait.error.is_transient());
        assert!(strange.is_none(), "{fault:?}: {strange:?}");
    }

    /// The broken twin of a wait with a deadline: one without does not end while the server is
    /// frozen.
    async fn endless_waits_stay(&self, length: Duration) {
        let wait = self.probe.client.lock(&self.probe.name);
        let wait = wait.acquire(Patience::Forever);
        let ended = self.working.hub.clock().timeout(length, wait).await;
        assert!(ended.is_err(), "a frozen server has answered");
    }

    async fn end(self) -> Figures {
        let Self { server, working, probe, done, .. } = self;
        drop(probe);
        let figures = working.finish(done).await.unwrap();
        eprint!("{}", Table(std::slice::from_ref(&figures)));
        assert_eq!(figures.stuck, 0, "{figures:?}");
        drop(server);
        figures
    }
}

async fn all_faults(kind: Kind) {
    let stage = stage();
    let Some(mut storm) = Storm::start(kind, Fence::Full, &stage).await else { return };
    for fault in FAULTS {
        storm.befall(fault).await;
    }
    let figures = storm.end().await;
    assert!(figures.is_safe(), "{figures:?}");
    // Each of those that stood still came back to write.
    assert!(figures.refused_writes >= FAULTS.len() as u64, "{figures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded() {
    all_faults(Kind::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_server() {
    all_faults(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_server() {
    all_faults(Kind::Etcd).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zookeeper_server() {
    all_faults(Kind::Zookeeper).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_server() {
    all_faults(Kind::Redis).await;
}

/// The broken twin: without a fence, the holder that stood still overwrites what was written since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_twin_without_a_fence_updates_are_lost() {
    let stage = stage();
    let mut storm = Storm::start(Kind::Embedded, Fence::None, &stage).await.unwrap();
    storm.befall(Fault::Frozen).await;
    let figures = storm.end().await;
    assert!(figures.lost > 0 && !figures.is_safe(), "{figures:?}");
}

/// The broken twin: a server that comes back without its data gives tokens again that others have
/// had. The storage sees that here, and could not tell the two apart otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_twin_a_server_that_forgets_gives_tokens_again() {
    let stage = stage();
    let mut storm = Storm::start(Kind::Embedded, Fence::Full, &stage).await.unwrap();
    // So many that those of a new beginning cannot miss them all.
    let many = |known: &Known| (known.storage.tokens() >= 30).then_some(());
    assert!(storm.working.hub.until(BACK_MAX, many).await.is_some(), "too slow");
    assert_eq!(storm.working.hub.known().storage.shared_tokens(), 0);
    storm.server.kill();
    storm.server.forget();
    storm.server.restart().await;
    let hub = &storm.working.hub;
    let shared =
        hub.until(BACK_MAX, |known| (known.storage.shared_tokens() > 0).then_some(())).await;
    let figures = storm.end().await;
    assert!(shared.is_some() && !figures.is_safe(), "{figures:?}");
}
