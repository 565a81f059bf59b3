//! Coordination engines by their addresses.
//!
//! A real run uses the engine that its stage names, as the configuration key `coordination` has it:
//! `embedded`, `unix:///path/to/socket`, `etcd://a:2379,b:2379`, `zookeeper://a:2181`,
//! `postgres://user@host/database`, `redis://host:6379`; and, for comparison, Redlock over
//! independent servers: `redlock://a:6379,b:6379,c:6379`.
//!
//! Engines over servers are behind features of the crate. One that is not built in is refused by
//! name, and so is an address that is none; neither is quoted with its password.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use steadfast_coordination::engine::embedded::{self, Embedded, Remote, Server};
use steadfast_coordination::{Client, Coordinator, Error, Options, client};
use steadfast_time::Clock;

use super::tcp_proxy::Proxy;
use super::{Failure, Process, Role, Stage, clock};

/// The part of a process that serves the embedded engine.
pub(super) const PART: &str = "coordinator";

/// How long a server may take to start on a machine that has much to do.
const START_MAX: Duration = Duration::from_secs(60);

/// How long an exchange may take on one machine that has much to do.
const ROUND_TRIP: Duration = Duration::from_millis(20);

/// What coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Served over its socket.
    Embedded,
    /// PostgreSQL.
    Postgres,
    /// etcd.
    Etcd,
    /// ZooKeeper.
    Zookeeper,
    /// Redis, one node.
    Redis,
    /// For comparison: it has no tokens.
    Redlock,
}

impl Kind {
    const SCHEMES: [(&'static str, Self); 7] = [
        ("unix", Self::Embedded),
        ("etcd", Self::Etcd),
        ("etcds", Self::Etcd),
        ("zookeeper", Self::Zookeeper),
        ("postgres", Self::Postgres),
        ("redis", Self::Redis),
        ("redlock", Self::Redlock),
    ];

    /// As it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Postgres => "postgres",
            Self::Etcd => "etcd",
            Self::Zookeeper => "zookeeper",
            Self::Redis => "redis",
            Self::Redlock => "redlock",
        }
    }

    /// Whether its locks yield tokens that a storage can check.
    #[must_use]
    pub const fn has_tokens(self) -> bool {
        !matches!(self, Self::Redlock)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An engine at an address. Shown without its password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    kind: Kind,
    url: String,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Engine({})", without_password(&self.url))
    }
}

