//! What the network does to an engine without closing anything: one direction that is cut, requests
//! that arrive when nobody waits for them any more, connections that have died in silence. The same
//! is asked of each engine that has a server of its own kind.
#![cfg(all(feature = "etcd", feature = "postgres", feature = "redis", feature = "zookeeper"))]
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

// The lab's own, which it is part of.
#[allow(dead_code, unreachable_pub, reason = "a part of it is used")]
#[path = "../../lab/src/real/tcp_proxy.rs"]
mod proxy;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use proxy::{Direction, Proxy};
use steadfast_coordination::Options;
use steadfast_coordination::client::{Client, Patience};
use steadfast_coordination::engine::{etcd, postgres, redis, zookeeper};
use steadfast_coordination::port::{Coordinator, Error, Mode, Name, Request, SessionId};
use steadfast_time::{Clock, Uuid};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Etcd,
    Postgres,
    Redis,
    ZooKeeper,
}

impl Kind {
    const fn variable(self) -> &'static str {
        match self {
            Self::Etcd => "STEADFAST_ETCD",
            Self::Postgres => "STEADFAST_POSTGRES",
            Self::Redis => "STEADFAST_REDIS",
            Self::ZooKeeper => "STEADFAST_ZOOKEEPER",
        }
    }

    /// The shortest session that a client may have here: some calls fit into it, and a ZooKeeper
    /// with ticks of two seconds has none below four.
    const fn length(self) -> Duration {
        match self {
            Self::Etcd | Self::Postgres | Self::Redis => Duration::from_secs(3),
            Self::ZooKeeper => Duration::from_secs(12),
        }
    }

    async fn connect(self, url: &str) -> Arc<dyn Coordinator> {
        match self {
            Self::Etcd => {
                let options = etcd::Options::new([url.trim_start_matches("http://")]);
                Arc::new(etcd::Etcd::connect(options, Clock::system()).await.unwrap())
            }
            Self::Postgres => Arc::new(postgres::Postgres::connect(url).await.unwrap()),
            Self::Redis => Arc::new(redis::Redis::connect(url).await.unwrap()),
            Self::ZooKeeper => {
                let options = zookeeper::Options::new([url]);
                Arc::new(zookeeper::ZooKeeper::connect(options, Clock::system()).await.unwrap())
            }
        }
    }
}

/// An engine whose client is behind a proxy, and one whose client is not.
struct Rig {
    kind: Kind,
    proxy: Proxy,
    cut_off: Arc<dyn Coordinator>,
    other: Arc<dyn Coordinator>,
    clock: Clock,
}

impl Rig {
    async fn new(kind: Kind) -> Option<Self> {
        let variable = kind.variable();
        let Ok(url) = std::env::var(variable) else {
            eprintln!("left out: {variable} is not set");
            return None;
        };
        let bare = url.rsplit(['@', '/']).find(|part| part.contains(':')).unwrap();
        let server: SocketAddr = bare.parse().unwrap();
        let proxy = Proxy::to(server).await.unwrap();
        let through = url.replace(bare, &proxy.address().unwrap().to_string());
        let (cut_off, other) = (kind.connect(&through).await, kind.connect(&url).await);
        Some(Self { kind, proxy, cut_off, other, clock: Clock::system() })
    }

    fn client(&self) -> Client {
        let options =
            Options { length: self.kind.length(), round_trip: SECOND / 20, ..Options::default() };
        let engine = Arc::clone(&self.cut_off);
        let (client, keeper) = Client::new(engine, self.clock.clone(), options).unwrap();
        tokio::spawn(keeper.run());
        client
    }

    /// Asks until there is an answer.
    async fn patiently<T>(&self, mut ask: impl AsyncFnMut() -> Result<T, Error>) -> T {
        let asking = async {
            loop {
                match self.clock.timeout(SECOND, ask()).await {
                    Ok(Ok(answer)) => return answer,
                    Ok(Err(error)) => assert!(error.is_transient(), "{error}"),
                    Err(_) => {}
                }
                self.clock.sleep(SECOND / 20).await;
            }
        };
        self.clock.timeout(30 * SECOND, asking).await.unwrap()
    }
}

fn name(what: &str) -> Name {
    Name::new(format!("{what}-{:016x}", fastrand::u64(..))).unwrap()
}

fn request(session: SessionId) -> Request<'static> {
    let id = Uuid::from_u128(fastrand::u128(..));
    Request { session, id, mode: Mode::Exclusive, value: b"v", wait: true }
}

fn each(kind: Kind, test: impl AsyncFnOnce(Rig)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if let Some(rig) = Rig::new(kind).await {
            test(rig).await;
        }
    });
}

