//! The same experiments as processes: this program again, in other roles, with real signals between.
//!
//! A [`Stage`] starts processes of this program ([`Role`]) and takes all of them with it when it is
//! dropped, stopped ones included; a process whose starter is gone is killed by the kernel, however
//! that one ended. Nothing here needs more rights than the user has.
//!
//! # Limits
//! Faults that a user's rights or this machine do not allow (another clock for one process, a full
//! disk) exist in simulation only, or inside a role that injects them itself; a system says which.
//!
//! A program that is itself ended by `SIGKILL` cannot tidy up: its processes are gone, its scratch
//! folder stays (`steadfast-lab-*` in the folder for temporary files).

pub mod clock;
mod crew;
pub mod engine;
pub mod http_proxy;
mod process;
mod role;
pub mod schedule;
mod spread;
mod starter;
pub(crate) mod tasks;
pub mod tcp_proxy;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub use crew::Crew;
pub use process::Process;
pub use role::{Again, Role, play};
pub use spread::Spread;
pub(crate) use spread::quantile;

use starter::Starter;

use crate::Error;

/// What can go wrong in a role.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Where real trials run: how this program is started again, a scratch folder, and the coordination
/// engine that is to be used.
pub struct Stage {
    again: Again,
    /// Before the folder: processes end before their files go.
    starter: Starter,
    scratch: TempDir,
    engine: Option<String>,
}

impl Stage {
    /// A stage with a scratch folder that goes with it.
    ///
    /// # Errors
    /// When there is no room for one, or for a thread.
    pub fn new(again: Again) -> Result<Self, Error> {
        Self::within(&std::env::temp_dir(), again)
    }

    /// The same with its scratch folder in another than the one for temporary files. Its path should
    /// be short: sockets are in it.
    ///
    /// # Errors
    /// As [`Stage::new`].
    pub fn within(folder: &Path, again: Again) -> Result<Self, Error> {
        let scratch = tempfile::Builder::new().prefix("steadfast-lab-").tempdir_in(folder);
        let scratch = scratch.map_err(|source| Error::File { path: folder.to_owned(), source })?;
        let starter = Starter::new();
        let starter = starter.map_err(|source| Error::File { path: "a thread".into(), source })?;
        Ok(Self { again, starter, scratch, engine: None })
    }

    /// With the coordination engine at an address: `embedded`, `etcd://127.0.0.1:2379`,
    /// `redis://…`, `redlock://…,…` as the configuration key `coordination` has them.
    #[must_use]
    pub fn with_engine(mut self, engine: impl Into<String>) -> Self {
        self.engine = Some(engine.into());
        self
    }

    /// The coordination engine that is to be used; the embedded one when none was named.
    #[must_use]
    pub fn engine(&self) -> &str {
        self.engine.as_deref().unwrap_or("embedded")
    }

    /// The coordination engine without its password, for people to see.
    #[must_use]
    pub fn engine_shown(&self) -> String {
        engine::without_password(self.engine())
    }

    /// A folder for sockets, data and logs. Its path is short, for sockets.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Starts this program in a role; what it complains of goes to `NAME.log` in the scratch folder.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, name: &str, role: &Role) -> Result<Process, Failure> {
        Process::start(&self.starter, &self.again, role, &self.log(name))
    }

    fn log(&self, name: &str) -> PathBuf {
        self.scratch().join(format!("{name}.log"))
    }

    /// What the process of that name has complained of last, to be added to a message: `: …`, or
    /// nothing when it has not.
    #[must_use]
    pub fn complaint(&self, name: &str) -> String {
        let log = std::fs::read_to_string(self.log(name)).unwrap_or_default();
        let last = log.lines().rev().map(str::trim).find(|line| !line.is_empty());
        last.map_or_else(String::new, |line| format!("; it says: {line}"))
    }

    /// A fresh folder in the scratch folder, for one trial.
    ///
    /// # Errors
    /// When there is no room for one.
    pub fn folder(&self) -> Result<TempDir, Failure> {
        Ok(tempfile::Builder::new().prefix("t").rand_bytes(4).tempdir_in(self.scratch())?)
    }

    /// Leaves the scratch folder where it is when this is dropped, for somebody to look at.
    pub fn keep(&mut self) -> &Path {
        self.scratch.disable_cleanup(true);
        self.scratch.path()
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").field("engine", &self.engine()).finish_non_exhaustive()
    }
}