impl Engine {
    /// The engine at an address; none for `embedded`, which a run starts for itself
    /// ([`Coordinator`](Served)).
    ///
    /// # Errors
    /// When it is no address, or the engine is not built in; in words, without the password.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        if text == Kind::Embedded.name() {
            return Ok(None);
        }
        let known = text.split_once("://").filter(|(_, rest)| !rest.is_empty());
        let known = known.and_then(|(scheme, _)| {
            Kind::SCHEMES.into_iter().find_map(|(name, kind)| (name == scheme).then_some(kind))
        });
        let Some(kind) = known else {
            return Err(format!(
                "{:?} is no coordination engine; write embedded, or a URL such as \
                 etcd://127.0.0.1:2379, zookeeper://a:2181,b:2181, postgres://user@host/database, \
                 redis://127.0.0.1:6379, redlock://a:6379,b:6379,c:6379 or \
                 unix:///run/steadfast/coordination.sock",
                without_password(text)
            ));
        };
        let is_built_in = match kind {
            Kind::Embedded => true,
            Kind::Postgres => cfg!(feature = "postgres"),
            Kind::Etcd => cfg!(feature = "etcd"),
            Kind::Zookeeper => cfg!(feature = "zookeeper"),
            Kind::Redis | Kind::Redlock => cfg!(feature = "redis"),
        };
        if !is_built_in {
            return Err(format!("{kind} is not built in; build with the feature of its name"));
        }
        Ok(Some(Self { kind, url: text.to_owned() }))
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its address, password included.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection to it.
    ///
    /// # Errors
    /// What the engine says; [`Error::Refused`] for Redlock, which has no sessions.
    pub async fn connect(&self, clock: Clock) -> Result<Arc<dyn Coordinator>, Error> {
        let url = self.url.as_str();
        Ok(match self.kind {
            Kind::Embedded => Arc::new(Remote::connect(url, clock).await?),
            #[cfg(feature = "postgres")]
            Kind::Postgres => {
                Arc::new(steadfast_coordination::engine::postgres::Postgres::connect(url).await?)
            }
            #[cfg(feature = "etcd")]
            Kind::Etcd => {
                use steadfast_coordination::engine::etcd::{Etcd, Invalid};
                let options = url.parse().map_err(|error: Invalid| self.refused(error))?;
                Arc::new(Etcd::connect(options, clock).await?)
            }
            #[cfg(feature = "zookeeper")]
            Kind::Zookeeper => {
                use steadfast_coordination::engine::zookeeper::{Options, ZooKeeper};
                Arc::new(ZooKeeper::connect(Options::from_url(url)?, clock).await?)
            }
            #[cfg(feature = "redis")]
            Kind::Redis => {
                Arc::new(steadfast_coordination::engine::redis::Redis::connect(url).await?)
            }
            Kind::Redlock => return Err(self.refused("it has no sessions and no tokens")),
            #[allow(unreachable_patterns, reason = "reached by what is not built in only")]
            _ => return Err(self.refused("it is not built in")),
        })
    }

    fn refused(&self, reason: impl fmt::Display) -> Error {
        let (address, reason) = ("its URL".into(), reason.to_string().into());
        Error::Refused { engine: self.kind.name(), address, reason }
    }

    /// The same engine behind a proxy of its own; one between Unix sockets listens at `path`.
    ///
    /// # Errors
    /// When the address names several servers, or there can be no proxy.
    pub(crate) async fn through(&self, path: &Path) -> Result<(Proxy, Self), Failure> {
        let (kind, url) = (self.kind, self.url.as_str());
        let (scheme, rest) = url.split_once("://").ok_or("it is no address")?;
        if kind == Kind::Embedded {
            let url = format!("{scheme}://{}", path.display());
            return Ok((Proxy::between(path, Path::new(rest))?, Self { kind, url }));
        }
        let (authority, tail) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, server) = match authority.rsplit_once('@') {
            Some((user, server)) => (format!("{user}@"), server),
            None => (String::new(), authority),
        };
        if server.contains(',') {
            return Err("faults of links need an engine with one server; name only one".into());
        }
        let is_complete = server.rsplit_once(':').is_some_and(|(_, it)| it.parse::<u16>().is_ok());
        if !is_complete {
            return Err("faults of links need the server's port in its address".into());
        }
        let found = tokio::net::lookup_host(server).await?.next();
        let proxy = Proxy::to(found.ok_or_else(|| format!("there is no host {server}"))?).await?;
        let address = proxy.address().ok_or("the proxy has no address")?;
        let url = format!("{scheme}://{user}{address}{tail}");
        Ok((proxy, Self { kind, url }))
    }

    /// A client with its session on a thread of its own, as a careful service has it.
    ///
    /// # Errors
    /// When the engine cannot be reached, or refuses the length.
    pub async fn client(&self, length: Duration, owner: &str) -> Result<Client, Failure> {
        let (engine, clock) = (self.clone(), clock::machine());
        let there = clock.clone();
        let connect = || async move { engine.connect(there).await };
        let client = client::thread::start("session", clock, options(length), connect).await?;
        Ok(client.with_owner(owner))
    }

    /// How long a session lives without a word when so much is asked for.
    ///
    /// # Errors
    /// When the engine cannot be reached, or refuses the length.
    pub async fn session_length(&self, asked: Duration) -> Result<Duration, Failure> {
        if !self.kind.has_tokens() {
            return Ok(asked);
        }
        let engine = self.connect(clock::machine()).await?;
        let opened = engine.open(asked).await?;
        engine.close(opened.session).await?;
        Ok(opened.length)
    }

    /// The shortest session that this engine can have, but no shorter than that.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn length_above(&self, least: Duration) -> Result<Duration, Failure> {
        if !self.kind.has_tokens() {
            return Ok(least);
        }
        let min = self.connect(clock::machine()).await?.capabilities().session_min;
        Ok(least.max(min))
    }
}

/// The options of the clients.
#[must_use]
pub fn options(length: Duration) -> Options {
    Options {
        length,
        round_trip: ROUND_TRIP,
        ask_every: Duration::from_millis(250),
        ..Options::default()
    }
}

