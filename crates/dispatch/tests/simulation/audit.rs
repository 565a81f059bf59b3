//! What must be true at the end, read from the disks alone.

use std::collections::{BTreeMap, HashMap};

use steadfast_dispatch::names::{CourierId, OrderId};
use steadfast_dispatch::order::{Order, OrderEvent, PaymentState, Status, StockState};
use steadfast_journal::{Event, Head, Journal, Position, Store, Version, verify};
use steadfast_providers::sandbox::{PaymentState as LedgerState, ReservationState, Sandbox};
use steadfast_time::Timestamp;

use crate::actors::Actors;
use crate::tally;
use crate::world::{Disks, Life, Scenario, reader};

#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub crashes: u64,
    pub takeovers: u64,
    pub duplicates: u64,
    pub orders: u64,
    pub delivered: u64,
    pub undone: u64,
    pub offers: u64,
}

impl Summary {
    pub fn add(&mut self, other: &Self) {
        self.crashes += other.crashes;
        self.takeovers += other.takeovers;
        self.duplicates += other.duplicates;
        self.orders += other.orders;
        self.delivered += other.delivered;
        self.undone += other.undone;
        self.offers += other.offers;
    }
}

macro_rules! ensure {
    ($condition:expr, $($problem:tt)*) => {
        if !$condition {
            return Err(format!($($problem)*));
        }
    };
}

fn all_events(store: &dyn Store) -> Result<Vec<Event>, String> {
    let (mut events, mut after) = (Vec::new(), Position::START);
    loop {
        let page = store.events(after, 1_000).map_err(|error| error.to_string())?;
        let Some(last) = page.last() else { return Ok(events) };
        after = last.position;
        events.extend(page);
    }
}

