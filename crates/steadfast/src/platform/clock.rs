//! Which clock the platform goes by, and what happens when it cannot be relied on.
//!
//! A lease is a promise about time. So the process watches its own clock and its own stalls, and
//! when one of them leaves its bound it takes itself out: it gives up its leases and refuses new
//! ones (*quarantine*), `/readyz` says why, and it comes back by itself when all is well again.
//!
//! | cause | seen by |
//! |---|---|
//! | the clock's error, its offset from `clock.servers`, a jump, a stall | [`health::Monitor`] |
//! | a lease that the measured skew and a round trip outlast | [`Keeping::rule`], each second |
//!
//! The thread of the stall detector also tells the coordination's client, which drops its session
//! after a stall that is longer than the lease's margin, before any further work.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use serde_json::{Value, json};
use steadfast_api::{Lifecycle, admin};
use steadfast_coordination::{Client, Invalid, Options};
use steadfast_dispatch::Task;
use steadfast_time::health::{self, Measured, Monitor, Observation, Sensors, Transition};
use steadfast_time::ntp::{self, Ntp, Poller, Round, Udp};
use steadfast_time::stall::{self, Detector, Stalls};
use steadfast_time::wall::{Assumed, Kernel, Reading, Uncertainty, kernel};
use steadfast_time::{Clock, Monotonic, Offset};

use crate::config::Config;
use crate::config::settings;
use crate::config::value::{ClockSource, OrOff};

/// How often the clock is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The name of this module's tasks.
pub(super) const TASK: &str = "clock";

/// Names of what may be out of bounds.
const HEALTH: &str = "clock";
const SKEW: &str = "skew";

