//! An error budget that many threads record in: the shell.

use std::time::Duration;

use steadfast_time::Monotonic;

use super::{Objective, Options, Report};
use crate::latency::{Cached, UNKNOWN};
use crate::sync::{AtomicU64, Mutex, Ordering, Padded, lock};
use crate::window::{nanos, nanos_in};
use crate::{Invalid, Share};

/// How old what [`Shared::left`] and [`Shared::burn_rate`] say may be.
pub const REFRESH: Duration = Duration::from_secs(1);

/// One bad call in [`Shared::pending`]; a good one is 1.
const BAD: u64 = 1 << 32;

/// [`Objective`] for many threads: recording is one atomic addition.
///
/// Calls are counted in one word, good ones in its lower half and bad ones in its upper, and are
/// handed to the machine by whoever comes along first after [`REFRESH`]. None is lost or counted
/// twice; one may be counted up to a second early. (2³² calls within that second would overflow
/// it.)
#[derive(Debug)]
pub struct Shared {
    pending: Padded<AtomicU64>,
    machine: Mutex<Machine>,
    /// What is left, and the burn rate, as the bits of floats.
    figures: Cached<2>,
}

#[derive(Debug)]
struct Machine {
    objective: Objective,
    /// When it was last handed what was pending.
    since: Monotonic,
}

impl Shared {
    /// One with nothing observed.
    ///
    /// # Errors
    /// An option makes no sense.
    pub fn new(options: Options) -> Result<Self, Invalid> {
        Ok(Self {
            pending: Padded(AtomicU64::new(0)),
            machine: Mutex::new(Machine {
                objective: Objective::new(options)?,
                since: Monotonic::default(),
            }),
            figures: Cached::new(),
        })
    }

    /// Counts a call.
    pub fn record(&self, now: Monotonic, good: bool) {
        // What is pending belongs to the last second, and this call does not.
        let _ = self.figures(now);
        self.pending.0.fetch_add(if good { 1 } else { BAD }, Ordering::Relaxed);
    }

    /// Counts calls that were counted elsewhere, for example before a restart.
    pub fn add(&self, now: Monotonic, good: u64, bad: u64) {
        lock(&self.machine).objective.add(now, good, bad);
    }

    /// What is left of the error budget, as of [`REFRESH`] ago at most.
    #[must_use]
    pub fn left(&self, now: Monotonic) -> Share {
        let [left, _] = self.figures(now);
        if left == UNKNOWN {
            return Share::ALL;
        }
        Share::new(f64::from_bits(left)).unwrap_or(Share::NONE)
    }

    /// How fast it is being spent, as of [`REFRESH`] ago at most.
    #[must_use]
    pub fn burn_rate(&self, now: Monotonic) -> f64 {
        let [_, rate] = self.figures(now);
        if rate == UNKNOWN { 0.0 } else { f64::from_bits(rate) }
    }

    /// Where it stands, exactly, now.
    #[must_use]
    pub fn report(&self, now: Monotonic) -> Report {
        let mut machine = lock(&self.machine);
        let pending = self.pending.0.swap(0, Ordering::Relaxed);
        let since = std::mem::replace(&mut machine.since, now);
        machine.objective.add(since, pending % BAD, pending / BAD);
        machine.objective.report(now)
    }

    fn figures(&self, now: Monotonic) -> [u64; 2] {
        self.figures.get(nanos(now), nanos_in(REFRESH), || {
            let Report { left, burn_rate, .. } = self.report(now);
            [left.get().to_bits(), burn_rate.to_bits()]
        })
    }
}
