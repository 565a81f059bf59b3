//! This program again, as another process.

use std::process::Command;
use std::sync::Arc;

use futures::future::LocalBoxFuture;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Failure, engine};
use crate::system::calls::server as calls;
use crate::system::lock::real as lock;

/// What a process of this program is: a part of a system, and its orders.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Role {
    /// Which part: `lock/worker`.
    pub part: String,
    /// Its orders.
    pub job: Value,
}

/// A role as it is handed over.
#[derive(Serialize, Deserialize)]
struct Handed {
    /// The process that starts it.
    starter: u32,
    role: Role,
}

/// How this program is started in the role in its argument, which is text. The command must be this
/// program itself, with no shell between: a process whose parent is another one takes its starter for
/// dead.
pub type Again = Arc<dyn Fn(&str) -> Command + Send + Sync>;

type Play = fn(Value) -> LocalBoxFuture<'static, Result<(), Failure>>;

/// Every part that a process can play.
const PARTS: &[(&str, Play)] = &[
    (engine::PART, |job| Box::pin(engine::serve(job))),
    (lock::PART, |job| Box::pin(lock::work(job))),
    (calls::PART, |job| Box::pin(calls::serve(job))),
];

impl Role {
    /// A part with its orders.
    ///
    /// # Errors
    /// When the orders cannot be written as JSON.
    pub fn new(part: &str, job: &impl Serialize) -> Result<Self, Failure> {
        Ok(Self { part: part.to_owned(), job: serde_json::to_value(job)? })
    }

    pub(super) fn to_text(&self, starter: u32) -> Result<String, Failure> {
        Ok(serde_json::to_string(&Handed { starter, role: self.clone() })?)
    }
}

/// Plays a role until it is over; what the other process has to call, first of all and on its main
/// thread or any that stays.
///
/// # Errors
/// When the role is unknown, or ends badly, or whoever started this is gone.
pub fn play(role: &str) -> Result<(), Failure> {
    let Handed { starter, role } = serde_json::from_str(role)?;
    tie(starter)?;
    let part = PARTS.iter().find(|(name, _)| *name == role.part);
    let (_, play) = part.ok_or_else(|| format!("there is no part {:?}", role.part))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(play(role.job))
}

/// Ties this life to the starter's: whatever becomes of that one, a stopped process must not stay for
/// ever.
fn tie(starter: u32) -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended before that. Then there will be no signal.
    let is_there =
        getppid().is_some_and(|parent| i64::from(parent.as_raw_pid()) == i64::from(starter));
    if !is_there {
        return Err("whoever started this process is gone".into());
    }
    // From now on it may be stopped. The starter may be past listening.
    let _ = rustix::io::write(std::io::stdin(), b"1");
    Ok(())
}
