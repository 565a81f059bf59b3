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
//!
//! ```text
//!  day ──► driver (minute by minute: hand over, place, tick) ──► journal
//!                                                                  │
//!  report ◄── summary ◄── check ◄── three files ◄── plan ◄── history
//! ```
//!
//! Figures are only given for files that have passed the strict [`check`], read back from where
//! they were written. Orders that nobody could deliver are a figure, not a failure.

pub mod check;
pub mod day;
mod driver;
mod error;
pub mod files;
mod history;
mod identity;
pub mod plan;
mod platform;
mod records;
mod storage;
pub mod summary;
mod table;
mod trips;
mod walk;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

use cpu_time::ProcessTime;
use serde::Serialize;
use steadfast_dispatch::zone::PolicyName;
use steadfast_time::Clock;

use day::Day;
use driver::Driver;
pub use error::Error;
use files::Files;
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

/// How far a replay is, after each minute of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Minutes that are over.
    pub minute: u64,
    /// Minutes until the last shift and the last placement are over. The last trips may take longer; then `minute` stays at
    /// this.
    pub of: u64,
    /// Orders delivered so far.
    pub delivered: usize,
}

/// What came of a replay.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Who decided.
    pub policy: PolicyName,
    /// The day's measures.
    #[serde(flatten)]
    pub summary: Summary,
    /// How long it took, in seconds. A replay that was continued counts from there.
    pub wall_s: f64,
    /// Processor time of all threads meanwhile, in seconds.
    pub cpu_s: f64,
}

/// Replays a day, writes its plan, and checks what was written.
///
/// `progress` is called after each minute of the day.
///
/// # Errors
/// The day cannot be read, the journals or the files cannot be written, the data directory
/// belongs to something else, or (a bug, or a hand in the files) the plan breaks a rule. See
/// [`Error`].
pub fn run(args: &Args, mut progress: impl FnMut(Progress)) -> Result<Report, Error> {
    let (clock, cpu) = (Clock::system(), ProcessTime::now());
    let begun = clock.monotonic();
    let day = Day::read(&args.dir)?;
    let mut driver = Driver::start(&day, args)?;
    let of = driver.minutes();
    while let Some(minute) = driver.next_minute() {
        driver.minute(minute)?;
        let over = u64::try_from(minute + 1).unwrap_or(0);
        let delivered = driver.delivered();
        progress(Progress { minute: over.min(of), of, delivered });
    }
    let plan = driver.plan()?;
    drop(driver);
    plan.render(&day).save(&args.out)?;
    let violations = check::check(&day, &Files::load(&args.out)?);
    if !violations.is_empty() {
        return Err(Error::RulesBroken { dir: args.out.clone(), violations });
    }
    Ok(Report {
        policy: args.policy,
        summary: Summary::of(&day, &plan),
        wall_s: (clock.monotonic() - begun).as_secs_f64(),
        cpu_s: cpu.elapsed().as_secs_f64(),
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = match self.policy {
            PolicyName::Nearest => "nearest",
            PolicyName::Batch => "batch",
        };
        writeln!(f, "policy                {policy}")?;
        writeln!(f, "{}", self.summary)?;
        writeln!(f, "wall time             {:.2} s", self.wall_s)?;
        write!(f, "processor time        {:.2} s", self.cpu_s)
    }
}
