//! Two dispatchers share a city's zones, one stands still for a while, and takes up again.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

#[path = "../simulation/pause.rs"]
mod pause;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use pause::{Pausable, Switch};
use steadfast_coordination::engine::memory::Memory;
use steadfast_coordination::limits::LIST_MAX;
use steadfast_coordination::port::{Mode, Name, Request};
use steadfast_coordination::recipe::membership;
use steadfast_coordination::ring::Bound;
use steadfast_coordination::{self as coordination, Client, Coordinator, Patience};
use steadfast_dispatch::courier::{Heartbeat, ShiftRequest};
use steadfast_dispatch::geo::Location;
use steadfast_dispatch::names::{OrderId, TenantId, ZoneId};
use steadfast_dispatch::order::{Item, Money, PlaceOrder};
use steadfast_dispatch::policies::Policies;
use steadfast_dispatch::policy::{Plan, Policy, Snapshot};
use steadfast_dispatch::saga::SagaOptions;
use steadfast_dispatch::service::{IdempotencyKey, Options, Services};
use steadfast_dispatch::zone::{Area, ZoneRequest};
use steadfast_dispatch::{Assembly, Dispatcher, Parts, Planner};
use steadfast_journal::{Journal, Writer, memory};
use steadfast_messaging::{Embedded, bus, relay};
use steadfast_providers::sandbox::{self, Sandbox};
use steadfast_time::sim::Simulation;
use steadfast_time::{Clock, Ids, Monotonic};

const LEASE: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(50);
const ZONES: u32 = 12;
/// How long a zone may be without anybody in its queue: while one withdraws and the other has not
/// seen yet that it is its own.
const UNASKED_MAX: Duration = Duration::from_millis(300);

struct City {
    sim: Simulation,
    journal: Journal,
    coordinator: Arc<Memory>,
    first: Services,
    /// Since when nobody asks for a zone.
    unasked: BTreeMap<ZoneId, Monotonic>,
    orders: u32,
    _assembly: Assembly,
}

fn zone(n: u32) -> ZoneId {
    format!("z{n:02}").parse().unwrap()
}

/// The middle of a zone.
fn place(n: u32) -> Location {
    Location::planar(f64::from(n) * 1_000.0, 0.0)
}

fn options() -> coordination::Options {
    coordination::Options {
        length: LEASE,
        ask_every: Duration::from_millis(200),
        ..coordination::Options::default()
    }
}

impl City {
    /// With one dispatcher, whose policies take so long; another may join it, unless the group has
    /// room for none.
    fn new(has_room: bool, thinks: Duration) -> Self {
        let mut sim = Simulation::new(5);
        let clock = sim.clock();
        let mut writers = Vec::new();
        let mut journal = || {
            let (journal, writer) = Journal::new(memory::Engine::new(), clock.clone());
            writers.push(writer);
            journal
        };
        let (journal, stock, payment) = (journal(), journal(), journal());
        sim.on_idle(move || {
            let commit = |writer: &mut Writer| writer.run_once().unwrap();
            writers.iter_mut().map(commit).sum::<usize>() > 0
        });
        let coordinator = Arc::new(Memory::new(clock.clone()));
        if !has_room {
            let engine = Arc::clone(&coordinator);
            sim.block_on(async move { fill(&engine).await });
        }
        let sandbox = Sandbox::open(stock, payment, &clock, sandbox::Options::default());
        let (client, keeper) = Client::new(coordinator.clone(), clock.clone(), options()).unwrap();
        sim.spawn(keeper.run());
        let bus = Arc::new(Embedded::new(bus::embedded::Options::default()));
        let mut assembly = Assembly::new(Parts {
            journal: journal.clone(),
            clock: clock.clone(),
            ids: Ids::seeded(1),
            bus: Arc::clone(&bus),
            coordination: client,
            planner: Arc::new(Slow(clock.clone(), thinks)),
            stock: Arc::new(sandbox.stock.clone()),
            payment: Arc::new(sandbox.payment.clone()),
            policies: Policies::standard(&clock),
            options: Options::default(),
            saga: SagaOptions::default(),
            relay: relay::Options::default(),
            lanes: 1,
        })
        .unwrap();
        bus.open();
        for task in assembly.tasks.drain(..) {
            sim.spawn(async move { task.work.await.unwrap() });
        }
        let first = assembly.services.clone();
        let unasked = BTreeMap::new();
        let mut city =
            Self { sim, journal, coordinator, first, unasked, orders: 0, _assembly: assembly };
        for n in 0..ZONES {
            city.open(n);
        }
        city.run(Duration::from_secs(1));
        city
    }

