//! Lists against a plain model, while orders change and the machine stops.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;
use steadfast_fencing::FencingToken;
use steadfast_journal::limits::READ_ROWS_MAX;
use steadfast_journal::memory::{self, Disk};
use steadfast_journal::{Append, Expected, Journal, Write};
use steadfast_time::sim::{DEFAULT_START, SimClock, Simulation};
use steadfast_time::{Clock, Ids};

use super::{Filter, OrderPage, OrderSummary};
use crate::Error;
use crate::limits::PAGE_ORDERS_MAX;
use crate::names::{OfferId, OrderId, TenantId, ZoneId};
use crate::order::{CloseReason, Command, Order, OrderEvent, Placed, Status, Undo};
use crate::service::{Options, Services};

/// The last one gets its orders in the first life only.
const ZONES: [&str; 6] = ["default", "a", "a/b", "1:a/placed", "강남", "old"];

/// One life of a process with services that keep a list.
struct Life {
    sim: Simulation,
    journal: Journal,
    services: Services,
}

fn start(disk: &Disk, clock: &SimClock, seed: u64) -> Life {
    let mut sim = Simulation::with_clock(clock.clone(), seed);
    let engine = memory::Engine::recover(disk.clone());
    let (journal, mut writer) = Journal::new(engine, sim.clock());
    sim.on_idle(move || writer.run_once().unwrap() > 0);
    let services = services(&journal, &sim.clock());
    let list = services.list_projection();
    sim.spawn(async move { list.await.unwrap() });
    Life { sim, journal, services }
}

fn services(journal: &Journal, clock: &Clock) -> Services {
    Services::new(journal.clone(), clock.clone(), Ids::seeded(1), Options::default())
}

/// What the orders are, without any list.
#[derive(Clone)]
struct Model {
    rng: Rng,
    ids: std::sync::Arc<Ids>,
    orders: BTreeMap<OrderId, Order>,
    zones: usize,
}

