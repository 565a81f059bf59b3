//! What must be true at the end, read from the three journals alone.
//!
//! The same questions as in the simulation of the dispatch crate, asked of real files.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

use steadfast_dispatch::names::{CourierId, OrderId, ZoneId};
use steadfast_dispatch::order::{
    Order, OrderEvent, PaymentState, PlaceOrder, Status, StockState, Undo,
};
use steadfast_journal::{Event, Head, Journal, Position, Store, Writer, sqlite, verify};
use steadfast_providers::sandbox::{self, PaymentState as LedgerState, ReservationState, Sandbox};
use steadfast_time::{Clock, Timestamp};

use crate::city::{City, ZONE_CAPACITY, ZONES};

#[derive(Debug, Default)]
pub struct Summary {
    pub orders: usize,
    pub events: usize,
    pub delivered: u64,
    pub undone: u64,
    pub offers: u64,
    pub takeovers: u64,
    /// Most orders in dispatch at once in any zone.
    pub busiest: usize,
    pub pieces: u64,
    pub money: i128,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { orders, events, delivered, undone, offers, takeovers, busiest, .. } = self;
        let Self { pieces, money, .. } = self;
        write!(
            f,
            "{orders} orders ({delivered} delivered, {undone} undone) in {events} events, \
             {offers} offers under {takeovers} leases, at most {busiest} of {ZONE_CAPACITY} at \
             once in a zone, {pieces} pieces and {money} won accounted for"
        )
    }
}

macro_rules! ensure {
    ($condition:expr, $($problem:tt)*) => {
        if !$condition {
            return Err(format!($($problem)*));
        }
    };
}

type Result<T> = std::result::Result<T, String>;

fn text(error: impl fmt::Display) -> String {
    error.to_string()
}

/// A journal that nobody writes to. The writer holds the engine open.
struct Opened {
    journal: Journal,
    _writer: Writer,
}

fn open(data: &Path, name: &str, clock: &Clock) -> Result<Opened> {
    let engine = sqlite::Engine::open(&data.join(name), sqlite::Options::default());
    let (journal, writer) = Journal::new(engine.map_err(text)?, clock.clone());
    verify::verify(journal.store(), Head::default(), |_| {}).map_err(text)?;
    Ok(Opened { journal, _writer: writer })
}

pub fn check(data: &Path, city: &City) -> Result<Summary> {
    let clock = Clock::system();
    let opened = open(data, "orders", &clock)?;
    let store = opened.journal.store();
    let events = all_events(store)?;
    let mut summary = Summary { events: events.len(), ..Summary::default() };
    let orders = orders(&events)?;
    summary.orders = orders.len();
    limits(&events, city, &mut summary)?;
    customers(&orders, city)?;
    couriers(&events, &orders, city)?;
    outbox(store, &events)?;
    for order in orders.values() {
        let captured = matches!(order.payment, PaymentState::Captured { .. });
        let delivered = order.status == Status::Delivered;
        let ended = if delivered { captured } else { order.status.is_final() };
        ensure!(ended, "{} has not ended: {} {:?}", order.id, order.status, order.payment);
        summary.delivered += u64::from(delivered);
        summary.undone += u64::from(!delivered);
    }
    leftovers(store, city)?;
    let (stock, payment) = (open(data, "stock", &clock)?, open(data, "payment", &clock)?);
    let (stock, payment) = (stock.journal.clone(), payment.journal.clone());
    let sandbox = Sandbox::open(stock, payment, &clock, sandbox::Options::default());
    ledgers(&sandbox, &orders, &mut summary)?;
    Ok(summary)
}

fn all_events(store: &dyn Store) -> Result<Vec<Event>> {
    let (mut events, mut after) = (Vec::new(), Position::START);
    loop {
        let page = store.events(after, 1_000).map_err(text)?;
        let Some(last) = page.last() else { return Ok(events) };
        after = last.position;
        events.extend(page);
    }
}

/// Events of orders, with the order that they belong to.
fn of_orders(events: &[Event]) -> impl Iterator<Item = Result<(OrderId, &Event, OrderEvent)>> {
    events.iter().filter(|event| event.stream.category() == "order").map(|event| {
        let id = event.stream.key().parse().map_err(text)?;
        Ok((id, event, OrderEvent::try_from(event).map_err(text)?))
    })
}