/// A request is taken, and its answer never comes: it is asked again, and is the same.
async fn answers_are_cut_off(rig: Rig) {
    let (engine, queue) = (&rig.cut_off, name("answers"));
    let session = engine.open(20 * SECOND).await.unwrap().session;
    let entry = request(session);
    rig.proxy.hold(Direction::Answers);
    for _ in 0..3 {
        let asked = rig.clock.timeout(SECOND / 5, engine.enter(&queue, entry)).await;
        assert!(!matches!(asked, Ok(Ok(_))), "an answer through a cut: {asked:?}");
    }
    rig.proxy.release(Direction::Answers);
    let place = rig.patiently(async || engine.enter(&queue, entry).await).await;
    assert_eq!(place.ahead, None);
    let there = rig.other.list(&queue, None).await.unwrap().entries;
    assert_eq!(there.iter().map(|entry| entry.token).collect::<Vec<_>>(), [place.token]);
    rig.patiently(async || engine.close(session).await).await;
    assert!(rig.other.list(&queue, None).await.unwrap().entries.is_empty());
}

/// Requests wait in the network until their caller has long given up, and arrive then. Nothing that
/// they make stays, although the session lives on.
async fn requests_are_delivered_late(rig: Rig) {
    let client = rig.client();
    let (held, late) = (name("held"), name("late"));
    let guard = client.lock(&held).acquire(Patience::Forever).await.unwrap();
    let patience = rig.kind.length() / 6;
    rig.proxy.hold(Direction::Requests);
    let until = rig.clock.monotonic() + patience;
    let given_up = client.lock(&late).acquire(Patience::Until(until)).await;
    assert!(matches!(given_up, Err(Error::Timeout { .. })), "{given_up:?}");
    assert!(rig.clock.monotonic() < until + SECOND / 2, "a wait ends in time");
    rig.proxy.release(Direction::Requests);
    // Whatever arrives late is found again: somebody else gets in, and nobody stands behind.
    let session = rig.other.open(20 * SECOND).await.unwrap().session;
    rig.clock.sleep(SECOND / 2).await;
    let place = rig.other.enter(&late, request(session)).await.unwrap();
    let free = async {
        while rig.other.list(&late, None).await.unwrap().entries.len() != 1
            || rig.other.place(&late, place.token).await.unwrap().ahead.is_some()
        {
            rig.clock.sleep(SECOND / 20).await;
        }
    };
    rig.clock.timeout(20 * SECOND, free).await.unwrap();
    assert!(guard.check().is_ok(), "the session has outlived it");
    rig.other.close(session).await.unwrap();
    client.shutdown().await;
}

/// A firewall forgets the connections. The server is there, and new ones work: nobody loses what he
/// holds for that.
async fn connections_die_in_silence(rig: Rig) {
    let client = rig.client();
    // As many connections as there may be.
    let queue = name("many");
    join_all((0..64).map(|_| rig.cut_off.list(&queue, None))).await;
    let guard = client.lock(&name("silent")).acquire(Patience::Forever).await.unwrap();
    rig.proxy.strand();
    let start = rig.clock.monotonic();
    rig.clock.sleep(rig.kind.length() * 2).await;
    assert!(guard.check().is_ok(), "lost: {:?}", guard.lost().await);
    let again = client.lock(&name("again")).acquire(Patience::Until(start + 120 * SECOND)).await;
    assert!(again.is_ok(), "{again:?}");
    drop((guard, again));
    client.shutdown().await;
}

/// Who waits hears of it, also when the connection that was to tell has died in silence.
async fn a_wait_survives_silence(rig: Rig) {
    let queue = name("waits");
    let session = rig.other.open(60 * SECOND).await.unwrap().session;
    let held = rig.other.enter(&queue, request(session)).await.unwrap().token;
    let version = rig.other.list(&queue, None).await.unwrap().version;
    let engine = &rig.cut_off;
    let waits = rig.patiently_long(async || engine.gone(&queue, held).await);
    let lists = rig.patiently_long(async || engine.list(&queue, Some(version)).await);
    let events = async {
        rig.clock.sleep(SECOND).await;
        rig.proxy.strand();
        rig.clock.sleep(SECOND / 2).await;
        rig.other.leave(&queue, held).await.unwrap();
    };
    let all = async { futures::join!(waits, lists, events) };
    let ((), listing, ()) = rig.clock.timeout(25 * SECOND, all).await.unwrap();
    assert!(listing.entries.is_empty());
    rig.other.close(session).await.unwrap();
}

impl Rig {
    /// Asks until there is an answer, with no limit but the engine's own.
    async fn patiently_long<T>(&self, mut ask: impl AsyncFnMut() -> Result<T, Error>) -> T {
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
            self.clock.sleep(SECOND / 20).await;
        }
    }
}

macro_rules! cuts {
    ($($module:ident: $kind:expr;)*) => {$(
        mod $module {
            use super::*;

            #[test]
            fn answers_are_cut_off() {
                each($kind, super::answers_are_cut_off);
            }

            #[test]
            fn requests_are_delivered_late() {
                each($kind, super::requests_are_delivered_late);
            }

            #[test]
            fn connections_die_in_silence() {
                each($kind, super::connections_die_in_silence);
            }

            #[test]
            fn a_wait_survives_silence() {
                each($kind, super::a_wait_survives_silence);
            }
        }
    )*};
}

cuts! {
    etcd_engine: Kind::Etcd;
    postgres_engine: Kind::Postgres;
    redis_engine: Kind::Redis;
    zookeeper_engine: Kind::ZooKeeper;
}
