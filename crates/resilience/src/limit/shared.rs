//! The limit for many threads.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use steadfast_time::Monotonic;

use super::{Changed, Estimator, Machine, Options, Refused, Sample};
use crate::Invalid;
use crate::limits::RETRY_AFTER_MIN;
use crate::sync::{AtomicU32, Ordering, Padded};

/// As many calls at once as the other side has been able to take; beyond that a refusal, without
/// a queue. Share it by reference or in an [`Arc`].
#[derive(Debug)]
pub struct Limit {
    in_flight: Padded<AtomicU32>,
    estimator: Estimator,
}

impl Limit {
    /// At its initial limit. `rng` spreads the moments at which [`super::Vegas`] measures the
    /// load-free round-trip time.
    ///
    /// # Errors
    /// The settings make no sense.
    pub fn new(options: &Options, rng: Rng) -> Result<Self, Invalid> {
        Ok(Self::with(Machine::new(options, rng)?))
    }

    /// Around a state machine.
    #[must_use]
    pub fn with(machine: Machine) -> Self {
        Self { in_flight: Padded(AtomicU32::new(0)), estimator: Estimator::new(machine) }
    }

    /// Lets a call through, unless there are as many as the limit says.
    ///
    /// # Errors
    /// There are.
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<&Self>, Refused> {
        let in_flight = self.enter()?;
        Ok(Permit { limit: self, in_flight })
    }

    /// The same, for as long as it is needed.
    ///
    /// # Errors
    /// Those of [`Limit::try_acquire`].
    #[inline]
    pub fn try_acquire_owned(self: &Arc<Self>) -> Result<Permit, Refused> {
        let in_flight = self.enter()?;
        Ok(Permit { limit: Arc::clone(self), in_flight })
    }

    #[inline]
    fn enter(&self) -> Result<u32, Refused> {
        let limit = self.estimator.limit();
        let mut seen = self.in_flight.0.load(Ordering::Relaxed);
        while seen < limit {
            let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
            match self.in_flight.0.compare_exchange_weak(seen, seen + 1, acquire, relaxed) {
                Ok(_) => return Ok(seen + 1),
                Err(now) => seen = now,
            }
        }
        Err(self.refused(seen, limit))
    }

    #[cold]
    fn refused(&self, in_flight: u32, limit: u32) -> Refused {
        // By then those that are under way have ended, if they take as long as those before.
        let retry_after = self.estimator.rtt().max(RETRY_AFTER_MIN);
        Refused { in_flight, limit, retry_after }
    }

    /// Calls under way.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.0.load(Ordering::Relaxed)
    }

    /// The limit.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.estimator.limit()
    }
}

/// A call that was let through. Say what became of it; dropping it says nothing, which is right
/// for a call that was cancelled or that failed for a reason of its own.
///
/// A timeout belongs *inside*: around this, it would drop the permits of the slowest calls, and the
/// limit would never hear of them.
#[derive(Debug)]
#[must_use = "the place is given back at once"]
pub struct Permit<L: Deref<Target = Limit> = Arc<Limit>> {
    limit: L,
    in_flight: u32,
}

impl<L: Deref<Target = Limit>> Permit<L> {
    /// It was answered after `rtt`. Says so when the limit has moved noticeably.
    pub fn success(self, now: Monotonic, rtt: Duration) -> Option<Changed> {
        self.sample(now, rtt, false)
    }

    /// It timed out, or was turned away for lack of capacity, after `rtt`. Says so when the limit
    /// has moved noticeably.
    pub fn dropped(self, now: Monotonic, rtt: Duration) -> Option<Changed> {
        self.sample(now, rtt, true)
    }

    /// Nothing can be learned from it.
    pub fn ignored(self) {}

    fn sample(self, now: Monotonic, rtt: Duration, dropped: bool) -> Option<Changed> {
        let sample = Sample { rtt, in_flight: self.in_flight, dropped };
        self.limit.estimator.sample(now, &sample)
    }
}

impl<L: Deref<Target = Limit>> Drop for Permit<L> {
    #[inline]
    fn drop(&mut self) {
        self.limit.in_flight.0.fetch_sub(1, Ordering::Release);
    }
}