/// Why there is no clock.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel gives no bound.
    #[error("clock.source = \"kernel\": {0}")]
    Kernel(#[from] kernel::Error),
    /// The servers agree on no time.
    #[error("clock.source = \"ntp\": {0}")]
    Ntp(#[from] ntp::Error),
    /// The bounds contradict each other.
    #[error("clock: {0}")]
    Bounds(#[from] health::Invalid),
    /// No thread for the stall detector.
    #[error("the operating system gives no thread for the stall detector: {0}")]
    Thread(#[from] std::io::Error),
}

/// A clock, and what keeps it right. A bare [`Clock`] is one that nobody has to keep.
pub struct Timekeeper {
    clock: Clock,
    /// Asks the servers that the clock follows.
    poller: Option<Poller>,
    /// Asks the servers that the clock is only compared with.
    reference: Option<Reference>,
}

impl From<Clock> for Timekeeper {
    fn from(clock: Clock) -> Self {
        Self { clock, poller: None, reference: None }
    }
}

impl Timekeeper {
    /// The clock that the configuration describes. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// See [`Error`]: without a time that is known to be right there is no start.
    pub async fn start(settings: &settings::Clock) -> Result<Self, Error> {
        let system = Clock::system();
        let servers = Arc::new(Udp::new(settings.servers.get()));
        let options = ntp::Options { every: settings.ask_every.get(), ..ntp::Options::default() };
        let clock = match settings.source {
            ClockSource::Assumed => system.disciplined(Arc::new(Assumed(settings.error.get()))),
            ClockSource::Kernel => {
                system.disciplined(Arc::new(Kernel::new(kernel::Options::default())?))
            }
            ClockSource::Ntp => {
                let (ntp, poller) = Poller::start(system.clone(), servers, options).await?;
                let clock = system.disciplined(Arc::new(ntp));
                return Ok(Self { clock, poller: Some(poller), reference: None });
            }
        };
        let reference = (!settings.servers.get().is_empty()).then(|| Reference {
            system,
            servers,
            options,
            agreed: Arc::default(),
        });
        Ok(Self { clock, poller: None, reference })
    }

    /// The clock.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }
}

/// Servers that the clock is compared with.
#[derive(Clone)]
struct Reference {
    system: Clock,
    servers: Arc<Udp>,
    options: ntp::Options,
    /// Known once they have agreed.
    agreed: Arc<OnceLock<Ntp>>,
}

impl Reference {
    /// Asks until they agree, and then again and again.
    async fn run(self) {
        loop {
            let servers = Arc::clone(&self.servers);
            match Poller::start(self.system.clone(), servers, self.options).await {
                Ok((ntp, poller)) => {
                    // Nobody else sets it.
                    let _ = self.agreed.set(ntp);
                    return poller.run(report).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "the time servers do not agree; asking again");
                    self.system.sleep(self.options.every).await;
                }
            }
        }
    }

    /// How far the servers' time is ahead of the machine's.
    fn measured(&self) -> Option<Measured> {
        let (monotonic, wall) = (self.system.monotonic(), self.system.now());
        let interval = self.agreed.get()?.estimate(Reading { monotonic, wall }).interval;
        let offset = Offset::between(interval.middle(), wall);
        Some(Measured { offset, error: interval.error() })
    }
}

/// What came of a round of questions.
fn report(round: &Round) {
    match &round.agreed {
        Ok(agreed) if !agreed.falsetickers.is_empty() => {
            let places = &agreed.falsetickers;
            tracing::warn!(?places, "time servers that disagree with the majority");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the time servers do not agree"),
    }
}

/// The detector's answer, for the client of the coordination.
struct Watched(Stalls);

impl steadfast_coordination::Stalls for Watched {
    fn since(&self, since: Monotonic, now: Monotonic) -> Duration {
        self.0.longest_since(since, now)
    }
}

/// What the monitor looks at beside the clock.
struct Seen {
    reference: Option<Reference>,
    stalls: Stalls,
}

impl Sensors for Seen {
    fn reference(&mut self) -> Option<Measured> {
        self.reference.as_ref()?.measured()
    }

    fn stall(&mut self, since: Monotonic, now: Monotonic) -> Duration {
        self.stalls.longest_since(since, now)
    }
}

/// Takes the node out while anything is wrong with it, and back in when nothing is.
struct Quarantine {
    client: Client,
    lifecycle: Lifecycle,
    reasons: Mutex<BTreeMap<&'static str, String>>,
}

impl Quarantine {
    /// What is wrong with one thing now; nothing when it is well.
    fn set(&self, what: &'static str, reason: Option<String>) {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match &reason {
            Some(reason) => reasons.insert(what, reason.clone()),
            None => reasons.remove(what),
        };
        if before == reason {
            return;
        }
        // Under the lock, so that the last word is that of the last change.
        if reasons.is_empty() {
            self.client.readmit();
            self.lifecycle.readmitted();
        } else {
            let all = reasons.values().map(String::as_str).collect::<Vec<_>>().join("; ");
            self.client.quarantine(&all);
            self.lifecycle.quarantined(all);
        }
    }
}

/// The stall detector, which has to run before there is anything to lose.
pub(super) struct Watching {
    detector: Detector,
}

impl Watching {
    pub(super) fn start(clock: &Clock) -> Result<Self, Error> {
        Ok(Self { detector: Detector::start(clock.clone(), stall::Options::default())? })
    }

    /// Tells a client of the process's stalls.
    pub(super) fn tell(&self, client: Client) -> Client {
        client.with_stalls(Arc::new(Watched(self.detector.stalls())))
    }

    /// Begins to judge the clock; the first look is taken at once, before the first lease.
    pub(super) fn judge(
        self,
        timekeeper: Timekeeper,
        config: &Config,
        client: &Client,
        lifecycle: &Lifecycle,
    ) -> Result<(Arc<Keeping>, Vec<Task>), Error> {
        let Timekeeper { clock, poller, reference } = timekeeper;
        let stalls = self.detector.stalls();
        let sensors = Seen { reference: reference.clone(), stalls: stalls.clone() };
        let options = config.clock_health();
        let (monitor, health) = Monitor::new(clock.clone(), LOOK_EVERY, options, sensors)?;
        let (client, lifecycle) = (client.clone(), lifecycle.clone());
        let quarantine = Quarantine { client, lifecycle, reasons: Mutex::default() };
        let keeping = Arc::new(Keeping {
            clock: clock.clone(),
            health,
            stalls,
            quarantine,
            warning: config.clock.stall_warning.get(),
            _detector: self.detector,
        });
        let first = Observation {
            at: clock.monotonic(),
            interval: clock.interval(),
            status: clock.status(),
            reference: None,
            peers: Vec::new(),
            stall: Duration::ZERO,
        };
        if let Some(change) = keeping.health.observe(&first) {
            keeping.changed(change);
        }
        let (told, ruling) = (Arc::clone(&keeping), Arc::clone(&keeping));
        let mut tasks = vec![
            task(async move { monitor.run(|change| told.changed(change)).await }),
            task(async move { ruling.rule().await }),
        ];
        tasks.extend(poller.map(|poller| task(poller.run(report))));
        tasks.extend(reference.map(|reference| task(reference.run())));
        Ok((keeping, tasks))
    }
}

fn task(work: impl Future<Output = ()> + Send + 'static) -> Task {
    let work = async move {
        work.await;
        Ok(())
    };
    Task { name: TASK, work: work.boxed() }
}

/// The clock as it stands.
pub(super) struct Keeping {
    clock: Clock,
    health: health::Watch,
    stalls: Stalls,
    quarantine: Quarantine,
    /// Stalls above it are told.
    warning: Duration,
    _detector: Detector,
}

impl Keeping {
    fn changed(&self, change: Transition) {
        match change {
            Transition::Quarantine { reason } => {
                self.quarantine.set(HEALTH, Some(reason.to_string()));
            }
            Transition::Readmit { after } => {
                tracing::info!(?after, "the clock is well again");
                self.quarantine.set(HEALTH, None);
            }
        }
    }

    /// Each second: does the lease still outlast the skew, and has the process stood still?
    async fn rule(&self) {
        let mut told = self.clock.monotonic();
        loop {
            self.clock.sleep(LOOK_EVERY).await;
            let skew = self.health.clock_skew_p99().unwrap_or_default();
            let problem = outlasted(self.quarantine.client.options(), skew);
            self.quarantine.set(SKEW, problem);
            let news = self.stalls.recent();
            let news = news.iter().take_while(|stall| stall.ended > told);
            for stall in news.filter(|stall| stall.length >= self.warning) {
                tracing::warn!(length = ?stall.length, "the process stood still");
            }
            told = self.stalls.recent().first().map_or(told, |last| last.ended.max(told));
        }
    }

    /// What `/slo` shows. The bounds are what the leases can bear.
    pub(super) fn indicators(&self) -> [Value; 2] {
        let leases = self.quarantine.client.options();
        let (skew, pause) = (self.health.clock_skew_p99(), self.stalls.p99());
        let skew_bound = leases.length.saturating_sub(leases.round_trip);
        let row = |indicator, bound: Duration, p99: Duration| {
            json!({
                "indicator": indicator,
                "of": "process",
                "bound": bound.as_secs_f64(),
                "p99_s": p99.as_secs_f64(),
                "met": p99 < bound,
            })
        };
        let mut pauses = row("gc_pause_p99", leases.stall_max(), pause);
        pauses["max_s"] = json!(self.stalls.max().as_secs_f64());
        pauses["stalls"] = json!(self.stalls.count());
        let mut skews = row("clock_skew_p99", skew_bound, skew.unwrap_or_default());
        skews["error_s"] = json!(self.clock.interval().error().as_secs_f64());
        skews["quarantined"] = json!(!self.health.is_healthy());
        [skews, pauses]
    }

    /// Adds its figures to what `/metrics` shows.
    pub(super) fn with_metrics(self: Arc<Self>, render: admin::Render) -> admin::Render {
        Arc::new(move || {
            let mut text = render();
            self.append(&mut text);
            text
        })
    }

    fn append(&self, text: &mut String) {
        let reasons = self.quarantine.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        let quarantined = if reasons.is_empty() { 0.0 } else { 1.0 };
        drop(reasons);
        let skew = self.health.clock_skew_p99().unwrap_or_default();
        let rows = [
            (
                "steadfast_clock_error_seconds",
                "How far the date may be off.",
                "gauge",
                self.clock.interval().error().as_secs_f64(),
            ),
            (
                "steadfast_clock_skew_p99_seconds",
                "How far apart this clock and others may be.",
                "gauge",
                skew.as_secs_f64(),
            ),
            (
                "steadfast_clock_quarantined",
                "1 while no leases are held because of the clock.",
                "gauge",
                quarantined,
            ),
            (
                "steadfast_process_stalls_total",
                "How often the process stood still.",
                "counter",
                self.stalls.count() as f64,
            ),
            (
                "steadfast_process_stall_p99_seconds",
                "Lateness of the last heartbeats, 99th percentile.",
                "gauge",
                self.stalls.p99().as_secs_f64(),
            ),
            (
                "steadfast_process_stall_max_seconds",
                "The longest time that it stood still.",
                "gauge",
                self.stalls.max().as_secs_f64(),
            ),
        ];
        for (name, help, kind, value) in rows {
            // Writing to a string does not fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        }
    }
}

/// Why a lease cannot be relied on with clocks that are so far apart.
fn outlasted(leases: &Options, skew_p99: Duration) -> Option<String> {
    let measured = Options { skew_p99, ..*leases };
    match measured.check() {
        Err(invalid @ Invalid::TooShort { .. }) => Some(invalid.to_string()),
        _ => None,
    }
}

impl Config {
    /// The bounds of the clock.
    pub fn clock_health(&self) -> health::Options {
        let settings = &self.clock;
        health::Options {
            max_uncertainty: settings.max_uncertainty.get(),
            max_offset: settings.max_offset.get(),
            max_jump: settings.max_jump.get(),
            max_stall: match settings.max_stall {
                OrOff::On(length) => Some(length.get()),
                OrOff::Off => None,
            },
            hold: settings.hold.get(),
            ..health::Options::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use steadfast_coordination::engine::memory::Memory;
    use steadfast_coordination::{Error as Refused, Name, Patience};
    use steadfast_time::sim::Simulation;

    use super::*;

    #[test]
    fn a_lease_must_outlast_the_measured_skew() {
        let leases = Options {
            length: Duration::from_secs(1),
            round_trip: Duration::from_millis(250),
            ..Options::default()
        };
        assert_eq!(outlasted(&leases, Duration::from_millis(749)), None);
        let problem = outlasted(&leases, Duration::from_millis(750)).unwrap();
        assert!(problem.contains("not longer than the clock skew of 750ms"), "{problem}");
    }

    /// Two things are wrong with a node, one after the other; it is out until neither is.
    #[test]
    fn a_node_is_out_for_as_long_as_anything_is_wrong_with_it() {
        let mut sim = Simulation::new(1);
        let engine = Arc::new(Memory::new(sim.clock()));
        let (client, keeper) = Client::new(engine, sim.clock(), Options::default()).unwrap();
        sim.spawn(keeper.run());
        let lifecycle = Lifecycle::default();
        lifecycle.ready();
        let (client_of, lifecycle_of) = (client.clone(), lifecycle.clone());
        let quarantine =
            Quarantine { client: client_of, lifecycle: lifecycle_of, reasons: Mutex::default() };
        let mut lock = || {
            let lock = client.lock(&Name::new("zone").unwrap());
            sim.block_on(async move { lock.acquire(Patience::Try).await })
        };
        let held = lock().unwrap();
        quarantine.set(HEALTH, Some("jumped".into()));
        assert!(held.check().is_err(), "what was held is given up");
        assert!(matches!(lock(), Err(Refused::Quarantined { .. })));
        quarantine.set(SKEW, Some("skewed".into()));
        quarantine.set(HEALTH, None);
        assert_eq!(lifecycle.readiness().reasons, ["quarantined: skewed"]);
        assert!(matches!(lock(), Err(Refused::Quarantined { .. })));
        quarantine.set(SKEW, None);
        assert!(lifecycle.readiness().ready);
        assert!(lock().unwrap().token() > held.token());
    }
}
