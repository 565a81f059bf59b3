//! Who coordinates: the engine that the configuration names, and this process's client of it.
//!
//! The embedded engine keeps its log in the data directory and is served on a socket there, so that
//! other processes of the machine can take part. The client and its keep-alive run on a thread of
//! their own: whatever the platform is busy with, its leases are renewed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use steadfast_coordination::client::thread::{self, StartError};
use steadfast_coordination::engine::embedded::{self, Embedded, OpenError, Server};
use steadfast_coordination::engine::{etcd, postgres, redis, zookeeper};
use steadfast_coordination::{Client, Coordinator, Error as EngineError, Options};
use steadfast_time::Clock;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::clock::Watching;
use super::data;
use crate::config::Config;
use crate::config::value::Coordination as Engine;

/// How long an exchange with a server may take at worst, as leases reckon with it.
const ROUND_TRIP: Duration = Duration::from_millis(250);

/// Why there are no leases.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The embedded engine's folder.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The client, or a server.
    #[error("{0}")]
    Start(#[from] StartError),
}

/// The engine and the client of this process.
pub(super) struct Coordination {
    client: Client,
    /// What only the process has that has the folder.
    embedded: Option<(Embedded, JoinHandle<()>)>,
}

impl Coordination {
    /// Opens or reaches the engine, and starts the client.
    pub(super) async fn start(
        config: &Config,
        clock: &Clock,
        watching: &Watching,
    ) -> Result<Self, Error> {
        let (engine, options) = (&config.coordination, options(config, clock));
        let owner = format!("steadfast {}", std::process::id());
        let (client, embedded) = match engine {
            Engine::Embedded => {
                let embedded = open(&config.data, clock).await?;
                let serving = serve(&embedded, &config.data, clock);
                let there = embedded.clone();
                let connect = || async move { Ok(Arc::new(there) as Arc<dyn Coordinator>) };
                let client = thread::start("coordination", clock.clone(), options, connect).await?;
                (client, Some((embedded, serving)))
            }
            Engine::Server(url) => {
                let (url, on) = (url.clone(), clock.clone());
                let connect = || async move { connect(&url, on).await };
                (thread::start("coordination", clock.clone(), options, connect).await?, None)
            }
        };
        Ok(Self { client: watching.tell(client.with_owner(&owner)), embedded })
    }

    /// What takes and keeps leases.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Gives everything back, so that whoever comes next need not wait for the leases to end.
    pub(super) async fn resign(&self) {
        self.client.shutdown().await;
    }

    /// Closes the engine, if it is in this process.
    pub(super) async fn stop(self) {
        if let Some((embedded, serving)) = self.embedded {
            serving.abort();
            // It waits for the disk.
            let closing = tokio::task::spawn_blocking(move || embedded.close());
            if closing.await.is_err() {
                tracing::error!("the coordination log could not be closed as it should");
            }
        }
    }
}

/// The lengths of leases. A server is on the other side of a network, and counts by another clock.
fn options(config: &Config, clock: &Clock) -> Options {
    let length = config.dispatch.lease.get();
    match config.coordination {
        Engine::Embedded => Options { length, ..Options::default() },
        Engine::Server(_) => {
            let interval = clock.interval();
            let skew_p99 = interval.latest.since(interval.earliest);
            Options { length, skew_p99, round_trip: ROUND_TRIP, ..Options::default() }
        }
    }
}

async fn open(data: &Path, clock: &Clock) -> Result<Embedded, Error> {
    let (folder, clock) = (data.join(data::COORDINATION), clock.clone());
    let (sender, opened) = oneshot::channel();
    // It reads its log, which may take a while.
    tokio::task::spawn_blocking(move || {
        // Nobody takes it when the start was given up; it is closed then.
        drop(sender.send(Embedded::open(folder, clock, embedded::Options::default())));
    });
    match opened.await {
        Ok(opened) => Ok(opened?),
        Err(_) => {
            let source = std::io::Error::other("the runtime ended");
            Err(StartError::Thread(source).into())
        }
    }
}

/// Serves the engine to other processes of the machine. That it cannot is no reason not to start.
fn serve(embedded: &Embedded, data: &Path, clock: &Clock) -> JoinHandle<()> {
    let socket = data.join(data::COORDINATION_SOCKET);
    match Server::bind(embedded, &socket, clock.clone()) {
        Ok(server) => {
            tracing::debug!(address = server.address(), "coordination is served");
            tokio::spawn(async move {
                let reason = server.run().await;
                tracing::debug!(%reason, "coordination is served no more");
            })
        }
        Err(error) => {
            tracing::warn!(%error, "other processes cannot take part in coordination");
            tokio::spawn(std::future::ready(()))
        }
    }
}

/// A server by its URL.
///
/// # Errors
/// What the server says, or that the URL is not one.
pub async fn connect(url: &str, clock: Clock) -> Result<Arc<dyn Coordinator>, EngineError> {
    let scheme = url.split_once("://").map_or(url, |(scheme, _)| scheme);
    Ok(match scheme {
        "unix" => Arc::new(embedded::Remote::connect(url, clock).await?),
        "etcd" | "etcds" => {
            let options: etcd::Options = url.parse().map_err(|error| refused("etcd", &error))?;
            Arc::new(etcd::Etcd::connect(options, clock).await?)
        }
        "zookeeper" => {
            let options = zookeeper::Options::from_url(url)?;
            Arc::new(zookeeper::ZooKeeper::connect(options, clock).await?)
        }
        "postgres" => Arc::new(postgres::Postgres::connect(url).await?),
        "redis" => Arc::new(redis::Redis::connect(url).await?),
        _ => return Err(refused("coordination", &"there is no such engine")),
    })
}

/// A URL that cannot be used. It is not quoted: there may be a password in it.
fn refused(engine: &'static str, what: &dyn std::fmt::Display) -> EngineError {
    let (address, reason) = ("its URL".into(), what.to_string().into());
    EngineError::Refused { engine, address, reason }
}
