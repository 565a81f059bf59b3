//! `replay`

use std::path::PathBuf;

use clap::ValueEnum;
use steadfast_dispatch::zone::PolicyName;

use super::{Failure, Out};
use crate::bench::progress;
use crate::replay;

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  steadfast replay data/mdrp/day-7 --out out
  steadfast replay data/mdrp/day-7 --out out --data replay-data    can be killed and continued")]
pub struct Args {
    /// The directory with the day: orders.txt, couriers.txt, restaurants.txt,
    /// instance_parameters.txt.
    dir: PathBuf,
    /// Where the plan is written, in the evaluator's formats.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Who decides which courier carries what.
    #[arg(long, default_value = "batch")]
    policy: Policy,
    /// Keep the journal here, on SQLite; in memory otherwise.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Policy {
    /// The nearest courier, at once.
    Nearest,
    /// All orders and couriers planned together, with bundles.
    Batch,
}

impl Args {
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        let policy = match self.policy {
            Policy::Nearest => PolicyName::Nearest,
            Policy::Batch => PolicyName::Batch,
        };
        let args = replay::Args { dir: self.dir, out: self.out, policy, data: self.data };
        let bar = progress::bar(0, "replaying");
        let report = replay::run(&args, |progress| {
            bar.set_length(progress.of);
            bar.set_position(progress.minute);
        });
        bar.finish_and_clear();
        let report = report.map_err(|error| Failure::of(&error))?;
        if out.json() { out.document(&report) } else { out.raw(format!("{report}\n").as_bytes()) }
    }
}
