//! PostgreSQL servers for tests: the shared one, or one of the test's own that it may kill.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use steadfast_coordination::engine::postgres::{Options, Postgres};
use steadfast_coordination::port::{Mode, Name, Request, SessionId};
use steadfast_time::Uuid;
use tempfile::TempDir;

pub const VARIABLE: &str = "STEADFAST_POSTGRES";

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

/// Options for a schema of the test's own.
pub fn options(url: &str) -> Options {
    let mut options = Options::new(url).unwrap();
    options.schema = format!("t{:016x}", fastrand::u64(..));
    options
}

/// Runs statements as the server's superuser.
pub async fn sql(url: &str, statements: &str) {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    client.batch_execute(statements).await.unwrap();
    drop(client);
    driver.await.unwrap().unwrap();
}

/// A server of the test's own. Ends when dropped.
pub struct Server {
    folder: TempDir,
    programs: PathBuf,
    pub port: u16,
}

impl Server {
    /// Starts one, if PostgreSQL's programs are there. As root, the server runs as `postgres`.
    pub fn start() -> Option<Self> {
        shared(VARIABLE)?;
        let Some(programs) = programs() else {
            eprintln!("left out: {VARIABLE} is set, but no initdb is installed here");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { folder, programs, port };
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(server.folder.path()));
        }
        run(server
            .program("initdb")
            .args(["-A", "trust", "-U", "steadfast", "-D"])
            .arg(server.data()));
        server.restart();
        Some(server)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command.current_dir(self.folder.path());
        command
    }

    /// Starts the server with its data and waits until it takes connections.
    pub fn restart(&self) {
        let settings =
            format!("-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories=", self.port);
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let from = log.len();
        let mut start = self.program("pg_ctl");
        start.args(["start", "-w", "-t", "60", "-o", &settings, "-D"]).arg(self.data());
        start.arg("-l").arg(self.folder.path().join("log"));
        let status = start.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        assert!(status.success(), "{}", log.get(from..).unwrap_or_default());
    }

    pub fn url(&self) -> String {
        format!("postgres://steadfast@127.0.0.1:{}/postgres", self.port)
    }

    /// The server's processes: all whose working directory is the data folder. Backends outlive a
    /// killed postmaster for a moment, so its children alone would not do.
    fn processes(&self) -> Vec<String> {
        let data = self.data();
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        all.filter(|process| {
            std::fs::read_link(process.path().join("cwd")).is_ok_and(|folder| folder == data)
        })
        .map(|process| process.file_name().to_string_lossy().into_owned())
        .collect()
    }

    /// Sends a signal to all of the server's processes.
    pub fn signal(&self, signal: &str) {
        for process in self.processes() {
            // A backend may have ended by itself meanwhile.
            let _ = Command::new("kill").args([signal, &process]).stderr(Stdio::null()).status();
        }
    }

    /// Kills it at once with all its backends, and waits until they are gone.
    pub fn kill(&self) {
        for _ in 0..500 {
            if self.processes().is_empty() {
                // All are gone, but where nobody collects orphans their numbers stay in use, and
                // the next start would take this file's for a running server's.
                let _ = std::fs::remove_file(self.data().join("postmaster.pid"));
                return;
            }
            self.signal("-KILL");
            std::thread::park_timeout(Duration::from_millis(10));
        }
        panic!("the server does not end");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal("-CONT");
        let _ = self
            .program("pg_ctl")
            .args(["stop", "-m", "immediate", "-D"])
            .arg(self.data())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:\t0\t"))
}

fn programs() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    folders.sort();
    let path = std::env::var_os("PATH")?;
    let mut folders = std::env::split_paths(&path).chain(folders.into_iter().rev());
    folders.find(|folder: &PathBuf| Path::is_file(&folder.join("initdb")))
}

/// Connects in a schema of its own.
pub async fn connect(url: &str) -> Postgres {
    Postgres::connect_with(options(url)).await.unwrap()
}
