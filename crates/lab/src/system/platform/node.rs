//! A node: the whole business in one process, beside others of its kind.
//!
//! Each node has its own clock, its own session with the coordinator, its own bus between its relay
//! and its consumers, and its own view of the city. They share the journal. A node whose journal is
//! gone ends, as a process does, and is started again by its supervisor.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use futures::future::{BoxFuture, FutureExt as _, LocalBoxFuture};
use futures::stream::{FuturesUnordered, StreamExt as _};
use steadfast_coordination::event::Event;
use steadfast_coordination::{self as coordination, Client};
use steadfast_dispatch::order::TOPIC;
use steadfast_dispatch::policies::Policies;
use steadfast_dispatch::policy::{Plan, Policy, Snapshot};
use steadfast_dispatch::saga::SagaOptions;
use steadfast_dispatch::service::{Options, Services};
use steadfast_dispatch::{Assembly, Parts, Planner, TaskError};
use steadfast_journal::Journal;
use steadfast_messaging::{Consumer, Embedded, bus, chaos, consumer, relay};
use steadfast_providers::sandbox::Sandbox;
use steadfast_time::{Clock, Ids};
use steadfast_transactions::Retry;

use super::books::{self, Books};
use super::database::Database;
use super::providers::Remote;
use super::setup::{Setup, zones};
use super::tenure::Tenures;
use crate::sim::coordinator::{Server, Way};
use crate::sim::{Host, Net};

/// How long a supervisor waits before it starts a process again.
const RESTART: Duration = Duration::from_millis(500);

/// The task that keeps the list of orders: a projection, which one process may run. The first node
/// does; nobody here asks for the list.
const LIST: &str = "order list";

/// What the nodes share.
pub(super) struct Shared {
    pub(super) setup: Setup,
    pub(super) seed: u64,
    pub(super) net: Net,
    pub(super) database: Database,
    pub(super) coordinator: Server,
    pub(super) sandbox: Sandbox,
    /// The providers' clock.
    pub(super) there: Clock,
    pub(super) tenures: Tenures,
    /// The first end of a task that nothing explains.
    pub(super) problem: RefCell<Option<String>>,
    /// The faults are over.
    pub(super) healed: Rc<Cell<bool>>,
}

/// Where a node is asked, while it runs.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) name: &'static str,
    pub(super) clock: Clock,
    services: Arc<Mutex<Option<Services>>>,
}

impl Door {
    /// The services behind it; none while the process is down.
    pub(super) fn services(&self) -> Option<Services> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, services: Option<Services>) {
        let before = std::mem::replace(
            &mut *self.services.lock().unwrap_or_else(PoisonError::into_inner),
            services,
        );
        drop(before);
    }
}

/// Starts a node on its host.
pub(super) fn start(shared: &Rc<Shared>, host: &Host, name: &'static str, number: u64) -> Door {
    let door = Door { name, clock: host.clock(), services: Arc::default() };
    let node = Rc::new(Node {
        shared: Rc::clone(shared),
        door: door.clone(),
        number,
        lives: Cell::default(),
    });
    host.boot(move || Rc::clone(&node).supervise().boxed_local());
    door
}

struct Node {
    shared: Rc<Shared>,
    door: Door,
    number: u64,
    lives: Cell<u64>,
}

/// Nobody is behind the door any more.
struct Open<'a>(&'a Door);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

impl Node {
    /// One life of the process after the other.
    async fn supervise(self: Rc<Self>) {
        loop {
            let journal = self.shared.database.journal();
            if let Some(journal) = journal
                && let Err(error) = self.live(journal.clone()).await
            {
                self.explain(&journal, &*error);
            }
            self.door.clock.sleep(RESTART).await;
        }
    }

    /// A task that ends because the database has stopped is no problem of its own.
    fn explain(&self, journal: &Journal, error: &(dyn std::error::Error + Send + Sync)) {
        if journal.store().head().is_ok() && self.shared.database.journal().is_some() {
            let problem = format!("{}: {error}", self.door.name);
            self.shared.problem.borrow_mut().get_or_insert(problem);
        }
    }

    /// One life: ends when a task does.
    async fn live(&self, journal: Journal) -> Result<(), TaskError> {
        let shared = &*self.shared;
        let (setup, clock) = (&shared.setup, &self.door.clock);
        self.lives.set(self.lives.get() + 1);
        let seed = (shared.seed ^ (self.number << 48) ^ (self.lives.get() << 32))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);