    /// A zone with a courier of its own.
    fn open(&mut self, n: u32) {
        let (min, max) = (f64::from(n) * 1_000.0 - 500.0, f64::from(n) * 1_000.0 + 499.0);
        let area = Area { min: Location::planar(min, -500.0), max: Location::planar(max, 500.0) };
        let request = ZoneRequest { capacity: 100, area: Some(area), policy: None };
        let shift = ShiftRequest {
            location: place(n),
            zone: Some(zone(n)),
            starts_at: None,
            ends_at: self.sim.clock().now() + Duration::from_secs(3_600),
            capacity: 100,
            auto_accept: true,
        };
        let services = self.first.clone();
        self.sim.block_on(async move {
            services.zones.put(zone(n), request).await.unwrap();
            services.couriers.put_shift(format!("c{n}").parse().unwrap(), shift).await.unwrap();
        });
    }

    /// Another process on the same journal, which can be stopped, with its keeper.
    fn second(&self) -> (Services, Switch) {
        let clock = self.sim.clock();
        let (client, keeper) =
            Client::new(self.coordinator.clone(), clock.clone(), options()).unwrap();
        let services =
            Services::new(self.journal.clone(), clock.clone(), Ids::seeded(2), Options::default());
        let dispatcher = Dispatcher::new(&services, client);
        let switch = Switch::default();
        self.sim.spawn(Pausable::new(keeper.run(), switch.clone(), clock.clone()));
        let work = Pausable::new(dispatcher.run(), switch.clone(), clock);
        self.sim.spawn(async move { work.await.unwrap() });
        (services, switch)
    }

    /// Runs step by step; sees to it that somebody asks for each zone.
    fn run(&mut self, length: Duration) {
        let end = self.now() + length;
        while self.now() < end {
            self.sim.run_for(STEP);
            let now = self.now();
            for n in 0..ZONES {
                let (name, engine) =
                    (Name::new(zone(n).resource()).unwrap(), Arc::clone(&self.coordinator));
                let queue =
                    self.sim.block_on(async move { engine.list(&name, None).await.unwrap() });
                if queue.entries.is_empty() {
                    let since = *self.unasked.entry(zone(n)).or_insert(now);
                    assert!(now - since <= UNASKED_MAX, "nobody asks for {} at {now:?}", zone(n));
                } else {
                    self.unasked.remove(&zone(n));
                }
            }
        }
    }

    fn now(&self) -> Monotonic {
        self.sim.clock().monotonic()
    }

    /// Runs until something is so.
    fn until(&mut self, limit: Duration, what: &str, is_so: impl Fn() -> bool) {
        let end = self.now() + limit;
        while !is_so() {
            assert!(self.now() < end, "not within {limit:?}: {what}");
            self.run(STEP);
        }
    }

    /// Places an order in each zone; all of them must find a courier.
    fn every_zone_dispatches(&mut self, processes: &[&Services]) {
        let orders = self.place_everywhere(processes);
        self.run(Duration::from_secs(1));
        assert_eq!(self.dispatched(&orders).len(), orders.len());
    }

    /// The zones whose orders are with the courier of the zone.
    fn dispatched(&self, orders: &[OrderId]) -> Vec<u32> {
        let courier = |order| self.first.orders.get(order, None).unwrap().courier;
        let couriers = (0..ZONES).zip(orders.iter().map(|order| courier(*order)));
        let zones = couriers.filter_map(|(n, courier)| {
            assert!(courier.as_ref().is_none_or(|id| id.to_string() == format!("c{n}")));
            courier.map(|_| n)
        });
        zones.collect()
    }

    fn place_everywhere(&mut self, processes: &[&Services]) -> Vec<OrderId> {
        let mut orders = Vec::new();
        for n in 0..ZONES {
            for services in processes {
                let id = format!("c{n}").parse().unwrap();
                services.couriers.heartbeat(&id, Heartbeat::default()).unwrap();
            }
            self.orders += 1;
            let request = PlaceOrder {
                merchant: "r1".parse().unwrap(),
                pickup: place(n),
                dropoff: place(n),
                items: vec![Item { sku: "bento".into(), quantity: 1 }],
                amount: Money { currency: "KRW".into(), minor: 18_000 },
                ready_at: None,
                customer: None,
                note: None,
            };
            let key = IdempotencyKey::parse(format!("order-{}", self.orders).as_bytes()).unwrap();
            let deadline = self.now() + Duration::from_secs(1);
            let orders_service = self.first.orders.clone();
            let placed = self.sim.block_on(async move {
                orders_service.place(request, TenantId::public(), key, deadline).await.unwrap()
            });
            let body: serde_json::Value = serde_json::from_slice(&placed.response.body).unwrap();
            orders.push(body["id"].as_str().unwrap().parse().unwrap());
        }
        orders
    }
}

/// Takes all the room that the group of the dispatchers has.
async fn fill(engine: &Memory) {
    let session = engine.open(Duration::from_secs(3_600)).await.unwrap().session;
    let (group, ids) = (Name::new("dispatchers").unwrap(), Ids::seeded(9));
    for _ in 0..LIST_MAX {
        let id = ids.next(steadfast_time::sim::DEFAULT_START);
        let request = Request { session, id, mode: Mode::Shared, value: b"", wait: true };
        engine.enter(&group, request).await.unwrap();
    }
}

/// A policy that takes its time.
struct Slow(Clock, Duration);

