//! `bench orders|locks|journal`

use std::path::PathBuf;

use clap::Subcommand;

use super::args::ConfigArgs;
use super::{Failure, Out};
use crate::bench;
use crate::bench::locks::{Engine, Target};
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
    /// Lock and unlock, at the embedded engine or any other, and compare them.
    #[command(after_help = "\
Examples:
  steadfast bench locks                                    the embedded engine, a process of its own
  steadfast bench locks --compare etcd=127.0.0.1:2379      in turns with another
  steadfast bench locks --engine redis --url 127.0.0.1:6379

Closed loop: each client locks, unlocks, and begins again. Every engine gets the same connections.
Ctrl-C ends early and prints what was measured.")]
    Locks(LocksArgs),
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

/// Arguments of `bench locks`.
#[derive(Debug, clap::Args)]
pub struct LocksArgs {
    /// The engine.
    #[arg(long, value_enum, default_value_t = Engine::Embedded, hide_possible_values = true,
          value_name = "embedded|postgres|etcd|zookeeper|redis")]
    engine: Engine,
    /// Where it is [default for embedded: one is started, with scratch data].
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Another engine to measure in turns with it; may be given several times.
    #[arg(long, value_name = "ENGINE=URL")]
    compare: Vec<Target>,
    /// Clients that lock and unlock at once.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = within::<1, 10_000>)]
    clients: usize,
    /// Connections that they share, each with one session: as many processes.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = within::<1, 256>)]
    connections: usize,
    /// How long to measure each engine.
    #[arg(long, value_name = "TIME", default_value = "6s")]
    duration: Length,
    /// How long to run each before that.
    #[arg(long, value_name = "TIME", default_value = "1s")]
    warmup: Length,
    /// The length of the sessions.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    ttl: Length,
    /// All clients want the same lock: how fast it is handed over.
    #[arg(long)]
    same_name: bool,
    /// A directory for the data of an engine that is started here, which is kept [default: a scratch
    /// one on the working directory's disk].
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
            Self::Locks(args) => args.run(out),
            Self::Journal(JournalArgs { duration, batch, data }) => {
                let report = bench::journal::run(duration.get(), batch, data.as_deref())
                    .map_err(|error| Failure::failed(format!("the bench failed: {error}")))?;
                if out.json() { out.document(&report) } else { out.raw(report.render().as_bytes()) }
            }
        }
    }
}

impl LocksArgs {
    fn run(self, out: &mut Out) -> Result<(), Failure> {
        let Self { clients, connections, .. } = self;
        if connections > clients {
            let why = format!("--connections: {clients} clients cannot use {connections} of them");
            return Err(Failure::Usage(why));
        }
        if self.duration.get().is_zero() {
            return Err(Failure::Usage("--duration: must be longer than nothing".to_owned()));
        }
        let target = Target::new(self.engine, self.url.as_deref());
        let options = bench::locks::Options {
            target: target.map_err(|why| Failure::Usage(format!("--url: {why}")))?,
            compare: self.compare,
            clients,
            connections,
            duration: self.duration.get(),
            warmup: self.warmup.get(),
            ttl: self.ttl.get(),
            same_name: self.same_name,
            data: self.data,
        };
        let report = bench::locks::run(&options)?;
        if out.json() {
            out.document(&report)?
        } else {
            out.raw(report.render().as_bytes())?
        }
        match report.problem() {
            None => Ok(()),
            // The figures are there to be looked at, and to be believed by nobody.
            Some(problem) => out.finish().and(Err(Failure::Failed(problem))),
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
