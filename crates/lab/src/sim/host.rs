//! A host: its clock, and its life.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::{AbortHandle, Abortable, LocalBoxFuture};
use steadfast_time::Clock;
use steadfast_time::sim::{SimClock, Spawner};

use super::Boot;
use crate::fault;

/// A machine with its own clock that can stand still, be killed, and start again. Clones are the
/// same host.
#[derive(Clone)]
pub struct Host {
    name: Rc<str>,
    clock: SimClock,
    spawner: Spawner,
    life: Rc<Life>,
    incarnation: Incarnation,
}

#[derive(Default)]
struct Life {
    boot: RefCell<Option<Boot>>,
    /// What runs here, by numbers.
    tasks: RefCell<BTreeMap<u64, AbortHandle>>,
    spawned: Cell<u64>,
    /// How many faults keep it standing still, and how many keep it down.
    stops: Cell<u32>,
    kills: Cell<u32>,
    /// What disturbs its clock, by the fault's number.
    disturbed: RefCell<BTreeMap<usize, fault::Clock>>,
}

/// The fastest and the slowest that a disturbed clock runs, whatever comes together.
const DRIFT_MAX: i32 = 900_000;

/// How often a host was started, and whether it is up: odd is up. The network looks at it.
#[derive(Clone, Debug)]
pub(crate) struct Incarnation(Arc<AtomicU64>);

impl Incarnation {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn is_up(number: u64) -> bool {
        number % 2 == 1
    }
}

impl Host {
    pub(super) fn new(name: &str, clock: SimClock, spawner: Spawner) -> Self {
        let incarnation = Incarnation(Arc::new(AtomicU64::new(1)));
        Self { name: name.into(), clock, spawner, life: Rc::default(), incarnation }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The time as it sees it.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock.clock()
    }

    /// Its clock, to be disturbed.
    #[must_use]
    pub fn sim_clock(&self) -> SimClock {
        self.clock.clone()
    }

    pub(crate) fn incarnation(&self) -> Incarnation {
        self.incarnation.clone()
    }

    /// Whether it is running (it may stand still).
    #[must_use]
    pub fn is_up(&self) -> bool {
        Incarnation::is_up(self.incarnation.get())
    }

    /// Runs a task here: it stands still with the host, and is gone when the host is killed.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        if !self.is_up() {
            return;
        }
        let (handle, registration) = AbortHandle::new_pair();
        let number = self.life.spawned.get();
        self.life.spawned.set(number + 1);
        self.life.tasks.borrow_mut().insert(number, handle);
        let task = Abortable::new(self.clock.run(task), registration);
        let life = Rc::clone(&self.life);
        self.spawner.spawn(async move {
            let _ = task.await;
            life.tasks.borrow_mut().remove(&number);
        });
    }

    /// Runs a program here, now and after each restart.
    pub fn boot(&self, program: impl Fn() -> LocalBoxFuture<'static, ()> + 'static) {
        let program: Boot = Rc::new(program);
        *self.life.boot.borrow_mut() = Some(Rc::clone(&program));
        self.spawn(program());
    }

    /// Stops it as `SIGSTOP` does. Several stops need as many [`Host::resume`].
    pub fn pause(&self) {
        self.life.stops.set(self.life.stops.get() + 1);
        self.clock.pause();
    }

    /// Lets it go on.
    pub fn resume(&self) {
        let stops = self.life.stops.get().saturating_sub(1);
        self.life.stops.set(stops);
        if stops == 0 {
            self.clock.resume();
        }
    }

    /// Ends everything on it at the point where it waits. A stop that is at work goes on: what is
    /// started meanwhile stands still, too. Several kills need as many [`Host::start`].
    pub fn kill(&self) {
        self.life.kills.set(self.life.kills.get() + 1);
        if !self.is_up() {
            return;
        }
        self.incarnation.0.fetch_add(1, Ordering::Relaxed);
        for task in std::mem::take(&mut *self.life.tasks.borrow_mut()).into_values() {
            task.abort();
        }
    }

    /// Starts it again, with its program.
    pub fn start(&self) {
        let kills = self.life.kills.get().saturating_sub(1);
        self.life.kills.set(kills);
        if self.is_up() || kills > 0 {
            return;
        }
        self.incarnation.0.fetch_add(1, Ordering::Relaxed);
        let program = self.life.boot.borrow().clone();
        if let Some(program) = program {
            self.spawn(program());
        }
    }

    /// Disturbs its clock, or undoes that. Of several faults at once, jumps and drifts add up, and the
    /// largest error is admitted.
    pub(super) fn disturb(&self, number: usize, clock: fault::Clock, begins: bool) {
        let jump = if begins { clock.jump_micros } else { clock.jump_micros.saturating_neg() };
        if jump != 0 {
            self.clock.jump_wall(jump);
        }
        let mut disturbed = self.life.disturbed.borrow_mut();
        if begins {
            disturbed.insert(number, clock);
        } else {
            disturbed.remove(&number);
        }
        if clock.drift_ppm != 0 {
            let all = disturbed.values().map(|it| it.drift_ppm).fold(0, i32::saturating_add);
            self.clock.drift(all.clamp(-DRIFT_MAX, DRIFT_MAX));
        }
        if clock.error.is_some() {
            let largest = disturbed.values().filter_map(|it| it.error).max();
            self.clock.set_error(largest.unwrap_or_default());
        }
    }

    /// Ends whatever keeps it down or still, and lets its clock run as it should.
    pub(super) fn heal(&self) {
        self.life.stops.set(0);
        self.life.kills.set(0);
        let disturbed = std::mem::take(&mut *self.life.disturbed.borrow_mut());
        if disturbed.values().any(|it| it.drift_ppm != 0) {
            self.clock.drift(0);
        }
        if disturbed.values().any(|it| it.error.is_some()) {
            self.clock.set_error(std::time::Duration::ZERO);
        }
        self.clock.resume();
        self.start();
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("name", &self.name).field("up", &self.is_up()).finish()
    }
}
