//! A clock that moves only when told to, and an executor that moves it.
//!
//! [`Simulation`] runs futures on one thread until none of them can go on, then lets the
//! caller's [`idle hook`](Simulation::on_idle) make progress (commit what is queued, deliver
//! what is in flight), and only then moves the clock to the next wait that ends. With seeded
//! randomness the same program gives the same run, byte for byte.
//!
//! Several hosts share one true time: [`SimClock::host`] makes a clock that drifts, jumps, stands
//! off and stops on its own ([`SimClock::pause`]), all in the same simulation.
//!
//! A crash is `drop(simulation)`: every task is gone at the point where it waited. What survives
//! is what the caller kept outside, for example the memory engine of the journal.

mod clock;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use futures::executor::{LocalPool, LocalSpawner};
use futures::task::LocalSpawnExt;

pub use clock::SimClock;

use crate::clock::{Clock, Monotonic};
use crate::timestamp::Timestamp;

/// Simulated days start here unless told otherwise: 2026-01-01T00:00:00Z.
pub const DEFAULT_START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// Adds tasks to a [`Simulation`], from within it. When that is gone, it does nothing.
#[derive(Clone, Debug)]
pub struct Spawner(LocalSpawner);

impl Spawner {
    /// Adds a task.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        // Refused only when the simulation is gone, and everything in it with it.
        let _ = self.0.spawn_local(task);
    }
}

type IdleHook = Box<dyn FnMut() -> bool>;

/// A single-threaded executor over a [`SimClock`].
pub struct Simulation {
    pool: LocalPool,
    clock: SimClock,
    rng: Rng,
    idle: Vec<IdleHook>,
}

impl Simulation {
    /// A simulation that starts at [`DEFAULT_START`], with randomness from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_clock(SimClock::starting_at(DEFAULT_START), seed)
    }

    /// A simulation on a clock that already exists, as after a crash.
    #[must_use]
    pub fn with_clock(clock: SimClock, seed: u64) -> Self {
        Self { pool: LocalPool::new(), clock, rng: Rng::with_seed(seed), idle: Vec::new() }
    }

    /// The clock handle for the code under simulation.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock.clock()
    }

    /// The clock itself, to make it jump.
    #[must_use]
    pub fn sim_clock(&self) -> SimClock {
        self.clock.clone()
    }

    /// A random generator for the caller, split off this simulation's seed.
    pub fn fork_rng(&mut self) -> Rng {
        self.rng.fork()
    }

    /// Adds a task.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        // The pool lives as long as `self`, so it always accepts.
        let accepted = self.pool.spawner().spawn_local(task);
        debug_assert!(accepted.is_ok());
    }

    /// A handle with which tasks add tasks.
    #[must_use]
    pub fn spawner(&self) -> Spawner {
        Spawner(self.pool.spawner())
    }

    /// Calls `hook` whenever no task can go on and before time moves; it says whether it made
    /// progress.
    pub fn on_idle(&mut self, hook: impl FnMut() -> bool + 'static) {
        self.idle.push(Box::new(hook));
    }

    /// Runs until nothing can go on without time passing.
    pub fn settle(&mut self) {
        loop {
            self.pool.run_until_stalled();
            let mut progress = false;
            for hook in &mut self.idle {
                progress |= hook();
            }
            if !progress {
                return;
            }
        }
    }

    /// Settles, then moves the clock to the next wait that ends, but not past `limit` (in true
    /// time). Says whether there was one.
    pub fn step(&mut self, limit: Monotonic) -> bool {
        self.settle();
        match self.clock.next_wake() {
            Some(next) if next <= limit => {
                self.clock.advance_to(next);
                true
            }
            _ => false,
        }
    }

    /// Runs everything that happens up to `moment` of true time, and leaves the clock there.
    pub fn run_until(&mut self, moment: Monotonic) {
        while self.step(moment) {}
        self.clock.advance_to(moment);
        self.settle();
    }

    /// Runs everything that happens within `length` from now.
    pub fn run_for(&mut self, length: Duration) {
        let end = self.clock.true_elapsed() + length;
        self.run_until(end);
    }

    /// Runs `work` and everything else until it is done.
    ///
    /// # Panics
    /// When `work` waits for something that cannot happen any more (a deadlock).
    pub fn block_on<T: 'static>(&mut self, work: impl Future<Output = T> + 'static) -> T {
        let slot = Arc::new(Mutex::new(None));
        let filled = Arc::clone(&slot);
        self.spawn(async move {
            let output = work.await;
            *filled.lock().unwrap_or_else(PoisonError::into_inner) = Some(output);
        });
        loop {
            self.settle();
            if let Some(output) = slot.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return output;
            }
            let Some(next) = self.clock.next_wake() else {
                panic!("deadlock: the awaited work waits, and nothing is left that could wake it")
            };
            self.clock.advance_to(next);
        }
    }
}

impl std::fmt::Debug for Simulation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulation").field("clock", &self.clock).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn waits_end_in_order_of_their_deadlines() {
        let mut sim = Simulation::new(1);
        let log = Rc::new(RefCell::new(Vec::new()));
        for seconds in [3_u64, 1, 2] {
            let (clock, log) = (sim.clock(), Rc::clone(&log));
            sim.spawn(async move {
                clock.sleep(Duration::from_secs(seconds)).await;
                log.borrow_mut().push((seconds, clock.monotonic().since_start()));
            });
        }
        sim.run_for(Duration::from_secs(10));
        let expected: Vec<_> = (1..=3).map(|s| (s, Duration::from_secs(s))).collect();
        assert_eq!(*log.borrow(), expected);
        assert_eq!(sim.clock().monotonic().since_start(), Duration::from_secs(10));
    }

    #[test]
    fn a_timeout_drops_the_work_and_leaves_no_sleeper_behind() {
        let mut sim = Simulation::new(1);
        let clock = sim.clock();
        let result = sim.block_on(async move {
            let never = futures::future::pending::<()>();
            clock.timeout(Duration::from_millis(350), never).await
        });
        assert_eq!(result, Err(crate::Elapsed(Duration::from_millis(350))));
        assert_eq!(sim.sim_clock().next_wake(), None);
    }

    #[test]
    fn a_wall_jump_leaves_the_monotonic_clock_alone() {
        let sim = Simulation::new(1);
        let (clock, before) = (sim.clock(), sim.clock().now());
        sim.sim_clock().jump_wall(-5_000_000);
        assert_eq!(before.since(clock.now()), Duration::from_secs(5));
        assert_eq!(clock.monotonic().since_start(), Duration::ZERO);
    }

    #[test]
    fn idle_hooks_run_before_time_moves() {
        let mut sim = Simulation::new(1);
        let (sender, mut receiver) = futures::channel::mpsc::unbounded::<u8>();
        let mut left = vec![1, 2, 3];
        sim.on_idle(move || left.pop().is_some_and(|n| sender.unbounded_send(n).is_ok()));
        let clock = sim.clock();
        let got = sim.block_on(async move {
            use futures::StreamExt;
            let got: Vec<u8> = receiver.by_ref().take(3).collect().await;
            (got, clock.monotonic().since_start())
        });
        assert_eq!(got, (vec![3, 2, 1], Duration::ZERO));
    }
}
