//! `bench orders|journal`

use std::path::PathBuf;

use clap::Subcommand;

use super::args::ConfigArgs;
use super::{Failure, Out};
use crate::bench;
use crate::config::value::Length;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Place orders over HTTP against the whole platform, and follow them to a courier.
    #[command(after_help = "\
Examples:
  steadfast bench orders                        closed loop: as many as come back
  steadfast bench orders --rate 2000            open loop: due at a rate, whoever is ready
  steadfast bench orders --preload 1000000      with a million finished orders stored first

Latencies are corrected for coordinated omission. Ctrl-C ends early and prints what was measured.")]
    Orders(OrdersArgs),
    /// Write five rows per order: through bare SQLite, then through the journal.
    #[command(after_help = "Example:\n  steadfast bench journal --duration 5s")]
    Journal(JournalArgs),
}

/// Arguments of `bench orders`.
#[derive(Debug, clap::Args)]
pub struct OrdersArgs {
    /// Connections that are kept alive.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = within::<1, 100_000>)]
    connections: usize,
    /// How long to measure.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    duration: Length,
    /// How long to run before that.
    #[arg(long, value_name = "TIME", default_value = "2s")]
    warmup: Length,
    /// Orders a second that are due (open loop).
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Finished orders to store first; with --data, later runs find them there.
    #[arg(long, value_name = "N", default_value_t = 0)]
    preload: u64,
    /// Couriers on shift, in four zones.
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = within::<4, 100_000>)]
    couriers: usize,
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "STEADFAST_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// A data directory, which is kept [default: a scratch one on the working directory's disk].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Arguments of `bench journal`.
#[derive(Debug, clap::Args)]
pub struct JournalArgs {
    /// How long each of the two runs.
    #[arg(long, value_name = "TIME", default_value = "3s")]
    duration: Length,
    /// Writes in a batch at most, and writers at once.
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = within::<1, 512>)]
    batch: usize,
    /// A directory on the disk to measure [default: the working directory].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

fn within<const MIN: usize, const MAX: usize>(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (MIN..=MAX).contains(&number) => Ok(number),
        _ => Err(format!("must be a whole number from {MIN} to {MAX}")),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.1..=1_000_000.0).contains(&rate) => Ok(rate),
        _ => Err("must be a number of orders a second from 0.1 to 1000000".to_owned()),
    }
}

impl Command {
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        match self {
            Self::Orders(args) => args.run(out),
            Self::Journal(JournalArgs { duration, batch, data }) => {
                let report = bench::journal::run(duration.get(), batch, data.as_deref())
                    .map_err(|error| Failure::failed(format!("the bench failed: {error}")))?;
                if out.json() { out.document(&report) } else { out.raw(report.render().as_bytes()) }
            }
        }
    }
}

impl OrdersArgs {
    fn run(self, out: &mut Out) -> Result<(), Failure> {
        let options = bench::orders::Options {
            connections: self.connections,
            duration: self.duration.get(),
            warmup: self.warmup.get(),
            rate: self.rate,
            couriers: self.couriers,
            preload: self.preload,
            data: self.data.clone(),
        };
        let config = ConfigArgs { config: self.config, data: self.data }.load()?.config;
        let report = bench::orders::run(config, &options)?;
        if out.json() { out.document(&report) } else { out.raw(report.render().as_bytes()) }
    }
}
