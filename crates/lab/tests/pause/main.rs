//! The pause test on every engine, with real processes: holders are stopped between their read and
//! their write until somebody else has written. Without a fence at the storage, acknowledged updates
//! are lost; with it, none is. The unfenced runs are the broken twin of the fenced ones.
//!
//! `steadfast lab run fencing --real` is the same at length, with pauses at random.
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
mod checks;
#[path = "../support/engines.rs"]
mod engines;
mod handover;

use std::time::Duration;

use again::stage;
use steadfast_lab::Verdict;
use steadfast_lab::real::Stage;
use steadfast_lab::real::engine::{Engine, Kind, Served};
use steadfast_lab::system::lock::real::{
    Fence, Figures, Pauses, Plan, Table, Until, Waits, pause_test,
};

/// The shortest session that is asked for: five processes on a busy machine must be able to keep it.
const LENGTH: Duration = Duration::from_millis(600);
const PAUSES: u32 = 3;

/// Not a test but the other processes of the tests, when they ask for it.
#[test]
fn another_process() {
    again::play();
}

async fn run(engine: &Engine, fence: Fence, stage: &Stage) -> Figures {
    let length = engine.length_above(LENGTH).await.unwrap();
    let pauses = Pauses { times: PAUSES, until: Until::worst_for(fence) };
    let plan = Plan {
        // Long enough for a signal to arrive within.
        waits: Waits { min: Duration::from_millis(150), max: Duration::from_millis(300) },
        ..Plan::new(engine, fence, length)
    };
    let figures = pause_test(plan, pauses, stage).await.unwrap();
    eprint!("{}", Table(std::slice::from_ref(&figures)));
    assert_eq!((figures.sure, figures.stuck), (PAUSES, 0), "{figures:?}");
    figures
}

/// Each pause hit a holder, and another one wrote in its place: that must have cost an update.
async fn loses(engine: &Engine, stage: &Stage) {
    let figures = run(engine, Fence::None, stage).await;
    assert!(figures.lost >= PAUSES as usize, "{figures:?}");
    assert!(figures.stale_writes >= u64::from(PAUSES), "{figures:?}");
    assert!(figures.second_holders >= PAUSES as usize, "{figures:?}");
    assert_eq!(figures.history, Verdict::Violated, "{figures:?}");
}

async fn keeps(engine: &Engine, stage: &Stage) {
    let figures = run(engine, Fence::Full, stage).await;
    assert!(figures.is_safe(), "{figures:?}");
    assert_eq!(figures.stale_writes, 0, "{figures:?}");
    // The holders were stopped as above, and each came back to write.
    assert!(figures.refused_writes >= u64::from(PAUSES), "{figures:?}");
    assert!(figures.acknowledged > PAUSES as usize, "{figures:?}");
}

async fn both(kind: Kind) {
    let Some(engine) = engines::of(kind) else { return };
    let stage = stage();
    loses(&engine, &stage).await;
    keeps(&engine, &stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded() {
    let stage = stage();
    let folder = stage.folder().unwrap();
    let served = Served::start(&stage, folder.path()).await.unwrap();
    loses(served.engine(), &stage).await;
    keeps(served.engine(), &stage).await;
    // A fence that only writes raise lets a late write in while the next holder has only read,
    // and that one overwrites it.
    let figures = run(served.engine(), Fence::Writes, &stage).await;
    assert!(figures.lost > 0 && figures.history == Verdict::Violated, "{figures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    both(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd() {
    both(Kind::Etcd).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zookeeper() {
    both(Kind::Zookeeper).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis() {
    both(Kind::Redis).await;
}

/// For comparison: it has no token that the storage could check.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redlock() {
    let Some(engine) = engines::of(Kind::Redlock) else { return };
    loses(&engine, &stage()).await;
}
