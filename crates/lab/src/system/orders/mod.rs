//! A customer who asks again, with and without an idempotency key.
//!
//! An answer that is lost looks like an order that is lost, so the customer's application asks again;
//! and a finger is nervous, and asks twice. With a key the service recognises the question and gives
//! the same answer, byte for byte. Without one it does the work again, and charges again.
//!
//! The service is the project's: [`Orders::place`](steadfast_dispatch::service::Orders::place) over a
//! journal, and the sandbox's payment ledger, which holds and takes the amount of each order.
//!
//! # Limits
//! Payment is asked for within the request, which the platform leaves to a saga: so that what a
//! second order costs is seen at once.

mod customers;
mod shop;

use std::collections::BTreeMap;
use std::time::Duration;

use steadfast_dispatch::names::OrderId;
use steadfast_dispatch::order::{Order, OrderEvent};
use steadfast_journal::memory::{self, Protections};
use steadfast_journal::{Engine as _, Position, Store};
use steadfast_providers::sandbox::{PaymentState, Sandbox};

use self::customers::{Customers, Outside};
use self::shop::Shop;
use super::platform::database::{self, Database};
use super::platform::{percentile, providers};
use super::{Indicator, System, Trial};
use crate::check::Model;
use crate::fault::{AtWork, Fault, Http, Kind, Link};
use crate::observed::Series;
use crate::quantity::{Quantity, Unit};
use crate::scenario::{Load, Reader};
use crate::sim::Stage;
use crate::{Error, Observed};

const CLIENTS: &str = "clients";
const SERVICE: &str = "service";
const DATABASE: &str = "database";
const HOSTS: [&str; 4] = [CLIENTS, SERVICE, DATABASE, providers::HOST];

/// Points of a curve.
const POINTS: u32 = 120;

const fn indicator(name: &'static str, unit: Unit, about: &'static str) -> Indicator {
    Indicator { name, unit, about }
}

const INDICATORS: &[Indicator] = &[
    indicator("double_charge.count", Unit::Count, "amounts taken beyond one for each wish"),
    indicator("double_orders.count", Unit::Count, "orders beyond one for each wish"),
    indicator("lost_orders.count", Unit::Count, "orders that were confirmed and are not there"),
    indicator("different_answers.count", Unit::Count, "later answers to a wish that differ"),
    indicator("api.idempotency.dedup_hits", Unit::Count, "answers that were replayed"),
    indicator("wishes", Unit::Count, "customers who wanted one order each"),
    indicator("unanswered.count", Unit::Count, "wishes that never got an answer"),
    indicator("client.retries", Unit::Count, "requests beyond the first of a wish"),
    indicator("lost_replies", Unit::Count, "answers that a fault of the service's requests lost"),
    indicator("api.latency_ms.p99", Unit::Time, "from a wish to its first answer"),
];

/// A shop and its customers.
#[derive(Clone, Copy, Debug)]
pub struct Idempotency;

/// The settings of a variant.
#[derive(Clone, Copy, Debug)]
struct Setup {
    rate: f64,
    /// Each wish has one key, instead of one for each request.
    key: bool,
    protections: Protections,
    sync: Duration,
    /// How long a customer's application waits for an answer.
    patience: Duration,
    /// How often it asks in all.
    attempts: u32,
    /// The share of customers who send their order twice.
    nervous: f64,
    link: Link,
}

impl Setup {
    fn read(load: Load, settings: &Reader<'_>) -> Self {
        let ms = Duration::from_millis;
        Self {
            rate: load.rate.unwrap_or(10.0),
            key: settings.flag("key", true),
            protections: Protections {
                claims: settings.flag("claims", true),
                ..Protections::default()
            },
            sync: settings.duration("sync", ms(5)),
            patience: settings.duration("patience", ms(1_000)),
            attempts: u32::try_from(settings.count("attempts", 1..=1_000, 20)).unwrap_or(1),
            nervous: settings.share("nervous", 0.05),
            link: Link {
                delay: settings.duration("link_delay", ms(2)),
                jitter: settings.duration("link_jitter", ms(8)),
                loss: settings.share("link_loss", 0.0),
                ..Link::default()
            },
        }
    }
}

