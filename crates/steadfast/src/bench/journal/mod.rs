//! What a journal costs on top of the database below it.
//!
//! The same five rows per order are stored twice: by SQLite alone, one thread, a transaction and
//! a sync per batch; and as one [`steadfast_journal::Write`] each, by as many callers as a batch
//! is large. Both sync before anybody is told that it is done.
//!
//! The rows: two events, a message, an idempotency key with its answer, a record. The journal
//! adds what makes them a journal: checks, the chain of hashes, answers to each caller, feeds.

mod bare;
mod through;

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use steadfast_time::{Clock, Timestamp, Uuid};

use super::{Micros, Scratch, as_f64, probe};

/// Anything that can end a bench.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Rows of one order.
const ROWS: u32 = 5;

/// The result of `bench journal`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Orders of five rows that SQLite alone stored per second.
    pub bare_per_s: f64,
    /// Orders of five rows that went through the journal per second.
    pub journal_per_s: f64,
    /// How many times longer the journal takes.
    pub factor: f64,
    /// Rows of an order.
    pub rows: u32,
    /// Orders in a batch at most.
    pub batch: usize,
    /// Orders in the journal's batches on average.
    pub journal_batch_mean: f64,
    /// How long each ran.
    pub duration_s: f64,
    /// The disk's own sync latency.
    pub fdatasync_us: Micros,
}

impl Report {
    /// For people.
    pub fn render(&self) -> String {
        let Micros { p50, p99 } = self.fdatasync_us;
        format!(
            "bare SQLite   {:>8.0} orders/s of {} rows, {} in a batch\n\
             journal       {:>8.0} orders/s, {:.0} in a batch on average\n\
             factor        {:>8.2}\n\
             fdatasync     p50 {p50}   p99 {p99} µs, the disk alone\n",
            self.bare_per_s,
            self.rows,
            self.batch,
            self.journal_per_s,
            self.journal_batch_mean,
            self.factor,
        )
    }
}

/// Measures both, one after the other, on the disk of `data` (the working directory's when
/// absent).
///
/// # Errors
/// Storage failed.
pub fn run(length: Duration, batch: usize, data: Option<&Path>) -> Result<Report, Error> {
    let clock = Clock::system();
    let scratch = match data {
        Some(path) => tempfile::Builder::new()
            .prefix(".steadfast-bench-")
            .tempdir_in(path)
            .map(Scratch::Removed)?,
        None => Scratch::new(None)?,
    };
    let sync = probe::disk(scratch.path(), &clock)?;
    let micros = |length: Duration| u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
    let bare = bare::run(&scratch.path().join("bare.db"), length, batch, &clock)?;
    let (journal, mean) = through::run(&scratch.path().join("journal"), length, batch, &clock)?;
    Ok(Report {
        bare_per_s: bare,
        journal_per_s: journal,
        factor: bare / journal.max(1e-9),
        rows: ROWS,
        batch,
        journal_batch_mean: mean,
        duration_s: length.as_secs_f64(),
        fdatasync_us: Micros { p50: micros(sync.p50), p99: micros(sync.p99) },
    })
}

/// Orders per second.
fn rate(orders: u64, length: Duration) -> f64 {
    as_f64(orders) / length.as_secs_f64().max(1e-9)
}

/// What both store of one order.
struct Sample {
    id: Uuid,
    key: String,
    at: Timestamp,
}

/// Details of an order, of a usual size.
const PLACED: &[u8] = br#"{"request":{"merchant":"r17","pickup":{"x":22135,"y":16867},"dropoff":{"x":22226,"y":13960},"items":[{"sku":"bento","quantity":2}],"amount":{"currency":"KRW","minor":18000}},"zone":"default","tenant":"public"}"#;
const RESERVED: &[u8] = br#"{"reservation":"0199c1a2-7d5e-7000-8000-000000000001"}"#;
const ANSWER: &[u8] =
    br#"{"id":"0199c1a2-7d5e-7000-8000-000000000001","status":"placed","version":1}"#;
const RECORD: &[u8] = br#"{"status":"placed","version":2}"#;

/// Makes orders.
struct Samples {
    ids: steadfast_time::Ids,
    clock: Clock,
}

impl Samples {
    fn new(clock: &Clock) -> Self {
        Self { ids: steadfast_time::Ids::from_entropy(), clock: clock.clone() }
    }

    fn next(&self) -> Sample {
        let at = self.clock.now();
        let key = format!("{:032x}", fastrand::u128(..));
        Sample { id: self.ids.next(at), key, at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_store_orders_and_leave_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let length = Duration::from_millis(200);
        let report = run(length, 16, Some(directory.path())).unwrap();
        assert!(report.bare_per_s > 0.0 && report.journal_per_s > 0.0, "{report:?}");
        assert!(report.journal_batch_mean >= 1.0 && report.journal_batch_mean <= 16.0);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        assert!(report.render().contains("factor"));
    }
}
