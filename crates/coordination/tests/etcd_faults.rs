//! The etcd engine while servers are killed, frozen and cut off.
//!
//! What holds throughout: no call hangs, a wait is told or ends with an error within a bound, an
//! entry that was answered is there afterwards, and tokens rise.
#![cfg(feature = "etcd")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test is a panic")]

// The lab's own, which it is part of.
#[allow(dead_code, unreachable_pub, reason = "a part of it is used")]
#[path = "../../lab/src/real/tcp_proxy.rs"]
mod proxy;
#[path = "support/etcd.rs"]
mod servers;

use std::future::Future;
use std::time::{Duration, Instant};

use proxy::{Direction, Proxy};
use servers::{Cluster, name, request};
use steadfast_coordination::engine::etcd::{Etcd, Options};
use steadfast_coordination::port::{Coordinator, Error, Mode, Name};
use steadfast_fencing::FencingToken;
use steadfast_time::Clock;
use tokio::time::timeout;

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(30);

/// Asks until it is answered, as the crate's client does.
async fn persist<T, F: Future<Output = Result<T, Error>>>(mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(error @ Error::Unavailable { .. }) => drop(error),
                Err(error) => panic!("{error}"),
            }
            tokio::time::sleep(SECOND / 50).await;
        }
    };
    timeout(LONG, asking).await.unwrap()
}

async fn connect(options: Options) -> Etcd {
    Etcd::connect(options, Clock::system()).await.unwrap()
}

/// How long something took, for bounds.
#[allow(clippy::disallowed_methods, reason = "a test measures what a user would see")]
fn now() -> Instant {
    Instant::now()
}

async fn entered(etcd: &Etcd, queue: &Name) -> FencingToken {
    let session = persist(|| etcd.open(30 * SECOND)).await.session;
    let entry = request(session, Mode::Exclusive, b"");
    persist(|| etcd.enter(queue, entry)).await.token
}

#[tokio::test]
async fn a_killed_server_comes_back_with_everything_and_waits_go_on() {
    let Some(mut server) = Cluster::start(1, &[]).await else { return };
    let (etcd, queue) = (connect(server.options()).await, name("restart"));
    let first = entered(&etcd, &queue).await;
    let second = entered(&etcd, &queue).await;
    let mut wait = etcd.gone(&queue, first);
    assert!(timeout(SECOND / 2, &mut wait).await.is_err());
    server.members[0].kill();
    // Nobody is there: the wait ends with that, soon.
    let cut = timeout(5 * SECOND, wait).await.unwrap().unwrap_err();
    assert!(matches!(cut, Error::Unavailable { .. }), "{cut}");
    let down = timeout(5 * SECOND, etcd.place(&queue, second)).await.unwrap().unwrap_err();
    assert!(matches!(down, Error::Unavailable { .. }), "{down}");
    server.members[0].restart();
    assert_eq!(persist(|| etcd.place(&queue, second)).await.ahead, Some(first));
    let third = entered(&etcd, &queue).await;
    assert!(third > second);
    let told = async { persist(|| etcd.gone(&queue, first)).await };
    let leaving = async { persist(|| etcd.leave(&queue, first)).await };
    timeout(LONG, futures::future::join(told, leaving)).await.unwrap();
    assert_eq!(persist(|| etcd.place(&queue, second)).await.ahead, None);
}

/// The connection breaks under a wait, and what is waited for happens before it is there again.
#[tokio::test]
async fn what_happens_while_the_watch_is_lost_is_told() {
    let Some(server) = Cluster::start(1, &[]).await else { return };
    let queue = name("lost-watch");
    let proxy = Proxy::to(server.members[0].client).await.unwrap();
    let options = Options {
        connect_timeout: 20 * SECOND,
        request_timeout: 20 * SECOND,
        ..Options::new([proxy.address().unwrap().to_string()])
    };
    let (etcd, direct) = (connect(options).await, connect(server.options()).await);
    let first = entered(&etcd, &queue).await;
    let mut wait = etcd.gone(&queue, first);
    assert!(timeout(SECOND / 2, &mut wait).await.is_err());
    // New connections are taken and get no answer, the old one breaks: the wait is without a
    // stream until the release.
    proxy.hold(Direction::Answers);
    proxy.cut();
    assert!(timeout(SECOND / 2, &mut wait).await.is_err());
    direct.leave(&queue, first).await.unwrap();
    assert!(timeout(SECOND / 2, &mut wait).await.is_err());
    assert_eq!(proxy.accepted(), 2);
    proxy.release(Direction::Answers);
    timeout(LONG, wait).await.unwrap().unwrap();
}

