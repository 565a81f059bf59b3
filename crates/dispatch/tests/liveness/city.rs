//! A city of two couriers: one at the merchant's door, one a kilometre away. Whoever is nearest
//! and counts as being there gets the order at once.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use steadfast_coordination::engine::memory::Memory;
use steadfast_coordination::{self as coordination, Client};
use steadfast_dispatch::courier::{Heartbeat, Liveness, ShiftRequest};
use steadfast_dispatch::geo::Location;
use steadfast_dispatch::names::{CourierId, OrderId, TenantId};
use steadfast_dispatch::order::{Item, Money, PlaceOrder};
use steadfast_dispatch::policies::Policies;
use steadfast_dispatch::saga::SagaOptions;
use steadfast_dispatch::service::{IdempotencyKey, Options, Services};
use steadfast_dispatch::{Assembly, Dispatcher, Inline, Parts};
use steadfast_journal::{Journal, Writer, memory};
use steadfast_messaging::{Embedded, bus, relay};
use steadfast_providers::sandbox::{self, Sandbox};
use steadfast_resilience::event::{Events, Recorder};
use steadfast_time::sim::Simulation;
use steadfast_time::{Ids, Monotonic};

use crate::pause::{Pausable, Switch};

pub const NEAR: &str = "near";
pub const FAR: &str = "far";

pub struct City {
    pub sim: Simulation,
    pub services: Services,
    pub recorder: Arc<Recorder>,
    /// Stops every task of the platform, as SIGSTOP does.
    stopped: Switch,
    near_is_silent: Rc<Cell<bool>>,
    orders: u32,
    journal: Journal,
    coordination: Client,
    _assembly: Assembly,
}

impl City {
    /// With couriers whose apps send a heartbeat every `interval`, if they do.
    pub fn new(options: Options, interval: Option<Duration>) -> Self {
        let mut sim = Simulation::new(1);
        let clock = sim.clock();
        let mut writers = Vec::new();
        let mut journal = || {
            let (journal, writer) = Journal::new(memory::Engine::default(), clock.clone());
            writers.push(writer);
            journal
        };
        let (orders, stock, payment) = (journal(), journal(), journal());
        sim.on_idle(move || {
            let commit = |writer: &mut Writer| writer.run_once().unwrap();
            writers.iter_mut().map(commit).sum::<usize>() > 0
        });
        let sandbox = Sandbox::open(stock, payment, &clock, sandbox::Options::default());
        let coordinator = Arc::new(Memory::new(clock.clone()));
        let (coordination, keeper) =
            Client::new(coordinator, clock.clone(), coordination::Options::default()).unwrap();
        sim.spawn(keeper.run());
        let recorder = Arc::new(Recorder::default());
        let bus = Arc::new(Embedded::new(bus::embedded::Options::default()));
        let policies = Policies::standard(&clock);
        let mut assembly = Assembly::new(Parts {
            journal: orders.clone(),
            clock: clock.clone(),
            ids: Ids::seeded(1),
            bus: Arc::clone(&bus),
            coordination: coordination.clone(),
            planner: Arc::new(Inline),
            stock: Arc::new(sandbox.stock.clone()),
            payment: Arc::new(sandbox.payment.clone()),
            policies,
            options: Options { events: Events::to("couriers", recorder.clone()), ..options },
            saga: SagaOptions::default(),
            relay: relay::Options::default(),
            lanes: 1,
        })
        .unwrap();
        bus.open();
        let stopped = Switch::default();
        for task in assembly.tasks.drain(..) {
            let work = Pausable::new(task.work, stopped.clone(), clock.clone());
            sim.spawn(async move { work.await.unwrap() });
        }
        let services = assembly.services.clone();
        let near_is_silent = Rc::new(Cell::new(false));
        let mut city = Self {
            sim,
            services,
            recorder,
            stopped,
            near_is_silent,
            orders: 0,
            journal: orders,
            coordination,
            _assembly: assembly,
        };
        for (name, metres) in [(NEAR, 0.0), (FAR, 1_000.0)] {
            city.shift(name, metres, Duration::ZERO, Duration::from_secs(8 * 3_600));
            if let Some(interval) = interval {
                city.beats(name, interval);
            }
        }
        city
    }

