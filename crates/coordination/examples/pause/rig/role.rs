//! This program again, as another process.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use super::wire::Job;
use super::{Outcome, engine, worker};

/// What a process of this program is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Role {
    Worker(Job),
    /// The embedded engine's server.
    Server {
        folder: PathBuf,
    },
}

/// How this program is started as the role in its argument, which is JSON.
pub type Again = Arc<dyn Fn(&str) -> Command + Send + Sync>;

/// Plays a role; what the other process has to call.
pub fn play(role: &str) -> Outcome<()> {
    // Whatever becomes of the one that started this, a stopped worker must not stay for ever.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match serde_json::from_str(role)? {
            Role::Worker(job) => worker::work(job).await,
            Role::Server { folder } => engine::serve(&folder).await,
        }
    })
}
