//! Redis servers for tests: the shared one, or one of the test's own that it may kill.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use steadfast_coordination::engine::redis::{Options, Redis};
use steadfast_coordination::port::{Mode, Name, Request, SessionId};
use steadfast_time::Uuid;
use tempfile::TempDir;

pub const VARIABLE: &str = "STEADFAST_REDIS";

/// Where a shared server is; says so when there is none.
pub fn shared(variable: &str) -> Option<String> {
    let url = std::env::var(variable).ok();
    if url.is_none() {
        eprintln!("left out: {variable} is not set");
    }
    url
}

pub fn name(what: &str) -> Name {
    Name::new(format!("{what}-{:016x}", fastrand::u64(..))).unwrap()
}

pub fn request(session: SessionId, wait: bool) -> Request<'static> {
    let id = Uuid::from_u128(fastrand::u128(..));
    Request { session, id, mode: Mode::Exclusive, value: b"v", wait }
}

/// Options for keys of the test's own.
pub fn options(url: &str) -> Options {
    let mut options = Options::new(url).unwrap();
    options.prefix = format!("t{:016x}", fastrand::u64(..));
    options
}

pub async fn connect(url: &str) -> Redis {
    Redis::connect_with(options(url)).await.unwrap()
}

/// A plain connection, for looking and breaking.
pub async fn plain(url: &str) -> redis::aio::MultiplexedConnection {
    redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// A server of the test's own. Ends when dropped.
pub struct Server {
    folder: TempDir,
    arguments: Vec<String>,
    pub port: u16,
    child: Option<Child>,
}

impl Server {
    /// Starts one, if `variable` is set and the program is there.
    pub fn start(variable: &str, arguments: &[&str]) -> Option<Self> {
        shared(variable)?;
        let there = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
        if there.is_err() {
            eprintln!("left out: {variable} is set, but no redis-server is installed here");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self { folder, arguments, port, child: None };
        server.restart();
        Some(server)
    }

    /// Starts the server with what it has on disk and waits until it answers.
    pub fn restart(&mut self) {
        assert!(self.child.is_none());
        let child = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--dir"])
            .arg(self.folder.path())
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let ready = || -> redis::RedisResult<String> {
            let client = redis::Client::open(self.url())?;
            redis::cmd("PING").query(&mut client.get_connection()?)
        };
        for _ in 0..1_000 {
            match ready() {
                Ok(_) => return,
                Err(error) if ["NOAUTH"].contains(&error.code().unwrap_or_default()) => return,
                Err(_) => std::thread::park_timeout(Duration::from_millis(10)),
            }
        }
        panic!("the server does not come up");
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn signal(&self, signal: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Kills it at once.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
