//! A ZooKeeper server of a test's own, to be frozen, killed and started again; and the one that all
//! tests share.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail anywhere")]

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use steadfast_coordination::engine::zookeeper::{Options, ZooKeeper};
use steadfast_coordination::port::{Error, Mode, Name, Request, SessionId};
use steadfast_time::{Clock, Uuid};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const VARIABLE: &str = "STEADFAST_ZOOKEEPER";
const DEBIAN: &str = "/usr/share/java/zookeeper.jar";

/// The shared server's address, unless there is none.
pub fn shared() -> Option<String> {
    let address = std::env::var(VARIABLE).ok();
    if address.is_none() {
        eprintln!("left out: {VARIABLE} is not set");
    }
    address
}

pub async fn connect(address: &str) -> ZooKeeper {
    ZooKeeper::connect(Options::new([address]), Clock::system()).await.unwrap()
}

/// A name that no other test has.
pub fn name(what: &str) -> Name {
    Name::new(format!("{what}/{:016x}", fastrand::u64(..))).unwrap()
}

pub fn request(session: SessionId, mode: Mode, value: &[u8]) -> Request<'_> {
    let id = Uuid::from_u128(fastrand::u128(..));
    Request { session, id, mode, value, wait: true }
}

/// Asks again until the server is there.
pub async fn patiently<T>(mut ask: impl AsyncFnMut() -> Result<T, Error>) -> T {
    let limit = Duration::from_secs(30);
    let answer = timeout(limit, async {
        loop {
            match timeout(Duration::from_secs(5), ask()).await {
                Ok(Ok(answer)) => return answer,
                Ok(Err(error)) => assert!(error.is_transient(), "{error}"),
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    answer.await.expect("no answer within 30 seconds")
}

/// A server of one's own.
pub struct Server {
    folder: tempfile::TempDir,
    pub address: String,
    child: Option<Child>,
}

impl Server {
    /// Starts one; `None` where there are no servers, or no jar that this knows how to run.
    pub async fn start() -> Option<Self> {
        shared()?;
        if !Path::new(DEBIAN).is_file() {
            eprintln!("left out: a ZooKeeper of its own, for want of {DEBIAN}");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let settings = format!(
            "tickTime=100\nminSessionTimeout=200\nmaxSessionTimeout=20000\ndataDir={}\n\
             clientPort={}\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\n\
             admin.enableServer=false\n4lw.commands.whitelist=*\n",
            folder.path().join("data").display(),
            address.port()
        );
        std::fs::File::create(folder.path().join("zoo.cfg"))
            .unwrap()
            .write_all(settings.as_bytes())
            .unwrap();
        let mut server = Self { folder, address: address.to_string(), child: None };
        server.resume().await;
        Some(server)
    }

    /// Starts it again on the same data.
    pub async fn resume(&mut self) {
        let settings: PathBuf = self.folder.path().join("zoo.cfg");
        let child = Command::new("java")
            .args(["-Xmx128m", "-XX:+UseSerialGC", "-cp", DEBIAN])
            .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
            .arg(settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let address = self.address.clone();
        let ready = async {
            while !answers(&address).await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(30), ready).await.expect("the server does not come up");
    }

    /// Ends it as a power failure would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

async fn answers(address: &str) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"srvr").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer.contains("Mode: "))
    };
    matches!(timeout(Duration::from_secs(1), ask).await, Ok(Ok(true)))
}
