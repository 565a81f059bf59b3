//! A recorded day through the real order, saga and dispatch code, in simulated time.
//!
//! The day's customers place their orders when they did, its couriers start their shifts when
//! they did, travel and hand over by the rules of the recorded days; everything else is the
//! platform itself. A day takes seconds and comes out the same each time.
//!
//! On SQLite the replay can be killed at any moment and started again: what has happened is in
//! the journal, so the driver reads it back, finishes the minute that was interrupted, and goes
//! on. Three things make the result the same as that of an undisturbed run: everything within a
//! minute happens in a fixed order and is idempotent, a tick's offers are one write, and the
//! policy sees only what is in the journal.

pub mod check;
pub mod day;
mod driver;
mod history;
pub mod plan;
mod storage;
pub mod summary;
mod table;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use steadfast_dispatch::zone::PolicyName;

use day::Day;
use summary::Summary;

/// What to replay, and how.
#[derive(Clone, Debug)]
pub struct Args {
    /// The directory with the day's four files.
    pub dir: PathBuf,
    /// Where the plan is written.
    pub out: PathBuf,
    /// Who decides.
    pub policy: PolicyName,
    /// Where the journals are kept; in memory when absent.
    pub data: Option<PathBuf>,
}

/// What came of a replay.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Who decided.
    pub policy: PolicyName,
    /// The day's measures.
    #[serde(flatten)]
    pub summary: Summary,
    /// How long it took.
    pub wall_s: f64,
    /// Processor time, all threads.
    pub cpu_s: f64,
}