/// A URL with the password, if there is one, as stars.
#[must_use]
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = rest.split('/').next().unwrap_or(rest);
    let Some((user, _)) = authority.rsplit_once('@') else { return url.to_owned() };
    let after = &rest[user.len()..];
    match user.split_once(':') {
        Some((name, _)) => format!("{scheme}://{name}:***{after}"),
        None => url.to_owned(),
    }
}

/// Orders of a process that serves the embedded engine.
#[derive(Debug, Serialize, Deserialize)]
struct Job {
    folder: PathBuf,
}

/// An embedded server in a process of its own.
#[derive(Debug)]
pub struct Served {
    /// Its process.
    pub process: Process,
    engine: Engine,
    folder: PathBuf,
}

impl Served {
    /// Where it listens, given its folder.
    #[must_use]
    pub fn socket(folder: &Path) -> PathBuf {
        folder.join("socket")
    }

    /// What a process has to play to serve from a folder.
    ///
    /// # Errors
    /// When the folder's name is no text.
    pub fn role(folder: &Path) -> Result<Role, Failure> {
        Role::new(PART, &Job { folder: folder.to_owned() })
    }

    /// The engine that is served from a folder.
    #[must_use]
    pub fn engine_in(folder: &Path) -> Engine {
        let url = format!("unix://{}", Self::socket(folder).display());
        Engine { kind: Kind::Embedded, url }
    }

    /// Starts it on what is in the folder, and waits until it answers.
    ///
    /// # Errors
    /// When it does not come up, with the last line of its log.
    pub async fn start(stage: &Stage, folder: &Path) -> Result<Self, Failure> {
        let process = stage.start(PART, &Self::role(folder)?)?;
        let served = Self { process, engine: Self::engine_in(folder), folder: folder.to_owned() };
        served.engine.up(stage).await?;
        Ok(served)
    }

    /// Where clients find it.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Kills it, and starts it on its data.
    ///
    /// # Errors
    /// When it does not come up again.
    pub async fn restart(&mut self, stage: &Stage) -> Result<(), Failure> {
        self.process.kill()?;
        let folder = self.folder.clone();
        *self = Self::start(stage, &folder).await?;
        Ok(())
    }
}

impl Engine {
    /// Waits until a served engine answers.
    pub(crate) async fn up(&self, stage: &Stage) -> Result<(), Failure> {
        let clock = clock::machine();
        let up = async {
            while self.connect(clock.clone()).await.is_err() {
                clock.sleep(Duration::from_millis(10)).await;
            }
        };
        let up = clock.timeout(START_MAX, up).await;
        up.map_err(|_| format!("the coordinator does not come up{}", stage.complaint(PART)).into())
    }
}

/// Serves the embedded engine from a folder, for ever.
pub(super) async fn serve(job: serde_json::Value) -> Result<(), Failure> {
    let Job { folder } = serde_json::from_value(job)?;
    let clock = clock::machine();
    let engine = Embedded::open(folder.join("data"), clock.clone(), embedded::Options::default())?;
    let reason = Server::bind(&engine, Served::socket(&folder), clock)?.run().await;
    Err(reason.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_found_by_the_scheme_of_its_address() {
        assert_eq!(Engine::parse("embedded"), Ok(None));
        let parsed = Engine::parse("unix:///run/c.sock").unwrap().unwrap();
        assert_eq!((parsed.kind(), parsed.url()), (Kind::Embedded, "unix:///run/c.sock"));
        for text in ["", "etcd", "etcd://", "consul://a:1", "http://a:1"] {
            let error = Engine::parse(text).unwrap_err();
            assert!(error.contains("redlock://"), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let error = Engine::parse("mysql://me:secret@host").unwrap_err();
        assert!(error.contains("mysql://me:***@host") && !error.contains("secret"), "{error}");
        for (url, shown) in [
            ("etcd://me:secret@a:1,b:2/prefix", "etcd://me:***@a:1,b:2/prefix"),
            ("redlock://:secret@a:1,:secret@b:2", "redlock://:***@b:2"),
            ("unix:///run/with@sign:x/c.sock", "unix:///run/with@sign:x/c.sock"),
            ("embedded", "embedded"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[cfg(not(feature = "etcd"))]
    #[test]
    fn what_is_not_built_in_is_refused_by_name() {
        let error = Engine::parse("etcd://a:1").unwrap_err();
        assert!(error.contains("etcd is not built in"), "{error}");
    }
}