impl Model {
    fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            ids: std::sync::Arc::new(Ids::seeded(seed)),
            orders: BTreeMap::new(),
            zones: ZONES.len(),
        }
    }

    /// Places orders and lets others go on, in the journal as in the model.
    async fn change(&mut self, journal: &Journal, clock: &Clock, placed: usize, steps: usize) {
        let mut all = Vec::new();
        for _ in 0..placed {
            clock.sleep(Duration::from_micros(self.rng.u64(..3_000))).await;
            let id = OrderId(self.ids.next(clock.now()));
            let zone: ZoneId = ZONES[self.rng.usize(..self.zones)].parse().unwrap();
            let request = serde_json::from_str(super::projection::BENTO).unwrap();
            let tenant = TenantId::public();
            // Those from before there were numbers have none.
            let number = (self.rng.u64(..3) > 0).then(|| self.rng.u64(1_000..));
            all.push((id, OrderEvent::from(Placed { number, request, zone, tenant })));
        }
        self.write(journal, clock, all).await;
        let ids: Vec<OrderId> = self.orders.keys().copied().collect();
        for _ in 0..steps {
            let id = ids[self.rng.usize(..ids.len())];
            let command = self.command(id);
            let events = self.orders[&id].decide(clock.now(), command).unwrap_or_default();
            let events = events.into_iter().map(|event| (id, event)).collect();
            self.write(journal, clock, events).await;
        }
    }

    async fn write(
        &mut self,
        journal: &Journal,
        clock: &Clock,
        events: Vec<(OrderId, OrderEvent)>,
    ) {
        let at = clock.now();
        let mut write = Write::at(at);
        for (id, event) in events {
            let mut order = self.orders.remove(&id);
            let version = order.as_ref().map_or_else(Default::default, |order| order.version);
            let (stream, expected) = (id.stream(), Expected::Exactly(version));
            let events = vec![event.to_new().unwrap()];
            write.appends.push(Append { stream, expected, events });
            Order::step(&mut order, id, at, event);
            self.orders.extend(order.map(|order| (id, order)));
        }
        if !write.appends.is_empty() {
            journal.commit(write).await.unwrap();
        }
    }

    /// Mostly what brings the order further.
    fn command(&mut self, id: OrderId) -> Command {
        let order = &self.orders[&id];
        let (until, courier) = (DEFAULT_START, "c1".parse().unwrap());
        let offer = OfferId { order: id, number: order.offers + 1 };
        let open = order.offer.as_ref().map_or(offer, |open| open.offer);
        let text = || "x".to_owned();
        let outcome = [Undo::Rejected, Undo::Cancelled][self.rng.usize(..2)];
        match (self.rng.u8(..20), order.status) {
            (0, _) => Command::Undo { outcome, code: text(), reason: text() },
            (1, _) => Command::ReserveStock { reservation: text() },
            (2, _) => Command::AuthorizePayment { authorization: text() },
            (_, Status::Placed) => Command::ReserveStock { reservation: text() },
            (_, Status::StockReserved) => Command::AuthorizePayment { authorization: text() },
            (_, Status::PaymentAuthorized) => Command::SeekCourier { until },
            (_, Status::AwaitingCourier) => Command::Offer {
                offer,
                courier,
                trip: vec![id],
                expires_at: until + Duration::from_secs(1_000_000),
                token: FencingToken::FIRST,
            },
            (3..9, Status::Offered) => {
                let reason = CloseReason::Declined;
                Command::CloseOffer { offer: open, courier: None, reason }
            }
            (_, Status::Offered) => Command::Accept { offer: open, courier },
            (_, Status::Assigned) => Command::Arrive { assignment: open, courier },
            (_, Status::AtPickup) => Command::PickUp { assignment: open, courier },
            (_, Status::PickedUp) => Command::Deliver { assignment: open, courier },
            (3..8, Status::Compensating) => Command::VoidPayment,
            (8..13, Status::Compensating) => Command::ReleaseStock,
            (_, Status::Compensating) => Command::Close,
            (..) => Command::CapturePayment { capture: text() },
        }
    }

    fn filter(&mut self) -> Filter {
        let status = Status::ALL[self.rng.usize(..Status::ALL.len())];
        let all = [ZONES.as_slice(), &["nowhere"]].concat();
        let zone: ZoneId = all[self.rng.usize(..all.len())].parse().unwrap();
        Filter { status: self.rng.bool().then_some(status), zone: self.rng.bool().then_some(zone) }
    }

    fn limit(&mut self) -> usize {
        let largest = [3, 20, PAGE_ORDERS_MAX][self.rng.usize(..3)];
        self.rng.usize(1..=largest)
    }

    /// The whole list.
    fn list(&self, filter: &Filter) -> Vec<OrderSummary> {
        self.orders.values().rev().filter(|order| fits(filter, order)).map(summary).collect()
    }
}

fn fits(filter: &Filter, order: &Order) -> bool {
    filter.status.is_none_or(|status| status == order.status)
        && filter.zone.as_ref().is_none_or(|zone| *zone == order.zone)
}

fn summary(order: &Order) -> OrderSummary {
    OrderSummary {
        id: order.id,
        number: order.number,
        status: order.status,
        version: order.version.0,
        zone: order.zone.clone(),
        placed_at: order.placed_at,
        changed_at: order.changed_at,
    }
}

async fn page(
    services: &Services,
    clock: &Clock,
    filter: &Filter,
    cursor: Option<String>,
    limit: usize,
) -> Result<OrderPage, Error> {
    let deadline = clock.monotonic() + Duration::from_millis(350);
    services.orders.list(filter.clone(), cursor, limit, deadline).await
}

/// All pages of a list while nothing changes.
async fn all(
    services: &Services,
    clock: &Clock,
    filter: &Filter,
    limit: usize,
) -> Vec<OrderSummary> {
    let (mut listed, mut cursor) = (Vec::new(), None);
    loop {
        let page = page(services, clock, filter, cursor, limit).await.unwrap();
        let is_last = page.next_cursor.is_none();
        // Only the last page may be short, and only the only one empty.
        assert!(page.orders.len() == limit || is_last);
        assert!(!page.orders.is_empty() || listed.is_empty());
        listed.extend(page.orders);
        if is_last {
            return listed;
        }
        cursor = page.next_cursor;
    }
}

