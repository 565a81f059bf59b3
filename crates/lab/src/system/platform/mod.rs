//! The whole platform on three nodes, in one thread.
//!
//! Everything that the binary runs runs here: order intake with idempotency keys, the outbox and its
//! relay, the saga that reserves stock and takes payment, dispatchers that share the city's zones by
//! a ring and hold them by leases, order numbers. Three nodes do so at once, each with its own clock
//! and session; a coordination server, a database and the two providers have hosts of their own; the
//! customers and couriers of a small city (`city.rs`) use whichever node answers. Then things go wrong.
//!
//! ```text
//!   city ──► node-1 ─┐             ┌─► coordinator   leases, election, numbers
//!        ──► node-2 ─┼── links ────┼─► providers     stock, payment
//!        ──► node-3 ─┘             └   database      the one journal, with its disk
//! ```
//!
//! At the end the faults cease, everything may come to rest, and an audit (`audit.rs`) reads the disks.
//!
//! # Limits
//! The nodes share one journal, the memory engine, without a network in between: the database can be
//! paused, killed, and given a bad disk, but its links cannot be given faults. The bus is each node's
//! own, as in a deployment without Kafka: whoever leads the relay brings messages to its own
//! consumers. Couriers' signs of life are not watched, for a node knows only those that it heard.

mod audit;
mod books;
mod city;
pub(in crate::system) mod database;
mod node;
pub(in crate::system) mod providers;
mod setup;
mod tenure;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use hdrhistogram::Histogram;
use steadfast_time::sim::DEFAULT_START;

pub(in crate::system) use self::city::order_id;

use self::audit::Findings;
use self::city::{City, Ground};
use self::database::Database;
use self::node::Shared;
use self::setup::{CITY, COORDINATOR, DATABASE, NODES, Setup};
use self::tenure::Tenures;
use super::{Indicator, System, Trial};
use crate::check::Model;
use crate::fault::{self, Fault, Kind, Planned};
use crate::observed::Series;
use crate::quantity::{Quantity, Unit};
use crate::scenario::{Load, Place, Reader};
use crate::sim::Stage;
use crate::sim::coordinator::Server;
use crate::{Error, Observed};

/// How often it is looked whether everything has come to rest.
const LOOK: Duration = Duration::from_secs(5);

/// Points of a curve.
const POINTS: usize = 300;

const fn indicator(name: &'static str, unit: Unit, about: &'static str) -> Indicator {
    Indicator { name, unit, about }
}

const INDICATORS: &[Indicator] = &[
    indicator("double_dispatch.count", Unit::Count, "offers of an order that somebody had already"),
    indicator("double_orders.count", Unit::Count, "orders beyond one for each customer's wish"),
    indicator(
        "double_charge.count",
        Unit::Count,
        "payments taken twice or for nothing, and fees that were booked twice",
    ),
    indicator("lost_orders.count", Unit::Count, "orders that were confirmed and are not there"),
    indicator(
        "over_capacity.count",
        Unit::Count,
        "offers that took a courier or a zone over its capacity",
    ),
    indicator(
        "stale_leader_write.count",
        Unit::Count,
        "writes let in with a token lower than one seen before, as a witness at the storage saw them",
    ),
    indicator("stale_leader_write.refused", Unit::Count, "writes refused because of their token"),
    indicator(
        "unfinished.count",
        Unit::Count,
        "orders, customers and fees that had not come to their end when everything was well again",
    ),
    indicator("different_answers.count", Unit::Count, "answers to one key that differ"),
    indicator("api.idempotency.dedup_hits", Unit::Count, "answers that were replayed"),
    indicator("api.availability", Unit::Share, "requests for an order that were answered in 1 s"),
    indicator("api.latency_ms.p99", Unit::Time, "of those answers"),
    indicator("orders", Unit::Count, "orders in the journal"),
    indicator("delivered", Unit::Count, "orders that were delivered and paid for"),
    indicator("undone", Unit::Count, "orders that were cancelled or rejected"),
    indicator("takeovers", Unit::Count, "times that a lease or the relay came to another token"),
    indicator("restarts", Unit::Count, "times that the database was started again"),
];

/// The whole platform.
#[derive(Clone, Copy, Debug)]
pub struct Platform;

impl System for Platform {
    fn name(&self) -> &'static str {
        "platform"
    }

    fn about(&self) -> &'static str {
        "Order intake, saga, relay and dispatch on three nodes, with a small city that uses them."
    }

    fn faults(&self) -> &'static [Kind] {
        &[Kind::Link, Kind::Partition, Kind::Http, Kind::Pause, Kind::Kill, Kind::Clock, Kind::Disk]
    }

    fn indicators(&self) -> &'static [Indicator] {
        INDICATORS
    }

    fn models(&self) -> &'static [Model] {
        &[Model::Updates]
    }

    fn prepare(&self, load: Load, settings: &Reader<'_>) -> Vec<String> {
        Setup::read(load, settings);
        hosts().map(str::to_owned).collect()
    }

    fn simulate(&self, trial: &Trial<'_>) -> Result<Observed, Error> {
        check_faults(trial)?;
        let mut world = World::new(trial);
        world.stage.run(trial)?;
        world.heal(trial)?;
        world.observe(trial)
    }
}

