//! Hosts and links that exist in one thread.
//!
//! A [`Stage`] has hosts, each with its own clock ([`Host::clock`]) and its own life (it can stand
//! still, be killed and be started again), and a [`Net`] between them. It takes the faults of a
//! trial and applies them at their time; what only the system under test can do itself (an HTTP
//! status, a lying replica) it is told through a callback.
//!
//! Time is true time here: [`Stage::clock`]. Hosts may see another one.
//!
//! # Limits
//! Everything runs in one thread, in the order of its deadlines and then of its registration; so the
//! same seed gives the same run. A host that stands still keeps what has arrived.

pub(crate) mod coordinator;
mod host;
mod net;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use steadfast_time::sim::Simulation;
use steadfast_time::{Clock, Monotonic};

pub use host::Host;
pub use net::{Net, Refused};

use crate::Error;
use crate::fault::{Fault, Link, Planned};
use crate::observed::Span;
use crate::system::Trial;

/// How often a run says how far it is, in simulated time.
const STEPS: u32 = 200;

/// The most simulated time between two looks at whether a run must end: a moment of real time, even
/// of a day's trial.
const STEP_MAX: Duration = Duration::from_secs(1);

/// Hosts and links, and the faults that hit them.
pub struct Stage {
    sim: Simulation,
    clock: Clock,
    hosts: Rc<BTreeMap<String, Host>>,
    net: Net,
    spans: Rc<RefCell<Vec<Noted>>>,
    /// How many faults were planned, so that each has a number of its own.
    planned: Cell<usize>,
    /// How often everything was healed.
    heals: Rc<Cell<u32>>,
}

/// A fault that was at work, and its number.
struct Noted {
    number: usize,
    span: Span,
}

impl Stage {
    /// One host for each name. Links have `base`; links of hosts to themselves have none of it.
    #[must_use]
    pub fn new(seed: u64, names: &[String], base: Link) -> Self {
        let sim = Simulation::new(seed);
        let spawner = sim.spawner();
        let host = |name: &String| {
            (name.clone(), Host::new(name, sim.sim_clock().host(), spawner.clone()))
        };
        let hosts: BTreeMap<_, _> = names.iter().map(host).collect();
        let (net, carrier) = Net::new(&hosts, sim.clock(), seed, base);
        sim.spawn(carrier.run());
        let clock = sim.clock();
        Self {
            sim,
            clock,
            hosts: Rc::new(hosts),
            net,
            spans: Rc::default(),
            planned: Cell::new(0),
            heals: Rc::default(),
        }
    }

    /// True time.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// The simulation underneath, for idle hooks.
    pub fn simulation(&mut self) -> &mut Simulation {
        &mut self.sim
    }

    /// The network.
    #[must_use]
    pub fn net(&self) -> Net {
        self.net.clone()
    }

    /// A host.
    ///
    /// # Panics
    /// When there is none of that name: a mistake in the system under test.
    #[must_use]
    pub fn host(&self, name: &str) -> Host {
        match self.hosts.get(name) {
            Some(host) => host.clone(),
            None => panic!("the stage has no host {name:?}"),
        }
    }

    /// Adds a task that belongs to no host and that no fault hits: a client, an observer.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.sim.spawn(task);
    }

    /// Applies the faults of a schedule at their times. The callback hears of those that the stage
    /// does not apply itself (`http`, `disk`, `lie`), with `true` when they begin and `false` when they
    /// end; two on one node may overlap. After [`Stage::heal`] nothing more begins or ends.
    pub fn direct(&self, schedule: &[Planned], mut apply: impl FnMut(&Fault, bool) + 'static) {
        let mut changes: Vec<(Duration, bool, usize)> = Vec::new();
        for (number, planned) in schedule.iter().enumerate() {
            if planned.length == Some(Duration::ZERO) {
                // It would end before it begins.
                continue;
            }
            changes.push((planned.at, true, number));
            if let Some(length) = planned.length {
                changes.push((planned.at + length, false, number));
            }
        }
        // What ends makes room for what begins at the same moment.
        changes.sort_by_key(|&(at, begins, number)| (at, begins, number));
        let schedule: Vec<_> = schedule.to_vec();
        let (clock, net, hosts) = (self.clock(), self.net(), Rc::clone(&self.hosts));
        let (spans, heals) = (Rc::clone(&self.spans), Rc::clone(&self.heals));
        let (first, healed) = (self.planned.get(), heals.get());
        self.planned.set(first + schedule.len());
        self.sim.spawn(async move {
            for (at, begins, place) in changes {
                clock.sleep_until(Monotonic::from_start(at)).await;
                if heals.get() != healed {
                    return;
                }
                let (number, fault) = (first + place, &schedule[place].fault);
                match fault {
                    Fault::Link { .. } | Fault::Partition { .. } => {
                        net.set(number, begins.then(|| fault.clone()));
                    }
                    Fault::Pause { node } => match (hosts.get(node), begins) {
                        (Some(host), true) => host.pause(),
                        (Some(host), false) => host.resume(),
                        (None, _) => {}
                    },
                    Fault::Kill { node } => match (hosts.get(node), begins) {
                        (Some(host), true) => host.kill(),
                        (Some(host), false) => host.start(),
                        (None, _) => {}
                    },
                    Fault::Clock { node, clock } => {
                        if let Some(host) = hosts.get(node) {
                            host.disturb(number, *clock, begins);
                        }
                    }
                    Fault::Http { .. } | Fault::Disk { .. } | Fault::Lie { .. } => {
                        apply(fault, begins);
                    }
                }
                note(&spans, number, fault, at, begins);
            }
        });
    }

    /// Runs a trial from here to its end, saying how far it is.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn run(&mut self, trial: &Trial<'_>) -> Result<(), Error> {
        let step = (trial.duration / STEPS).clamp(Duration::from_millis(1), STEP_MAX);
        let mut until = Duration::ZERO;
        while until < trial.duration {
            until = (until + step).min(trial.duration);
            self.sim.run_until(Monotonic::from_start(until));
            trial.progress(until)?;
        }
        Ok(())
    }

    /// Runs on for so long, for what is under way to end.
    pub fn settle(&mut self, length: Duration) {
        self.sim.run_for(length);
    }

    /// Ends every fault, and begins no more: clocks stay where they are, but run as they should. What
    /// only the system can do itself, it has to end itself.
    pub fn heal(&self) {
        self.heals.set(self.heals.get() + 1);
        self.net.heal();
        for host in self.hosts.values() {
            host.heal();
        }
    }

    /// When which fault was at work. Those that still are end at `end`.
    #[must_use]
    pub fn spans(&self, end: Duration) -> Vec<Span> {
        let end = end.as_secs_f64();
        let close = |Noted { span, .. }: &Noted| Span { to: span.to.min(end), ..span.clone() };
        self.spans.borrow().iter().map(close).collect()
    }
}

fn note(spans: &RefCell<Vec<Noted>>, number: usize, fault: &Fault, at: Duration, begins: bool) {
    let at = at.as_secs_f64();
    let mut spans = spans.borrow_mut();
    if begins {
        let span = Span { label: fault.to_string(), from: at, to: f64::INFINITY };
        spans.push(Noted { number, span });
    } else if let Some(noted) = spans.iter_mut().find(|noted| noted.number == number) {
        noted.span.to = at;
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").field("hosts", &self.hosts.keys()).finish_non_exhaustive()
    }
}

/// What a host does each time it starts.
pub(crate) type Boot = Rc<dyn Fn() -> LocalBoxFuture<'static, ()>>;