/// Goes through a list while orders change between the pages.
async fn walk(model: &mut Model, services: &Services, journal: &Journal, clock: &Clock) {
    let (filter, limit) = (model.filter(), model.rng.usize(20..=PAGE_ORDERS_MAX));
    // What fits the filter all the while.
    let mut steady: BTreeSet<OrderId> = model.list(&filter).into_iter().map(|o| o.id).collect();
    let (mut shown, mut cursor) = (Vec::new(), None);
    loop {
        let page = page(services, clock, &filter, cursor, limit).await.unwrap();
        assert!(page.orders.len() <= limit);
        for order in &page.orders {
            // The reader has waited for all that was written before.
            assert_eq!(*order, summary(&model.orders[&order.id]));
            assert!(fits(&filter, &model.orders[&order.id]));
            assert!(shown.last().is_none_or(|last| order.id < *last), "{filter:?}");
            shown.push(order.id);
        }
        let Some(next) = page.next_cursor else { break };
        cursor = Some(next);
        let placed = model.rng.usize(..3);
        model.change(journal, clock, placed, 20).await;
        steady.retain(|id| fits(&filter, &model.orders[id]));
    }
    let shown: BTreeSet<OrderId> = shown.into_iter().collect();
    let missing: Vec<_> = steady.difference(&shown).collect();
    assert!(missing.is_empty(), "{filter:?}: {missing:?}");
}

#[test]
fn pages_agree_with_a_plain_model_across_crashes() {
    for seed in 0..2 {
        let (disk, clock) = (Disk::new(), SimClock::starting_at(DEFAULT_START));
        let mut model = Model::new(seed);
        for life in 0..4 {
            let Life { mut sim, journal, services } = start(&disk, &clock, seed * 10 + life);
            let clock = sim.clock();
            let mut orders = model.clone();
            model = sim.block_on(async move {
                for _ in 0..8 {
                    orders.change(&journal, &clock, 100, 600).await;
                    for _ in 0..6 {
                        let (filter, limit) = (orders.filter(), orders.limit());
                        let listed = all(&services, &clock, &filter, limit).await;
                        assert_eq!(listed, orders.list(&filter), "{filter:?}");
                    }
                    walk(&mut orders, &services, &journal, &clock).await;
                }
                // The machine stops with events that are not yet in the list.
                orders.change(&journal, &clock, 20, 100).await;
                orders.zones = ZONES.len() - 1;
                orders
            });
        }
        let statuses: BTreeSet<Status> = model.orders.values().map(|order| order.status).collect();
        assert!(model.orders.len() > 3_000 && statuses.len() == Status::ALL.len());
        // Nothing is left behind in the index: a row, a place and a status each, and the zones.
        let Life { mut sim, services, .. } = start(&disk, &clock, 99);
        let clock = sim.clock();
        let records = sim.block_on(async move {
            page(&services, &clock, &Filter::default(), None, 1).await.unwrap();
            let view = &services.core.0.list.view;
            ["o/", "z/", "s/", "zone/"]
                .map(|prefix| view.list(prefix, None, READ_ROWS_MAX).unwrap().len())
        });
        let count = model.orders.len();
        assert_eq!(records, [count, count, count, ZONES.len()]);
    }
}

#[test]
fn while_nobody_asks_many_events_become_few_changes() {
    let (disk, clock) = (Disk::new(), SimClock::starting_at(DEFAULT_START));
    let Life { mut sim, journal, services } = start(&disk, &clock, 1);
    let clock = sim.clock();
    sim.block_on(async move {
        let mut model = Model::new(1);
        model.change(&journal, &clock, 500, 0).await;
        page(&services, &clock, &Filter::default(), None, 1).await.unwrap();
        let view = &services.core.0.list.view;
        let (mut moves, mut last) = (0, view.progress().live);
        for _ in 0..200 {
            model.change(&journal, &clock, 0, 10).await;
            clock.sleep(Duration::from_millis(10)).await;
            moves += u32::from(view.progress().live != last);
            last = view.progress().live;
        }
        // Two seconds of events, a commit each half a second.
        assert!((2..=5).contains(&moves), "{moves}");
        model.change(&journal, &clock, 1, 0).await;
        let asked = clock.monotonic();
        let page = page(&services, &clock, &Filter::default(), None, 1).await.unwrap();
        assert_eq!(page.orders, model.list(&Filter::default())[..1]);
        assert!(clock.monotonic() - asked < Duration::from_millis(5));
    });
}

