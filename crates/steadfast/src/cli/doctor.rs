//! `doctor`

use std::path::PathBuf;

use serde_json::json;
use steadfast_journal::sqlite::disk;
use steadfast_time::Clock;

use super::{Failure, Out};
use crate::bench::probe;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  steadfast doctor --data /var/lib/steadfast")]
pub struct Args {
    /// A directory on the disk to measure.
    #[arg(long, value_name = "DIR", default_value = ".")]
    data: PathBuf,
}

impl Args {
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        let clock = Clock::system();
        let sync = probe::disk(&self.data, &clock).map_err(|error| {
            Failure::failed(format!("cannot measure the disk at {}: {error}", self.data.display()))
        })?;
        let interval = clock.interval();
        let error = interval.latest.since(interval.earliest) / 2;
        let micros = |length: std::time::Duration| length.as_micros();
        let disk::SyncLatency { samples, min, p50, p99, max } = sync;
        if out.json() {
            return out.document(&json!({
                "fdatasync_us": {
                    "min": micros(min), "p50": micros(p50), "p99": micros(p99), "max": micros(max),
                    "samples": samples,
                },
                "clock_error_ms": error.as_millis(),
            }));
        }
        out.line(format!(
            "disk   fdatasync of 4 KiB: p50 {} µs, p99 {} µs, max {} µs ({samples} samples)",
            micros(p50),
            micros(p99),
            micros(max),
        ))?;
        out.line(format!(
            "       one commit after another: at most {:.0}/s; group commit shares a sync",
            1.0 / p50.as_secs_f64().max(1e-9),
        ))?;
        out.line(format!("clock  the date is taken to be within ±{} ms", error.as_millis()))
    }
}
