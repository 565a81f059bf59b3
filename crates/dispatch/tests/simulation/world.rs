//! The machine, its incarnations, and the faults.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures::future::{BoxFuture, FutureExt};
use steadfast_coordination::engine::memory::{self as coordinator, Memory};
use steadfast_coordination::{self as coordination, Client};
use steadfast_dispatch::names::ZoneId;
use steadfast_dispatch::policies::Policies;
use steadfast_dispatch::policy::{Plan, Policy, Snapshot};
use steadfast_dispatch::saga::SagaOptions;
use steadfast_dispatch::service::{Options, Services};
use steadfast_dispatch::zone::ZoneRequest;
use steadfast_dispatch::{Assembly, Dispatcher, Parts, Planner};
use steadfast_journal::memory::{self, Disk, Protections};
use steadfast_journal::{Hash, Journal, StorageError};
use steadfast_messaging::{Consumer, Embedded, Relay, bus, chaos, consumer, relay};
use steadfast_providers::sandbox::{self, Sandbox};
use steadfast_time::sim::{DEFAULT_START, SimClock, Simulation};
use steadfast_time::{Clock, Ids, Monotonic};
use steadfast_transactions::Retry;
use tokio::sync::watch;

use crate::actors::{self, Actors};
use crate::audit::{self, Summary};
use crate::pause::{Pausable, Switch};
use crate::tally::{self, Tally};

/// How long the faults last, and how long everything may take to end afterwards.
const TROUBLE: Duration = Duration::from_secs(180);
const HEALING: Duration = Duration::from_secs(3 * 3_600);

/// A protection that is taken away, to show that the audit notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twin {
    /// None is: the real thing.
    Sound,
    /// The tally writes its inbox mark after its effect instead of with it.
    InboxMarkApart,
    /// The journal lets every token in.
    NoFence,
    /// The journal lets counters leave their bounds.
    NoGuards,
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub customers: usize,
    pub couriers: usize,
    /// Per step of a commit, in any of the three journals.
    pub crash: f64,
    pub bus: chaos::Faults,
    pub provider: sandbox::Plan,
    /// The longest pauses between stalls of a dispatcher.
    pub calm: Duration,
    pub lease: Duration,
    /// The longest time that a policy takes.
    pub thinking: Duration,
    /// How long a commit of the order journal takes; what comes meanwhile shares the next one.
    pub sync: Duration,
    pub zone_capacity: u32,
    pub twin: Twin,
}

impl Scenario {
    /// Everything goes wrong now and then; how often depends on the seed.
    pub fn rough(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let share = |probability| sandbox::Probability::new(probability).unwrap();
        let scale = [0.3, 1.0, 2.0][rng.usize(..3)];
        Self {
            seed,
            customers: 6 + rng.usize(..8),
            couriers: 2 + rng.usize(..4),
            crash: 0.004 * scale,
            bus: chaos::Faults {
                drop: 0.05 * scale,
                lose_answer: 0.05 * scale,
                duplicate: 0.1 * scale,
                delay: 0.2,
                delay_max: Duration::from_millis(400),
            },
            provider: sandbox::Plan {
                unavailable: share(0.1 * scale),
                refuse: share(0.05),
                lose_reply: share(0.1 * scale),
                delay: sandbox::Delay {
                    least: Duration::from_millis(1),
                    mean_extra: Duration::from_millis(40),
                    most: Duration::from_millis(300),
                },
            },
            calm: Duration::from_secs(10),
            lease: Duration::from_secs(3),
            thinking: Duration::from_millis(80),
            sync: Duration::ZERO,
            zone_capacity: 4,
            twin: Twin::Sound,
        }
    }

    /// Many orders for few couriers, and dispatchers that stall and replace each other all the
    /// time.
    pub fn contended(seed: u64) -> Self {
        Self {
            customers: 40,
            couriers: 5,
            calm: Duration::from_secs(2),
            lease: Duration::from_millis(500),
            thinking: Duration::from_millis(1_500),
            sync: Duration::from_millis(60),
            zone_capacity: 7,
            crash: 0.0005,
            ..Self::rough(seed)
        }
    }
}