fn orders(events: &[Event]) -> Result<BTreeMap<OrderId, Order>> {
    let mut orders: BTreeMap<OrderId, Option<Order>> = BTreeMap::new();
    for event in of_orders(events) {
        let (id, event, what) = event?;
        Order::step(orders.entry(id).or_default(), id, event.at, what);
    }
    Ok(orders.into_iter().filter_map(|(id, order)| Some((id, order?))).collect())
}

/// The limits that hold after every single event.
fn limits(events: &[Event], city: &City, summary: &mut Summary) -> Result<()> {
    let mut zones: HashMap<OrderId, ZoneId> = HashMap::new();
    let mut holder: HashMap<OrderId, CourierId> = HashMap::new();
    let mut assigned: HashMap<OrderId, CourierId> = HashMap::new();
    let mut highest: HashMap<ZoneId, u64> = HashMap::new();
    for event in of_orders(events) {
        let (id, event, what) = event?;
        let at = event.position;
        match what {
            OrderEvent::Placed(placed) => {
                // However early it comes after a start.
                let known = ZONES.iter().any(|(name, ..)| *name == placed.zone.as_str());
                ensure!(known, "{at}: {id} was placed in zone {}", placed.zone);
                zones.insert(id, placed.zone);
            }
            OrderEvent::Offered(offer) => {
                summary.offers += 1;
                let zone = &zones[&id];
                let token = offer.token.get();
                let before = highest.insert(zone.clone(), token).unwrap_or(0);
                ensure!(token >= before, "{at}: {id} offered with stale token {token} < {before}");
                summary.takeovers += u64::from(token > before);
                let before = holder.insert(id, offer.courier.clone());
                ensure!(before.is_none(), "{at}: {id} offered to a second courier: {before:?}");
                let busy = holder.keys().filter(|id| zones[*id] == *zone).count();
                summary.busiest = summary.busiest.max(busy);
                ensure!(busy <= ZONE_CAPACITY as usize, "{at}: {busy} orders in zone {zone}");
                let load = holder.values().filter(|courier| **courier == offer.courier).count();
                let capacity = city.capacity.get(offer.courier.as_str());
                ensure!(
                    capacity.is_some_and(|capacity| load <= *capacity as usize),
                    "{at}: {} has {load} orders and room for {capacity:?}",
                    offer.courier
                );
            }
            OrderEvent::Assigned(event) => {
                ensure!(
                    holder.get(&id) == Some(&event.courier),
                    "{at}: {id} was not offered to {}",
                    event.courier
                );
                let before = assigned.insert(id, event.courier);
                ensure!(before.is_none(), "{at}: {id} assigned a second time, after {before:?}");
            }
            OrderEvent::OfferClosed(_) | OrderEvent::Delivered(_) | OrderEvent::UndoStarted(_) => {
                holder.remove(&id);
            }
            _ => {}
        }
    }
    ensure!(holder.is_empty(), "still in dispatch: {holder:?}");
    Ok(())
}

/// Every order that was answered exists, exactly once and as it was ordered; none exists that
/// nobody asked for.
fn customers(orders: &BTreeMap<OrderId, Order>, city: &City) -> Result<()> {
    let mut of_customer: HashMap<&str, Vec<&Order>> = HashMap::new();
    for order in orders.values() {
        let name = order.request.customer.as_deref().unwrap_or_default();
        of_customer.entry(name).or_default().push(order);
    }
    let told = city.told();
    for (key, answered) in &told.placed {
        let theirs = of_customer.get(key.as_str()).map_or(&[][..], Vec::as_slice);
        let names: Vec<_> = theirs.iter().map(|order| order.id.to_string()).collect();
        ensure!(
            names == [answered.id.as_str()],
            "{key} was told {} and has {names:?}",
            answered.id
        );
        let request: PlaceOrder = serde_json::from_value(answered.request.clone()).map_err(text)?;
        ensure!(*theirs[0].request == request, "{} is not what {key} ordered", answered.id);
    }
    let placed = told.placed.len();
    ensure!(orders.len() == placed, "{} orders are stored, {placed} were placed", orders.len());
    for id in &told.cancelled {
        let order = &orders[&id.parse().map_err(text)?];
        let cancelled = matches!(order.status, Status::Cancelled | Status::Rejected);
        ensure!(cancelled && order.undo.is_some(), "{id} was cancelled and is {}", order.status);
    }
    Ok(())
}