/// History that a lost wait would need is compacted: it ends early, and does not hang.
#[tokio::test]
async fn a_compacted_wait_ends_early() {
    let Some(server) = Cluster::start(1, &[]).await else { return };
    let queue = name("compacted");
    let proxy = Proxy::to(server.members[0].client).await.unwrap();
    let options = Options {
        connect_timeout: 20 * SECOND,
        ..Options::new([proxy.address().unwrap().to_string()])
    };
    let (etcd, direct) = (connect(options).await, connect(server.options()).await);
    let first = entered(&etcd, &queue).await;
    let second = entered(&etcd, &queue).await;
    let mut wait = etcd.gone(&queue, first);
    assert!(timeout(SECOND / 2, &mut wait).await.is_err());
    proxy.hold(Direction::Answers);
    proxy.cut();
    for _ in 0..3 {
        direct.set(&queue, second, b"newer").await.unwrap();
    }
    let revision = direct.store(&name("register"), None, b"").await.unwrap();
    server.etcdctl(&["compact", &revision.to_string()]);
    proxy.release(Direction::Answers);
    timeout(LONG, &mut wait).await.unwrap().unwrap();
    // The next one begins at the present, and does wait.
    let mut wait = etcd.gone(&queue, first);
    assert!(timeout(SECOND / 2, &mut wait).await.is_err());
    direct.leave(&queue, first).await.unwrap();
    timeout(LONG, wait).await.unwrap().unwrap();
}

/// One direction is cut while the connection stays open: calls and waits end within their bounds,
/// and go on by themselves afterwards.
#[tokio::test]
async fn a_connection_that_carries_one_direction_only_is_noticed() {
    let Some(server) = Cluster::start(1, &[]).await else { return };
    for direction in [Direction::Requests, Direction::Answers] {
        let queue = name("one-way");
        let proxy = Proxy::to(server.members[0].client).await.unwrap();
        let options = Options {
            connect_timeout: SECOND,
            request_timeout: SECOND,
            ..Options::new([proxy.address().unwrap().to_string()])
        };
        let etcd = connect(options).await;
        let first = entered(&etcd, &queue).await;
        let mut wait = etcd.gone(&queue, first);
        assert!(timeout(SECOND / 2, &mut wait).await.is_err());
        proxy.hold(direction);
        let began = now();
        // The wait alone finds out, by its probe: a request's time without a word, a request, and
        // a connection.
        let cut = timeout(10 * SECOND, wait).await.unwrap().unwrap_err();
        assert!(matches!(cut, Error::Unavailable { .. }), "{cut}");
        let call = timeout(3 * SECOND, etcd.place(&queue, first)).await.unwrap().unwrap_err();
        assert!(matches!(call, Error::Unavailable { .. }), "{call}");
        assert!(began.elapsed() < 10 * SECOND, "{:?}", began.elapsed());
        proxy.release(direction);
        assert_eq!(persist(|| etcd.place(&queue, first)).await.token, first);
    }
}

/// The broken twin: an engine with endless patience for its member would wait for as long as the
/// member is silent.
#[tokio::test]
async fn without_a_bound_the_cut_would_not_be_noticed() {
    let Some(server) = Cluster::start(1, &[]).await else { return };
    let queue = name("endless");
    let proxy = Proxy::to(server.members[0].client).await.unwrap();
    let forever = 1_000 * SECOND;
    let options = Options {
        connect_timeout: forever,
        request_timeout: forever,
        ..Options::new([proxy.address().unwrap().to_string()])
    };
    let etcd = connect(options).await;
    let first = entered(&etcd, &queue).await;
    let mut wait = etcd.gone(&queue, first);
    assert!(timeout(SECOND / 2, &mut wait).await.is_err());
    proxy.hold(Direction::Answers);
    assert!(timeout(4 * SECOND, wait).await.is_err());
}

/// A frozen member of three: the next one takes over within the time for one request, and waits
/// are carried over to it.
#[tokio::test]
async fn a_frozen_member_is_left_for_the_next() {
    let Some(cluster) = Cluster::start(3, &[]).await else { return };
    let queue = name("frozen");
    let follower = (cluster.leader() + 1) % 3;
    let mut options = Options { request_timeout: SECOND, ..cluster.options() };
    options.endpoints.rotate_left(follower);
    let (etcd, direct) = (
        connect(options).await,
        connect({
            let mut options = cluster.options();
            options.endpoints.rotate_left((follower + 1) % 3);
            options
        })
        .await,
    );
    let first = entered(&etcd, &queue).await;
    let second = entered(&etcd, &queue).await;
    let mut wait = etcd.gone(&queue, first);
    assert!(timeout(SECOND / 2, &mut wait).await.is_err());
    cluster.members[follower].freeze();
    let began = now();
    let place = persist(|| etcd.place(&queue, second)).await;
    let took = began.elapsed();
    assert_eq!(place.ahead, Some(first));
    assert!(took < 4 * SECOND, "{took:?}");
    direct.leave(&queue, first).await.unwrap();
    timeout(LONG, wait).await.unwrap().unwrap();
    cluster.members[follower].thaw();
}

