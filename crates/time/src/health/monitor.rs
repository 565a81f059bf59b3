//! Watches a clock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Health, Invalid, Measured, Observation, Options, State, Transition};
use crate::clock::{Clock, Monotonic};

/// What a [`Monitor`] looks at beside its clock. Every method may stay as it is.
pub trait Sensors: Send {
    /// A reference that is trusted more than the clock, measured lately.
    fn reference(&mut self) -> Option<Measured> {
        None
    }

    /// Other nodes' clocks, measured lately.
    fn peers(&mut self) -> Vec<Measured> {
        Vec::new()
    }

    /// The longest time between `since` and `now` in which the process did not run; see
    /// [`Stalls::longest_since`](crate::stall::Stalls::longest_since).
    fn stall(&mut self, since: Monotonic, now: Monotonic) -> Duration {
        let _ = (since, now);
        Duration::ZERO
    }
}

/// Nothing beside the clock.
impl Sensors for () {}

impl Sensors for crate::stall::Stalls {
    fn stall(&mut self, since: Monotonic, now: Monotonic) -> Duration {
        self.longest_since(since, now)
    }
}

/// The loop. Spawn [`Monitor::run`].
pub struct Monitor<S> {
    clock: Clock,
    every: Duration,
    sensors: S,
    watch: Watch,
    /// When the first observation was made, and what it came to.
    first: (Monotonic, Option<Transition>),
}

impl<S> std::fmt::Debug for Monitor<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Monitor").field("every", &self.every).finish_non_exhaustive()
    }
}

/// Asks how the clock stands. Clones are the same.
#[derive(Clone, Debug)]
pub struct Watch {
    health: Arc<Mutex<Health>>,
}

impl Watch {
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the node may rely on its clock, as of the last observation.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.health().is_healthy()
    }

    /// How it stands, with the reason.
    #[must_use]
    pub fn state(&self) -> State {
        self.health().state()
    }

    /// The indicator `clock_skew_p99`.
    #[must_use]
    pub fn clock_skew_p99(&self) -> Option<Duration> {
        self.health().clock_skew_p99()
    }

    /// Takes an observation from elsewhere, between those of the monitor.
    pub fn observe(&self, seen: &Observation) -> Option<Transition> {
        self.health().observe(seen)
    }
}

impl<S: Sensors> Monitor<S> {
    /// Watches `clock`, and what `sensors` see, each `every`; once a second is usual. The first
    /// observation is made at once, so that the handle never calls a clock healthy that nobody has
    /// looked at; [`Monitor::run`] tells what it came to.
    ///
    /// # Errors
    /// [`Invalid`] when the options contradict each other.
    pub fn new(
        clock: Clock,
        every: Duration,
        options: Options,
        sensors: S,
    ) -> Result<(Self, Watch), Invalid> {
        let watch = Watch { health: Arc::new(Mutex::new(Health::new(options)?)) };
        let first = (clock.monotonic(), None);
        let mut monitor = Self { clock, every, sensors, watch: watch.clone(), first };
        let seen = monitor.look(first.0);
        monitor.first = (seen.at, watch.observe(&seen));
        Ok((monitor, watch))
    }

    /// Observes, tells `listen` each change, and waits; until it is dropped.
    pub async fn run(mut self, mut listen: impl FnMut(Transition)) {
        let (mut last, first) = self.first;
        if let Some(change) = first {
            listen(change);
        }
        loop {
            let seen = self.look(last);
            last = seen.at;
            let change = self.watch.observe(&seen);
            if let Some(change) = change {
                listen(change);
            }
            self.clock.sleep(self.every).await;
        }
    }

    fn look(&mut self, since: Monotonic) -> Observation {
        let (reference, peers) = (self.sensors.reference(), self.sensors.peers());
        // The readings that are compared with each other, one right after the other.
        let at = self.clock.monotonic();
        let interval = self.clock.interval();
        let status = self.clock.status();
        let stall = self.sensors.stall(since, at);
        Observation { at, interval, status, reference, peers, stall }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Reason;
    use super::*;
    use crate::sim::Simulation;
    use crate::wall::Status;

    #[test]
    fn a_clock_that_nobody_has_looked_at_is_not_called_healthy() {
        let mut sim = Simulation::new(1);
        sim.sim_clock().set_status(Status::Assumed);
        let options = Options { synchronized_only: true, ..Options::default() };
        let every = Duration::from_secs(1);
        let (monitor, watch) = Monitor::new(sim.clock(), every, options, ()).unwrap();
        assert!(!watch.is_healthy(), "before the monitor runs");
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        sim.spawn(monitor.run(move |change| heard.lock().unwrap().push(change)));
        sim.run_for(Duration::from_secs(5));
        let quarantine = Transition::Quarantine { reason: Reason::Unsynchronized };
        assert_eq!(*told.lock().unwrap(), [quarantine], "told once");
    }
}
