//! Servers that can be killed, started again, frozen, and cut off in one direction, whatever engine
//! they are.

use std::net::SocketAddr;

use steadfast_lab::real::Stage;
use steadfast_lab::real::engine::{Engine, Kind, Served};
use steadfast_lab::real::tcp_proxy::{Direction, Proxy};
use tempfile::TempDir;

use super::etcd::Cluster;
use super::{engines, postgres, redis, zookeeper};

/// The process, or processes, of a server.
enum Process {
    Embedded(Served, TempDir),
    Etcd(Cluster),
    Postgres(postgres::Server),
    Redis(redis::Server),
    Zookeeper(zookeeper::Server),
}

/// A server with its data on disk, behind a proxy.
pub struct Server<'a> {
    stage: &'a Stage,
    process: Process,
    proxy: Proxy,
    /// Where clients find it: at the proxy.
    pub engine: Engine,
}

/// Redis loses nothing when it waits for its disk.
const DURABLE: [&str; 6] = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""];

impl<'a> Server<'a> {
    /// Starts one, where its programs are; says what is left out where they are not.
    pub async fn start(kind: Kind, stage: &'a Stage) -> Option<Self> {
        let (process, proxy, url) = match kind {
            Kind::Embedded => {
                let folder = stage.folder().unwrap();
                let served = Served::start(stage, folder.path()).await.unwrap();
                let path = folder.path().join("proxy");
                let proxy = Proxy::between(&path, &Served::socket(folder.path())).unwrap();
                (Process::Embedded(served, folder), proxy, format!("unix://{}", path.display()))
            }
            Kind::Etcd => {
                let cluster = Cluster::start(1, &[]).await?;
                let proxy = Proxy::to(cluster.members[0].client).await.unwrap();
                let url = proxy.address().unwrap().to_string();
                (Process::Etcd(cluster), proxy, url)
            }
            Kind::Postgres => {
                let server = postgres::Server::start()?;
                let proxy =
                    Proxy::to(SocketAddr::from(([127, 0, 0, 1], server.port))).await.unwrap();
                let url = format!("postgres://steadfast@{}/postgres", proxy.address().unwrap());
                (Process::Postgres(server), proxy, url)
            }
            Kind::Redis => {
                let server = redis::Server::start(redis::VARIABLE, &DURABLE)?;
                let proxy =
                    Proxy::to(SocketAddr::from(([127, 0, 0, 1], server.port))).await.unwrap();
                let url = format!("redis://{}", proxy.address().unwrap());
                (Process::Redis(server), proxy, url)
            }
            Kind::Zookeeper => {
                let server = zookeeper::Server::start().await?;
                let proxy = Proxy::to(server.address.parse().unwrap()).await.unwrap();
                let url = proxy.address().unwrap().to_string();
                (Process::Zookeeper(server), proxy, url)
            }
            Kind::Redlock => return None,
        };
        let engine = engines::at(kind, &url);
        Some(Self { stage, process, proxy, engine })
    }

    /// Ends it at once, as a power failure would.
    pub fn kill(&mut self) {
        match &mut self.process {
            Process::Embedded(served, _) => served.process.kill().unwrap(),
            Process::Etcd(cluster) => cluster.members[0].kill(),
            Process::Postgres(server) => server.kill(),
            Process::Redis(server) => server.kill(),
            Process::Zookeeper(server) => server.kill(),
        }
    }

    /// Takes the embedded engine's data away.
    pub fn forget(&self) {
        if let Process::Embedded(_, folder) = &self.process {
            std::fs::remove_dir_all(folder.path().join("data")).unwrap();
        }
    }

    /// Starts it again with its data.
    pub async fn restart(&mut self) {
        match &mut self.process {
            Process::Embedded(served, _) => served.restart(self.stage).await.unwrap(),
            Process::Etcd(cluster) => cluster.members[0].restart(),
            Process::Postgres(server) => server.restart(),
            Process::Redis(server) => server.restart(),
            Process::Zookeeper(server) => server.resume().await,
        }
    }

    /// Makes it stand still, with its connections open.
    pub fn freeze(&self) {
        match &self.process {
            Process::Embedded(served, _) => served.process.pause().unwrap(),
            Process::Etcd(cluster) => cluster.members[0].freeze(),
            Process::Postgres(server) => server.signal("-STOP"),
            Process::Redis(server) => server.signal("-STOP"),
            Process::Zookeeper(server) => server.freeze(),
        }
    }

    pub fn thaw(&self) {
        match &self.process {
            Process::Embedded(served, _) => served.process.resume().unwrap(),
            Process::Etcd(cluster) => cluster.members[0].thaw(),
            Process::Postgres(server) => server.signal("-CONT"),
            Process::Redis(server) => server.signal("-CONT"),
            Process::Zookeeper(server) => server.thaw(),
        }
    }

    /// Lets nothing pass in one direction; the connections stay open.
    pub fn cut(&self, direction: Direction) {
        self.proxy.hold(direction);
    }

    pub fn mend(&self, direction: Direction) {
        self.proxy.release(direction);
    }
}