/// What survives a crash.
#[derive(Clone, Default)]
pub struct Disks {
    pub orders: Disk,
    pub stock: Disk,
    pub payment: Disk,
    coordination: coordinator::Disk,
}

impl Disks {
    pub fn digests(&self) -> [Hash; 3] {
        [self.orders.digest(), self.stock.digest(), self.payment.digest()]
    }
}

pub struct World {
    pub scenario: Scenario,
    pub disks: Disks,
    clock: SimClock,
    rng: Rng,
    actors: Actors,
    incarnation: u64,
}

/// One life of the process.
pub struct Life {
    sim: Simulation,
    /// The process stops: one of its journals has crashed.
    crashed: Rc<Cell<bool>>,
    problem: Rc<RefCell<Option<String>>>,
    pub services: Services,
    pub journal: Journal,
    /// Their relays stop when they are dropped.
    _assembly: (Assembly, watch::Sender<bool>),
}

impl World {
    pub fn new(scenario: Scenario) -> Self {
        let mut rng = Rng::with_seed(scenario.seed ^ 0x5eed);
        let actors = Actors::new(&scenario, &mut rng);
        Self {
            scenario,
            disks: Disks::default(),
            clock: SimClock::starting_at(DEFAULT_START),
            rng,
            actors,
            incarnation: 0,
        }
    }

    pub fn run(mut self) -> Result<Summary, String> {
        self.live()?;
        let mut summary = audit::check(&self.disks, &self.actors, &self.scenario)?;
        summary.crashes = self.incarnation - 1;
        Ok(summary)
    }

    /// Trouble, crash after crash; then peace, until everything has ended.
    pub fn live(&mut self) -> Result<(), String> {
        let trouble_ends = Monotonic::from_start(TROUBLE);
        let mut life = self.start(true)?;
        loop {
            let now = self.clock.clock().monotonic();
            if now >= trouble_ends {
                break;
            }
            // A crash somewhere between two steps, besides those of the journals.
            let stop = now + Duration::from_millis(self.rng.u64(500..60_000));
            life.run_until(stop.min(trouble_ends))?;
            drop(life);
            self.clock.advance(Duration::from_millis(self.rng.u64(1..3_000)));
            life = self.start(true)?;
        }
        drop(life);
        let mut life = self.start(false)?;
        let deadline = self.clock.clock().monotonic() + HEALING;
        while self.clock.clock().monotonic() < deadline {
            let pause = self.clock.clock().monotonic() + Duration::from_secs(30);
            life.run_until(pause)?;
            if self.actors.are_done() && audit::all_ended(&life)? {
                // What is still on its way may settle.
                let pause = self.clock.clock().monotonic() + Duration::from_secs(120);
                life.run_until(pause)?;
                return Ok(());
            }
        }
        Err(format!(
            "{:?} after the faults have ended, not everything has come to its end: {}",
            HEALING,
            audit::unfinished(&life)?
        ))
    }

