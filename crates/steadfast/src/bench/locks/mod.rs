//! How many locks a second an engine gives and takes back, and how long each takes to get.
//!
//! Clients ask for a lock, hold it, give it back, wait for the server to confirm that, and ask
//! again: a closed loop. Each latency is that of one request which was sent when its client was
//! ready, so there is no schedule to fall behind and no coordinated omission to correct; equally,
//! nothing is said about what happens at a rate above what the engine carries.
//!
//! What is measured is what a user has: [`Client::lock`](steadfast_coordination::Client::lock),
//! from asking to holding, over a connection and a session that are kept alive meanwhile. A
//! *connection* stands for one process: a thread with a runtime, one connection to the engine, one
//! session, and its share of the clients. Every engine gets the same, and each in its turn, slice by
//! slice, so that a disk that slows down slows down all of them.
//!
//! The embedded engine runs as a process of its own (`steadfast coordinator`) in a scratch
//! directory, unless `--url` names one that is there.
//!
//! | module | does |
//! |---|---|
//! | [`engine`] | which engine, and where |
//! | [`server`] | a coordinator of our own |
//! | [`load`] | the clients |
//! | [`report`] | the result, as JSON and as a table |
//!
//! The tokens are checked on the way: each must be higher than all that were given before for the
//! same name. One that is not makes the bench fail, for what was measured is then no lock.
//!
//! # Limits
//! The clients share the machine with the engine. A server that was started by somebody else syncs
//! or does not sync to a disk of its own choice; what the engine promises is printed, what the
//! server is configured for is not known here.

mod engine;
mod load;
mod report;
mod server;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use steadfast_time::Clock;

use self::load::{Load, Seen, Subject};
use self::report::{Circumstances, Outcome};
use self::server::Server;
use super::{Scratch, Window, probe, progress};
use crate::cli::Failure;

pub use self::engine::{Engine, Target};
pub use self::report::Report;

/// How long an engine is measured before the next one has its turn.
const SLICE: Duration = Duration::from_secs(1);

/// How often the progress bar moves, and how soon Ctrl-C is noticed.
const BEAT: Duration = Duration::from_millis(50);

/// What is measured, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The engine.
    pub target: Target,
    /// Others, for comparison.
    pub compare: Vec<Target>,
    /// Clients that lock and unlock at once.
    pub clients: usize,
    /// Connections that they share.
    pub connections: usize,
    /// How long each engine is measured.
    pub duration: Duration,
    /// How long it runs before that.
    pub warmup: Duration,
    /// The length of the sessions.
    pub ttl: Duration,
    /// Whether all want the same lock.
    pub same_name: bool,
    /// Where the coordinator's data goes; a scratch directory when absent.
    pub data: Option<PathBuf>,
}

/// An engine with its clients.
struct Side {
    engine: Engine,
    subject: Subject,
    /// Ours, if it is.
    server: Option<Server>,
    seen: Seen,
}

/// Measures.
///
/// # Errors
/// An engine could not be started or reached.
pub fn run(options: &Options) -> Result<Report, Failure> {
    let scratch = Scratch::new(options.data.as_deref())
        .map_err(|error| Failure::failed(format!("cannot make a data directory: {error}")))?;
    let clock = Clock::system();
    let disk = || {
        probe::disk(scratch.beside(), &clock)
            .map_err(|error| Failure::failed(format!("cannot measure the disk: {error}")))
    };
    let before = disk()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start a runtime: {error}")))?;
    let mut sides = Vec::new();
    let targets = [&options.target].into_iter().chain(&options.compare);
    for (number, target) in targets.enumerate() {
        sides.push(runtime.block_on(Side::start(target, number, options, &scratch, &clock))?);
    }
    let interrupted = runtime.block_on(measure(&mut sides, options, &clock))?;
    let mut outcomes = sides.into_iter().map(Side::end);
    let first = outcomes.next().unwrap_or_else(|| Err(Failure::failed("nothing was measured")))?;
    let others = outcomes.collect::<Result<_, _>>()?;
    let around = Circumstances { before, after: disk()?, interrupted };
    Ok(Report::new(options, first, others, &around))
}

impl Side {
    async fn start(
        target: &Target,
        number: usize,
        options: &Options,
        scratch: &Scratch,
        clock: &Clock,
    ) -> Result<Self, Failure> {
        let (server, url) = match target.url() {
            Some(url) => (None, url.to_owned()),
            None => {
                let server = Server::start(scratch, number)?;
                let url = server.address().to_owned();
                (Some(server), url)
            }
        };
        let subject = Subject::start(&Load::new(options, &url), clock).await?;
        Ok(Self { engine: target.engine(), subject, server, seen: Seen::default() })
    }

    fn end(self) -> Result<Outcome, Failure> {
        let Self { subject, server, seen, .. } = self;
        let capabilities = subject.capabilities();
        subject.stop();
        let batch_mean = server.map(Server::stop).transpose()?;
        Ok(Outcome { capabilities, seen, batch_mean })
    }
}

/// Gives each engine its turns; says whether it was ended early.
async fn measure(sides: &mut [Side], options: &Options, clock: &Clock) -> Result<bool, Failure> {
    let Options { duration, warmup, .. } = *options;
    let whole = (warmup + duration) * u32::try_from(sides.len()).unwrap_or(u32::MAX);
    let bar = progress::bar(millis(whole), "locking");
    let mut order: Vec<usize> = (0..sides.len()).collect();
    let (mut warm, mut left, mut interrupted) = (warmup.is_zero(), duration, false);
    let mut interrupt = Box::pin(tokio::signal::ctrl_c());
    while !interrupted && !left.is_zero() {
        let length = if warm { slice(left) } else { warmup };
        for side in &order {
            let Side { engine, subject, seen: total, .. } = &mut sides[*side];
            bar.set_message(engine.name());
            let window = Arc::new(Window::new(clock.monotonic(), length));
            let mut running = std::pin::pin!(subject.run(&window));
            let seen = loop {
                tokio::select! {
                    biased;
                    seen = &mut running => break seen?,
                    _ = &mut interrupt, if !interrupted => {
                        interrupted = true;
                        window.cut(clock.monotonic());
                    }
                    () = clock.sleep(BEAT) => bar.inc(millis(BEAT)),
                }
            };
            if warm && !window.length().is_zero() {
                total.length += window.length();
                total.add(&seen);
            }
            if interrupted {
                break;
            }
        }
        // Whoever went first goes last the next time.
        order.reverse();
        if warm {
            left = left.saturating_sub(length);
        }
        warm = true;
    }
    bar.finish_and_clear();
    Ok(interrupted)
}

/// The next slice of what is left: about a second, none of them a mere remainder.
fn slice(left: Duration) -> Duration {
    let slices = (left.as_secs_f64() / SLICE.as_secs_f64()).round().max(1.0);
    left.div_f64(slices)
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_about_a_second_and_leave_nothing() {
        for (tenths, count) in [(1, 1), (10, 1), (14, 1), (15, 2), (60, 6), (67, 7)] {
            let (mut left, mut slices) = (Duration::from_millis(tenths * 100), 0);
            while !left.is_zero() {
                let next = slice(left);
                assert!(next < SLICE * 3 / 2, "{next:?}");
                left = left.saturating_sub(next);
                slices += 1;
            }
            assert_eq!(slices, count, "{tenths}");
        }
    }
}