fn hosts() -> impl Iterator<Item = &'static str> {
    NODES.into_iter().chain([DATABASE, COORDINATOR, providers::HOST, CITY])
}

fn failed(reason: impl std::fmt::Display) -> Error {
    Error::System { system: Platform.name(), reason: reason.to_string() }
}

/// A fault that would do nothing is refused: it would look like a platform that withstands it.
fn check_faults(trial: &Trial<'_>) -> Result<(), Error> {
    for planned in &trial.schedule {
        let names: Vec<&str> = planned.fault.nodes().collect();
        let without_effect = match &planned.fault {
            Fault::Link { .. } | Fault::Partition { .. } => names.contains(&DATABASE),
            Fault::Disk { .. } => names != [DATABASE],
            Fault::Http { .. } => names != [providers::HOST],
            _ => false,
        };
        if without_effect {
            return Err(failed(format!(
                "line {}: {:?} would have no effect; disks are the database's, requests the \
                 providers', and the database has no links",
                planned.place.line,
                planned.fault.to_string(),
            )));
        }
    }
    Ok(())
}

/// The scenario's faults, and the variant's own: a disk that lies for a while.
fn schedule(trial: &Trial<'_>, setup: &Setup) -> Vec<Planned> {
    let mut schedule = trial.schedule.clone();
    let (at, length) = setup.lying;
    if !length.is_zero() {
        let disk = fault::Disk { lost_syncs: 1.0, ..fault::Disk::default() };
        let fault = Fault::Disk { node: DATABASE.to_owned(), disk };
        schedule.push(Planned { at, length: Some(length), fault, place: Place::default() });
    }
    schedule
}

struct World {
    stage: Stage,
    shared: Rc<Shared>,
    city: Rc<City>,
    /// Faults of disks and requests that are at work.
    active: Rc<RefCell<Vec<Fault>>>,
}

impl World {
    fn new(trial: &Trial<'_>) -> Self {
        let setup = Setup::read(trial.load, &trial.settings.reader());
        let names: Vec<String> = hosts().map(str::to_owned).collect();
        let mut stage = Stage::new(trial.seed, &names, setup.link);
        let database = stage.host(DATABASE);
        let options = database::Options { protections: setup.protections, sync: setup.sync };
        let database = Database::start(&mut stage, database, options);
        let there = stage.host(providers::HOST);
        let sandbox = providers::open(&mut stage, &there, trial.seed);
        let coordinator = Server::start(&stage.host(COORDINATOR));
        let healed = Rc::new(Cell::new(false));
        let shared = Rc::new(Shared {
            setup,
            seed: trial.seed,
            net: stage.net(),
            database,
            coordinator,
            sandbox,
            there: there.clock(),
            tenures: Tenures::new(stage.clock()),
            problem: RefCell::default(),
            healed: Rc::clone(&healed),
        });
        let door = |(number, name): (u64, &'static str)| {
            node::start(&shared, &stage.host(name), name, number)
        };
        let doors = (1..).zip(NODES).map(door).collect();
        let (host, clock, net) = (stage.host(CITY), stage.clock(), stage.net());
        let ground = Ground { host, clock, net, doors, healed };
        let city = city::start(ground, &shared.setup, trial.duration, trial.rng("city"));
        let active: Rc<RefCell<Vec<Fault>>> = Rc::default();
        let (faults, told) = (Rc::clone(&active), Rc::clone(&shared));
        let schedule = schedule(trial, &shared.setup);
        stage.direct(&schedule, move |fault, begins| {
            let mut faults = faults.borrow_mut();
            if begins {
                faults.push(fault.clone());
            } else if let Some(at) = faults.iter().position(|active| active == fault) {
                faults.remove(at);
            }
            apply(&told, &faults);
        });
        Self { stage, shared, city, active }
    }

    /// Ends every fault, and lets everything come to rest.
    fn heal(&mut self, trial: &Trial<'_>) -> Result<(), Error> {
        self.stage.heal();
        self.active.borrow_mut().clear();
        apply(&self.shared, &[]);
        self.shared.healed.set(true);
        let mut waited = Duration::ZERO;
        while waited < self.shared.setup.healing && !self.is_at_rest()? {
            self.stage.settle(LOOK);
            waited += LOOK;
            trial.progress(trial.duration)?;
        }
        // What is on its way to the books.
        self.stage.settle(LOOK);
        let problem = self.shared.problem.borrow().clone();
        problem.map_or(Ok(()), |problem| Err(failed(problem)))
    }

    fn is_at_rest(&self) -> Result<bool, Error> {
        let Some(journal) = self.shared.database.journal() else { return Ok(false) };
        Ok(self.city.is_content() && audit::is_at_rest(journal.store()).map_err(failed)?)
    }

