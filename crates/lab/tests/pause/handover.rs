//! How long it takes until the next holder, and the next leader, is there.

use std::time::Duration;

use steadfast_lab::real::engine::{Engine, Kind, Served};
use steadfast_lab::real::{Spread, Stage};
use steadfast_lab::system::lock::real::{Task, killed, released};

use super::{LENGTH, engines, stage};

/// What a machine with much to do may add to the end of a session.
const SLACK: Duration = Duration::from_secs(3);

async fn measured(stage: &Stage, engine: &Engine) {
    let length = engine.length_above(LENGTH).await.unwrap();
    let session = engine.session_length(length).await.unwrap();
    for task in [Task::Hold, Task::Lead] {
        let took = killed(stage, engine, length, task, 3).await.unwrap();
        eprintln!("{}, {task:?}, after a kill: {}", engine.kind(), Spread::of(took.clone()));
        assert_eq!(took.len(), 3);
        let slowest = took.iter().max().unwrap();
        assert!(*slowest < session + SLACK, "{task:?}: {took:?}");
        // Nobody gets it while the session of the one that was killed lives: a third of it may have
        // passed since its last renewal, more where a busy machine was late with that.
        let fastest = took.iter().min().unwrap();
        assert!(*fastest > session / 6, "{task:?}: {took:?}");
    }
    let handover = released(engine, length, 8, 2).await.unwrap();
    eprintln!("{}, after a release: {}", engine.kind(), handover.after_release);
    assert_eq!((handover.after_release.count, handover.out_of_order), (16, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_one_is_there_when_the_session_has_ended_and_in_turn() {
    let stage = stage();
    let folder = stage.folder().unwrap();
    let served = Served::start(&stage, folder.path()).await.unwrap();
    measured(&stage, served.engine()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_one_is_there_with_etcd() {
    if let Some(engine) = engines::of(Kind::Etcd) {
        measured(&stage(), &engine).await;
    }
}