/// What a courier was told is so.
fn couriers(events: &[Event], orders: &BTreeMap<OrderId, Order>, city: &City) -> Result<()> {
    let mut assigned = HashMap::new();
    for event in of_orders(events) {
        if let (id, _, OrderEvent::Assigned(event)) = event? {
            assigned.insert(id.to_string(), event.courier.to_string());
        }
    }
    let told = city.told();
    for (order, courier) in &told.accepted {
        let holder = assigned.get(order);
        ensure!(holder == Some(courier), "{order} was given to {courier}, and {holder:?} has it");
    }
    for id in &told.delivered {
        let status = orders[&id.parse().map_err(text)?].status;
        ensure!(status == Status::Delivered, "{id} was reported as delivered and is {status}");
    }
    Ok(())
}

/// No event without its message, and no message without its event.
fn outbox(store: &dyn Store, events: &[Event]) -> Result<()> {
    let mut messages = HashMap::new();
    let mut after = 0;
    loop {
        let page = store.outbox(after, 1_000).map_err(text)?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for row in page {
            let name = (row.message.aggregate_id.clone(), row.message.sequence);
            let before = messages.insert(name.clone(), row);
            ensure!(before.is_none(), "{name:?} is in the outbox twice");
        }
    }
    for event in events.iter().filter(|event| event.stream.category() == "order") {
        let name = (event.stream.key().to_owned(), event.version.0);
        let row = messages.remove(&name).ok_or(format!("{name:?} has no message"))?;
        ensure!(row.message.payload == event.payload, "{name:?} and its message differ");
        ensure!(row.published_at.is_some(), "{name:?} was never published");
    }
    ensure!(messages.is_empty(), "messages without events: {:?}", messages.keys());
    Ok(())
}

/// Stock and payment agree with the orders to the unit, order by order and in all.
fn ledgers(
    sandbox: &Sandbox,
    orders: &BTreeMap<OrderId, Order>,
    summary: &mut Summary,
) -> Result<()> {
    for order in orders.values() {
        let id = order.id;
        let delivered = order.status == Status::Delivered;
        let reservation = sandbox.stock.reservation(id).map_err(text)?;
        let held = reservation.as_ref().is_some_and(|r| r.state == ReservationState::Held);
        ensure!(held == delivered, "{id} is {} and its stock {reservation:?}", order.status);
        let reserved = matches!(order.stock, StockState::Reserved { .. });
        ensure!(reserved == delivered, "{id} is {} with {:?}", order.status, order.stock);
        let entry = sandbox.payment.entry(id).map_err(text)?;
        let captured = entry.as_ref().is_some_and(|e| e.state == LedgerState::Captured);
        ensure!(captured == delivered, "{id} is {} and its payment {entry:?}", order.status);
        let held = entry.as_ref().is_some_and(|e| e.state == LedgerState::Authorized);
        ensure!(!held, "{id} is {} and its amount is still held", order.status);
        // A service's refusal, and nothing else, rejects an order.
        if order.undo_outcome() == Some(Undo::Rejected) {
            ensure!(order.status == Status::Rejected, "{id} ended as {}", order.status);
        }
        if delivered {
            let request = &order.request;
            summary.pieces += request.items.iter().map(|i| u64::from(i.quantity)).sum::<u64>();
            summary.money += i128::from(request.amount.minor);
        }
    }
    let totals = sandbox.stock.totals().map_err(text)?;
    let held: u64 = totals.articles.values().map(|article| article.held()).sum();
    ensure!(held == summary.pieces, "{} pieces were delivered, {held} are gone", summary.pieces);
    let totals = sandbox.payment.totals().map_err(text)?;
    let taken: i128 = totals.currencies.values().map(|currency| currency.captured).sum();
    ensure!(taken == summary.money, "{} were due, {taken} were taken", summary.money);
    let left: i128 = totals.currencies.values().map(|currency| currency.held()).sum();
    ensure!(left == 0, "{left} are still held");
    Ok(())
}

/// Nothing is left behind that only open orders need.
fn leftovers(store: &dyn Store, city: &City) -> Result<()> {
    let zones = ZONES.iter().map(|(name, ..)| format!("zone/{name}/dispatches"));
    let couriers = city.capacity.keys().map(|id| format!("courier/{id}/orders"));
    for name in zones.chain(couriers) {
        let left = store.counter(&name).map_err(text)?;
        ensure!(left == 0, "{name} is {left}, not back at zero");
    }
    for space in ["zone-orders", "dead-letter/order-saga", "saga"] {
        let left = store.records(space, "", None, 10).map_err(text)?;
        ensure!(left.is_empty(), "records are left in {space}: {left:?}");
    }
    let timers = store.timers(Timestamp::from_micros(i64::MAX), 10).map_err(text)?;
    ensure!(timers.is_empty(), "timers are left: {timers:?}");
    Ok(())
}
