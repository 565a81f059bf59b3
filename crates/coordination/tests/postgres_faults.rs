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

use futures::future::join_all;
use servers::{Server, VARIABLE, connect, name, options, request, shared, sql};
use steadfast_coordination::engine::postgres::Postgres;
use steadfast_coordination::port::{Coordinator, Error, Name};
use steadfast_time::Clock;
use tokio_postgres::{Client, NoTls};

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

/// A queue whose row somebody has locked, as a transaction does that hangs: nobody can enter it.
async fn stand_still(url: &str, schema: &str, queue: &Name) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("BEGIN").await.unwrap();
    let lock = format!("SELECT FROM {schema}.queues WHERE name = $1 FOR UPDATE");
    assert_eq!(client.query(&lock, &[&queue.as_str()]).await.unwrap().len(), 1);
    client
}

#[tokio::test]
async fn a_session_is_renewed_while_a_queue_stands_still() {
    let Some(url) = shared(VARIABLE) else { return };
    let mut options = options(&url);
    options.connections = 2;
    let (clock, schema, queue) = (Clock::system(), options.schema.clone(), name("still"));
    let postgres = Postgres::connect_with(options).await.unwrap();
    let session = postgres.open(10 * SECOND).await.unwrap().session;
    let first = postgres.enter(&queue, request(session, true)).await.unwrap();
    let locked = stand_still(&url, &schema, &queue).await;
    let crowd = join_all((0..6).map(|_| postgres.enter(&queue, request(session, true))));
    let renewals = async {
        for _ in 0..5 {
            clock.sleep(SECOND / 10).await;
            clock.timeout(SECOND, postgres.renew(session)).await.expect("no answer").unwrap();
        }
        locked.batch_execute("COMMIT").await.unwrap();
    };
    let (entered, ()) = futures::join!(crowd, renewals);
    for place in entered {
        assert!(place.unwrap().token > first.token);
    }
    sql(&url, &format!("DROP SCHEMA {schema} CASCADE")).await;
}

/// PostgreSQL goes on with a statement whose client is gone, unless it is told to look.
#[tokio::test]
async fn what_callers_have_given_up_does_not_pile_up_at_the_server() {
    let Some(url) = shared(VARIABLE) else { return };
    let mark = format!("mark{:016x}", fastrand::u64(..));
    let separator = if url.contains('?') { '&' } else { '?' };
    let mut options = options(&format!("{url}{separator}application_name={mark}"));
    options.call_timeout = 60 * SECOND;
    let (clock, schema, queue) = (Clock::system(), options.schema.clone(), name("piled"));
    let postgres = Postgres::connect_with(options).await.unwrap();
    let session = postgres.open(60 * SECOND).await.unwrap().session;
    let first = postgres.enter(&queue, request(session, true)).await.unwrap();
    let locked = stand_still(&url, &schema, &queue).await;
    for _ in 0..20 {
        let asked = clock.timeout(SECOND / 10, postgres.enter(&queue, request(session, true)));
        assert!(asked.await.is_err(), "entered a locked queue");
    }
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1
                 AND wait_event_type = 'Lock'";
    let settled = async {
        while locked.query_one(count, &[&mark]).await.unwrap().get::<_, i64>(0) > 0 {
            // Its own view of the activity is kept for as long as its transaction lasts.
            locked.batch_execute("SELECT pg_stat_clear_snapshot()").await.unwrap();
            clock.sleep(SECOND / 20).await;
        }
    };
    let ended = clock.timeout(3 * SECOND, settled).await;
    locked.batch_execute("COMMIT").await.unwrap();
    assert!(ended.is_ok(), "statements of callers that have gone still run");
    // None of them has taken effect afterwards.
    let entries = postgres.list(&queue, None).await.unwrap().entries;
    assert_eq!(entries.iter().map(|entry| entry.token).collect::<Vec<_>>(), [first.token]);
    drop(postgres);
    sql(&url, &format!("DROP SCHEMA {schema} CASCADE")).await;
}
