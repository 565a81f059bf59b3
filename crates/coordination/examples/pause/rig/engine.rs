//! Engines by their names and addresses.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use steadfast_coordination::engine::embedded::{self, Embedded, Remote, Server};
use steadfast_coordination::engine::etcd::{self, Etcd};
use steadfast_coordination::engine::postgres::Postgres;
use steadfast_coordination::engine::redis::Redis;
use steadfast_coordination::engine::zookeeper::{self, ZooKeeper};
use steadfast_coordination::redlock::Redlock;
use steadfast_coordination::{Client, Coordinator, Error, Guard, Name, Options, Patience, client};
use steadfast_fencing::FencingToken;
use steadfast_time::{Clock, Monotonic};

use super::{Outcome, clock};

/// What coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Served over its socket.
    Embedded,
    Postgres,
    Etcd,
    Zookeeper,
    Redis,
    /// For comparison: it has no tokens.
    Redlock,
}

const ALL: [Kind; 6] =
    [Kind::Embedded, Kind::Postgres, Kind::Etcd, Kind::Zookeeper, Kind::Redis, Kind::Redlock];

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Postgres => "postgres",
            Self::Etcd => "etcd",
            Self::Zookeeper => "zookeeper",
            Self::Redis => "redis",
            Self::Redlock => "redlock",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = ALL.map(Self::name).join(", ");
        let found = ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or(format!("{text:?} is not one of {names}"))
    }
}

/// An engine at an address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Engine {
    pub kind: Kind,
    /// As the tests' variables have it, so with or without a scheme; several with commas.
    pub url: String,
}

/// How long an exchange may take on one machine that has much to do.
const ROUND_TRIP: Duration = Duration::from_millis(20);

/// The options of the workers' clients.
pub fn options(length: Duration) -> Options {
    Options {
        length,
        round_trip: ROUND_TRIP,
        ask_every: Duration::from_millis(250),
        ..Options::default()
    }
}

impl Engine {
    pub fn new(kind: Kind, url: impl Into<String>) -> Self {
        Self { kind, url: url.into() }
    }

    pub async fn connect(&self, clock: Clock) -> Result<Arc<dyn Coordinator>, Error> {
        let url = self.url.as_str();
        let refused = |reason: String| {
            let (address, reason) = ("its URL".into(), reason.into());
            Error::Refused { engine: self.kind.name(), address, reason }
        };
        Ok(match self.kind {
            Kind::Embedded => Arc::new(Remote::connect(url, clock).await?),
            Kind::Postgres => Arc::new(Postgres::connect(url).await?),
            Kind::Etcd => {
                // The tests' variable has one URL for each member, the option's text one for all.
                let members: Vec<_> = url.split(',').collect();
                let options = match members.as_slice() {
                    [one] => one.parse().map_err(|e: etcd::Invalid| refused(e.to_string()))?,
                    all => etcd::Options::new(all.iter().map(|it| without_scheme(it))),
                };
                Arc::new(Etcd::connect(options, clock).await?)
            }
            Kind::Zookeeper => {
                let servers = without_scheme(url).split(',');
                Arc::new(ZooKeeper::connect(zookeeper::Options::new(servers), clock).await?)
            }
            Kind::Redis => Arc::new(Redis::connect(url).await?),
            Kind::Redlock => return Err(refused("it has no sessions and no tokens".to_owned())),
        })
    }

    /// A client with its session on a thread of its own.
    pub async fn client(&self, length: Duration, owner: &str) -> Outcome<Client> {
        let (engine, clock) = (self.clone(), clock::machine());
        let there = clock.clone();
        let connect = || async move { engine.connect(there).await };
        let client = client::thread::start("session", clock, options(length), connect).await?;
        Ok(client.with_owner(owner))
    }

    /// How long a session lives without a word when so much is asked for.
    pub async fn session_length(&self, asked: Duration) -> Outcome<Duration> {
        if self.kind == Kind::Redlock {
            return Ok(asked);
        }
        let engine = self.connect(clock::machine()).await?;
        let opened = engine.open(asked).await?;
        engine.close(opened.session).await?;
        Ok(opened.length)
    }

    /// The shortest session that this can have, but no shorter than that.
    pub async fn length_above(&self, least: Duration) -> Outcome<Duration> {
        if self.kind == Kind::Redlock {
            return Ok(least);
        }
        let min = self.connect(clock::machine()).await?.capabilities().session_min;
        Ok(least.max(min))
    }
}

fn without_scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

/// A lock of any engine, as a naive program sees it.
pub enum Locker {
    Fenced { client: Client, name: Name },
    Redlock { redlock: Redlock, name: Name, length: Duration },
}

impl Locker {
    pub async fn new(engine: &Engine, lock: &str, length: Duration, owner: &str) -> Outcome<Self> {
        let name = Name::new(lock)?;
        if engine.kind == Kind::Redlock {
            let urls: Vec<_> = engine.url.split(',').collect();
            let redlock = Redlock::new(&urls, clock::machine())?;
            return Ok(Self::Redlock { redlock, name, length });
        }
        Ok(Self::Fenced { client: engine.client(length, owner).await?, name })
    }

    pub async fn lock(&self, end: Monotonic) -> Result<Held, Error> {
        match self {
            Self::Fenced { client, name } => {
                let guard = client.lock(name).acquire(Patience::Until(end)).await?;
                Ok(Held::Guard(guard))
            }
            Self::Redlock { redlock, name, length } => {
                let patience = end - clock::machine().monotonic();
                Ok(Held::Redlock(redlock.lock(name, *length, patience).await?))
            }
        }
    }

    pub async fn close(&self) {
        if let Self::Fenced { client, .. } = self {
            client.shutdown().await;
        }
    }
}

/// What its holder has.
pub enum Held {
    Guard(Guard),
    Redlock(steadfast_coordination::redlock::Unfenced),
}

impl Held {
    pub fn token(&self) -> Option<FencingToken> {
        match self {
            Self::Guard(guard) => Some(guard.token()),
            Self::Redlock(_) => None,
        }
    }

    /// Whether the holder, if it looked, would think that it is one.
    pub fn is_believed(&self) -> bool {
        match self {
            Self::Guard(guard) => guard.check().is_ok(),
            Self::Redlock(lock) => lock.is_believed(),
        }
    }

    /// Gives it back. What was lost before, or cannot be told to the server now, is not the
    /// worker's concern.
    pub async fn unlock(self) {
        match self {
            Self::Guard(guard) => drop(guard.release().await),
            Self::Redlock(lock) => drop(lock.unlock().await),
        }
    }
}

/// Where an embedded server listens that keeps its data in a folder.
pub fn socket(folder: &Path) -> PathBuf {
    folder.join("socket")
}

/// The address of that.
pub fn address(folder: &Path) -> String {
    format!("unix://{}", socket(folder).display())
}

/// Serves the embedded engine from a folder, for ever.
pub async fn serve(folder: &Path) -> Outcome<()> {
    let clock = clock::machine();
    let engine = Embedded::open(folder.join("data"), clock.clone(), embedded::Options::default())?;
    let reason = Server::bind(&engine, socket(folder), clock)?.run().await;
    Err(reason.to_string().into())
}
