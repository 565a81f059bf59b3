//! From single calls to a limit.

use std::time::Duration;

use fastrand::Rng;
use steadfast_time::Monotonic;

use super::{Changed, Estimate, Options, Sample};
use crate::Invalid;
use crate::limits::{PLACES_MAX, RETRY_AFTER_MIN};
use crate::sync::{AtomicU32, AtomicU64, Mutex, Ordering, lock};
use crate::window::nanos_in;

/// A move is told when it is this part of the limit that was told last, or more.
const NOTICEABLE: f64 = 0.1;

fn possible(limit: u32) -> u32 {
    limit.clamp(1, PLACES_MAX)
}

/// Gathers samples over a window and asks an [`Estimate`] at its end: the state machine.
pub struct Machine {
    estimate: Box<dyn Estimate>,
    window: Duration,
    samples: u32,
    gathered: Gathered,
    told: u32,
    rtt: Duration,
}

#[derive(Default)]
struct Gathered {
    /// When the window ends.
    until: Option<Monotonic>,
    count: u32,
    /// Of those that were answered, in nanoseconds.
    rtt_sum: u64,
    answered: u32,
    in_flight_max: u32,
    dropped: bool,
}

impl Machine {
    /// With the algorithm that the settings name.
    ///
    /// # Errors
    /// The settings make no sense.
    pub fn new(options: &Options, rng: Rng) -> Result<Self, Invalid> {
        Self::with(options, options.estimate(rng))
    }

    /// With another algorithm.
    ///
    /// # Errors
    /// The settings make no sense.
    pub fn with(options: &Options, estimate: Box<dyn Estimate>) -> Result<Self, Invalid> {
        options.check()?;
        let Options { window, samples, .. } = *options;
        let (told, gathered) = (possible(estimate.limit()), Gathered::default());
        Ok(Self { estimate, window, samples, gathered, told, rtt: RETRY_AFTER_MIN })
    }

    /// The limit: what the algorithm says, but at least one (with none let through, nobody would
    /// ever find out more) and at most [`PLACES_MAX`].
    #[must_use]
    pub fn limit(&self) -> u32 {
        possible(self.estimate.limit())
    }

    /// How long an answer took in the last window, on average.
    #[must_use]
    pub const fn rtt(&self) -> Duration {
        self.rtt
    }

    /// A call ended. Says so, once, when the limit has moved by a tenth since it last said so.
    pub fn sample(&mut self, now: Monotonic, sample: &Sample) -> Option<Changed> {
        let Gathered { until, count, rtt_sum, answered, in_flight_max, dropped } =
            &mut self.gathered;
        let until = *until.get_or_insert(now + self.window);
        *count += 1;
        *in_flight_max = sample.in_flight.max(*in_flight_max);
        *dropped |= sample.dropped;
        // A refusal is quicker than any answer: times of drops count only if there are no others.
        if !sample.dropped {
            *answered += 1;
            *rtt_sum = rtt_sum.saturating_add(nanos_in(sample.rtt));
        }
        // A window without an end would count for ever.
        if (now < until || *count < self.samples) && *count < u32::MAX {
            return None;
        }
        let answered = u64::from(*answered);
        let rtt = rtt_sum.checked_div(answered).map_or(sample.rtt, Duration::from_nanos);
        let whole = Sample { rtt, in_flight: *in_flight_max, dropped: *dropped };
        (self.gathered, self.rtt) = (Gathered::default(), rtt);
        let (from, to) = (self.told, possible(self.estimate.update(&whole)));
        let noticeable = f64::from(from) * NOTICEABLE;
        (from != to && f64::from(from.abs_diff(to)) >= noticeable).then(|| {
            self.told = to;
            Changed { from, to }
        })
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("limit", &self.limit()).finish_non_exhaustive()
    }
}

/// The same for many threads: the limit is one load, a sample takes a lock for an instant.
#[derive(Debug)]
pub struct Estimator {
    machine: Mutex<Machine>,
    limit: AtomicU32,
    /// In nanoseconds.
    rtt: AtomicU64,
}

impl Estimator {
    /// Shares a state machine.
    #[must_use]
    pub fn new(machine: Machine) -> Self {
        let (limit, rtt) =
            (AtomicU32::new(machine.limit()), AtomicU64::new(nanos_in(machine.rtt())));
        Self { machine: Mutex::new(machine), limit, rtt }
    }

    /// The limit.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    /// How long an answer took in the last window, on average.
    #[must_use]
    pub fn rtt(&self) -> Duration {
        Duration::from_nanos(self.rtt.load(Ordering::Relaxed))
    }

    /// A call ended: see [`Machine::sample`].
    pub fn sample(&self, now: Monotonic, sample: &Sample) -> Option<Changed> {
        let mut machine = lock(&self.machine);
        let changed = machine.sample(now, sample);
        if machine.gathered.count == 0 {
            // A window ended.
            self.limit.store(machine.limit(), Ordering::Relaxed);
            self.rtt.store(nanos_in(machine.rtt), Ordering::Relaxed);
        }
        changed
    }
}
