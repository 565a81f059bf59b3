//! One order, two stores: the service's database and the message broker.
//!
//! A service that writes to both, one after the other, can stop in between, or find the second one
//! gone; then the two disagree for good. The outbox makes one write of it: the message is committed
//! with the order, and a relay brings it to the broker until the broker has it.
//!
//! ```text
//!   clients ──► service ──► database          orders
//!                  └──────► broker ─► warehouse   effects
//! ```
//!
//! The service is the experiment's own in the two naive modes; journal, outbox, relay, bus and
//! consumer are the project's. The warehouse is the same in all modes: a consumer with an inbox.
//!
//! # Limits
//! The broker takes responsibility for a message once the warehouse has had its effect, as the
//! embedded bus does. The service reads and writes its database without a network in between; the
//! database itself can be slow, fail, and be killed.

mod broker;
mod service;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use steadfast_journal::memory::{self, Protections};
use steadfast_journal::{Engine as _, Position, StorageError, Store};
use steadfast_messaging::chaos;
use steadfast_time::Timestamp;
use steadfast_time::sim::DEFAULT_START;

use self::broker::Broker;
use self::service::{Mode, Service};
use super::platform::database::{self, Database};
use super::{Indicator, System, Trial};
use crate::check::Model;
use crate::fault::{AtWork, Fault, Kind, Link};
use crate::observed::Series;
use crate::quantity::{Quantity, Unit};
use crate::scenario::{Load, Reader};
use crate::sim::Stage;
use crate::{Error, Observed};

const CLIENTS: &str = "clients";
const SERVICE: &str = "service";
const DATABASE: &str = "database";
const BROKER: &str = "broker";
const HOSTS: [&str; 4] = [CLIENTS, SERVICE, DATABASE, BROKER];

/// Points of a curve.
const POINTS: u32 = 120;

const fn indicator(name: &'static str, unit: Unit, about: &'static str) -> Indicator {
    Indicator { name, unit, about }
}

const INDICATORS: &[Indicator] = &[
    indicator(
        "orders_without_event.count",
        Unit::Count,
        "orders in the database that the warehouse has not heard of, long after the faults",
    ),
    indicator(
        "events_without_order.count",
        Unit::Count,
        "orders that the warehouse has heard of and the database does not have",
    ),
    indicator("duplicates_applied.count", Unit::Count, "effects beyond the first of an order"),
    indicator("orders", Unit::Count, "orders in the database"),
    indicator("effects", Unit::Count, "orders that the warehouse has heard of"),
    indicator("confirmed", Unit::Count, "orders that a client was told are placed"),
    indicator("redelivered", Unit::Count, "messages that the bus brought again, on purpose"),
];

/// An order service and a warehouse, with a broker between.
#[derive(Clone, Copy, Debug)]
pub struct DualWrite;

/// The settings of a variant.
#[derive(Clone, Copy, Debug)]
struct Setup {
    rate: f64,
    mode: Mode,
    sync: Duration,
    patience: Duration,
    attempts: u32,
    healing: Duration,
    link: Link,
    bus: chaos::Faults,
}

impl Setup {
    fn read(load: Load, settings: &Reader<'_>) -> Self {
        let ms = Duration::from_millis;
        let mode = settings.choice("mode", Mode::NAMES, Mode::NAMES[2]);
        Self {
            rate: load.rate.unwrap_or(20.0),
            mode: Mode::of(mode),
            sync: settings.duration("sync", ms(5)),
            patience: settings.duration("patience", ms(500)),
            attempts: u32::try_from(settings.count("attempts", 1..=100, 3)).unwrap_or(1),
            healing: settings.duration("healing", ms(60_000)),
            link: Link {
                delay: settings.duration("link_delay", ms(1)),
                jitter: settings.duration("link_jitter", ms(4)),
                loss: settings.share("link_loss", 0.0),
                ..Link::default()
            },
            bus: chaos::Faults {
                drop: 0.0,
                lose_answer: 0.0,
                duplicate: settings.share("bus_duplicates", 0.0),
                delay: settings.share("bus_delays", 0.0),
                delay_max: ms(200),
            },
        }
    }
}

impl System for DualWrite {
    fn name(&self) -> &'static str {
        "outbox"
    }

    fn about(&self) -> &'static str {
        "A service that writes an order to its database and tells a warehouse through a broker."
    }

    fn faults(&self) -> &'static [Kind] {
        &[Kind::Link, Kind::Partition, Kind::Pause, Kind::Kill, Kind::Clock, Kind::Disk]
    }

    fn indicators(&self) -> &'static [Indicator] {
        INDICATORS
    }

    fn models(&self) -> &'static [Model] {
        &[]
    }

    fn prepare(&self, load: Load, settings: &Reader<'_>) -> Vec<String> {
        Setup::read(load, settings);
        HOSTS.map(str::to_owned).to_vec()
    }

    fn simulate(&self, trial: &Trial<'_>) -> Result<Observed, Error> {
        check_faults(trial)?;
        let setup = Setup::read(trial.load, &trial.settings.reader());
        let mut stage = Stage::new(trial.seed, &HOSTS.map(str::to_owned), setup.link);
        let host = stage.host(DATABASE);
        let options = database::Options { protections: Protections::default(), sync: setup.sync };
        let database = Database::start(&mut stage, host, options);
        let broker = Broker::start(&mut stage, BROKER, trial.seed, setup.bus);
        let service = service::start(&stage, &database, &broker, &setup, trial.seed);
        let confirmed = clients(&stage, &service, &setup, trial);
        let disk = database.clone();
        let seed = trial.seed;
        let mut at_work = AtWork::default();
        stage.direct(&trial.schedule, move |fault, begins| {
            let now = at_work.change(fault, begins);
            if let Fault::Disk { .. } = fault {
                disk.disturb(now.and_then(Fault::disk), seed);
            }
        });
        stage.run(trial)?;
        stage.heal();
        database.disturb(None, seed);
        stage.settle(setup.healing);
        let confirmed = confirmed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        observe(&stage, &database, &broker, &confirmed, trial).map_err(failed)
    }
}