impl System for Idempotency {
    fn name(&self) -> &'static str {
        "orders"
    }

    fn about(&self) -> &'static str {
        "Order intake and payment, used by customers who ask again when they hear nothing."
    }

    fn faults(&self) -> &'static [Kind] {
        &[Kind::Link, Kind::Partition, Kind::Http, Kind::Pause, Kind::Kill, Kind::Disk]
    }

    fn indicators(&self) -> &'static [Indicator] {
        INDICATORS
    }

    fn models(&self) -> &'static [Model] {
        &[Model::Updates]
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
        let options = database::Options { protections: setup.protections, sync: setup.sync };
        let database = Database::start(&mut stage, host, options);
        let there = stage.host(providers::HOST);
        let sandbox = providers::open(&mut stage, &there, trial.seed);
        let remote = providers::Remote {
            net: stage.net(),
            from: SERVICE.to_owned(),
            here: stage.host(SERVICE).clock(),
            there: there.clock(),
            sandbox: sandbox.clone(),
        };
        let shop = Shop::start(&stage, &database, remote, trial);
        let outside = Outside { host: stage.host(CLIENTS), clock: stage.clock(), net: stage.net() };
        let customers = customers::start(&stage, outside, shop.clone(), &setup, trial);
        let (told, disk, faults) = (shop.clone(), database.clone(), sandbox.faults.clone());
        let seed = trial.seed;
        let mut at_work = AtWork::default();
        stage.direct(&trial.schedule, move |fault, begins| {
            let now = at_work.change(fault, begins);
            match fault {
                Fault::Http { node, .. } => {
                    let http: Option<Http> = now.and_then(Fault::http);
                    if node == SERVICE {
                        told.disturb(http);
                    } else {
                        providers::disturb(&faults, http);
                    }
                }
                Fault::Disk { .. } => disk.disturb(now.and_then(Fault::disk), seed),
                _ => {}
            }
        });
        stage.run(trial)?;
        stage.heal();
        shop.disturb(None);
        database.disturb(None, seed);
        providers::disturb(&sandbox.faults, None);
        // For those who are still asking.
        stage.settle(setup.patience * 2 * setup.attempts);
        observe(&stage, &database, &sandbox, &shop, &customers, trial)
    }
}

fn failed(reason: impl std::fmt::Display) -> Error {
    Error::System { system: Idempotency.name(), reason: reason.to_string() }
}

/// A fault that would do nothing is refused: it would look like a shop that withstands it.
fn check_faults(trial: &Trial<'_>) -> Result<(), Error> {
    for planned in &trial.schedule {
        let mut names = planned.fault.nodes();
        let without_effect = match &planned.fault {
            Fault::Link { .. } | Fault::Partition { .. } => names.any(|name| name == DATABASE),
            Fault::Disk { .. } => names.any(|name| name != DATABASE),
            Fault::Http { .. } => names.any(|name| name != SERVICE && name != providers::HOST),
            _ => false,
        };
        if without_effect {
            let (line, fault) = (planned.place.line, planned.fault.to_string());
            return Err(failed(format!(
                "line {line}: {fault:?} would have no effect; disks are the database's, which has \
                 no links, and requests are those of the service and of the providers"
            )));
        }
    }
    Ok(())
}

/// The orders that are durable, by the customer.
fn orders(store: &dyn Store) -> Result<BTreeMap<String, Vec<OrderId>>, Error> {
    let (mut orders, mut after) = (BTreeMap::<String, Vec<OrderId>>::new(), Position::START);
    loop {
        let page = store.events(after, 1_000).map_err(failed)?;
        let Some(last) = page.last() else { return Ok(orders) };
        after = last.position;
        for event in page.iter().filter(|event| event.stream.category() == "order") {
            let id: OrderId = event.stream.key().parse().map_err(failed)?;
            let what = OrderEvent::try_from(event).map_err(failed)?;
            let mut order: Option<Order> = None;
            Order::step(&mut order, id, event.at, what);
            let customer = order.and_then(|order| order.request.customer.clone());
            orders.entry(customer.unwrap_or_default()).or_default().push(id);
        }
    }
}