impl Planner for Slow {
    fn plan(&self, policy: Arc<dyn Policy>, snapshot: Arc<Snapshot>) -> BoxFuture<'static, Plan> {
        let sleep = self.0.sleep(self.1);
        async move {
            sleep.await;
            policy.plan(&snapshot)
        }
        .boxed()
    }
}

/// How many zones a process believes that it holds; without the one of everything else.
fn held(services: &Services) -> usize {
    let zones = services.zones.list();
    let held = |zone: &&_| -> bool {
        let zone: &steadfast_dispatch::zone::ZoneView = zone;
        zone.token.is_some() && zone.id != ZoneId::default_zone()
    };
    zones.iter().filter(held).count()
}

#[test]
fn two_dispatchers_share_the_zones_and_take_over_from_each_other() {
    let mut city = City::new(true, Duration::ZERO);
    let first = city.first.clone();
    assert_eq!(held(&first), 12, "a lone dispatcher has all of them");
    city.every_zone_dispatches(&[&first]);

    let (second, switch) = city.second();
    // Of the thirteen with the zone of everything else.
    let bound = usize::try_from(Bound::default().capacity(13, 1, 2)).unwrap();
    let shared = || {
        let (one, other) = (held(&first), held(&second));
        one + other == 12 && one.max(other) <= bound && one.min(other) > 0
    };
    city.until(Duration::from_secs(1), "a share each", shared);
    city.every_zone_dispatches(&[&first, &second]);
    assert!(shared(), "and it stays so");
    let share = (held(&first), held(&second));

    // The second one stands still, and its leases end.
    switch.stop_until(city.now() + LEASE * 6);
    city.until(LEASE + Duration::from_millis(500), "taken over", || held(&first) == 12);
    city.every_zone_dispatches(&[&first, &second]);
    assert_eq!(held(&first), 12);

    // It comes back, and gets the same zones.
    city.until(LEASE * 6, "handed back", || (held(&first), held(&second)) == share);
    city.every_zone_dispatches(&[&first, &second]);
    city.run(LEASE * 3);
    assert_eq!((held(&first), held(&second)), share, "nothing moves any more");
}

#[test]
fn what_is_being_written_in_a_zone_that_is_handed_over_is_written() {
    let thinks = Duration::from_millis(800);
    let mut city = City::new(true, thinks);
    let first = city.first.clone();
    // Until the rounds are over that began when the couriers came.
    city.run(Duration::from_secs(3));
    let orders = city.place_everywhere(&[&first]);
    city.run(Duration::from_millis(200));
    // Twelve rounds are under way when somebody comes who is faster, and would get the zones.
    let (second, _) = city.second();
    city.run(Duration::from_millis(400));
    assert_eq!((held(&second), city.dispatched(&orders).len()), (0, 0), "not before the write");
    let zones = first.zones.list();
    city.run(Duration::from_millis(400));
    assert_eq!(city.dispatched(&orders).len(), 12);
    assert!(held(&second) > 0, "and then at once");
    // All of it was written by the one that had begun.
    for zone in zones.iter().filter(|zone| zone.id != ZoneId::default_zone()) {
        let written = city.journal.store().fence(&zone.id.resource()).unwrap();
        assert_eq!(written.map(|token| token.get()), zone.token, "{}", zone.id);
    }
}

#[test]
fn the_zones_of_a_dispatcher_that_is_well_and_does_not_ask_are_adopted() {
    let mut city = City::new(true, Duration::ZERO);
    let first = city.first.clone();
    let clock = city.sim.clock();
    let (client, keeper) = Client::new(city.coordinator.clone(), clock, options()).unwrap();
    city.sim.spawn(keeper.run());
    let (group, ghost) = (Name::new("dispatchers").unwrap(), Name::new("ghost").unwrap());
    let group = client.membership(&group, membership::Options::default());
    let joined = async move { group.join(&ghost, b"", Patience::Forever).await.unwrap() };
    let (_member, beats) = city.sim.block_on(joined);
    city.sim.spawn(async move { beats.run().await.unwrap() });
    city.sim.run_for(Duration::from_secs(1));
    assert!((1..12).contains(&held(&first)), "it counts on the other one: {}", held(&first));
    city.sim.run_for(LEASE * 3);
    assert_eq!(held(&first), 12);
    city.every_zone_dispatches(&[&first]);
}

/// Twin of the first, with the assignment off; and what holds when the group cannot be joined.
#[test]
fn those_who_cannot_join_ask_for_all_zones_and_nothing_is_shared() {
    let mut city = City::new(false, Duration::ZERO);
    let first = city.first.clone();
    let (second, switch) = city.second();
    city.run(LEASE * 2);
    assert_eq!((held(&first), held(&second)), (12, 0));
    city.every_zone_dispatches(&[&first, &second]);
    // It waits for all of them. The first one cannot be stopped here, so the second one stops and
    // is not missed.
    switch.stop_until(city.now() + LEASE * 2);
    city.run(LEASE * 3);
    assert_eq!((held(&first), held(&second)), (12, 0));
    city.every_zone_dispatches(&[&first, &second]);
}