fn failed(reason: impl std::fmt::Display) -> Error {
    Error::System { system: DualWrite.name(), reason: reason.to_string() }
}

/// A fault that would do nothing is refused: it would look like a service that withstands it.
fn check_faults(trial: &Trial<'_>) -> Result<(), Error> {
    for planned in &trial.schedule {
        let mut names = planned.fault.nodes();
        let without_effect = match &planned.fault {
            Fault::Link { .. } | Fault::Partition { .. } => names.any(|name| name == DATABASE),
            Fault::Disk { .. } => names.any(|name| name != DATABASE),
            _ => false,
        };
        if without_effect {
            let (line, fault) = (planned.place.line, planned.fault.to_string());
            return Err(failed(format!(
                "line {line}: {fault:?} would have no effect; disks are the database's, and the \
                 database has no links"
            )));
        }
    }
    Ok(())
}

/// Lets orders come, in an open loop; answers the numbers of those that were confirmed.
fn clients(
    stage: &Stage,
    service: &service::Door,
    setup: &Setup,
    trial: &Trial<'_>,
) -> Arc<Mutex<Vec<u64>>> {
    let confirmed: Arc<Mutex<Vec<u64>>> = Arc::default();
    let (clock, net, noted) = (stage.clock(), stage.net(), Arc::clone(&confirmed));
    let (service, rate, duration) = (service.clone(), setup.rate, trial.duration);
    let (mut rng, host) = (trial.rng("clients"), Rc::new(stage.host(CLIENTS)));
    stage.spawn(async move {
        for number in 0.. {
            // A Poisson process.
            let pause = -(1.0 - rng.f64()).ln() / rate;
            clock.sleep(Duration::try_from_secs_f64(pause).unwrap_or(Duration::MAX)).await;
            if clock.monotonic().since_start() >= duration {
                return;
            }
            let (net, service, noted) = (net.clone(), service.clone(), Arc::clone(&noted));
            let here = host.clock();
            host.spawn(async move {
                let call = net.call(CLIENTS, SERVICE, 300, move || {
                    let service = service.clone();
                    Box::pin(async move { Service::place(&service, number).await })
                });
                let answer = here.timeout(Duration::from_secs(2), call).await;
                if matches!(answer, Ok(Ok(true))) {
                    noted.lock().unwrap_or_else(PoisonError::into_inner).push(number);
                }
            });
        }
    });
    confirmed
}

/// Compares the two, each from what is durable.
fn observe(
    stage: &Stage,
    database: &Database,
    broker: &Broker,
    confirmed: &[u64],
    trial: &Trial<'_>,
) -> Result<Observed, StorageError> {
    let orders = placed(&*memory::Engine::recover(database.disk().clone()).store())?;
    let effects = broker.effects()?;
    let mut observed = Observed { spans: stage.spans(trial.duration), ..Observed::default() };
    let silent: Vec<&String> = orders.keys().filter(|it| !effects.contains_key(*it)).collect();
    let phantom: Vec<&String> = effects.keys().filter(|it| !orders.contains_key(*it)).collect();
    let twice: i64 = effects.values().map(|count| count - 1).sum();
    let count = |number: usize| Quantity::count(number as u64);
    observed.indicator("orders_without_event.count", count(silent.len()));
    observed.indicator("events_without_order.count", count(phantom.len()));
    let twice = u64::try_from(twice).unwrap_or(0);
    observed.indicator("duplicates_applied.count", Quantity::count(twice));
    observed.indicator("orders", count(orders.len()));
    observed.indicator("effects", count(effects.len()));
    observed.indicator("confirmed", count(confirmed.len()));
    observed.indicator("redelivered", Quantity::count(broker.redelivered()));
    let bucket = (trial.duration / POINTS).max(Duration::from_secs(1));
    let mut all = curve("orders placed", bucket, trial.duration);
    let mut lost = curve("orders without an event", bucket, trial.duration);
    for (order, at) in &orders {
        let place = (at.since(DEFAULT_START).as_nanos() / bucket.as_nanos()) as usize;
        let share = 1.0 / bucket.as_secs_f64();
        if let Some(point) = all.points.get_mut(place) {
            point.1 += share;
        }
        if !effects.contains_key(order)
            && let Some(point) = lost.points.get_mut(place)
        {
            point.1 += share;
        }
    }
    observed.series.extend([all, lost]);
    if let Some(first) = silent.first() {
        observed.note(format!("The warehouse never heard of {first}, which the database has."));
    }
    if let Some(first) = phantom.first() {
        observed.note(format!("The warehouse works on {first}, which the database never had."));
    }
    Ok(observed)
}

fn curve(name: &str, bucket: Duration, duration: Duration) -> Series {
    let mut series = Series::new("throughput", name, Unit::Rate);
    let mut at = Duration::ZERO;
    while at < duration {
        series.push(at, 0.0);
        at += bucket;
    }
    series
}

/// The orders in the database, and when they came.
fn placed(store: &dyn Store) -> Result<BTreeMap<String, Timestamp>, StorageError> {
    let (mut orders, mut after) = (BTreeMap::new(), Position::START);
    loop {
        let page = store.events(after, 1_000)?;
        let Some(last) = page.last() else { return Ok(orders) };
        after = last.position;
        orders.extend(page.iter().map(|event| (event.stream.key().to_owned(), event.at)));
    }
}

#[cfg(test)]
mod tests;