    fn start(&mut self, trouble: bool) -> Result<Life, String> {
        self.incarnation += 1;
        let seed = self.scenario.seed.wrapping_mul(1_000_003) ^ self.incarnation;
        let mut sim = Simulation::with_clock(self.clock.clone(), seed);
        let clock = sim.clock();
        let crashed = Rc::new(Cell::new(false));
        let problem = Rc::new(RefCell::new(None));

        let twin = self.scenario.twin;
        let protections = Protections {
            fence: twin != Twin::NoFence,
            guards: twin != Twin::NoGuards,
            ..Protections::default()
        };
        let crash = if trouble { self.scenario.crash } else { 0.0 };
        let mut writers = Vec::new();
        let mut open = |disk: &Disk, seed: u64| {
            let engine = memory::Engine::recover(disk.clone())
                .with_faults(memory::Faults::random(seed, crash))
                .with_protections(protections);
            let (journal, writer) = Journal::new(engine, clock.clone());
            writers.push(writer);
            journal
        };
        let journal = open(&self.disks.orders, seed ^ 1);
        let (stock, payment) =
            (open(&self.disks.stock, seed ^ 2), open(&self.disks.payment, seed ^ 3));
        if !self.scenario.sync.is_zero() {
            let mut writer = writers.remove(0);
            let (stops, clock, sync) = (Rc::clone(&crashed), clock.clone(), self.scenario.sync);
            sim.spawn(async move {
                while !stops.get() {
                    clock.sleep(sync).await;
                    if writer.run_once().is_err() {
                        stops.set(true);
                    }
                }
            });
        }
        let stops = Rc::clone(&crashed);
        sim.on_idle(move || {
            let mut progress = false;
            for writer in &mut writers {
                match writer.run_once() {
                    Ok(count) => progress |= count > 0,
                    Err(_) => stops.set(true),
                }
            }
            progress && !stops.get()
        });

        let sandbox = Sandbox::open(
            stock,
            payment,
            &clock,
            sandbox::Options { seed: self.scenario.seed, ..sandbox::Options::default() },
        );
        if trouble {
            sandbox.faults.set_all(self.scenario.provider);
        }
        let coordinator = Arc::new(Memory::open(&self.disks.coordination, clock.clone()));
        let lease = coordination::Options {
            length: self.scenario.lease,
            ask_every: Duration::from_millis(200),
            ..coordination::Options::default()
        };
        // Two processes: each has its own session, and stalls with its keeper.
        let client = || Client::new(coordinator.clone(), clock.clone(), lease);
        let (first_client, first_keeper) = client().map_err(|error| error.to_string())?;
        let (second_client, second_keeper) = client().map_err(|error| error.to_string())?;
        let faults = if trouble { self.scenario.bus } else { chaos::Faults::NONE };
        let embedded = Arc::new(Embedded::new(bus::embedded::Options::default()));
        let chaos =
            Arc::new(chaos::Chaos::new(Arc::clone(&embedded), clock.clone(), seed ^ 4, faults));
        let options = Options {
            zone_capacity: self.scenario.zone_capacity,
            offer_timeout: Duration::from_secs(8),
            search_timeout: Duration::from_secs(600),
            heartbeat_timeout: Some(Duration::from_secs(20)),
            tick: Duration::from_secs(1),
            ..Options::default()
        };
        let policies = Policies::standard(&clock);
        let mut assembly = Assembly::new(Parts {
            journal: journal.clone(),
            clock: clock.clone(),
            ids: Ids::seeded(seed),
            bus: Arc::clone(&chaos),
            coordination: first_client,
            planner: Arc::new(Slow { clock: clock.clone(), seed, most: self.scenario.thinking }),
            stock: Arc::new(sandbox.stock.clone()),
            payment: Arc::new(sandbox.payment.clone()),
            policies,
            options: options.clone(),
            saga: SagaOptions {
                retry: Retry { cap: Duration::from_secs(10), ..Retry::DEFAULT },
                ..SagaOptions::default()
            },
            relay: relay::Options::default(),
            lanes: 2,
        })
        .map_err(|error| error.to_string())?;

        let marks_apart = twin == Twin::InboxMarkApart;
        let handler = Tally { journal: journal.clone(), clock: clock.clone(), marks_apart };
        let tally = Consumer::open(
            journal.clone(),
            clock.clone(),
            handler,
            consumer::Options::new(tally::CONSUMER),
        )
        .map_err(|error| error.to_string())?;
        let workers = tally.subscribe(&*chaos, &["orders"], 1).map_err(|e| e.to_string())?;
        embedded.open();
        for worker in workers {
            sim.spawn(async move {
                let _ = worker.run().await;
            });
        }
        let breaking = Arc::clone(&chaos);
        sim.spawn(async move { breaking.run().await });

        // Two dispatchers and two relays on one journal; whoever holds the lease works, and either
        // process may stall.
        let (stop_relay, stopped) = watch::channel(false);
        let relay =
            Relay::new(journal.clone(), Arc::clone(&chaos), clock.clone(), Default::default());
        let relay = steadfast_dispatch::relay::run(relay, second_client.clone(), stopped);
        let second = Services::new(journal.clone(), clock.clone(), Ids::seeded(seed ^ 5), options);
        let planner =
            || Arc::new(Slow { clock: clock.clone(), seed, most: self.scenario.thinking });
        let standby = Dispatcher::new(&second, second_client).with_planner(planner());
        let (first_switch, second_switch) = (Switch::default(), Switch::default());
        let standby = Pausable::new(standby.run(), second_switch.clone(), clock.clone());
        let relay = Pausable::new(relay, second_switch.clone(), clock.clone());
        let (noted, stops) = (Rc::clone(&problem), Rc::clone(&crashed));
        sim.spawn(async move {
            if let Err(error) = relay.await {
                note(&noted, &stops, "standby relay", &*error);
            }
        });
        for (keeper, switch) in [(first_keeper, &first_switch), (second_keeper, &second_switch)] {
            sim.spawn(Pausable::new(keeper.run(), switch.clone(), clock.clone()));
        }
        for task in assembly.tasks.drain(..) {
            let switch = if matches!(task.name, "dispatcher" | "relay") {
                first_switch.clone()
            } else {
                Switch::default()
            };
            let work = Pausable::new(task.work, switch, clock.clone());
            let name = task.name;
            let (problem, crashed) = (Rc::clone(&problem), Rc::clone(&crashed));
            sim.spawn(async move {
                if let Err(error) = work.await {
                    note(&problem, &crashed, name, &*error);
                }
            });
        }
        let (noted, stopped) = (Rc::clone(&problem), Rc::clone(&crashed));
        sim.spawn(async move {
            if let Err(error) = standby.await {
                note(&noted, &stopped, "standby dispatcher", &error);
            }
        });
        if trouble {
            let mut rng = sim.fork_rng();
            let (clock, calm) = (clock.clone(), self.scenario.calm);
            sim.spawn(async move {
                loop {
                    clock.sleep(calm.mul_f64(rng.f64())).await;
                    let switch = if rng.bool() { &first_switch } else { &second_switch };
                    let stall = Duration::from_millis(rng.u64(500..8_000));
                    switch.stop_until(clock.monotonic() + stall);
                }
            });
        }
        let services = assembly.services.clone();
        let _assembly = (assembly, stop_relay);
        let mut life = Life { sim, crashed, problem, services, journal, _assembly };
        life.zone(self.scenario.zone_capacity);
        let rng = life.sim.fork_rng();
        actors::spawn(&self.actors, &life.sim, &life.services, rng, trouble);
        Ok(life)
    }
}

