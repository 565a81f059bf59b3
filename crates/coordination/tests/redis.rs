//! The Redis engine against a real server: the suite of all engines, and what is its own.
//! `tests/redis_faults.rs` breaks things.
#![cfg(all(feature = "redis", feature = "conformance"))]
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

#[path = "support/redis.rs"]
mod servers;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use servers::{Server, VARIABLE, connect, name, options, plain, request, shared};
use steadfast_coordination::conformance::{Check, Subject};
use steadfast_coordination::engine::redis::{Options, Redis};
use steadfast_coordination::port::{Coordinator, Error};
use steadfast_time::Clock;

const SECOND: Duration = Duration::from_secs(1);

fn run(check: Check) {
    let Some(url) = shared(VARIABLE) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let one = Arc::new(Redis::connect(&url).await.unwrap());
        let other = Arc::new(Redis::connect(&url).await.unwrap());
        let prefix = format!("{:016x}/", fastrand::u64(..));
        let subject = Subject::new(one, Clock::system(), prefix).with_other(other);
        check.run(&subject).await.unwrap();
    });
}

steadfast_coordination::conformance_tests!(run);

#[tokio::test]
async fn servers_that_would_lose_locks_and_wrong_credentials_are_refused() {
    let secret = ["--requirepass", "hunter2"];
    let evicting = ["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"];
    let clustered = ["--cluster-enabled", "yes"];
    for (arguments, says) in [
        (&secret[..], "check user and password"),
        (&evicting[..], "noeviction"),
        (&clustered[..], "cluster mode"),
    ] {
        let Some(server) = Server::start(VARIABLE, arguments) else { return };
        let error = Redis::connect(&server.url()).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains(says), "{error}");
        if arguments == secret {
            let wrong = server.url().replace("redis://", "redis://:hunter3@");
            let error = Redis::connect(&wrong).await.unwrap_err();
            assert!(matches!(error, Error::Refused { .. }), "{error:?}");
            assert!(!format!("{error:?}").contains("hunter3"));
            let right = server.url().replace("redis://", "redis://:hunter2@");
            let redis = Redis::connect(&right).await.unwrap();
            assert!(!format!("{redis:?}").contains("hunter2"));
        }
    }
    let error = Redis::connect("redis://127.0.0.1:1").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_replica_is_refused() {
    let Some(url) = shared(VARIABLE) else { return };
    let at = url.trim_start_matches("redis://").trim_end_matches('/');
    let (host, port) = at.split_once(':').unwrap();
    let of = format!("{host} {port}");
    let Some(server) = Server::start(VARIABLE, &["--replicaof", &of]) else { return };
    let error = Redis::connect(&server.url()).await.unwrap_err();
    assert!(error.to_string().contains("replica"), "{error}");
    assert!(matches!(error, Error::Refused { .. }));
}

#[tokio::test]
async fn a_server_of_another_kind_is_named() {
    let Some(postgres) = shared("STEADFAST_POSTGRES") else { return };
    let at = postgres.rsplit_once('@').unwrap().1.split('/').next().unwrap();
    let mut options = Options::new(&format!("redis://{at}")).unwrap();
    options.connect_timeout = SECOND;
    let error = Redis::connect_with(options).await.unwrap_err();
    assert!(error.to_string().contains("not Redis but a PostgreSQL server"), "{error}");
    assert!(matches!(error, Error::Refused { .. }));
}

#[tokio::test]
async fn keys_of_another_version_or_of_others_are_refused_and_left_alone() {
    let Some(url) = shared(VARIABLE) else { return };
    let ours = options(&url);
    let key = format!("steadfast:{{{}}}:format", ours.prefix);
    let mut raw = plain(&url).await;
    redis::cmd("SET").arg(&key).arg("7").exec_async(&mut raw).await.unwrap();
    let error = Redis::connect_with(ours.clone()).await.unwrap_err();
    assert!(error.to_string().contains("format 7"), "{error}");
    redis::cmd("DEL").arg(&key).exec_async(&mut raw).await.unwrap();
    redis::cmd("RPUSH").arg(&key).arg("a").exec_async(&mut raw).await.unwrap();
    let error = Redis::connect_with(ours).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    redis::cmd("DEL").arg(&key).exec_async(&mut raw).await.unwrap();
}

