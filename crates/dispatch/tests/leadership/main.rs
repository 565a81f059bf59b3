//! Two processes on one journal: one relays, and the other takes over when it stops.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

#[path = "../simulation/pause.rs"]
mod pause;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::FutureExt;
use pause::{Pausable, Switch};
use steadfast_coordination::engine::memory::Memory;
use steadfast_coordination::{self as coordination, Client};
use steadfast_dispatch::names::TenantId;
use steadfast_dispatch::order::PlaceOrder;
use steadfast_dispatch::policies::Policies;
use steadfast_dispatch::provider::{Answer, Call, Payment, Stock};
use steadfast_dispatch::saga::SagaOptions;
use steadfast_dispatch::service::{IdempotencyKey, Options};
use steadfast_dispatch::{Assembly, Inline, Parts, relay::RESOURCE};
use steadfast_journal::{Journal, memory};
use steadfast_messaging::bus::{self, Bus, Parcel, Receipts, Subscription, embedded};
use steadfast_messaging::{Embedded, relay};
use steadfast_time::Ids;
use steadfast_time::sim::Simulation;

const LEASE: Duration = Duration::from_secs(2);

/// The embedded bus, which remembers what it was given, and can keep its answers back.
struct Recording {
    inner: Embedded,
    given: Mutex<Vec<(String, u64)>>,
    held: Mutex<Option<Vec<(u64, Receipts)>>>,
}

impl Recording {
    fn given(&self) -> Vec<(String, u64)> {
        self.given.lock().unwrap().clone()
    }

    fn hold(&self) {
        *self.held.lock().unwrap() = Some(Vec::new());
    }

    fn let_go(&self) {
        for (ticket, receipts) in self.held.lock().unwrap().take().unwrap_or_default() {
            receipts.file(ticket, Ok(()));
        }
    }
}

impl Bus for Recording {
    type Lane = embedded::Lane;

    async fn publish(&self, parcels: Vec<Parcel>, receipts: &Receipts) {
        for parcel in &parcels {
            let message = &parcel.envelope;
            let name = (message.aggregate_id.clone(), message.sequence);
            self.given.lock().unwrap().push(name);
        }
        {
            let mut held = self.held.lock().unwrap();
            if let Some(held) = &mut *held {
                held.extend(parcels.iter().map(|parcel| (parcel.ticket, receipts.clone())));
                return;
            }
        }
        self.inner.publish(parcels, receipts).await;
    }

    fn subscribe(&self, subscription: &Subscription) -> Result<Vec<embedded::Lane>, bus::Error> {
        self.inner.subscribe(subscription)
    }
}

/// Providers that never answer: an order stays where it was placed.
struct Silent;

impl Stock for Silent {
    fn reserve<'a>(
        &'a self,
        _: &'a Call,
        _: steadfast_dispatch::names::OrderId,
        _: &'a [steadfast_dispatch::order::Item],
    ) -> Answer<'a, String> {
        std::future::pending().boxed()
    }

    fn release<'a>(&'a self, _: &'a Call, _: steadfast_dispatch::names::OrderId) -> Answer<'a, ()> {
        std::future::pending().boxed()
    }
}

impl Payment for Silent {
    fn authorize<'a>(
        &'a self,
        _: &'a Call,
        _: steadfast_dispatch::names::OrderId,
        _: &'a steadfast_dispatch::order::Money,
    ) -> Answer<'a, String> {
        std::future::pending().boxed()
    }

    fn capture<'a>(
        &'a self,
        _: &'a Call,
        _: steadfast_dispatch::names::OrderId,
    ) -> Answer<'a, String> {
        std::future::pending().boxed()
    }

    fn void<'a>(&'a self, _: &'a Call, _: steadfast_dispatch::names::OrderId) -> Answer<'a, ()> {
        std::future::pending().boxed()
    }
}

struct Process {
    assembly: Assembly,
    bus: Arc<Recording>,
    /// Stops all of it but the requests.
    switch: Switch,
}

struct World {
    sim: Simulation,
    journal: Journal,
    coordinator: Arc<Memory>,
    placed: u64,
}

impl World {
    fn new() -> Self {
        let mut sim = Simulation::new(11);
        let (journal, mut writer) = Journal::new(memory::Engine::new(), sim.clock());
        sim.on_idle(move || writer.run_once().unwrap() > 0);
        let coordinator = Arc::new(Memory::new(sim.clock()));
        Self { sim, journal, coordinator, placed: 0 }
    }

