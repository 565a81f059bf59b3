//! How much a journal costs on top of the database below it.
//!
//! Three things are measured in the same directory, one after the other, each with the disk's own
//! sync latency beside it, because that bounds everything else:
//!
//! 1. **bare**: SQLite alone, one thread, five rows per order (the order, two events, a message,
//!    a random idempotency key), a sync per batch.
//! 2. **journal**: the same five rows as one write, through [`Journal`] and its writer thread,
//!    from as many callers as the batch is large.
//! 3. **platform**: everything that one order costs the whole platform (eight writes with events,
//!    messages, claims, inbox marks, timers, records and guards), straight into the engine.
//!
//! ```text
//! cargo bench -p steadfast-journal --bench journal -- [--directory DIR] [--seconds S]
//!     [--only bare|journal|platform] [--stored ORDERS] [--batch WRITES]
//!     [--checkpoint-mib M] [--log-mib M]
//! ```
//!
//! `--stored` first fills the journal with that many orders, then measures it against an empty
//! one, and reports the start-up time. In a directory on a memory file system what remains is the
//! processor's share.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed measurement is a panic")]

mod bare;
mod platform;
mod through;

use std::path::{Path, PathBuf};
use std::time::Duration;

use steadfast_journal::sqlite::{self, disk};
use steadfast_time::Clock;

/// What the command line chooses.
#[derive(Clone, Debug)]
struct Plan {
    directory: Option<PathBuf>,
    seconds: f64,
    only: Option<String>,
    stored: u64,
    batches: Option<usize>,
    options: sqlite::Options,
}

impl Plan {
    fn from_args() -> Self {
        let mut plan = Self {
            directory: None,
            seconds: 2.0,
            only: None,
            stored: 0,
            batches: None,
            options: sqlite::Options::default(),
        };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().unwrap_or_else(|| panic!("{arg} needs a value"));
            match arg.as_str() {
                "--directory" => plan.directory = Some(value().into()),
                "--seconds" => plan.seconds = value().parse().expect("seconds"),
                "--only" => plan.only = Some(value()),
                "--stored" => plan.stored = value().parse().expect("a number of orders"),
                "--batch" => plan.batches = Some(value().parse().expect("a number of writes")),
                "--checkpoint-mib" => plan.options.checkpoint_bytes = mib(&value()),
                "--log-mib" => plan.options.log_bytes = mib(&value()),
                "--bench" => {}
                other => panic!("unknown argument {other}"),
            }
        }
        plan
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == name)
    }

    /// The sizes of batches to measure.
    fn batches(&self, usual: &[usize]) -> Vec<usize> {
        self.batches.map_or_else(|| usual.to_vec(), |batch| vec![batch])
    }

    fn length(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

/// What one run came to.
#[derive(Debug)]
struct Outcome {
    orders: u64,
    elapsed: Duration,
    /// One per commit (bare, platform) or per write (journal).
    latencies: Vec<Duration>,
    batch_mean: f64,
}

impl Outcome {
    fn rate(&self) -> f64 {
        self.orders as f64 / self.elapsed.as_secs_f64()
    }

    fn percentile_ms(&self, percent: usize) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    }

    fn print(&self, name: &str, batch: usize, disk: disk::SyncLatency, note: &str) {
        println!(
            "{name:<9} {batch:>5} {:>9.0} {:>9.2} {:>9.2} {:>7.1} {:>8} {:>8}  {note}",
            self.rate(),
            self.percentile_ms(50),
            self.percentile_ms(99),
            self.batch_mean,
            disk.p50.as_micros(),
            disk.p99.as_micros(),
        );
    }
}

fn mib(text: &str) -> u64 {
    text.parse::<u64>().expect("a number of MiB") << 20
}

fn probe(directory: &Path, clock: &Clock) -> disk::SyncLatency {
    disk::fdatasync_latency(directory, 100, clock).expect("the disk can be measured")
}

fn main() {
    let plan = Plan::from_args();
    let clock = Clock::system();
    let scratch = match &plan.directory {
        Some(directory) => tempfile::tempdir_in(directory),
        None => tempfile::tempdir(),
    }
    .expect("a scratch directory");
    println!("in {}", scratch.path().display());
    println!("          batch  orders/s    p50 ms    p99 ms    mean  sync p50  sync p99 (us)");
    if plan.wants("bare") || plan.wants("journal") {
        for batch in plan.batches(&[1, 16, 128]) {
            let mut bare = None;
            if plan.wants("bare") {
                let disk = probe(scratch.path(), &clock);
                let outcome = bare::run(scratch.path(), batch, plan.length(), &clock);
                outcome.print("bare", batch, disk, "");
                bare = Some(outcome.rate());
            }
            if plan.wants("journal") {
                let disk = probe(scratch.path(), &clock);
                let outcome = through::run(scratch.path(), batch, plan.length(), &clock);
                let note = bare.map_or(String::new(), |bare| {
                    format!("bare is {:.2} x", bare / outcome.rate())
                });
                outcome.print("journal", batch, disk, &note);
            }
        }
    }
    if plan.wants("platform") {
        for batch in plan.batches(&[64, 256]) {
            let disk = probe(scratch.path(), &clock);
            let fresh = platform::run(scratch.path(), batch, &plan, 0, &clock);
            let note = format!("{:.1} us per order", 1e6 / fresh.rate());
            fresh.print("platform", batch, disk, &note);
            if plan.stored > 0 {
                let disk = probe(scratch.path(), &clock);
                let full = platform::run(scratch.path(), batch, &plan, plan.stored, &clock);
                let note =
                    format!("{} stored: {:.2} of empty", plan.stored, full.rate() / fresh.rate());
                full.print("platform", batch, disk, &note);
            }
        }
    }
}
