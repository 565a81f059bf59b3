//! A dependency of finite capacity: so many workers, a queue in front of them, first come first
//! served.
//!
//! It knows nothing of deadlines: what its callers gave up long ago is done all the same. That is
//! what makes a retry storm outlive its cause (Bronson et al., *Metastable Failures in Distributed
//! Systems*, HotOS 2021).
//!
//! A state machine, `(state, now) → when it will be done`: when a request comes, the end of its
//! work is known already. So a timer that fires late, as real ones do, delays an answer and takes
//! nothing from the capacity.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use steadfast_time::Monotonic;

/// What a dependency is made of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// Requests at work at once.
    pub workers: u32,
    /// How long the work on one takes on average; exponentially distributed.
    pub service: Duration,
    /// Requests that wait for a worker at most.
    pub queue: u32,
}

/// Workers and the queue in front of them.
#[derive(Debug)]
pub struct Station {
    capacity: Capacity,
    /// When each worker has done all that was given to it.
    free: Vec<Monotonic>,
    /// When the requests that wait will be begun, in their order.
    begun: VecDeque<Monotonic>,
    rng: Rng,
}

/// A request that was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// When its work will be done.
    pub done: Monotonic,
    /// How many wait, this one included.
    pub waiting: u32,
}

/// No room for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Station {
    /// One with nothing to do.
    #[must_use]
    pub fn new(capacity: Capacity, rng: Rng) -> Self {
        let free = vec![Monotonic::default(); capacity.workers.max(1) as usize];
        Self { capacity, free, begun: VecDeque::new(), rng }
    }

    /// How many wait.
    pub fn waiting(&mut self, now: Monotonic) -> u32 {
        while self.begun.front().is_some_and(|begun| *begun <= now) {
            self.begun.pop_front();
        }
        u32::try_from(self.begun.len()).unwrap_or(u32::MAX)
    }

    /// A request comes.
    ///
    /// # Errors
    /// [`Full`]: nothing is done.
    pub fn admit(&mut self, now: Monotonic) -> Result<Turn, Full> {
        let waiting = self.waiting(now);
        let Some(worker) = self.free.iter_mut().min() else { return Err(Full) };
        let begun = (*worker).max(now);
        if begun > now {
            if waiting >= self.capacity.queue {
                return Err(Full);
            }
            self.begun.push_back(begun);
        }
        // An exponential variate by inversion; 1 - u is never 0.
        let work = -(1.0 - self.rng.f64()).ln();
        *worker = begun + self.capacity.service.mul_f64(work);
        Ok(Turn { done: *worker, waiting: waiting + u32::from(begun > now) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: Capacity =
        Capacity { workers: 2, service: Duration::from_millis(15), queue: 1_000_000 };

    fn seconds(seconds: f64) -> Monotonic {
        Monotonic::from_start(Duration::from_secs_f64(seconds))
    }

    /// M/M/2: the mean time in the system is `S / (1 - ρ²)`.
    #[test]
    fn its_queue_is_that_of_the_theory() {
        for load in [50.0, 100.0, 115.0] {
            let (mut now, mut spent) = (0.0, 0.0);
            let mut rng = Rng::with_seed(5);
            // Split off: sequences of neighbouring seeds are not independent.
            let mut station = Station::new(CAPACITY, rng.fork());
            let requests = 400_000;
            for _ in 0..requests {
                now += -(1.0 - rng.f64()).ln() / load;
                let turn = station.admit(seconds(now)).unwrap();
                spent += (turn.done - seconds(now)).as_secs_f64();
            }
            let rho: f64 = load * 0.015 / 2.0;
            let expected = 0.015 / (1.0 - rho * rho);
            let mean = spent / f64::from(requests);
            assert!((mean / expected - 1.0).abs() < 0.05, "{load}: {mean} against {expected}");
        }
    }

    #[test]
    fn a_full_queue_refuses_and_empties_with_time() {
        let capacity = Capacity { queue: 3, ..CAPACITY };
        let mut station = Station::new(capacity, Rng::with_seed(1));
        let turns: Vec<_> = (0..6).map(|_| station.admit(seconds(1.0))).collect();
        let waiting: Vec<_> = turns.iter().map(|turn| turn.map(|turn| turn.waiting)).collect();
        assert_eq!(waiting, [Ok(0), Ok(0), Ok(1), Ok(2), Ok(3), Err(Full)]);
        assert_eq!(station.waiting(seconds(1.0)), 3);
        assert_eq!(station.waiting(seconds(9.0)), 0);
        assert!(station.admit(seconds(9.0)).is_ok_and(|turn| turn.waiting == 0));
    }
}
