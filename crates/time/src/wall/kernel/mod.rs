//! The bound that the machine's NTP service keeps in the kernel.
//!
//! chronyd and ntpd tell the kernel the clock's *maximum error* (root delay / 2 + root dispersion)
//! at each synchronisation, and the kernel lets it grow by 500 µs a second until the next one. A
//! machine that runs such a service therefore knows its error at no cost; [`Kernel`] reads it
//! once a [`Options::refresh`] and lets it grow likewise in between.
//!
//! A correction that is still being slewed is error too, and is added.
//!
//! Whoever sets the clock by hand takes the kernel's bound away with it, and the last one is about
//! the clock as it was before. So the wall clock is held against the monotonic one: when the two
//! part by more than drift explains, the kernel is asked at once, and as long as it has no new
//! bound, the step is a part of the error ([`Status::Disrupted`]).
//!
//! Limits: systemd-timesyncd sets the error to zero at each synchronisation, since it measures none;
//! [`Options::floor`] stands in for what it does not know. A machine whose clock nobody
//! synchronises is refused ([`Error::Unsynchronized`]) instead of given a made-up bound: configure
//! [`Assumed`](super::Assumed) there, or ask servers with [`crate::ntp`].

mod adjtimex;

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Estimate, Reading, Status, Uncertainty};
use crate::clock::Monotonic;
use crate::interval::{Interval, Offset, drift};

/// What the kernel says of its clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Discipline {
    /// The largest possible error (`maxerror`).
    pub max_error: Duration,
    /// What of the last correction is still being slewed (`offset`). The maximum error is about
    /// the clock as it will be then.
    pub pending: Offset,
    /// The expected error (`esterror`).
    pub estimated_error: Duration,
    /// Whether somebody synchronises the clock (neither `STA_UNSYNC` nor `TIME_ERROR`).
    pub synchronized: bool,
    /// The correction of the oscillator's rate, in parts per million.
    pub frequency_ppm: f64,
}

impl Discipline {
    /// How far the clock can be from the truth: the maximum error, and what is still to be slewed
    /// (up to 400 ms with systemd-timesyncd, which claims no error at the same time).
    #[must_use]
    pub fn bound(&self) -> Duration {
        self.max_error.saturating_add(self.pending.abs())
    }

    /// Asks the kernel: one system call of about a microsecond.
    ///
    /// # Errors
    /// [`Error::Read`] when the platform has no such call or a sandbox refuses it.
    pub fn read() -> Result<Self, Error> {
        adjtimex::read().map_err(Error::Read)
    }
}

/// Why the kernel gives no bound.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The call failed.
    #[error("the kernel does not tell its clock's error (ntp_adjtime): {0}")]
    Read(#[source] io::Error),
    /// Nobody synchronises the clock.
    #[error(
        "no service synchronises this machine's clock (ntp_adjtime says unsynchronized); start \
         chronyd or ntpd, or configure NTP servers or an assumed error instead"
    )]
    Unsynchronized,
}

/// How the kernel's bound is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long one answer of the kernel is used. Default: 1 s, within which the bound grows by
    /// half a millisecond at most.
    pub refresh: Duration,
    /// The error is never less than this. Default: 10 ms, half of a long round trip to a public
    /// server, since systemd-timesyncd claims zero. Zero is right with chronyd or ntpd.
    pub floor: Duration,
    /// How fast the bound grows between answers, in parts per million. Default: 500, the kernel's
    /// own figure (`MAXFREQ`, also the most by which NTP slews).
    pub drift_ppm: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { refresh: Duration::from_secs(1), floor: Duration::from_millis(10), drift_ppm: 500 }
    }
}

/// Where the readings come from; replaced in tests.
type Read = Box<dyn Fn() -> Result<Discipline, Error> + Send + Sync>;

/// The kernel's bound as a source of uncertainty.
pub struct Kernel {
    options: Options,
    read: Read,
    held: Mutex<Held>,
}

/// The last good answer, and when it was asked for again.
#[derive(Clone, Copy, Debug)]
struct Held {
    bound: Duration,
    /// The clocks when `bound` held; unknown until the first estimate.
    at: Option<Reading>,
    /// When the kernel was asked last.
    asked: Option<Monotonic>,
    status: Status,
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kernel").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Kernel {
    /// Asks the kernel once, to see that it knows.
    ///
    /// # Errors
    /// [`Error`] when it does not tell, or says that nobody synchronises its clock.
    pub fn new(options: Options) -> Result<Self, Error> {
        Self::reading(options, Box::new(Discipline::read))
    }

    fn reading(options: Options, read: Read) -> Result<Self, Error> {
        let discipline = read()?;
        if !discipline.synchronized {
            return Err(Error::Unsynchronized);
        }
        let status = Status::Synchronized;
        let held = Held { bound: discipline.bound(), at: None, asked: None, status };
        Ok(Self { options, read, held: Mutex::new(held) })
    }
}

