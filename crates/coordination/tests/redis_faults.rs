//! The Redis engine while its server is killed and stopped.
#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

#[path = "support/redis.rs"]
mod servers;
#[path = "support/storm.rs"]
mod storm;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use servers::{Server, VARIABLE, connect, name, options, request};
use steadfast_coordination::engine::redis::Redis;
use steadfast_coordination::port::{Coordinator, Error};
use steadfast_time::Clock;

const SECOND: Duration = Duration::from_secs(1);

/// Kills the server under load, and says what was found afterwards.
async fn killed(arguments: &[&str]) -> Option<Vec<String>> {
    let mut server = Server::start(VARIABLE, arguments)?;
    let redis: Arc<dyn Coordinator> = Arc::new(connect(&server.url()).await);
    let (counter, stop) = (name("storm"), Arc::new(AtomicBool::new(false)));
    let load = tokio::spawn(storm::load(Arc::clone(&redis), counter.clone(), Arc::clone(&stop)));
    let clock = Clock::system();
    clock.sleep(SECOND / 2).await;
    server.kill();
    // The load ends here: this looks for what was answered before and is lost. That tokens go on
    // rising afterwards is `tokens_rise_over_a_loss_of_all_data`.
    stop.store(true, Ordering::SeqCst);
    server.restart();
    let all = load.await.unwrap();
    assert!(all.tokens.len() > 100 && all.unknown > 0, "the load met no crash");
    while redis.load(&counter).await.is_err() {
        clock.sleep(SECOND / 20).await;
    }
    Some(storm::faults(&*redis, &counter, all).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_answered_is_lost_when_a_durable_server_is_killed() {
    let durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""];
    if let Some(faults) = killed(&durable).await {
        assert!(faults.is_empty(), "{faults:?}");
    }
}

/// The twin without any file (a killed process does not tell `appendfsync always` from less): what the capabilities say is lost, is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_twin_a_server_that_keeps_nothing_loses_entries() {
    if let Some(faults) = killed(&["--save", ""]).await {
        assert!(faults.iter().any(|fault| fault.contains("entries are lost")), "{faults:?}");
    }
}

#[tokio::test]
async fn a_stopped_server_holds_no_caller_beyond_its_deadline_and_all_goes_on_afterwards() {
    let Some(server) = Server::start(VARIABLE, &["--save", ""]) else { return };
    let mut options = options(&server.url());
    options.call_timeout = SECOND;
    options.connect_timeout = SECOND;
    let redis = Redis::connect_with(options).await.unwrap();
    let (clock, queue) = (Clock::system(), name("stopped"));
    let session = redis.open(60 * SECOND).await.unwrap().session;
    let held = redis.enter(&queue, request(session, true)).await.unwrap();
    server.signal("-STOP");
    for _ in 0..20 {
        let asked = clock.timeout(SECOND / 20, redis.place(&queue, held.token)).await;
        assert!(asked.is_err());
    }
    let start = clock.monotonic();
    let asked = redis.place(&queue, held.token).await;
    assert!(matches!(asked, Err(Error::Unavailable { .. })), "{asked:?}");
    assert!(clock.monotonic() - start < 4 * SECOND);
    server.signal("-CONT");
    let again = async {
        while redis.place(&queue, held.token).await.is_err() {
            clock.sleep(SECOND / 20).await;
        }
    };
    clock.timeout(10 * SECOND, again).await.unwrap();
    assert_eq!(redis.place(&queue, held.token).await.unwrap(), held);
}