fn note(
    problem: &RefCell<Option<String>>,
    crashed: &Cell<bool>,
    name: &str,
    error: &(dyn std::error::Error + 'static),
) {
    // A task that ends because the machine stops is no problem of its own.
    let is_crash = error.to_string().contains("crash") || error.to_string().contains("closed");
    if !crashed.get() && !is_crash {
        problem.borrow_mut().get_or_insert(format!("{name}: {error}"));
    }
}

impl Life {
    pub fn clock(&self) -> Clock {
        self.sim.clock()
    }

    fn zone(&mut self, capacity: u32) {
        let zones = self.services.zones.clone();
        let request = ZoneRequest { capacity, area: None, policy: None };
        self.sim.spawn(async move {
            let _ = zones.put(ZoneId::default_zone(), request).await;
        });
    }

    /// Runs until `moment`, or until the machine stops.
    fn run_until(&mut self, moment: Monotonic) -> Result<(), String> {
        while !self.crashed.get() && self.sim.step(moment) {}
        if !self.crashed.get() {
            self.sim.sim_clock().advance_to(moment);
        }
        match self.problem.borrow().clone() {
            Some(problem) if !self.crashed.get() => Err(problem),
            _ => Ok(()),
        }
    }
}

/// A policy that takes its time, so that a lease can be lost between decision and write.
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

/// Reads a disk as a restart would.
pub fn reader(disk: &Disk) -> Result<Journal, StorageError> {
    let clock = SimClock::starting_at(DEFAULT_START).clock();
    let (journal, _) = Journal::new(memory::Engine::recover(disk.clone()), clock);
    Ok(journal)
}
