//! The same experiments as processes: this program again, in other roles, with real signals between.
//!
//! A [`Stage`] starts processes of this program ([`Role`]) and takes all of them with it when it is
//! dropped, stopped ones included; a process whose starter is gone ends by itself, however that
//! one ended. Nothing here needs more rights than the user has.
//!
//! # Limits
//! Faults that a user's rights or this machine do not allow (another clock for one process, a full
//! disk) exist in simulation only, or inside a role that injects them itself; a system says which.

mod process;
mod role;

use std::path::Path;

use tempfile::TempDir;

pub use process::Process;
pub use role::{Again, Role, play};

use crate::Error;

/// What can go wrong in a role.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Where real trials run: how this program is started again, a scratch folder, and the coordination
/// engine that is to be used.
pub struct Stage {
    again: Again,
    scratch: TempDir,
    engine: Option<String>,
}

impl Stage {
    /// A stage with a scratch folder that goes with it.
    ///
    /// # Errors
    /// When there is no room for one.
    pub fn new(again: Again) -> Result<Self, Error> {
        let scratch = tempfile::Builder::new().prefix("steadfast-lab-").tempdir();
        let scratch =
            scratch.map_err(|source| Error::File { path: std::env::temp_dir(), source })?;
        Ok(Self { again, scratch, engine: None })
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
        Process::start(&self.again, role, &self.scratch().join(format!("{name}.log")))
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").field("engine", &self.engine()).finish_non_exhaustive()
    }
}
