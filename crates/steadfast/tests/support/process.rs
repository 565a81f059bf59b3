//! `steadfast up` as a process of its own.

use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use steadfast_time::Clock;

use super::http::Client;
use super::{millis, pause};

pub const STEADFAST: &str = env!("CARGO_BIN_EXE_steadfast");

/// How long a start may take in a debug build on a machine that does other things as well.
const START_MAX: Duration = Duration::from_secs(60);

/// The program without anything of the user's environment that would change what it does.
pub fn steadfast() -> Command {
    let mut command = Command::new(STEADFAST);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("STEADFAST_") {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// A scratch directory with a data directory, a configuration and a log.
pub struct Home {
    scratch: tempfile::TempDir,
}

impl Home {
    pub fn new() -> Self {
        Self::with("")
    }

    pub fn with(config: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let home = Self { scratch };
        home.configure(config);
        home
    }

    /// Replaces the configuration, from the next start on.
    pub fn configure(&self, config: &str) {
        std::fs::write(self.path("steadfast.toml"), config).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// What the processes have said on stderr.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.path("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// `steadfast up` on this data, on ports that are free.
    pub fn command(&self) -> Command {
        let mut command = steadfast();
        command.args(["--json", "up", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.arg("--data").arg(self.data()).arg("--config").arg(self.path("steadfast.toml"));
        command
    }

    /// Starts it, and does not wait.
    pub fn spawn(&self) -> Starting {
        self.spawn_as(self.command())
    }

    pub fn spawn_as(&self, command: Command) -> Starting {
        self.spawn_apart("announcement", command)
    }

    /// The same with an output of its own, beside another process of this home.
    pub fn spawn_apart(&self, output: &str, mut command: Command) -> Starting {
        let announcement = self.path(output);
        let stdout = File::create(&announcement).unwrap();
        let stderr = OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let child = command.stdout(stdout).stderr(stderr).spawn().unwrap();
        Starting { child: Reaped(child), announcement }
    }

    /// Starts it, and waits until it serves.
    pub async fn start(&self) -> Server {
        match self.spawn().ready().await {
            Ok(server) => server,
            Err(why) => panic!("it did not start: {why}\n{}", self.log()),
        }
    }

    /// What a start that fails says and how it ends.
    pub async fn refused(&self) -> (Option<i32>, String) {
        let said = self.log().len();
        let Starting { mut child, .. } = self.spawn();
        let Some(status) = child.ended_within(START_MAX).await else {
            panic!("it neither refused nor ended\n{}", self.log());
        };
        (status.code(), self.log()[said..].to_owned())
    }

    /// `steadfast journal verify`: whether it is content, and what it says.
    pub fn verify(&self) -> (bool, String) {
        let output =
            steadfast().args(["journal", "verify", "--data"]).arg(self.data()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }
}

/// A process that is gone when nobody holds it any more.
pub struct Reaped(Child);

impl Reaped {
    /// Waits for the end; nothing when it does not come in time.
    pub async fn ended_within(&mut self, bound: Duration) -> Option<ExitStatus> {
        let clock = Clock::system();
        let started = clock.monotonic();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return Some(status);
            }
            if clock.monotonic() - started > bound {
                return None;
            }
            pause(millis(5)).await;
        }
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap();
        assert!(status.success(), "kill -{name} {pid}: {status}");
    }

    /// SIGKILL: not a single instruction more.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that does not serve yet.
pub struct Starting {
    pub child: Reaped,
    announcement: PathBuf,
}

impl Starting {
    /// Waits for the one document that it prints.
    pub async fn document(&mut self) -> Result<Value, String> {
        let clock = Clock::system();
        let started = clock.monotonic();
        loop {
            let said = std::fs::read(&self.announcement).unwrap_or_default();
            if let Ok(document) = serde_json::from_slice(&said) {
                return Ok(document);
            }
            if let Some(status) = self.child.0.try_wait().unwrap() {
                return Err(format!("it ended with {status}"));
            }
            if clock.monotonic() - started > START_MAX {
                return Err(format!("nothing said within {START_MAX:?}"));
            }
            pause(millis(2)).await;
        }
    }

    /// Waits until it has said where it listens.
    pub async fn ready(mut self) -> Result<Server, String> {
        let clock = Clock::system();
        let started = clock.monotonic();
        loop {
            if let Some(server) = announced(&self.announcement) {
                let [public, admin] = server;
                return Ok(Server { process: self.child, public, admin });
            }
            if let Some(status) = self.child.0.try_wait().unwrap() {
                return Err(format!("it ended with {status}"));
            }
            if clock.monotonic() - started > START_MAX {
                return Err(format!("not ready within {START_MAX:?}"));
            }
            pause(millis(2)).await;
        }
    }
}

fn announced(file: &Path) -> Option<[SocketAddr; 2]> {
    let document: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    let address = |name: &str| document[name].as_str()?.parse().ok();
    Some([address("listen")?, address("admin")?])
}

/// A process that serves.
pub struct Server {
    pub process: Reaped,
    pub public: SocketAddr,
    pub admin: SocketAddr,
}

impl Server {
    pub fn client(&self) -> Client {
        Client::new(self.public)
    }

    /// SIGTERM, and how it ends; nothing when it does not within `bound`.
    pub async fn stop(mut self, bound: Duration) -> Option<ExitStatus> {
        self.process.signal("TERM");
        self.process.ended_within(bound).await
    }

    /// Memory that is resident, in bytes; nothing where that cannot be asked.
    pub fn resident_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.0.id()));
        let status = status.ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kibibytes * 1024)
    }
}