/// Counts what each customer has got, from what is durable.
fn observe(
    stage: &Stage,
    database: &Database,
    sandbox: &Sandbox,
    shop: &Shop,
    customers: &Customers,
    trial: &Trial<'_>,
) -> Result<Observed, Error> {
    let orders = orders(&*memory::Engine::recover(database.disk().clone()).store())?;
    let seen = customers.seen();
    let (mut double_orders, mut double_charge, mut lost) = (0, 0, 0);
    for theirs in orders.values() {
        double_orders += (theirs.len() as u64).saturating_sub(1);
        let mut taken = 0_u64;
        for order in theirs {
            let entry = sandbox.payment.entry(*order).map_err(failed)?;
            taken += u64::from(entry.is_some_and(|it| it.state == PaymentState::Captured));
        }
        double_charge += taken.saturating_sub(1);
    }
    let mut kept = Vec::new();
    for wish in &seen.wishes {
        let theirs = orders.get(&wish.name);
        let has = |id: OrderId| theirs.is_some_and(|theirs| theirs.contains(&id));
        let confirmed = wish.answer.as_ref().map(|(id, _)| *id);
        lost += u64::from(confirmed.is_some_and(|id| !has(id)));
        if theirs.is_some() {
            kept.push(wish.number);
        }
    }
    let answered = seen.wishes.iter().filter(|wish| wish.answer.is_some()).count() as u64;
    let wishes = seen.wishes.len() as u64;
    let sum = |of: fn(&customers::Wish) -> u64| seen.wishes.iter().map(of).sum::<u64>();
    let mut observed = Observed {
        history: customers.history(&kept),
        spans: stage.spans(trial.duration),
        ..Observed::default()
    };
    let mut set = |name, value| observed.indicator(name, value);
    set("double_charge.count", Quantity::count(double_charge));
    set("double_orders.count", Quantity::count(double_orders));
    set("lost_orders.count", Quantity::count(lost));
    set("different_answers.count", Quantity::count(sum(|wish| wish.different)));
    set("api.idempotency.dedup_hits", Quantity::count(shop.replayed()));
    set("wishes", Quantity::count(wishes));
    set("unanswered.count", Quantity::count(wishes - answered));
    set("client.retries", Quantity::count(sum(|wish| wish.asked.saturating_sub(1))));
    set("lost_replies", Quantity::count(shop.lost_replies()));
    let took = seen.wishes.iter().filter_map(|wish| wish.took);
    set("api.latency_ms.p99", Quantity::time(percentile(took, 0.99)));
    let bucket = (trial.duration / POINTS).max(Duration::from_secs(1));
    let mut wanted = curve("throughput", "wishes", bucket, trial.duration);
    let mut again = curve("retries", "requests beyond the first", bucket, trial.duration);
    for wish in &seen.wishes {
        let place = (wish.at.as_nanos() / bucket.as_nanos()) as usize;
        let share = 1.0 / bucket.as_secs_f64();
        if let (Some(wanted), Some(again)) =
            (wanted.points.get_mut(place), again.points.get_mut(place))
        {
            wanted.1 += share;
            again.1 += share * wish.asked.saturating_sub(1) as f64;
        }
    }
    observed.series.extend([wanted, again]);
    if let Some((name, theirs)) = orders.iter().find(|(_, theirs)| theirs.len() > 1) {
        observed.note(format!("{name} wanted one order and has {}.", theirs.len()));
    }
    Ok(observed)
}

fn curve(panel: &str, name: &str, bucket: Duration, duration: Duration) -> Series {
    let mut series = Series::new(panel, name, Unit::Rate);
    let mut at = Duration::ZERO;
    while at < duration {
        series.push(at, 0.0);
        at += bucket;
    }
    series
}

#[cfg(test)]
mod tests;