impl Uncertainty for Kernel {
    fn estimate(&self, reading: Reading) -> Estimate {
        let now = reading.monotonic;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let due = held.asked.is_none_or(|asked| now - asked >= self.options.refresh);
        if due || held.stepped(reading) > Duration::ZERO {
            held.asked = Some(now);
            match (self.read)() {
                Ok(answer) if answer.synchronized => {
                    held.bound = answer.bound();
                    held.at = Some(reading);
                    held.status = Status::Synchronized;
                }
                // The last good answer goes on growing.
                Ok(_) | Err(_) => held.status = Status::FreeRunning,
            }
        }
        let stepped = held.stepped(reading);
        let since = now - held.at.get_or_insert(reading).monotonic;
        let error = held.bound + drift(self.options.drift_ppm, since);
        let interval =
            Interval::around(reading.wall, error.max(self.options.floor).saturating_add(stepped));
        let status = if stepped.is_zero() { held.status } else { Status::Disrupted };
        Estimate { interval, status }
    }
}

impl Held {
    /// How far the wall clock has been set off since the bound held; zero for what drift explains.
    fn stepped(&self, reading: Reading) -> Duration {
        self.at.map(|at| reading.parted_since(at)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sim::Simulation;

    fn discipline(max_error_ms: u64, synchronized: bool) -> Discipline {
        Discipline {
            max_error: Duration::from_millis(max_error_ms),
            pending: Offset::ZERO,
            estimated_error: Duration::ZERO,
            synchronized,
            frequency_ppm: 0.0,
        }
    }

    #[test]
    fn a_clock_that_nobody_synchronises_is_refused() {
        let refused = Kernel::reading(Options::default(), Box::new(|| Ok(discipline(0, false))));
        assert!(matches!(refused, Err(Error::Unsynchronized)));
    }

    #[test]
    fn the_bound_follows_the_kernel_and_grows_when_it_falls_silent() {
        let mut sim = Simulation::new(1);
        let answer = Arc::new(Mutex::new(discipline(20, true)));
        let asked = Arc::clone(&answer);
        let read: Read = Box::new(move || Ok(*asked.lock().unwrap()));
        let kernel = Kernel::reading(Options::default(), read).unwrap();
        let clock = sim.clock().disciplined(Arc::new(kernel));
        assert_eq!(clock.interval().error(), Duration::from_millis(20));
        sim.run_for(Duration::from_millis(999));
        // 500 ppm of 999 ms are 499.5 µs.
        assert_eq!(clock.interval().error(), Duration::from_micros(20_500));
        *answer.lock().unwrap() = discipline(3, true);
        sim.run_for(Duration::from_millis(1));
        assert_eq!(clock.interval().error(), Duration::from_millis(10), "the floor");
        let slewing = Discipline { pending: Offset::from_millis(-350), ..discipline(0, true) };
        *answer.lock().unwrap() = slewing;
        sim.run_for(Duration::from_secs(1));
        assert_eq!(clock.interval().error(), Duration::from_millis(350), "timesyncd's zero is not");
        *answer.lock().unwrap() = discipline(3, true);
        sim.run_for(Duration::from_secs(1));
        assert_eq!(clock.interval().error(), Duration::from_millis(10));
        *answer.lock().unwrap() = discipline(0, false);
        sim.run_for(Duration::from_secs(100));
        assert_eq!(clock.interval().error(), Duration::from_millis(53), "3 ms + 500 ppm of 100 s");
        assert_eq!(clock.status(), Status::FreeRunning);
    }

    /// `date -s` makes the kernel say "unsynchronized", and its last bound was about another clock.
    #[test]
    fn a_clock_that_was_set_by_hand_is_not_believed_to_the_old_bound() {
        let mut sim = Simulation::new(1);
        let answer = Arc::new(Mutex::new(discipline(20, true)));
        let asked = Arc::clone(&answer);
        let read: Read = Box::new(move || Ok(*asked.lock().unwrap()));
        let kernel = Kernel::reading(Options::default(), read).unwrap();
        let host = sim.sim_clock();
        let clock = host.clock().disciplined(Arc::new(kernel));
        assert!(clock.interval().contains(host.true_now()));
        sim.run_for(Duration::from_millis(100));
        for step in [-3_600_000_000, 7_200_000_000] {
            host.jump_wall(step);
            *answer.lock().unwrap() = discipline(16_000, false);
            for _ in 0..5 {
                let interval = clock.interval();
                assert!(interval.contains(host.true_now()), "{interval}");
                assert_eq!(clock.status(), Status::Disrupted);
                sim.run_for(Duration::from_millis(700));
            }
        }
        // The service has set it right, and says so.
        host.jump_wall(-3_600_000_000);
        *answer.lock().unwrap() = discipline(20, true);
        sim.run_for(Duration::from_secs(1));
        assert_eq!(clock.interval().error(), Duration::from_millis(20));
        assert_eq!(clock.status(), Status::Synchronized);
        assert!(clock.interval().contains(host.true_now()));
    }

    #[test]
    fn the_real_kernel_gives_a_bound_or_says_why_not() {
        match Kernel::new(Options::default()) {
            Ok(kernel) => {
                let clock = crate::Clock::system_with(kernel);
                assert!(clock.interval().error() >= Duration::from_millis(10));
            }
            Err(error) => assert!(error.to_string().contains("ntp_adjtime"), "{error}"),
        }
    }
}
