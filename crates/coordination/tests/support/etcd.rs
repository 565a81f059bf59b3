//! Servers for the tests of the etcd engine: the shared one, or one of the test's own that it may
//! stop, freeze and kill.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use steadfast_coordination::engine::etcd::{Etcd, Options};
use steadfast_coordination::port::{EntryId, Mode, Name, Request, SessionId};
use steadfast_time::{Clock, Uuid};
use tempfile::TempDir;

/// Says that a test was left out.
pub fn left_out(variable: &str) {
    eprintln!("left out: {variable} is not set");
}

/// A program from the search path.
pub fn program(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// A random name.
pub fn name(what: &str) -> Name {
    Name::new(format!("{what}-{:016x}", fastrand::u64(..))).unwrap()
}

/// A request that waits, with a random id.
pub fn request(session: SessionId, mode: Mode, value: &[u8]) -> Request<'_> {
    let id: EntryId = Uuid::from_u128(fastrand::u128(..));
    Request { session, id, mode, value, wait: true }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// One member.
pub struct Server {
    program: PathBuf,
    arguments: Vec<String>,
    pub client: SocketAddr,
    child: Option<Child>,
}

impl Server {
    fn start(&mut self) {
        assert!(self.child.is_none());
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        let status = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(status.success());
    }

    /// Stops it for good, at once.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again with its data.
    pub fn restart(&mut self) {
        self.start();
    }

    /// Makes it stand still; its connections stay open.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A cluster of one's own.
pub struct Cluster {
    pub members: Vec<Server>,
    _data: TempDir,
}

impl Cluster {
    /// Starts members with additional arguments and waits until each answers; `None`, with a word
    /// about it, where etcd is not installed. With a certificate they are not waited for.
    pub async fn start(size: usize, more: &[&str]) -> Option<Self> {
        let Some(program) = program("etcd") else {
            left_out(if size == 1 { "STEADFAST_ETCD" } else { "STEADFAST_ETCD_CLUSTER" });
            return None;
        };
        let data = TempDir::new().unwrap();
        let secure = more.iter().any(|argument| argument.starts_with("--cert-file"));
        let scheme = if secure { "https" } else { "http" };
        let ports: Vec<_> = (0..size).map(|_| (free_port(), free_port())).collect();
        let peers: Vec<_> = ports
            .iter()
            .enumerate()
            .map(|(at, (_, peer))| format!("m{at}=http://127.0.0.1:{peer}"))
            .collect();
        let mut members = Vec::new();
        for (at, (client, peer)) in ports.iter().enumerate() {
            let folder: &Path = data.path();
            let (client_url, peer_url) =
                (format!("{scheme}://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
            let mut arguments: Vec<String> = [
                ("--name", format!("m{at}")),
                ("--data-dir", folder.join(format!("m{at}")).display().to_string()),
                ("--listen-client-urls", client_url.clone()),
                ("--advertise-client-urls", client_url),
                ("--listen-peer-urls", peer_url.clone()),
                ("--initial-advertise-peer-urls", peer_url),
                ("--initial-cluster", peers.join(",")),
                ("--log-level", "error".to_owned()),
            ]
            .into_iter()
            .flat_map(|(key, value)| [key.to_owned(), value])
            .collect();
            arguments.extend(more.iter().map(ToString::to_string));
            let client = SocketAddr::from(([127, 0, 0, 1], *client));
            let mut server = Server { program: program.clone(), arguments, client, child: None };
            server.start();
            members.push(server);
        }
        let cluster = Self { members, _data: data };
        for member in cluster.members.iter().filter(|_| !secure) {
            ready(member.client).await;
        }
        Some(cluster)
    }

    pub fn options(&self) -> Options {
        Options::new(self.members.iter().map(|member| member.client.to_string()))
    }

    /// A client's own command, for what the engine does not do.
    pub fn etcdctl(&self, arguments: &[&str]) -> String {
        let endpoints: Vec<_> =
            self.members.iter().map(|member| member.client.to_string()).collect();
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &endpoints.join(",")])
            .args(arguments)
            .output()
            .unwrap();
        let (out, err) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{arguments:?}: {out} {err}");
        out
    }

    /// The member that leads.
    pub fn leader(&self) -> usize {
        let table = self.etcdctl(&["endpoint", "status", "--write-out=simple"]);
        // endpoint, id, version, size, is leader, ...
        let leading = table.lines().find(|line| line.split(", ").nth(4) == Some("true")).unwrap();
        let address = leading.split(", ").next().unwrap();
        self.members.iter().position(|member| member.client.to_string() == address).unwrap()
    }
}

/// Waits until a member answers.
pub async fn ready(address: SocketAddr) {
    let options = || Options::new([address.to_string()]);
    let ready = async {
        while Etcd::connect(options(), Clock::system()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ready).await.expect("etcd does not answer");
}

/// A server that the test must leave running, and options for it.
pub enum Shared {
    Given(Options),
    Own(Cluster),
}

impl Shared {
    /// One node.
    pub async fn one() -> Option<Self> {
        match std::env::var("STEADFAST_ETCD") {
            Ok(address) => Some(Self::Given(address.parse().unwrap())),
            Err(_) => Cluster::start(1, &[]).await.map(Self::Own),
        }
    }

    /// Three nodes.
    pub async fn three() -> Option<Self> {
        match std::env::var("STEADFAST_ETCD_CLUSTER") {
            Ok(addresses) => Some(Self::Given(addresses.parse().unwrap())),
            Err(_) => Cluster::start(3, &[]).await.map(Self::Own),
        }
    }

    pub fn options(&self) -> Options {
        match self {
            Self::Given(options) => options.clone(),
            Self::Own(cluster) => cluster.options(),
        }
    }

    pub async fn connect(&self) -> Etcd {
        Etcd::connect(self.options(), Clock::system()).await.unwrap()
    }
}
