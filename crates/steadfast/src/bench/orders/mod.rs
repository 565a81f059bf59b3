//! How many orders a second this machine carries, and how long each takes.
//!
//! The whole platform runs in this process as `up` would run it, and a generator on a thread of
//! its own talks to it over HTTP like anybody else. The journal's feed says when an order has
//! become `assigned`, so what is counted is what is durable, not what somebody answered.
//!
//! | module | does |
//! |---|---|
//! | [`load`] | sends orders: closed loop (as many as come back) or open loop (at a rate) |
//! | [`follow`] | counts assignments and measures the way there |
//! | [`city`] | zones and couriers, over HTTP |
//! | [`preload`] | stores finished orders first |
//! | [`report`] | the result, as JSON and as a table |
//!
//! # Limits
//! Generator and platform share the machine, and its memory is counted with the platform's. A
//! remote generator would show a higher rate.

mod city;
mod follow;
mod load;
mod preload;
mod report;
mod request;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use steadfast_journal::{Journal, Stats};
use steadfast_time::Clock;

use self::follow::Follower;
use self::load::{Generator, Load};
use self::report::{Circumstances, CommitBatch};
use super::{Scratch, Window, probe, progress};
use crate::cli::{Client, Failure};
use crate::config::Config;
use crate::config::value::{Locations, OrOff};
use crate::platform::Platform;

pub use self::report::Report;

/// How often the progress bar moves, and how soon the end of the window is noticed.
const BEAT: Duration = Duration::from_millis(50);

/// What is measured, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections that are kept alive.
    pub connections: usize,
    /// How long is measured.
    pub duration: Duration,
    /// How long runs before that.
    pub warmup: Duration,
    /// Orders a second, in open loop; as many as come back, when absent.
    pub rate: Option<f64>,
    /// Couriers, who take every offer at once.
    pub couriers: usize,
    /// Finished orders to store first.
    pub preload: u64,
    /// The data directory, which is kept; a scratch one when absent.
    pub data: Option<PathBuf>,
}

/// Measures. `config` says how the platform is set up; where it listens, where its data is and
/// what would keep the bench's couriers from working is decided here.
///
/// # Errors
/// The platform did not start, or could not be reached.
pub fn run(config: Config, options: &Options) -> Result<Report, Failure> {
    let scratch = Scratch::new(options.data.as_deref())
        .map_err(|error| Failure::failed(format!("cannot make a data directory: {error}")))?;
    let config = prepared(config, &scratch);
    let clock = Clock::system();
    let runtime = crate::runtime::build()
        .map_err(|error| Failure::failed(format!("cannot start a runtime: {error}")))?;
    if options.preload > 0 {
        preload::store(&config, options.preload, &runtime, &clock)?;
    }
    let disk = |clock: &Clock| {
        probe::disk(scratch.beside(), clock)
            .map_err(|error| Failure::failed(format!("cannot measure the disk: {error}")))
    };
    let before = disk(&clock)?;

    let starting = clock.monotonic();
    let platform = runtime
        .block_on(Platform::start(&config, clock.clone()))
        .map_err(|error| Failure::of(&error))?;
    let startup = clock.monotonic() - starting;
    let journal = platform.journal().clone();
    city::open(&Client::at(platform.public()), options.couriers, clock.now())?;
    let head = journal.store().head().map_err(|error| Failure::of(&error))?.position;

    let io = |error: std::io::Error| Failure::failed(format!("the generator failed: {error}"));
    let window = Arc::new(Window::new(clock.monotonic() + options.warmup, options.duration));
    let feed = journal.follow(head);
    let follower = Follower::start(feed, clock.clone(), Arc::clone(&window)).map_err(io)?;
    let placed = Arc::new(AtomicU64::new(0));
    let load = Load {
        address: platform.public(),
        connections: options.connections,
        rate: options.rate,
        seed: fastrand::u64(..),
        placed: Arc::clone(&placed),
    };
    let generator = Generator::start(load, clock.clone(), Arc::clone(&window)).map_err(io)?;
    let watched = runtime.block_on(watch(&journal, &clock, &window, &placed));
    let seen = generator.join().map_err(io)?;
    let rss_mb = probe::resident_mb();
    runtime.block_on(platform.stop()).map_err(|error| Failure::of(&error))?;
    // The feed ends when nobody can commit any more.
    drop(journal);
    let followed = follower.join().map_err(|error| Failure::of(&error))?;
    let after = disk(&clock)?;
    Ok(Report::new(
        seen,
        &followed,
        Circumstances {
            before,
            after,
            commits: CommitBatch::between(watched.before, watched.after),
            length: window.length(),
            interrupted: watched.interrupted,
            connections: options.connections,
            rate: options.rate,
            couriers: options.couriers,
            events_before: head.0,
            preloaded: options.preload,
            startup,
            rss_mb,
        },
    ))
}

fn prepared(mut config: Config, scratch: &Scratch) -> Config {
    let anywhere = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0));
    (config.listen, config.admin) = (anywhere, anywhere);
    config.data = scratch.path().to_owned();
    config.dispatch.locations = Locations::Planar;
    // The bench's couriers send no signs of life.
    config.dispatch.heartbeat_timeout = OrOff::Off;
    // Nobody runs out of dishes.
    config.providers.sandbox.default_stock = steadfast_providers::limits::DEFAULT_STOCK_MAX;
    config
}

struct Watched {
    before: Stats,
    after: Stats,
    interrupted: bool,
}

/// Waits for the window's end or Ctrl-C, reads the journal's counters at both ends of it, and
/// shows progress.
async fn watch(journal: &Journal, clock: &Clock, window: &Window, placed: &AtomicU64) -> Watched {
    let whole = window.end() - clock.monotonic();
    let bar = progress::bar(u64::try_from(whole.as_millis()).unwrap_or(u64::MAX), "placing");
    let started = clock.monotonic();
    let mut before = None;
    let mut interrupted = false;
    let mut interrupt = Box::pin(tokio::signal::ctrl_c());
    while !window.is_over(clock.monotonic()) {
        tokio::select! {
            biased;
            _ = &mut interrupt, if !interrupted => {
                interrupted = true;
                window.cut(clock.monotonic());
            }
            () = clock.sleep(BEAT) => {}
        }
        let now = clock.monotonic();
        if before.is_none() && now >= window.start() {
            before = Some(journal.stats());
        }
        bar.set_position(u64::try_from((now - started).as_millis()).unwrap_or(u64::MAX));
        bar.set_message(format!("{} placed", placed.load(Relaxed)));
    }
    bar.finish_and_clear();
    let after = journal.stats();
    Watched { before: before.unwrap_or(after), after, interrupted }
}