#[test]
fn requests_that_make_no_sense_name_their_field() {
    let (disk, clock) = (Disk::new(), SimClock::starting_at(DEFAULT_START));
    let Life { mut sim, journal, services } = start(&disk, &clock, 1);
    let clock = sim.clock();
    sim.block_on(async move {
        Model::new(1).change(&journal, &clock, 9, 0).await;
        let none = Filter::default();
        let cursor = page(&services, &clock, &none, None, 1).await.unwrap().next_cursor;
        let default = Filter { zone: Some(ZoneId::default_zone()), ..none.clone() };
        for (filter, cursor, limit, field) in [
            (&none, None, 0, "limit"),
            (&none, None, PAGE_ORDERS_MAX + 1, "limit"),
            (&none, Some("nonsense".to_owned()), 1, "cursor"),
            (&default, cursor, 1, "cursor"),
        ] {
            match page(&services, &clock, filter, cursor, limit).await {
                Err(Error::Invalid(problem)) => assert_eq!(problem.field, field),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn a_list_that_nobody_keeps_says_so_and_one_that_lags_runs_into_the_deadline() {
    let (disk, clock) = (Disk::new(), SimClock::starting_at(DEFAULT_START));
    let Life { mut sim, journal, .. } = start(&disk, &clock, 1);
    let clock = sim.clock();
    sim.block_on(async move {
        Model::new(1).change(&journal, &clock, 1, 0).await;
        let other = services(&journal, &clock);
        match page(&other, &clock, &Filter::default(), None, 1).await {
            Err(Error::Unavailable { reason }) => assert!(reason.contains("not kept"), "{reason}"),
            other => panic!("{other:?}"),
        }
        // Taken, but not polled: as at the start of a process.
        let run = other.list_projection();
        let late = page(&other, &clock, &Filter::default(), None, 1).await;
        assert!(matches!(late, Err(Error::DeadlineExceeded { .. })), "{late:?}");
        assert!(other.list_projection().await.unwrap_err().to_string().contains("already"));
        drop(run);
        match page(&other, &clock, &Filter::default(), None, 1).await {
            Err(Error::Unavailable { reason }) => assert!(reason.contains("not running")),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn of_two_that_keep_the_same_list_one_ends_with_the_reason() {
    let (disk, clock) = (Disk::new(), SimClock::starting_at(DEFAULT_START));
    let mut sim = Simulation::with_clock(clock, 1);
    let (journal, mut writer) = Journal::new(memory::Engine::recover(disk), sim.clock());
    sim.on_idle(move || writer.run_once().unwrap() > 0);
    let clock = sim.clock();
    sim.block_on(async move {
        let both = [services(&journal, &clock), services(&journal, &clock)];
        let runs = both.each_ref().map(|services| Box::pin(services.list_projection()));
        let changes = async {
            let mut model = Model::new(1);
            loop {
                model.change(&journal, &clock, 1, 5).await;
                clock.sleep(Duration::from_millis(100)).await;
            }
        };
        let first = futures::future::select_all(runs);
        let ended = futures::future::select(Box::pin(first), Box::pin(changes)).await;
        let futures::future::Either::Left(((ended, loser, _), _)) = ended;
        assert!(ended.unwrap_err().to_string().contains("run by somebody else"));
        match page(&both[loser], &clock, &Filter::default(), None, 1).await {
            Err(Error::Unavailable { reason }) => assert!(reason.contains("somebody else")),
            other => panic!("{other:?}"),
        }
    });
}
