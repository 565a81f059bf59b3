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
    /// Watches `clock`, and what `sensors` see, each `every`; once a second is usual. The handle
    /// says "healthy" until the first observation, which [`Monitor::run`] makes at once.
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
        Ok((Self { clock, every, sensors, watch: watch.clone() }, watch))
    }

    /// Observes, tells `listen` each change, and waits; until it is dropped.
    pub async fn run(mut self, mut listen: impl FnMut(Transition)) {
        let mut last = self.clock.monotonic();
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
