//! The ZooKeeper engine while its server is killed, started again, and frozen: whoever held
//! something learns of it in time, and everybody comes back by himself.
#![cfg(feature = "zookeeper")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail anywhere")]

// The lab's own, which it is part of.
#[allow(dead_code, unreachable_pub, reason = "a part of it is used")]
#[path = "../../lab/src/real/tcp_proxy.rs"]
mod proxy;
#[path = "support/zookeeper.rs"]
mod servers;

use std::time::Duration;

use proxy::{Direction, Proxy};
use servers::{Server, connect, name, patiently, request, shared};
use steadfast_coordination::port::{Coordinator, Error, Mode};
use steadfast_time::Clock;
use tokio::time::timeout;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_killed_server_has_kept_everything_that_it_answered() {
    let Some(mut server) = Server::start().await else { return };
    let zookeeper = connect(&server.address).await;
    let (queue, register) = (name("kept"), name("kept"));
    let session = zookeeper.open(15 * SECOND).await.unwrap().session;
    let first = request(session, Mode::Exclusive, b"holder");
    let held = zookeeper.enter(&queue, first).await.unwrap();
    let behind = request(session, Mode::Exclusive, b"next");
    let waiting = zookeeper.enter(&queue, behind).await.unwrap();
    let version = zookeeper.store(&register, None, b"1").await.unwrap();

    server.kill();
    // Nobody is told anything wrong meanwhile: at most, that there is no answer.
    let unanswered = timeout(SECOND, zookeeper.renew(session)).await;
    assert!(!matches!(unanswered, Ok(Ok(()))), "a dead server renews nothing");
    server.resume().await;

    patiently(async || zookeeper.renew(session).await).await;
    assert_eq!(patiently(async || zookeeper.enter(&queue, first).await).await, held);
    let place = patiently(async || zookeeper.place(&queue, waiting.token).await).await;
    assert_eq!(place.ahead, Some(held.token));
    assert_eq!(patiently(async || zookeeper.load(&register).await).await.unwrap().version, version);

    // Both waits and tokens go on from where they were.
    let gone = zookeeper.gone(&queue, held.token);
    let leave = async { patiently(async || zookeeper.leave(&queue, held.token).await).await };
    let (gone, ()) = timeout(10 * SECOND, async { tokio::join!(gone, leave) }).await.unwrap();
    gone.unwrap();
    assert_eq!(zookeeper.place(&queue, waiting.token).await.unwrap().ahead, None);
    let later = zookeeper.enter(&queue, request(session, Mode::Shared, b"")).await.unwrap();
    assert!(later.token > waiting.token);
    zookeeper.close(session).await.unwrap();
}

#[tokio::test]
async fn a_wait_outlives_the_server_that_it_waits_at() {
    let Some(mut server) = Server::start().await else { return };
    let zookeeper = std::sync::Arc::new(connect(&server.address).await);
    let queue = name("waits");
    let session = zookeeper.open(15 * SECOND).await.unwrap().session;
    let entry = request(session, Mode::Exclusive, b"");
    let held = zookeeper.enter(&queue, entry).await.unwrap().token;
    let waiting = tokio::spawn({
        let (zookeeper, queue) = (zookeeper.clone(), queue.clone());
        async move { while zookeeper.gone(&queue, held).await.is_err() {} }
    });
    server.kill();
    server.resume().await;
    patiently(async || zookeeper.place(&queue, held).await.map(drop)).await;
    assert!(!waiting.is_finished(), "the entry is still there");
    patiently(async || zookeeper.leave(&queue, held).await).await;
    timeout(20 * SECOND, waiting).await.expect("the watch is set again").unwrap();
}

#[tokio::test]
async fn a_frozen_server_renews_nothing_and_a_session_that_ended_stays_over() {
    let Some(server) = Server::start().await else { return };
    let zookeeper = connect(&server.address).await;
    let queue = name("frozen");
    let session = zookeeper.open(2 * SECOND).await.unwrap().session;
    let entry = request(session, Mode::Exclusive, b"");
    let held = zookeeper.enter(&queue, entry).await.unwrap().token;

    server.freeze();
    // The client library answers nothing by itself: who asks is not told that all is well.
    let renewed = timeout(4 * SECOND, async {
        loop {
            match zookeeper.renew(session).await {
                Ok(()) => return,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    });
    assert!(renewed.await.is_err(), "renewed by a server that stands still");
    server.thaw();

    // It gave itself up meanwhile, and is not taken up again.
    let error = timeout(5 * SECOND, zookeeper.renew(session)).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::SessionOver { .. }), "{error}");
    timeout(10 * SECOND, async {
        patiently(async || zookeeper.gone(&queue, held).await).await;
    })
    .await
    .expect("the entry goes with its session");

    // A new session gets in, with a higher token.
    let session = patiently(async || zookeeper.open(2 * SECOND).await).await.session;
    let entry = request(session, Mode::Exclusive, b"");
    let place = patiently(async || zookeeper.enter(&queue, entry).await).await;
    assert!(place.token > held);
    zookeeper.close(session).await.unwrap();
}

