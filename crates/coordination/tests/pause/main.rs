//! The pause test on every engine, with real processes: holders are stopped between their read and
//! their write until somebody else has written. Without a fence at the storage, acknowledged updates
//! are lost; with it, none is. The unfenced runs are the broken twin of the fenced ones.
//!
//! `examples/pause` is the same at length, with pauses at random.
#![cfg(all(
    feature = "embedded",
    feature = "etcd",
    feature = "postgres",
    feature = "redis",
    feature = "redlock",
    feature = "thread",
    feature = "zookeeper"
))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed check is a panic")]

mod checks;
#[path = "../../examples/pause/rig/mod.rs"]
mod rig;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rig::Fence;
use rig::director::{Pauses, Until};
use rig::engine::{Engine, Kind};
use rig::history::Verdict;
use rig::outcome::{Figures, Table};
use rig::role::Again;
use rig::run::{Plan, Served, pause_test};
use rig::scratch::Scratch;
use rig::wire::Waits;

const ROLE: &str = "PAUSE_ROLE";
/// The shortest session that is asked for: five processes on a busy machine must be able to keep it.
const LENGTH: Duration = Duration::from_millis(600);
const PAUSES: u32 = 3;

/// Not a test but the other processes of the tests, when they ask for it.
#[test]
fn another_process() {
    if let Ok(role) = std::env::var(ROLE) {
        rig::role::play(&role).unwrap();
    }
}

fn again() -> Again {
    Arc::new(|role| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "another_process", "--nocapture"]).env(ROLE, role);
        command
    })
}

async fn run(engine: &Engine, fence: Fence, out: &Scratch) -> Figures {
    let length = engine.length_above(LENGTH).await.unwrap();
    let pauses = Pauses::Sure { times: PAUSES, until: Until::worst_for(fence) };
    let plan = Plan {
        // Long enough for a signal to arrive within.
        waits: Waits { min: Duration::from_millis(150), max: Duration::from_millis(300) },
        ..Plan::new(engine, fence, length, pauses)
    };
    let figures = pause_test(plan, &again(), out.path()).await.unwrap();
    eprint!("{}", Table(std::slice::from_ref(&figures)));
    assert_eq!((figures.sure, figures.stuck), (PAUSES, 0), "{figures:?}");
    figures
}

/// Each pause hit a holder, and another one wrote in its place: that must have cost an update.
async fn loses(engine: &Engine, out: &Scratch) {
    let figures = run(engine, Fence::None, out).await;
    assert!(figures.lost >= PAUSES as usize, "{figures:?}");
    assert!(figures.second_holders >= PAUSES as usize, "{figures:?}");
    assert_eq!(figures.history, Verdict::Violated, "{figures:?}");
}

async fn keeps(engine: &Engine, out: &Scratch) {
    let figures = run(engine, Fence::Full, out).await;
    assert!(figures.is_safe(), "{figures:?}");
    // The holders were stopped as above, and each came back to write.
    assert!(figures.refused_writes >= u64::from(PAUSES), "{figures:?}");
    assert!(figures.acknowledged > PAUSES as usize, "{figures:?}");
}

async fn both(kind: Kind, variable: &str) {
    let Ok(url) = std::env::var(variable) else {
        eprintln!("left out: {variable} is not set");
        return;
    };
    let (engine, out) = (Engine::new(kind, url), Scratch::new(None).unwrap());
    loses(&engine, &out).await;
    keeps(&engine, &out).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded() {
    let out = Scratch::new(None).unwrap();
    let served = Served::start(&again(), out.path()).await.unwrap();
    loses(&served.engine, &out).await;
    keeps(&served.engine, &out).await;
    // A fence that only writes raise lets a late write in while the next holder has only read,
    // and that one overwrites it.
    let figures = run(&served.engine, Fence::Writes, &out).await;
    assert!(figures.lost > 0 && figures.history == Verdict::Violated, "{figures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    both(Kind::Postgres, "STEADFAST_POSTGRES").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd() {
    both(Kind::Etcd, "STEADFAST_ETCD").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zookeeper() {
    both(Kind::Zookeeper, "STEADFAST_ZOOKEEPER").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis() {
    both(Kind::Redis, "STEADFAST_REDIS").await;
}

/// For comparison: it has no token that the storage could check.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redlock() {
    let Ok(urls) = std::env::var("STEADFAST_REDLOCK") else {
        eprintln!("left out: STEADFAST_REDLOCK is not set");
        return;
    };
    let out = Scratch::new(None).unwrap();
    loses(&Engine::new(Kind::Redlock, urls), &out).await;
}
