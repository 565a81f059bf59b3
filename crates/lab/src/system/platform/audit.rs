//! What has come of it, read from the disks alone.
//!
//! The audit believes nobody: it starts the journal from its disk as a restart would, replays every
//! order's events, and compares them with what the customers were told, what the payment service has
//! taken and what the books say.

use std::collections::{BTreeMap, BTreeSet};

use steadfast_dispatch::names::{CourierId, OrderId, ZoneId};
use steadfast_dispatch::order::{Order, OrderEvent, PaymentState, Status};
use steadfast_journal::memory::{self, Disk};
use steadfast_journal::{Engine as _, Event, Position, StorageError, Store};
use steadfast_providers::sandbox::{PaymentState as Entry, Sandbox};
use steadfast_time::Timestamp;

use super::books;
use super::city::City;

/// Events read at a time.
const PAGE: usize = 1_000;

/// What can be counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    pub(super) orders: u64,
    pub(super) delivered: u64,
    pub(super) undone: u64,
    pub(super) offers: u64,
    /// Offers of an order that somebody had, and second assignments.
    pub(super) double_dispatch: u64,
    /// Orders beyond one for each customer.
    pub(super) double_orders: u64,
    /// Amounts taken for orders that were not delivered, or of customers who had paid, and fees
    /// that were booked twice.
    pub(super) double_charge: u64,
    /// Orders that a customer was told of, and that are not there, or are not what was asked for.
    pub(super) lost_orders: u64,
    /// Offers that took a courier or a zone over its capacity.
    pub(super) over_capacity: u64,
    /// Orders that have not ended, customers without an answer, fees not booked.
    pub(super) unfinished: u64,
    /// When each delivery was recorded.
    pub(super) deliveries: Vec<Timestamp>,
    /// The numbers of the customers whose orders are there.
    pub(super) kept: Vec<u64>,
}