    fn process(&mut self, seed: u64) -> Process {
        let clock = self.sim.clock();
        let leases = coordination::Options {
            length: LEASE,
            ask_every: Duration::from_millis(200),
            ..coordination::Options::default()
        };
        let (client, keeper) =
            Client::new(self.coordinator.clone(), clock.clone(), leases).unwrap();
        let bus = Arc::new(Recording {
            inner: Embedded::new(bus::embedded::Options::default()),
            given: Mutex::default(),
            held: Mutex::default(),
        });
        let mut assembly = Assembly::new(Parts {
            journal: self.journal.clone(),
            clock: clock.clone(),
            ids: Ids::seeded(seed),
            bus: Arc::clone(&bus),
            coordination: client,
            planner: Arc::new(Inline),
            stock: Arc::new(Silent),
            payment: Arc::new(Silent),
            policies: Policies::standard(&clock),
            options: Options::default(),
            saga: SagaOptions::default(),
            relay: relay::Options::default(),
            lanes: 1,
        })
        .unwrap();
        bus.inner.open();
        let switch = Switch::default();
        self.sim.spawn(Pausable::new(keeper.run(), switch.clone(), clock.clone()));
        // One process at a time keeps the list of orders; here nobody needs it.
        for task in assembly.tasks.drain(..).filter(|task| task.name != "order list") {
            let work = Pausable::new(task.work, switch.clone(), clock.clone());
            self.sim.spawn(async move {
                if let Err(error) = work.await {
                    panic!("{}: {error}", task.name);
                }
            });
        }
        Process { assembly, bus, switch }
    }

    /// Places an order through a process; answers its number.
    fn place(&mut self, process: &Process) -> u64 {
        self.placed += 1;
        let key = IdempotencyKey::parse(format!("k{}", self.placed).as_bytes()).unwrap();
        let request: PlaceOrder = serde_json::from_str(
            r#"{"merchant":"r1","pickup":{"x":1,"y":2},"dropoff":{"x":3,"y":4},
                "items":[{"sku":"bento","quantity":2}],"amount":{"currency":"KRW","minor":1}}"#,
        )
        .unwrap();
        let (orders, clock) = (process.assembly.services.orders.clone(), self.sim.clock());
        let body = self.sim.block_on(async move {
            let deadline = clock.monotonic() + Duration::from_secs(1);
            let placed = orders.place(request, TenantId::public(), key, deadline).await.unwrap();
            placed.response.body.clone()
        });
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        body["number"].as_u64().unwrap()
    }

    fn run(&mut self, millis: u64) {
        self.sim.run_for(Duration::from_millis(millis));
    }

    fn unmarked(&self) -> usize {
        self.journal.store().unpublished(0, 1_000).unwrap().len()
    }

    /// All messages in the outbox that were published, by any bus, and how often.
    fn times(&self, buses: &[&Recording]) -> BTreeMap<(String, u64), usize> {
        let outbox = self.journal.store().outbox(0, 1_000).unwrap();
        let name = |row: &steadfast_journal::OutboxRow| {
            (row.message.aggregate_id.clone(), row.message.sequence)
        };
        let mut times: BTreeMap<_, usize> = outbox.iter().map(|row| (name(row), 0)).collect();
        for given in buses.iter().flat_map(|bus| bus.given()) {
            *times.get_mut(&given).unwrap() += 1;
        }
        times
    }
}

#[test]
fn one_of_two_relays_and_a_paused_one_marks_nothing() {
    let mut world = World::new();
    let first = world.process(1);
    world.run(100);
    let second = world.process(2);
    let mut numbers = vec![world.place(&first), world.place(&second), world.place(&first)];
    world.run(1_000);
    assert_eq!(second.bus.given(), [], "the second one stands by");
    assert!(first.bus.given().len() >= 3 && world.unmarked() == 0);
    let led = world.journal.store().fence(RESOURCE).unwrap().unwrap();

    // The first one publishes, and stands still before it hears that the bus has it.
    first.bus.hold();
    numbers.extend([world.place(&second), world.place(&second)]);
    world.run(10);
    let given = first.bus.given().len();
    assert_eq!(world.unmarked(), 2);
    let now = world.sim.clock().monotonic();
    first.switch.stop_until(now + LEASE * 4);
    // The second one takes over when the lease has ended, and its bus is slow as well.
    second.bus.hold();
    world.run(u64::try_from(LEASE.as_millis()).unwrap() * 2);
    let token = world.journal.store().fence(RESOURCE).unwrap().unwrap();
    assert!(token > led, "{token} after {led}");
    assert_eq!((second.bus.given().len(), world.unmarked()), (2, 2));
    // The answers wait for the first one when it wakes up: it would mark now.
    first.bus.let_go();
    world.run(u64::try_from(LEASE.as_millis()).unwrap() * 3);
    assert_eq!(world.unmarked(), 2, "its marks are refused");
    assert_eq!(first.bus.given().len(), given, "and it publishes nothing more");
    second.bus.let_go();
    numbers.push(world.place(&first));
    world.run(1_000);
    assert_eq!(world.unmarked(), 0);

    let times = world.times(&[&first.bus, &second.bus]);
    assert!(times.values().all(|times| (1..=2).contains(times)), "{times:?}");
    assert_eq!(times.values().filter(|times| **times == 2).count(), 2, "the two under way");
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 6, "every order has a number of its own");
    assert_eq!(second.assembly.relay.stats().in_flight, 0);
}

#[test]
fn a_planned_hand_over_repeats_nothing_and_takes_no_lease() {
    let mut world = World::new();
    let (first, second) = (world.process(1), world.process(2));
    world.run(100);
    for _ in 0..20 {
        world.place(&first);
    }
    first.assembly.stop();
    world.place(&second);
    // Less than a lease, and enough for the calls that find nobody.
    world.run(1_000);
    assert_eq!(world.unmarked(), 0);
    let times = world.times(&[&first.bus, &second.bus]);
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    assert!(!second.bus.given().is_empty());
}