    /// Sets a shift that begins and ends so long from now.
    pub fn shift(&mut self, name: &str, metres: f64, begins: Duration, ends: Duration) {
        let now = self.sim.clock().now();
        let request = ShiftRequest {
            location: Location::planar(metres, 0.0),
            zone: None,
            starts_at: Some(now + begins),
            ends_at: now + ends,
            capacity: 1_000,
            auto_accept: true,
        };
        let (couriers, id) = (self.services.couriers.clone(), id(name));
        self.sim.block_on(async move { couriers.put_shift(id, request).await.unwrap() });
    }

    /// An app that sends heartbeats; while the platform stands still, they get lost.
    fn beats(&self, name: &'static str, interval: Duration) {
        let (couriers, id, clock) = (self.services.couriers.clone(), id(name), self.sim.clock());
        let (stopped, silent) = (self.stopped.clone(), Rc::clone(&self.near_is_silent));
        self.sim.spawn(async move {
            loop {
                clock.sleep(interval).await;
                let is_silent = name == NEAR && silent.get();
                if !is_silent && !stopped.stops(clock.monotonic()) {
                    couriers.heartbeat(&id, Heartbeat::default()).unwrap();
                }
            }
        });
    }

    /// The nearer courier's app stops, or goes on.
    pub fn silence_near(&self, silent: bool) {
        self.near_is_silent.set(silent);
    }

    /// Another process on the same journal, which no courier talks to.
    pub fn standby(&self) -> Services {
        let (journal, clock) = (self.journal.clone(), self.sim.clock());
        let services = Services::new(journal, clock, Ids::seeded(2), Options::default());
        let dispatcher = Dispatcher::new(&services, self.coordination.clone());
        self.sim.spawn(async move { dispatcher.run().await.unwrap() });
        services
    }

    /// A heartbeat by hand.
    pub fn heartbeat(&self, name: &str) {
        self.services.couriers.heartbeat(&id(name), Heartbeat::default()).unwrap();
    }

    /// The whole platform stands still; nothing is left running at the end but time.
    pub fn stall(&mut self, length: Duration) {
        self.stopped.stop_until(self.now() + length);
        self.sim.run_for(length);
    }

    pub fn now(&self) -> Monotonic {
        self.sim.clock().monotonic()
    }

    pub fn seconds(&mut self, seconds: u64) {
        self.sim.run_for(Duration::from_secs(seconds));
    }

    /// Places an order at the nearer courier's feet.
    pub fn place(&mut self) -> OrderId {
        self.orders += 1;
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
        let key = IdempotencyKey::parse(format!("order-{}", self.orders).as_bytes()).unwrap();
        let deadline = self.now() + Duration::from_secs(1);
        let orders = self.services.orders.clone();
        let placed = self.sim.block_on(async move {
            orders.place(request, TenantId::public(), key, deadline).await.unwrap()
        });
        let body: serde_json::Value = serde_json::from_slice(&placed.response.body).unwrap();
        body["id"].as_str().unwrap().parse().unwrap()
    }

    /// Who has the order.
    pub fn courier_of(&self, order: OrderId) -> Option<String> {
        self.services.orders.get(order, None).unwrap().courier.map(|id| id.to_string())
    }

    /// Who gets an order that is placed now, within half a second.
    pub fn who_gets_an_order(&mut self) -> Option<String> {
        let order = self.place();
        self.sim.run_for(Duration::from_millis(500));
        self.courier_of(order)
    }

    pub fn liveness(&self) -> Liveness {
        self.services.couriers.liveness().unwrap()
    }

    /// What was said of the couriers since the last time.
    pub fn heard(&self) -> Vec<String> {
        self.recorder.take().iter().map(ToString::to_string).collect()
    }
}

pub fn id(name: &str) -> CourierId {
    name.parse().unwrap()
}