fn orders(events: &[Event]) -> Result<BTreeMap<OrderId, Order>, String> {
    let mut orders: BTreeMap<OrderId, Option<Order>> = BTreeMap::new();
    for event in events.iter().filter(|event| event.stream.category() == "order") {
        let id: OrderId = event.stream.key().parse().map_err(|_| "a stream's name".to_owned())?;
        let what = OrderEvent::try_from(event).map_err(|error| error.to_string())?;
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

pub fn all_ended(life: &Life) -> Result<bool, String> {
    let orders = orders(&all_events(life.journal.store())?)?;
    Ok(orders.values().all(has_ended))
}

pub fn unfinished(life: &Life) -> Result<String, String> {
    let orders = orders(&all_events(life.journal.store())?)?;
    let open: Vec<String> = orders
        .values()
        .filter(|order| !has_ended(order))
        .map(|order| {
            let saga = steadfast_transactions::Id(order.id.0).stream();
            let saga = life.journal.store().stream(&saga, Version::NONE, 100).unwrap_or_default();
            let saga: Vec<_> =
                saga.iter().map(|e| String::from_utf8_lossy(&e.payload).into_owned()).collect();
            format!("{} {} v{} saga {saga:?}", order.id, order.status, order.version)
        })
        .collect();
    let store = life.journal.store();
    let parked = store.records("dead-letter/order-saga", "", None, 20).unwrap_or_default();
    let parked: Vec<_> =
        parked.iter().map(|(key, value)| (key, String::from_utf8_lossy(value))).collect();
    let unpublished = store.unpublished(0, 10).unwrap_or_default();
    let timers = store.timers(Timestamp::from_micros(i64::MAX), 10).unwrap_or_default();
    let customers = format!("parked {parked:#?}; unpublished {unpublished:?}; timers {timers:?}; ")
        + &format!("{} orders in all at {}", orders.len(), life.clock().now());
    Ok(format!("{open:#?}; {customers}"))
}

pub fn check(disks: &Disks, actors: &Actors, scenario: &Scenario) -> Result<Summary, String> {
    let journal = reader(&disks.orders).map_err(|error| error.to_string())?;
    let store = journal.store();
    verify::verify(store, Head::default(), |_| {}).map_err(|error| error.to_string())?;
    let events = all_events(store)?;
    let mut summary = history(&events, actors, scenario)?;
    let orders = orders(&events)?;
    numbers(&orders)?;
    customers(&orders, actors, &mut summary)?;
    outbox(store, &events)?;
    for order in orders.values() {
        ensure!(has_ended(order), "{} has not ended: {}", order.id, order.status);
        summary.orders += 1;
        let delivered = order.status == Status::Delivered;
        summary.delivered += u64::from(delivered);
        summary.undone += u64::from(!delivered);
    }
    ledgers(disks, &orders)?;
    leftovers(store, actors)?;
    let counted = store.counter(tally::DELIVERIES).map_err(|error| error.to_string())?;
    let delivered = i64::try_from(summary.delivered).unwrap_or(i64::MAX);
    ensure!(counted == delivered, "{delivered} deliveries were counted as {counted}");
    Ok(summary)
}

/// The invariants that must hold after every event.
fn history(events: &[Event], actors: &Actors, scenario: &Scenario) -> Result<Summary, String> {
    let capacity: HashMap<CourierId, u32> = actors
        .couriers
        .iter()
        .map(|courier| (courier.borrow().id.clone(), courier.borrow().capacity))
        .collect();
    let mut summary = Summary::default();
    let mut holder: HashMap<OrderId, CourierId> = HashMap::new();
    let mut assigned: HashMap<OrderId, CourierId> = HashMap::new();
    let mut highest = 0;
    for event in events.iter().filter(|event| event.stream.category() == "order") {
        let id: OrderId = event.stream.key().parse().map_err(|_| "a stream's name".to_owned())?;
        let at = event.position;
        match OrderEvent::try_from(event).map_err(|error| error.to_string())? {
            OrderEvent::Offered(offer) => {
                summary.offers += 1;
                let token = offer.token.get();
                ensure!(
                    token >= highest,
                    "{at}: {id} offered with stale token {token} < {highest}"
                );
                summary.takeovers += u64::from(token > highest);
                highest = token;
                let before = holder.insert(id, offer.courier.clone());
                ensure!(before.is_none(), "{at}: {id} offered to a second courier");
                ensure!(
                    holder.len() <= scenario.zone_capacity as usize,
                    "{at}: the zone is over its capacity with {} orders",
                    holder.len()
                );
                let load = holder.values().filter(|courier| **courier == offer.courier).count();
                ensure!(
                    load <= capacity[&offer.courier] as usize,
                    "{at}: {} is over its capacity with {load} orders",
                    offer.courier
                );
            }
            OrderEvent::Assigned(event) => {
                let before = assigned.insert(id, event.courier.clone());
                ensure!(before.is_none(), "{at}: {id} assigned a second time");
                ensure!(holder.get(&id) == Some(&event.courier), "{at}: {id} was not offered");
            }
            OrderEvent::OfferClosed(_) | OrderEvent::Delivered(_) | OrderEvent::UndoStarted(_) => {
                holder.remove(&id);
            }
            _ => {}
        }
    }
    Ok(summary)
}

/// Every order has a number of its own, whatever crashed.
fn numbers(orders: &BTreeMap<OrderId, Order>) -> Result<(), String> {
    let mut seen = HashMap::new();
    for order in orders.values() {
        let number = order.number.ok_or(format!("{} has no number", order.id))?;
        let before = seen.insert(number, order.id);
        ensure!(before.is_none(), "{} and {before:?} are both number {number}", order.id);
    }
    Ok(())
}

/// Every order that was answered exists, exactly once; none exists that nobody asked for.
fn customers(
    orders: &BTreeMap<OrderId, Order>,
    actors: &Actors,
    summary: &mut Summary,
) -> Result<(), String> {
    let mut of_customer: HashMap<&str, Vec<OrderId>> = HashMap::new();
    for order in orders.values() {
        let name = order.request.customer.as_deref().unwrap_or_default();
        of_customer.entry(name).or_default().push(order.id);
    }
    for customer in &actors.customers {
        let customer = customer.borrow();
        let (id, _) = customer.answer.as_ref().ok_or("a customer never got an answer")?;
        let theirs = of_customer.get(customer.name.as_str()).cloned().unwrap_or_default();
        ensure!(theirs == [*id], "{} was told {id} and has {theirs:?}", customer.name);
        ensure!(*orders[id].request == customer.request, "{id} is not what was ordered");
        summary.duplicates += customer.replays;
    }
    ensure!(orders.len() == actors.customers.len(), "orders that nobody placed");
    Ok(())
}

/// No event without its message, and no message without its event.
fn outbox(store: &dyn Store, events: &[Event]) -> Result<(), String> {
    let mut messages = HashMap::new();
    let mut after = 0;
    loop {
        let page = store.outbox(after, 1_000).map_err(|error| error.to_string())?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for row in page {
            let name = (row.message.aggregate_id.clone(), row.message.sequence);
            ensure!(messages.insert(name, row).is_none(), "a message is in the outbox twice");
        }
    }
    for event in events.iter().filter(|event| event.stream.category() == "order") {
        let name = (event.stream.key().to_owned(), event.version.0);
        let row = messages.remove(&name).ok_or(format!("{name:?} has no message"))?;
        ensure!(row.message.payload == event.payload, "{name:?} and its message differ");
        ensure!(row.published_at.is_some(), "{name:?} was never published");
    }
    ensure!(messages.is_empty(), "messages without events: {}", messages.len());
    Ok(())
}

/// Stock and payment agree with the orders to the unit.
fn ledgers(disks: &Disks, orders: &BTreeMap<OrderId, Order>) -> Result<(), String> {
    let open = |disk| reader(disk).map_err(|error| error.to_string());
    let (stock, payment): (Journal, Journal) = (open(&disks.stock)?, open(&disks.payment)?);
    verify::verify(stock.store(), Head::default(), |_| {}).map_err(|error| error.to_string())?;
    verify::verify(payment.store(), Head::default(), |_| {}).map_err(|error| error.to_string())?;
    let clock = steadfast_time::sim::SimClock::starting_at(Timestamp::EPOCH).clock();
    let sandbox = Sandbox::open(stock, payment, &clock, Default::default());
    let (mut pieces, mut money) = (0_u64, 0_i128);
    for order in orders.values() {
        let id = order.id;
        let delivered = order.status == Status::Delivered;
        let reservation = sandbox.stock.reservation(id).map_err(|error| error.to_string())?;
        let held = reservation.is_some_and(|r| r.state == ReservationState::Held);
        ensure!(held == delivered, "{id} is {} and its stock held: {held}", order.status);
        ensure!(
            delivered == matches!(order.stock, StockState::Reserved { .. }),
            "{id} is {} with stock {:?}",
            order.status,
            order.stock
        );
        let entry = sandbox.payment.entry(id).map_err(|error| error.to_string())?;
        let captured = entry.as_ref().is_some_and(|e| e.state == LedgerState::Captured);
        let authorized = entry.is_some_and(|e| e.state == LedgerState::Authorized);
        ensure!(captured == delivered, "{id} is {} and captured: {captured}", order.status);
        ensure!(!authorized, "{id} is {} and its amount is still held", order.status);
        if delivered {
            pieces += order.request.items.iter().map(|i| u64::from(i.quantity)).sum::<u64>();
            money += i128::from(order.request.amount.minor);
        }
    }
    let totals = sandbox.stock.totals().map_err(|error| error.to_string())?;
    let held: u64 = totals.articles.values().map(|article| article.held()).sum();
    ensure!(held == pieces, "{pieces} pieces were delivered and {held} are gone");
    let totals = sandbox.payment.totals().map_err(|error| error.to_string())?;
    let taken: i128 = totals.currencies.values().map(|currency| currency.captured).sum();
    ensure!(taken == money, "{money} were due and {taken} were taken");
    Ok(())
}

/// Nothing is left behind that only open orders need.
fn leftovers(store: &dyn Store, actors: &Actors) -> Result<(), String> {
    let text = |error: steadfast_journal::StorageError| error.to_string();
    let counter = |name: &str| store.counter(name).map_err(text);
    ensure!(counter("zone/default/dispatches")? == 0, "the zone's counter is not back at zero");
    for courier in &actors.couriers {
        let name = format!("courier/{}/orders", courier.borrow().id);
        ensure!(counter(&name)? == 0, "{name} is not back at zero");
    }
    let open = store.records("zone-orders", "", None, 10).map_err(text)?;
    ensure!(open.is_empty(), "records of open orders are left: {open:?}");
    let timers = store.timers(Timestamp::from_micros(i64::MAX), 10).map_err(text)?;
    ensure!(timers.is_empty(), "timers are left: {timers:?}");
    for space in ["dead-letter/order-saga", "saga"] {
        let left = store.records(space, "", None, 10).map_err(text)?;
        ensure!(left.is_empty(), "{space}: {left:?}");
    }
    Ok(())
}