        let way = Way::new(shared.net.clone(), self.door.name, shared.coordinator.clone());
        let lease = coordination::Options {
            length: setup.lease,
            round_trip: (setup.link.delay + setup.link.jitter) * 2 + Duration::from_millis(1),
            ask_every: Duration::from_millis(200),
            ..coordination::Options::default()
        };
        let (client, keeper) = Client::new(Arc::new(way), clock.clone(), lease)?;
        let client = client.with_ids(Arc::new(Ids::seeded(seed ^ 1))).with_owner(self.door.name);
        let (tenures, number) = (shared.tenures.clone(), self.number);
        client.listen(Arc::new(move |event: &Event| tenures.hear(number, event)));

        let faults = if shared.healed.get() { chaos::Faults::NONE } else { setup.bus };
        let embedded = Arc::new(Embedded::new(bus::embedded::Options::default()));
        let bus =
            Arc::new(chaos::Chaos::new(Arc::clone(&embedded), clock.clone(), seed ^ 2, faults));
        let providers = Arc::new(Remote {
            net: shared.net.clone(),
            from: self.door.name.to_owned(),
            here: clock.clone(),
            there: shared.there.clone(),
            sandbox: shared.sandbox.clone(),
        });
        let mut assembly = Assembly::new(Parts {
            journal: journal.clone(),
            clock: clock.clone(),
            ids: Ids::seeded(seed ^ 3),
            bus: Arc::clone(&bus),
            coordination: client,
            planner: Arc::new(Slow { clock: clock.clone(), seed, most: setup.thinking }),
            stock: Arc::clone(&providers) as Arc<_>,
            payment: providers,
            policies: Policies::standard(clock),
            options: options(setup),
            saga: SagaOptions {
                retry: Retry { cap: Duration::from_secs(5), ..Retry::DEFAULT },
                ..SagaOptions::default()
            },
            relay: relay::Options::default(),
            lanes: 1,
        })?;
        let books = Books { journal: journal.clone(), clock: clock.clone(), takes: setup.booking };
        let books =
            Consumer::open(journal, clock.clone(), books, consumer::Options::new(books::CONSUMER))?;
        let workers = books.subscribe(&*bus, &[TOPIC], 1)?;
        embedded.open();

        let mut tasks: FuturesUnordered<LocalBoxFuture<'_, Result<(), TaskError>>> =
            FuturesUnordered::new();
        tasks.push(keeper.run().map(Ok).boxed_local());
        tasks.push(self.disturb(&bus).boxed_local());
        let keeps_list = self.number == 1;
        let mine = assembly.tasks.drain(..).filter(|task| keeps_list || task.name != LIST);
        tasks.extend(mine.map(|task| task.work.boxed_local()));
        for worker in workers {
            tasks.push(async move { Ok(worker.run().await?) }.boxed_local());
        }
        tasks.push(self.open(&assembly.services).boxed_local());
        let _open = Open(&self.door);
        tasks.next().await.unwrap_or(Ok(()))
    }

    /// Decides about the zones, then lets everybody in; never ends.
    async fn open(&self, services: &Services) -> Result<(), TaskError> {
        for (zone, request) in zones(self.shared.setup.zone_capacity) {
            if services.zones.get(&zone).is_ok() {
                continue;
            }
            while services.zones.put(zone.clone(), request.clone()).await.is_err() {
                self.door.clock.sleep(RESTART).await;
            }
        }
        self.door.set(Some(services.clone()));
        std::future::pending().await
    }

    /// Lets go wrong on the bus what is to go wrong, until everything is well again; never ends.
    async fn disturb(&self, bus: &chaos::Chaos<Embedded>) -> Result<(), TaskError> {
        let heal = async {
            while !self.shared.healed.get() {
                self.door.clock.sleep(RESTART).await;
            }
            bus.set_faults(chaos::Faults::NONE);
            std::future::pending::<()>().await;
        };
        futures::join!(bus.run(), heal);
        Ok(())
    }
}

fn options(setup: &Setup) -> Options {
    Options {
        zone_capacity: setup.zone_capacity,
        offer_timeout: Duration::from_secs(6),
        search_timeout: Duration::from_secs(120),
        // A sign of life is known to the node that hears it only.
        heartbeat_timeout: None,
        tick: Duration::from_secs(1),
        ..Options::default()
    }
}

/// A policy that takes its time, so that a lease can end between the decision and its write.
struct Slow {
    clock: Clock,
    seed: u64,
    most: Duration,
}

impl Planner for Slow {
    fn plan(&self, policy: Arc<dyn Policy>, snapshot: Arc<Snapshot>) -> BoxFuture<'static, Plan> {
        let now = u64::try_from(self.clock.now().as_micros()).unwrap_or(0);
        let pause = self.most.mul_f64(Rng::with_seed(self.seed ^ now).f64());
        let sleep = self.clock.sleep(pause);
        async move {
            sleep.await;
            policy.plan(&snapshot)
        }
        .boxed()
    }
}