#[tokio::test]
async fn a_call_to_a_frozen_server_can_be_dropped_and_nobody_hangs_behind_it() {
    let Some(server) = Server::start().await else { return };
    let zookeeper = connect(&server.address).await;
    let (queue, register) = (name("dropped"), name("dropped"));
    let session = zookeeper.open(15 * SECOND).await.unwrap().session;
    server.freeze();
    for _ in 0..50 {
        let tenth = SECOND / 50;
        assert!(timeout(tenth, zookeeper.list(&queue, None)).await.is_err());
        let _ = timeout(tenth, zookeeper.store(&register, None, b"1")).await;
    }
    server.thaw();
    let clock = Clock::system();
    let since = clock.monotonic();
    patiently(async || zookeeper.list(&queue, None).await).await;
    assert!(clock.monotonic() < since + 5 * SECOND);
    patiently(async || zookeeper.load(&register).await.map(drop)).await;
    patiently(async || zookeeper.renew(session).await).await;
    zookeeper.close(session).await.unwrap();
}

#[tokio::test]
async fn the_server_s_longest_session_is_told() {
    let Some(server) = Server::start().await else { return };
    let zookeeper = connect(&server.address).await;
    let error = zookeeper.open(60 * SECOND).await.unwrap_err();
    assert!(matches!(error, Error::Length { max, .. } if max == 20 * SECOND), "{error}");
    // A client that vanishes without a word is missed after its session's length.
    let (queue, length) = (name("missed"), 2 * SECOND);
    let gone = connect(&server.address).await;
    let session = gone.open(length).await.unwrap().session;
    let held = gone.enter(&queue, request(session, Mode::Exclusive, b"")).await.unwrap().token;
    gone.renew(session).await.unwrap();
    let clock = Clock::system();
    let since = clock.monotonic();
    drop(gone);
    timeout(10 * SECOND, zookeeper.gone(&queue, held)).await.unwrap().unwrap();
    assert!(clock.monotonic() < since + length + SECOND, "missed too late");
}

/// The engine ends a session that is not renewed for its length. An answer to a renewal that comes
/// after that is no news of a session that lives.
#[tokio::test]
async fn a_renewal_that_is_answered_too_late_is_none() {
    let Some(server) = Server::start().await else { return };
    let clock = Clock::system();
    let proxy = Proxy::to(server.address.parse().unwrap()).await.unwrap();
    let zookeeper = connect(&proxy.address().unwrap().to_string()).await;
    for _ in 0..3 {
        let session = zookeeper.open(2 * SECOND).await.unwrap().session;
        clock.sleep(SECOND * 37 / 20).await;
        proxy.hold(Direction::Answers);
        let late = async {
            clock.sleep(SECOND * 3 / 10).await;
            proxy.release(Direction::Answers);
        };
        let (renewed, ()) = futures::join!(zookeeper.renew(session), late);
        let again = zookeeper.renew(session).await;
        assert!(renewed.is_err() || again.is_ok(), "renewed, and then {again:?}");
        let _ = zookeeper.close(session).await;
    }
}

/// A place is read in steps: the queue, then the state of the one ahead. Whoever has left in between,
/// before the one ahead did, must not hear that it is its turn.
#[tokio::test]
async fn nobody_has_a_turn_who_left_before_it_came() {
    let Some(address) = shared() else { return };
    let clock = Clock::system();
    let proxy = Proxy::to(address.parse().unwrap()).await.unwrap();
    let (one, slow) =
        (connect(&address).await, connect(&proxy.address().unwrap().to_string()).await);
    let queue = name("left");
    let session = one.open(10 * SECOND).await.unwrap().session;
    let entry = || request(session, Mode::Exclusive, b"");
    let ahead = one.enter(&queue, entry()).await.unwrap().token;
    let own = one.enter(&queue, entry()).await.unwrap().token;
    assert_eq!(slow.place(&queue, own).await.unwrap().ahead, Some(ahead));
    proxy.hold(Direction::Answers);
    let leaving = async {
        clock.sleep(SECOND / 5).await;
        one.leave(&queue, own).await.unwrap();
        one.leave(&queue, ahead).await.unwrap();
        proxy.release(Direction::Answers);
    };
    let (place, ()) = futures::join!(slow.place(&queue, own), leaving);
    assert!(matches!(place, Err(Error::Over { .. })), "it has left: {place:?}");
    one.close(session).await.unwrap();
}
