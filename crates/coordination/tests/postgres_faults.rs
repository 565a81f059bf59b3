//! The PostgreSQL engine while its server is killed and stopped.
#![cfg(feature = "postgres")]
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

#[path = "support/postgres.rs"]
mod servers;
#[path = "support/storm.rs"]
mod storm;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use servers::{Server, connect, name, options, request};
use steadfast_coordination::engine::postgres::Postgres;
use steadfast_coordination::port::{Coordinator, Error};
use steadfast_time::Clock;

const SECOND: Duration = Duration::from_secs(1);

/// Kills the server three times under load.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_answered_is_lost_and_no_token_repeats_when_the_server_is_killed() {
    let Some(server) = Server::start() else { return };
    let mut options = options(&server.url());
    options.call_timeout = 2 * SECOND;
    let postgres: Arc<dyn Coordinator> = Arc::new(Postgres::connect_with(options).await.unwrap());
    let (counter, stop) = (name("storm"), Arc::new(AtomicBool::new(false)));
    let load = tokio::spawn(storm::load(Arc::clone(&postgres), counter.clone(), Arc::clone(&stop)));
    let clock = Clock::system();
    for _ in 0..3 {
        clock.sleep(SECOND).await;
        server.kill();
        server.restart();
    }
    clock.sleep(SECOND).await;
    stop.store(true, Ordering::SeqCst);
    let all = load.await.unwrap();
    assert!(all.tokens.len() > 100 && all.unknown > 0, "the load met no crash");
    let faults = storm::faults(&*postgres, &counter, all).await;
    assert!(faults.is_empty(), "{faults:?}");
}

#[tokio::test]
async fn a_stopped_server_holds_no_caller_beyond_its_deadline_and_all_goes_on_afterwards() {
    let Some(server) = Server::start() else { return };
    let mut options = options(&server.url());
    options.call_timeout = SECOND;
    options.connect_timeout = SECOND;
    let postgres = Postgres::connect_with(options).await.unwrap();
    let (clock, queue) = (Clock::system(), name("stopped"));
    let session = postgres.open(60 * SECOND).await.unwrap().session;
    let held = postgres.enter(&queue, request(session, true)).await.unwrap();
    server.signal("-STOP");
    // A caller with a deadline of its own, again and again; and one that relies on ours.
    for _ in 0..20 {
        let asked = clock.timeout(SECOND / 20, postgres.place(&queue, held.token)).await;
        assert!(asked.is_err());
    }
    let start = clock.monotonic();
    let asked = postgres.place(&queue, held.token).await;
    assert!(matches!(asked, Err(Error::Unavailable { .. })), "{asked:?}");
    assert!(clock.monotonic() - start < 4 * SECOND);
    server.signal("-CONT");
    let again = async {
        while postgres.place(&queue, held.token).await.is_err() {
            clock.sleep(SECOND / 20).await;
        }
    };
    clock.timeout(10 * SECOND, again).await.unwrap();
    assert_eq!(postgres.place(&queue, held.token).await.unwrap(), held);
    drop(connect(&server.url()).await);
}
