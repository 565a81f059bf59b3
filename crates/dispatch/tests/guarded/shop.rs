//! The business over two such services, in simulated time. No courier is on duty: what is
//! prepared waits for one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use steadfast_coordination::engine::memory::Memory;
use steadfast_coordination::{self as coordination, Client};
use steadfast_dispatch::geo::Location;
use steadfast_dispatch::names::{OrderId, TenantId};
use steadfast_dispatch::order::{Item, Money, PlaceOrder, Status};
use steadfast_dispatch::policies::{Options, Policies};
use steadfast_dispatch::saga::SagaOptions;
use steadfast_dispatch::service::{self, IdempotencyKey, Services};
use steadfast_dispatch::{Assembly, Inline, Parts};
use steadfast_journal::{Journal, memory};
use steadfast_messaging::{Embedded, bus, relay};
use steadfast_resilience::event::{Decision, Event, Listener, Record};
use steadfast_time::sim::Simulation;
use steadfast_time::{Ids, Monotonic};

use crate::double::Double;

/// Everything that the policies decided.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<Record>>);

impl Listener for Heard {
    fn on(&self, event: &Event<'_>) {
        let (name, decision) = (event.name.to_owned(), event.decision.clone());
        self.0.lock().unwrap().push(Record { at: event.at, name, decision });
    }
}

pub struct Shop {
    pub sim: Simulation,
    pub stock: Arc<Double>,
    pub payment: Arc<Double>,
    pub policies: Policies,
    /// Every order that was accepted.
    pub orders: Vec<OrderId>,
    heard: Arc<Heard>,
    services: Services,
    _assembly: Assembly,
}

impl Shop {
    pub fn new(options: Options) -> Self {
        Self::seeded(1, options)
    }

    pub fn seeded(seed: u64, options: Options) -> Self {
        let mut sim = Simulation::new(seed);
        let clock = sim.clock();
        let (journal, mut writer) = Journal::new(memory::Engine::default(), clock.clone());
        sim.on_idle(move || writer.run_once().unwrap() > 0);
        let coordinator = Arc::new(Memory::new(clock.clone()));
        let options_of_leases = coordination::Options::default();
        let (coordination, keeper) =
            Client::new(coordinator, clock.clone(), options_of_leases).unwrap();
        sim.spawn(keeper.run());
        let bus = Arc::new(Embedded::new(bus::embedded::Options::default()));
        let heard = Arc::new(Heard::default());
        let listener: Arc<dyn Listener> = heard.clone();
        let policies = Policies::new(options, &clock, Some(&listener)).unwrap();
        let stock = Arc::new(Double::new(clock.clone(), seed ^ 1));
        let payment = Arc::new(Double::new(clock.clone(), seed ^ 2));
        let search_timeout = Duration::from_secs(7 * 24 * 3_600);
        let mut assembly = Assembly::new(Parts {
            journal,
            clock,
            ids: Ids::seeded(seed),
            bus: Arc::clone(&bus),
            coordination,
            planner: Arc::new(Inline),
            stock: stock.clone(),
            payment: payment.clone(),
            policies: policies.clone(),
            options: service::Options { search_timeout, ..service::Options::default() },
            saga: SagaOptions::default(),
            relay: relay::Options::default(),
            lanes: 2,
        })
        .unwrap();
        bus.open();
        for task in assembly.tasks.drain(..) {
            sim.spawn(async move { task.work.await.unwrap() });
        }
        let services = assembly.services.clone();
        let orders = Vec::new();
        Self { sim, stock, payment, policies, orders, heard, services, _assembly: assembly }
    }

    pub fn now(&self) -> Monotonic {
        self.sim.clock().monotonic()
    }

    pub fn run(&mut self, length: Duration) {
        self.sim.run_for(length);
    }

    pub fn order(&mut self) -> OrderId {
        let request = PlaceOrder {
            merchant: "r1".parse().unwrap(),
            pickup: Location::planar(0.0, 10.0),
            dropoff: Location::planar(0.0, 500.0),
            items: vec![Item { sku: "bento".into(), quantity: 1 }],
            amount: Money { currency: "KRW".into(), minor: 18_000 },
            ready_at: None,
            customer: None,
            note: None,
        };
        let key = format!("order-{}", self.orders.len());
        let key = IdempotencyKey::parse(key.as_bytes()).unwrap();
        let deadline = self.now() + Duration::from_secs(1);
        let orders = self.services.orders.clone();
        let placed = self.sim.block_on(async move {
            orders.place(request, TenantId::public(), key, deadline).await.unwrap()
        });
        let body: serde_json::Value = serde_json::from_slice(&placed.response.body).unwrap();
        let order = body["id"].as_str().unwrap().parse().unwrap();
        self.orders.push(order);
        order
    }

    /// So many orders, one after each pause.
    pub fn order_every(&mut self, pause: Duration, count: usize) {
        for _ in 0..count {
            self.order();
            self.run(pause);
        }
    }

    pub fn status(&self, order: OrderId) -> Status {
        self.services.orders.get(order, None).unwrap().status
    }

    /// How many orders have each status.
    pub fn statuses(&self) -> BTreeMap<&'static str, usize> {
        let mut statuses = BTreeMap::new();
        for order in &self.orders {
            *statuses.entry(self.status(*order).as_str()).or_default() += 1;
        }
        statuses
    }

    /// What the policy of this name has decided.
    pub fn decided<T>(
        &self,
        name: &str,
        pick: impl Fn(&Decision) -> Option<T>,
    ) -> Vec<(Monotonic, T)> {
        let heard = self.heard.0.lock().unwrap();
        let mine = heard.iter().filter(|record| record.name == name);
        mine.filter_map(|record| Some((record.at, pick(&record.decision)?))).collect()
    }

    /// What must be true of everybody in the end: prepared, once; or rejected, and nothing is
    /// left of it. Under one key, whatever was done for an order was done.
    pub fn audit(&self) {
        for &order in &self.orders {
            let held = (self.stock.holds(order), self.payment.holds(order));
            let status = self.status(order);
            match status {
                Status::AwaitingCourier => assert_eq!(held, (1, 1), "{order}"),
                Status::Rejected => assert_eq!(held, (0, 0), "{order}"),
                _ => panic!("{order} has not come to its end: {status}"),
            }
        }
        let mut keys = BTreeMap::new();
        let asked = self.stock.asked().into_iter().chain(self.payment.asked());
        for asked in asked {
            let key = keys.entry((asked.order, asked.what)).or_insert_with(|| asked.key.clone());
            assert_eq!(*key, asked.key, "{} of {} has two keys", asked.what, asked.order);
        }
    }
}
