//! The platform under replay: all of it, on simulated time.
//!
//! It is assembled from the same parts as in production. What differs is what the recorded days
//! say (speed, service times, couriers who take what they are given) and that nothing happens by
//! itself: the dispatcher decides when the driver tells it to.
//!
//! Time stands still while anything can go on, and moves only from one moment of the driver to
//! the next. Between two minutes nothing is left to be done, so the clock jumps over them; what
//! waits on it meanwhile (the renewal of a lease, a poll of the outbox) happens once when it
//! lands, not sixty times on the way.

use std::sync::Arc;
use std::time::Duration;

use steadfast_coordination::{self as coordination, Client};
use steadfast_dispatch::policies::Policies;
use steadfast_dispatch::policy::Rounding;
use steadfast_dispatch::saga::SagaOptions;
use steadfast_dispatch::service::{Options, Services};
use steadfast_dispatch::zone::PolicyName;
use steadfast_dispatch::{Assembly, Inline, Parts, Ticker};
use steadfast_messaging::{Embedded, bus, relay};
use steadfast_providers::sandbox::{self, Sandbox};
use steadfast_time::sim::{DEFAULT_START, Simulation};
use steadfast_time::{Ids, Monotonic, Timestamp};

use super::Error;
use super::day::Parameters;
use super::storage::{self, Journals};

const MINUTE: Duration = Duration::from_secs(60);

/// No order of a replay is undone because no courier was found: that it was not delivered is a
/// result. A day's file ends after four days at the latest.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3_600);

/// A lease longer than the minutes between which the clock jumps, several times over.
const LEASE: Duration = Duration::from_secs(3_600);

/// The platform, and the executor that runs it.
pub(super) struct Platform {
    pub(super) sim: Simulation,
    pub(super) journals: Journals,
    pub(super) services: Services,
    ticker: Ticker,
    /// Its relay stops when it is dropped.
    _assembly: Assembly,
}

impl Platform {
    /// Starts it at a moment of the day, over journals that may hold a part of the day.
    pub(super) fn start(
        mut sim: Simulation,
        journals: Journals,
        policy: PolicyName,
        parameters: &Parameters,
    ) -> Result<Self, Error> {
        let clock = sim.clock();
        let sandbox = Sandbox::open(
            journals.stock.clone(),
            journals.payment.clone(),
            &clock,
            sandbox::Options::default(),
        );
        let coordinator = Arc::new(
            storage::coordinator(&journals.orders, clock.clone()).map_err(Error::Storage)?,
        );
        let lease = coordination::Options { length: LEASE, ..coordination::Options::default() };
        let (coordination, keeper) = Client::new(coordinator, clock.clone(), lease)?;
        sim.spawn(keeper.run());
        let bus = Arc::new(Embedded::new(bus::embedded::Options::default()));
        let head = journals.orders.store().head()?.position.0;
        let policies = Policies::standard(&clock);
        let mut assembly = Assembly::new(Parts {
            journal: journals.orders.clone(),
            clock,
            // Names made after a restart must differ from those made before it.
            ids: Ids::seeded(head),
            bus: Arc::clone(&bus),
            coordination,
            planner: Arc::new(Inline),
            stock: Arc::new(sandbox.stock),
            payment: Arc::new(sandbox.payment),
            policies,
            options: options(policy, parameters),
            saga: SagaOptions::default(),
            relay: relay::Options::default(),
            lanes: 1,
        })?;
        bus.open();
        for task in assembly.tasks.drain(..) {
            sim.spawn(async move {
                if let Err(error) = task.work.await {
                    tracing::error!(task = task.name, %error, "a task of the replay ended");
                }
            });
        }
        sim.settle();
        let (services, ticker) = (assembly.services.clone(), assembly.ticker.clone());
        let platform = Self { sim, journals, services, ticker, _assembly: assembly };
        platform.check()?;
        Ok(platform)
    }

    /// Moves the clock and does something there, with all that is due then and all that follows
    /// from it.
    pub(super) fn at<T: 'static>(
        &mut self,
        moment: Monotonic,
        work: impl Future<Output = T> + 'static,
    ) -> Result<T, Error> {
        self.sim.sim_clock().advance_to(moment);
        let output = self.sim.block_on(work);
        self.check()?;
        Ok(output)
    }

    /// Lets the dispatcher decide.
    pub(super) fn tick(&mut self) -> Result<(), Error> {
        let (ticker, now) = (self.ticker.clone(), self.sim.clock().monotonic());
        self.at(now, async move { ticker.tick().await })
    }

    fn check(&self) -> Result<(), Error> {
        self.journals.check().map_err(Error::Storage)
    }
}

fn options(policy: PolicyName, parameters: &Parameters) -> Options {
    let settle_min = parameters.dropoff_service_min / 2;
    Options {
        policy,
        tick: MINUTE,
        offer_timeout: MINUTE,
        search_timeout: SEARCH_TIMEOUT,
        heartbeat_timeout: None,
        metres_per_minute: parameters.metres_per_minute as f64,
        rounding: Rounding::UpToMinute,
        service: parameters.service(),
        settle: minutes(settle_min),
        stacking: false,
        self_driven: false,
        ..Options::default()
    }
}

/// A minute of the day on the monotonic clock.
pub(super) fn at_minute(minute: i64) -> Monotonic {
    Monotonic::from_start(minutes(minute))
}

/// A moment of the day on the monotonic clock.
pub(super) fn at(moment: Timestamp) -> Monotonic {
    Monotonic::from_start(moment.since(DEFAULT_START))
}

/// A minute of the day as a date.
pub(super) fn timestamp(minute: i64) -> Timestamp {
    DEFAULT_START + minutes(minute)
}

/// Days are read with times from 0 to four days.
fn minutes(minutes: i64) -> Duration {
    MINUTE * u32::try_from(minutes).unwrap_or(0)
}