    fn observe(self, trial: &Trial<'_>) -> Result<Observed, Error> {
        let Shared { setup, database, sandbox, tenures, .. } = &*self.shared;
        let found = audit::audit(database.disk(), sandbox, &self.city, setup.zone_capacity);
        let found = found.map_err(failed)?;
        let mut observed = Observed {
            history: self.city.history(found.kept.clone()),
            spans: self.stage.spans(trial.duration),
            series: tenures.series(2 * POINTS),
            ..Observed::default()
        };
        let mut set = |name, value| observed.indicator(name, value);
        let count = Quantity::count;
        set("double_dispatch.count", count(found.double_dispatch));
        set("double_orders.count", count(found.double_orders));
        set("double_charge.count", count(found.double_charge));
        set("lost_orders.count", count(found.lost_orders));
        set("over_capacity.count", count(found.over_capacity));
        set("unfinished.count", count(found.unfinished));
        set("orders", count(found.orders));
        set("delivered", count(found.delivered));
        set("undone", count(found.undone));
        let witness = database.seen();
        set("stale_leader_write.count", count(witness.stale));
        set("stale_leader_write.refused", count(witness.refused));
        set("takeovers", count(witness.takeovers));
        set("restarts", count(database.starts().saturating_sub(1)));
        let seen = self.city.seen.borrow();
        let answered = seen.answered.len() as u64;
        set("different_answers.count", count(seen.different));
        set("api.idempotency.dedup_hits", count(seen.replayed));
        set("api.availability", Quantity::share_of(answered, answered + seen.unanswered));
        let took = seen.answered.iter().map(|answer| answer.took);
        set("api.latency_ms.p99", Quantity::time(percentile(took, 0.99)));
        drop(seen);
        self.curves(&found, trial.duration, &mut observed);
        observed.note(format!(
            "{} offers were made for {} orders; {} were delivered and {} undone.",
            found.offers, found.orders, found.delivered, found.undone
        ));
        Ok(observed)
    }

    /// Orders and deliveries a second, and how long answers took.
    fn curves(&self, found: &Findings, duration: Duration, observed: &mut Observed) {
        let bucket = (duration / POINTS as u32).max(Duration::from_secs(1));
        let buckets = duration.as_secs_f64() / bucket.as_secs_f64();
        let buckets = (buckets.ceil() as usize).clamp(1, POINTS);
        let place = |at: Duration| (at.as_nanos() / bucket.as_nanos()) as usize;
        let mut answers: Vec<Vec<Duration>> = vec![Vec::new(); buckets];
        for answer in &self.city.seen.borrow().answered {
            if let Some(bucket) = answers.get_mut(place(answer.at)) {
                bucket.push(answer.took);
            }
        }
        let mut delivered = vec![0_u64; buckets];
        for at in &found.deliveries {
            if let Some(bucket) = delivered.get_mut(place(at.since(DEFAULT_START))) {
                *bucket += 1;
            }
        }
        let mut placed = Series::new("throughput", "orders answered", Unit::Rate);
        let mut done = Series::new("throughput", "deliveries", Unit::Rate);
        let mut median = Series::new("latency", "p50", Unit::Time);
        let mut slowest = Series::new("latency", "p99", Unit::Time);
        for (number, (answers, delivered)) in (1_u32..).zip(answers.iter().zip(delivered)) {
            let at = bucket * number;
            placed.push(at, answers.len() as f64 / bucket.as_secs_f64());
            done.push(at, delivered as f64 / bucket.as_secs_f64());
            if !answers.is_empty() {
                let of = |share| percentile(answers.iter().copied(), share).as_secs_f64();
                median.push(at, of(0.5));
                slowest.push(at, of(0.99));
            }
        }
        observed.series.extend([placed, done, median, slowest]);
    }
}

/// Applies what is at work: of several faults of a kind the latest.
fn apply(shared: &Shared, active: &[Fault]) {
    let disk: Option<fault::Disk> = active.iter().rev().find_map(|fault| match fault {
        Fault::Disk { disk, .. } => Some(*disk),
        _ => None,
    });
    let http: Option<fault::Http> = active.iter().rev().find_map(|fault| match fault {
        Fault::Http { http, .. } => Some(*http),
        _ => None,
    });
    shared.database.disturb(disk, shared.seed);
    providers::disturb(&shared.sandbox.faults, http);
}

/// A percentile, to three digits; nothing of nothing.
pub(in crate::system) fn percentile(
    lengths: impl Iterator<Item = Duration>,
    share: f64,
) -> Duration {
    // Three digits of anything up to an hour are always possible.
    let Ok(mut histogram) = Histogram::<u64>::new_with_max(3_600_000_000, 3) else {
        return Duration::ZERO;
    };
    for length in lengths {
        histogram.saturating_record(u64::try_from(length.as_micros()).unwrap_or(u64::MAX));
    }
    Duration::from_micros(histogram.value_at_quantile(share))
}