/// Redisson's token keys were never removed: 25 million of them (redisson#6510).
#[tokio::test]
async fn nothing_grows_for_ever() {
    let Some(url) = shared(VARIABLE) else { return };
    let options = options(&url);
    let prefix = format!("steadfast:{{{}}}:", options.prefix);
    let redis = Redis::connect_with(options).await.unwrap();
    let ended = redis.open(SECOND / 10).await.unwrap().session;
    for _ in 0..50 {
        let session = redis.open(SECOND).await.unwrap().session;
        let (left, closed) = (name("left"), name("closed"));
        let token = redis.enter(&left, request(session, true)).await.unwrap().token;
        redis.leave(&left, token).await.unwrap();
        redis.enter(&closed, request(session, true)).await.unwrap();
        redis.close(session).await.unwrap();
    }
    Clock::system().sleep(SECOND / 5).await;
    let last = redis.open(SECOND).await.unwrap().session;
    assert!(matches!(redis.renew(ended).await, Err(Error::SessionOver { .. })));
    redis.close(last).await.unwrap();
    let mut raw = plain(&url).await;
    let pattern = format!("{}*", prefix.replace('{', "\\{"));
    let keys: Vec<String> = redis::cmd("KEYS").arg(&pattern).query_async(&mut raw).await.unwrap();
    assert!(keys.len() >= 2, "{keys:?}");
    for key in keys {
        let expires: i64 = redis::cmd("TTL").arg(&key).query_async(&mut raw).await.unwrap();
        let kept = ["counter", "format"].map(|name| format!("{prefix}{name}"));
        assert!(expires >= 0 || kept.contains(&key), "{key} stays for ever");
    }
}

/// The counter is lost with all else: the next token is nevertheless higher.
#[tokio::test]
async fn tokens_rise_over_a_loss_of_all_data() {
    let Some(mut server) = Server::start(VARIABLE, &["--save", ""]) else { return };
    let redis = connect(&server.url()).await;
    let queue = name("lost");
    let session = redis.open(60 * SECOND).await.unwrap().session;
    let before = redis.enter(&queue, request(session, true)).await.unwrap().token;
    server.kill();
    server.restart();
    let _ = redis.open(SECOND).await;
    let session = redis.open(60 * SECOND).await.unwrap().session;
    let after = redis.enter(&queue, request(session, true)).await.unwrap();
    assert_eq!(after.ahead, None, "the entry is lost, which is why this engine is weaker");
    assert!(after.token > before);
}

#[tokio::test]
async fn a_waiter_hears_of_a_release_from_another_client_at_once() {
    let Some(url) = shared(VARIABLE) else { return };
    let mut options = options(&url);
    options.poll = 20 * SECOND;
    let one = Redis::connect_with(options.clone()).await.unwrap();
    let other = Redis::connect_with(options).await.unwrap();
    let queue = name("heard");
    let session = one.open(60 * SECOND).await.unwrap().session;
    let clock = Clock::system();
    for _ in 0..10 {
        let held = one.enter(&queue, request(session, true)).await.unwrap();
        let waiting = other.gone(&queue, held.token);
        let leaving = async {
            clock.sleep(SECOND / 20).await;
            one.leave(&queue, held.token).await.unwrap();
        };
        let both = async { futures::join!(waiting, leaving) };
        clock.timeout(2 * SECOND, both).await.unwrap().0.unwrap();
    }
}

/// Not a benchmark: shows the figures of this machine when asked to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures; run it by name"]
async fn pairs_per_second() {
    let Some(url) = shared(VARIABLE) else { return };
    let clock = Clock::system();
    for tasks in [1, 64] {
        let redis = connect(&url).await;
        let until = clock.monotonic() + 3 * SECOND;
        let running = (0..tasks).map(|_| {
            let (redis, clock, queue) = (redis.clone(), clock.clone(), name("pair"));
            tokio::spawn(async move {
                let session = redis.open(60 * SECOND).await.unwrap().session;
                let mut pairs = 0_u32;
                while clock.monotonic() < until {
                    let place = redis.enter(&queue, request(session, true)).await.unwrap();
                    redis.leave(&queue, place.token).await.unwrap();
                    pairs += 1;
                }
                pairs
            })
        });
        let pairs: u32 = join_all(running).await.into_iter().map(Result::unwrap).sum();
        eprintln!("{tasks} tasks: {} pairs/s", pairs / 3);
    }
}