/// Why the disk cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the journal cannot be read: {0}")]
    Storage(#[from] StorageError),
    #[error("{position}: {problem}")]
    Event { position: Position, problem: String },
    #[error("the payment ledger cannot be read: {0}")]
    Ledger(#[from] steadfast_providers::sandbox::Error),
}

/// Whether every order has ended and every message has reached everybody.
pub(super) fn is_at_rest(store: &dyn Store) -> Result<bool, Error> {
    if !store.unpublished(0, 1)?.is_empty() {
        return Ok(false);
    }
    let events = all_events(store)?;
    Ok(orders(&events)?.values().all(has_ended))
}

/// Counts everything. Stops whoever still uses the disk.
pub(super) fn audit(
    disk: &Disk,
    sandbox: &Sandbox,
    city: &City,
    zone_capacity: u32,
) -> Result<Findings, Error> {
    let engine = memory::Engine::recover(disk.clone());
    let store = engine.store();
    let events = all_events(&*store)?;
    let orders = orders(&events)?;
    let mut findings = Findings::default();
    dispatches(&events, city, zone_capacity, &mut findings)?;
    customers(&orders, city, &mut findings);
    for order in orders.values() {
        findings.orders += 1;
        findings.unfinished += u64::from(!has_ended(order));
        let delivered = order.status == Status::Delivered;
        findings.delivered += u64::from(delivered);
        findings.undone += u64::from(order.status.is_final() && !delivered);
    }
    charges(&orders, sandbox, &mut findings)?;
    fees(&events, &*store, &mut findings)?;
    Ok(findings)
}

fn all_events(store: &dyn Store) -> Result<Vec<Event>, StorageError> {
    let (mut events, mut after) = (Vec::new(), Position::START);
    loop {
        let page = store.events(after, PAGE)?;
        let Some(last) = page.last() else { return Ok(events) };
        after = last.position;
        events.extend(page);
    }
}

fn order_events(
    events: &[Event],
) -> impl Iterator<Item = Result<(OrderId, OrderEvent, &Event), Error>> {
    events.iter().filter(|event| event.stream.category() == "order").map(|event| {
        let wrong = |problem: String| Error::Event { position: event.position, problem };
        let id = event.stream.key().parse().map_err(|_| wrong("no order's stream".into()))?;
        let what = OrderEvent::try_from(event).map_err(|error| wrong(error.to_string()))?;
        Ok((id, what, event))
    })
}

fn orders(events: &[Event]) -> Result<BTreeMap<OrderId, Order>, Error> {
    let mut orders: BTreeMap<OrderId, Option<Order>> = BTreeMap::new();
    for event in order_events(events) {
        let (id, what, event) = event?;
        Order::step(orders.entry(id).or_default(), id, event.at, what);
    }
    Ok(orders.into_iter().filter_map(|(id, order)| Some((id, order?))).collect())
}

fn has_ended(order: &Order) -> bool {
    match order.status {
        Status::Delivered => matches!(order.payment, PaymentState::Captured { .. }),
        status => status.is_final(),
    }
}

/// What must hold after every event.
fn dispatches(
    events: &[Event],
    city: &City,
    zone_capacity: u32,
    findings: &mut Findings,
) -> Result<(), Error> {
    let capacities: BTreeMap<&CourierId, u32> =
        city.couriers.iter().map(|courier| (&courier.id, courier.capacity)).collect();
    let mut zone_of: BTreeMap<OrderId, ZoneId> = BTreeMap::new();
    let mut holder: BTreeMap<OrderId, CourierId> = BTreeMap::new();
    let mut assigned: BTreeSet<OrderId> = BTreeSet::new();
    for event in order_events(events) {
        let (id, what, event) = event?;
        match what {
            OrderEvent::Placed(placed) => {
                zone_of.insert(id, placed.zone);
            }
            OrderEvent::Offered(offer) => {
                findings.offers += 1;
                let before = holder.insert(id, offer.courier.clone());
                findings.double_dispatch += u64::from(before.is_some());
                let load = holder.values().filter(|held| **held == offer.courier).count();
                let allowed = capacities.get(&offer.courier).copied().unwrap_or(0);
                let zone = zone_of.get(&id);
                let in_zone = holder.keys().filter(|order| zone_of.get(order) == zone).count();
                let over = load > allowed as usize || in_zone > zone_capacity as usize;
                findings.over_capacity += u64::from(over);
            }
            OrderEvent::Assigned(to) => {
                let again = !assigned.insert(id) || holder.get(&id) != Some(&to.courier);
                findings.double_dispatch += u64::from(again);
            }
            OrderEvent::OfferClosed(_) | OrderEvent::UndoStarted(_) => {
                holder.remove(&id);
            }
            OrderEvent::Delivered(_) => {
                holder.remove(&id);
                findings.deliveries.push(event.at);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Every order that was answered is there, once, and as it was asked for.
fn customers(orders: &BTreeMap<OrderId, Order>, city: &City, findings: &mut Findings) {
    let mut of_customer: BTreeMap<&str, Vec<OrderId>> = BTreeMap::new();
    for order in orders.values() {
        let name = order.request.customer.as_deref().unwrap_or_default();
        of_customer.entry(name).or_default().push(order.id);
    }
    for (number, customer) in city.customers.iter().enumerate() {
        let customer = customer.borrow();
        let theirs = of_customer.get(customer.name.as_str()).map_or(0, Vec::len) as u64;
        findings.double_orders += theirs.saturating_sub(1);
        let Some((id, _)) = &customer.answer else {
            findings.unfinished += 1;
            continue;
        };
        if orders.get(id).is_some_and(|order| *order.request == customer.request) {
            findings.kept.push(number as u64);
        } else {
            findings.lost_orders += 1;
        }
    }
}

/// Money is taken once from each customer, and for a delivery.
fn charges(
    orders: &BTreeMap<OrderId, Order>,
    sandbox: &Sandbox,
    findings: &mut Findings,
) -> Result<(), Error> {
    let mut paid: BTreeSet<&str> = BTreeSet::new();
    for order in orders.values() {
        let entry = sandbox.payment.entry(order.id)?;
        if !entry.is_some_and(|entry| entry.state == Entry::Captured) {
            continue;
        }
        let customer = order.request.customer.as_deref().unwrap_or_default();
        let again = !paid.insert(customer);
        let for_nothing = order.status != Status::Delivered;
        findings.double_charge += u64::from(again || for_nothing);
    }
    Ok(())
}

/// One fee for each event that has one.
fn fees(events: &[Event], store: &dyn Store, findings: &mut Findings) -> Result<(), Error> {
    for kind in books::KINDS {
        let due = events
            .iter()
            .filter(|event| event.stream.category() == "order" && *event.kind == *kind)
            .count() as u64;
        let booked = u64::try_from(store.counter(&books::account(kind))?).unwrap_or(0);
        findings.double_charge += booked.saturating_sub(due);
        findings.unfinished += due.saturating_sub(booked);
    }
    Ok(())
}