/// A caller with less patience than the engine drops its call: that is evidence too.
#[tokio::test]
async fn a_dropped_call_counts_against_a_frozen_member() {
    let Some(cluster) = Cluster::start(3, &[]).await else { return };
    let queue = name("impatient");
    let follower = (cluster.leader() + 1) % 3;
    let mut options = Options { request_timeout: 1_000 * SECOND, ..cluster.options() };
    options.endpoints.rotate_left(follower);
    let etcd = connect(options).await;
    let first = entered(&etcd, &queue).await;
    cluster.members[follower].freeze();
    let patience = Duration::from_millis(700);
    assert!(timeout(patience, etcd.place(&queue, first)).await.is_err());
    let place = timeout(5 * SECOND, etcd.place(&queue, first)).await.unwrap().unwrap();
    assert_eq!(place.token, first);
    cluster.members[follower].thaw();
}

/// The leader is killed: a session that is renewed lives on, entries and tokens are kept.
#[tokio::test]
async fn a_killed_leader_takes_nothing_with_it() {
    let Some(mut cluster) = Cluster::start(3, &[]).await else { return };
    let queue = name("leader");
    let leader = cluster.leader();
    let mut options = cluster.options();
    options.endpoints.rotate_left(leader);
    let etcd = connect(options).await;
    let session = etcd.open(5 * SECOND).await.unwrap().session;
    let entry = request(session, Mode::Exclusive, b"held");
    let token = etcd.enter(&queue, entry).await.unwrap().token;
    let behind = etcd.enter(&queue, request(session, Mode::Exclusive, b"next")).await.unwrap();
    let wait = etcd.gone(&queue, token);
    cluster.members[leader].kill();
    let began = now();
    persist(|| etcd.renew(session)).await;
    assert!(began.elapsed() < 5 * SECOND, "{:?}", began.elapsed());
    assert_eq!(persist(|| etcd.place(&queue, behind.token)).await.ahead, Some(token));
    let later = entered(&etcd, &queue).await;
    assert!(later > behind.token);
    let told = async {
        if wait.await.is_err() {
            persist(|| etcd.gone(&queue, token)).await;
        }
    };
    let leaving = persist(|| etcd.leave(&queue, token));
    timeout(LONG, futures::future::join(told, leaving)).await.unwrap();
}

/// A member without a majority answers nothing: neither old reads nor renewals.
#[tokio::test]
async fn a_minority_is_not_believed() {
    let Some(mut cluster) = Cluster::start(3, &[]).await else { return };
    let queue = name("minority");
    let etcd = connect(Options {
        request_timeout: SECOND,
        endpoints: vec![cluster.members[0].client.to_string()],
        ..cluster.options()
    })
    .await;
    let session = etcd.open(30 * SECOND).await.unwrap().session;
    let token = etcd.enter(&queue, request(session, Mode::Exclusive, b"")).await.unwrap().token;
    let register = name("minority");
    etcd.store(&register, None, b"old").await.unwrap();
    cluster.members[1].kill();
    cluster.members[2].kill();
    for _ in 0..3 {
        let renewed = timeout(5 * SECOND, etcd.renew(session)).await.unwrap();
        assert!(matches!(renewed, Err(Error::Unavailable { .. })), "{renewed:?}");
        let read = timeout(5 * SECOND, etcd.place(&queue, token)).await.unwrap();
        assert!(matches!(read, Err(Error::Unavailable { .. })), "{read:?}");
        let loaded = timeout(5 * SECOND, etcd.load(&register)).await.unwrap();
        assert!(matches!(loaded, Err(Error::Unavailable { .. })), "{loaded:?}");
        let waited = timeout(10 * SECOND, etcd.gone(&queue, token)).await.unwrap();
        assert!(matches!(waited, Err(Error::Unavailable { .. })), "{waited:?}");
    }
    cluster.members[1].restart();
    assert_eq!(persist(|| etcd.place(&queue, token)).await.token, token);
    persist(|| etcd.renew(session)).await;
}

