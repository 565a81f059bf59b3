//! This program again, as another process.

use std::process::Command;
use std::sync::Arc;

use futures::future::LocalBoxFuture;
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Failure;

/// What a process of this program is: a part of a system, and its orders.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Role {
    /// Which part: `lock/worker`.
    pub part: String,
    /// Its orders.
    pub job: Value,
}

/// How this program is started in the role in its argument, which is JSON.
pub type Again = Arc<dyn Fn(&str) -> Command + Send + Sync>;

type Play = fn(Value) -> LocalBoxFuture<'static, Result<(), Failure>>;

/// Every part that a process can play.
const PARTS: &[(&str, Play)] = &[];

impl Role {
    /// A part with its orders.
    ///
    /// # Errors
    /// When the orders cannot be written as JSON.
    pub fn new(part: &str, job: &impl Serialize) -> Result<Self, Failure> {
        Ok(Self { part: part.to_owned(), job: serde_json::to_value(job)? })
    }
}

/// Plays a role until it is over; what the other process has to call.
///
/// # Errors
/// When the role is unknown, or ends badly.
pub fn play(role: &str) -> Result<(), Failure> {
    // Whatever becomes of the one that started this, a stopped process must not stay for ever.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let role: Role = serde_json::from_str(role)?;
    let part = PARTS.iter().find(|(name, _)| *name == role.part);
    let (_, play) = part.ok_or_else(|| format!("there is no part {:?}", role.part))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(play(role.job))
}
