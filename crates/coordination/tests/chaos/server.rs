//! Servers that can be killed, started again, frozen, and cut off in one direction, whatever engine
//! they are.

use std::net::SocketAddr;
use std::path::Path;

use super::again;
use super::etcd::Cluster;
use super::postgres;
use super::proxy::{Direction, Proxy};
use super::redis;
use super::rig::engine::{self, Engine, Kind};
use super::rig::run::Served;
use super::zookeeper;

/// The process, or processes, of a server.
enum Process {
    Embedded(Served),
    Etcd(Cluster),
    Postgres(postgres::Server),
    Redis(redis::Server),
    Zookeeper(zookeeper::Server),
}

/// A server with its data on disk, behind a proxy.
pub struct Server {
    process: Process,
    proxy: Proxy,
    /// Where clients find it: at the proxy.
    pub engine: Engine,
}

/// Redis loses nothing when it waits for its disk.
const DURABLE: [&str; 6] = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""];

impl Server {
    /// Starts one, where its programs are; says what is left out where they are not.
    pub async fn start(kind: Kind, folder: &Path) -> Option<Self> {
        let (process, proxy, url) = match kind {
            Kind::Embedded => {
                let served = Served::start(&again(), folder).await.unwrap();
                let path = folder.join("proxy");
                let proxy = Proxy::between(&path, &engine::socket(folder));
                (Process::Embedded(served), proxy, format!("unix://{}", path.display()))
            }
            Kind::Etcd => {
                let cluster = Cluster::start(1, &[]).await?;
                let proxy = Proxy::to(cluster.members[0].client).await;
                let url = format!("http://{}", proxy.address());
                (Process::Etcd(cluster), proxy, url)
            }
            Kind::Postgres => {
                let server = postgres::Server::start()?;
                let proxy = Proxy::to(SocketAddr::from(([127, 0, 0, 1], server.port))).await;
                let url = format!("postgres://steadfast@{}/postgres", proxy.address());
                (Process::Postgres(server), proxy, url)
            }
            Kind::Redis => {
                let server = redis::Server::start(redis::VARIABLE, &DURABLE)?;
                let proxy = Proxy::to(SocketAddr::from(([127, 0, 0, 1], server.port))).await;
                let url = format!("redis://{}", proxy.address());
                (Process::Redis(server), proxy, url)
            }
            Kind::Zookeeper => {
                let server = zookeeper::Server::start().await?;
                let proxy = Proxy::to(server.address.parse().unwrap()).await;
                let url = proxy.address().to_string();
                (Process::Zookeeper(server), proxy, url)
            }
            Kind::Redlock => return None,
        };
        Some(Self { process, proxy, engine: Engine::new(kind, url) })
    }

    /// Ends it at once, as a power failure would.
    pub fn kill(&mut self) {
        match &mut self.process {
            Process::Embedded(served) => served.process.kill().unwrap(),
            Process::Etcd(cluster) => cluster.members[0].kill(),
            Process::Postgres(server) => server.kill(),
            Process::Redis(server) => server.kill(),
            Process::Zookeeper(server) => server.kill(),
        }
    }

    /// Starts it again with its data.
    pub async fn restart(&mut self) {
        match &mut self.process {
            Process::Embedded(served) => served.restart(&again()).await.unwrap(),
            Process::Etcd(cluster) => cluster.members[0].restart(),
            Process::Postgres(server) => server.restart(),
            Process::Redis(server) => server.restart(),
            Process::Zookeeper(server) => server.resume().await,
        }
    }

    /// Makes it stand still, with its connections open.
    pub fn freeze(&self) {
        match &self.process {
            Process::Embedded(served) => served.process.stop().unwrap(),
            Process::Etcd(cluster) => cluster.members[0].freeze(),
            Process::Postgres(server) => server.signal("-STOP"),
            Process::Redis(server) => server.signal("-STOP"),
            Process::Zookeeper(server) => server.freeze(),
        }
    }

    pub fn thaw(&self) {
        match &self.process {
            Process::Embedded(served) => served.process.go_on().unwrap(),
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