/// A frozen server of one node: every call ends in time, and all is well after the thaw.
#[tokio::test]
async fn a_frozen_server_ends_calls_in_time_and_thaws() {
    let Some(server) = Cluster::start(1, &[]).await else { return };
    let queue = name("thaw");
    let options = Options { request_timeout: SECOND, connect_timeout: SECOND, ..server.options() };
    let etcd = connect(options).await;
    let first = entered(&etcd, &queue).await;
    server.members[0].freeze();
    // As many as like: they wait for the same connection, not for each other.
    let calls = (0..20).map(|_| etcd.place(&queue, first));
    let began = now();
    for answer in futures::future::join_all(calls).await {
        assert!(matches!(answer, Err(Error::Unavailable { .. })), "{answer:?}");
    }
    let calls = (0..20).map(|_| etcd.place(&queue, first));
    for answer in futures::future::join_all(calls).await {
        assert!(matches!(answer, Err(Error::Unavailable { .. })), "{answer:?}");
    }
    assert!(began.elapsed() < 4 * SECOND, "{:?}", began.elapsed());
    server.members[0].thaw();
    assert_eq!(persist(|| etcd.place(&queue, first)).await.token, first);
}

/// A member that takes connections and says nothing stands first in the list, and every caller has
/// less patience than the search gives a member: the search goes on where the last one stopped.
#[tokio::test]
async fn impatient_callers_get_past_a_silent_member() {
    let Some(server) = Cluster::start(1, &[]).await else { return };
    let silent = Proxy::to(server.members[0].client).await.unwrap();
    silent.hold(Direction::Answers);
    let endpoints = [silent.address().unwrap().to_string(), server.members[0].client.to_string()];
    let etcd = Etcd::new(Options::new(endpoints), Clock::system()).unwrap();
    let queue = name("past");
    let mut answered = false;
    for _ in 0..10 {
        answered |= matches!(timeout(SECOND / 2, etcd.list(&queue, None)).await, Ok(Ok(_)));
    }
    assert!(answered, "ten tries of half a second, each stuck at the first member");
}

/// A leader is frozen, another one is elected, and the old one goes on with a renewal in its hands:
/// it answers before it knows. What it renews is not what counts, although it answers a linearizable
/// read a moment later, as a follower of the new one.
#[tokio::test]
async fn a_renewal_by_a_deposed_leader_does_not_count() {
    const LENGTH: u64 = 40;
    let Some(cluster) = Cluster::start(3, &[]).await else { return };
    let mut stale = 0;
    for round in 0..6 {
        let leader = cluster.leader();
        let old = &cluster.members[leader];
        let proxy = Proxy::to(old.client).await.unwrap();
        let options = Options {
            request_timeout: 10 * SECOND,
            endpoints: vec![proxy.address().unwrap().to_string()],
            ..cluster.options()
        };
        let etcd = Etcd::new(options, Clock::system()).unwrap();
        let session = persist(|| etcd.open(Duration::from_secs(LENGTH))).await.session;
        persist(|| etcd.renew(session)).await;
        old.freeze();
        let other = cluster.members[(leader + 1) % 3].client.to_string();
        let elected = Etcd::new(Options::new([other]), Clock::system()).unwrap();
        // It answers once there is a leader. From then on the new one counts.
        let register = name("elected");
        persist(|| elected.load(&register)).await;
        tokio::time::sleep(4 * SECOND).await;
        let sent = now();
        let mut renewal = etcd.renew(session);
        assert!(timeout(SECOND / 10, &mut renewal).await.is_err());
        // Its answer arrives when it follows again.
        proxy.hold(Direction::Answers);
        old.thaw();
        assert!(timeout(3 * SECOND, &mut renewal).await.is_err());
        proxy.release(Direction::Answers);
        let renewed = timeout(LONG, renewal).await.unwrap();
        // Until the elections that the thaw may have caused are over.
        persist(|| elected.load(&register)).await;
        let ttl = time_to_live(&cluster, (leader + 1) % 3, session.0);
        // Rounded down by the server.
        let counted = ttl + sent.elapsed().as_secs() + 2 >= LENGTH;
        stale += u32::from(!counted);
        assert!(renewed.is_err() || counted, "round {round}: {renewed:?}, {ttl} s are left");
    }
    eprintln!("{stale} of 6 renewals were not counted");
}

/// How long a lease lives, as one member says.
fn time_to_live(cluster: &Cluster, member: usize, session: u64) -> u64 {
    let address = cluster.members[member].client.to_string();
    let lease = format!("{session:x}");
    let text = cluster.etcdctl(&["--endpoints", &address, "lease", "timetolive", &lease]);
    let rest = text.split("remaining(").nth(1).unwrap();
    rest.split('s').next().unwrap().parse().unwrap()
}
