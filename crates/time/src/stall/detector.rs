//! The heartbeat thread.
//!
//! This module uses a thread of its own and not a task: a task would also be late when the
//! runtime's other tasks block, and would stop when the runtime does. It sleeps by `park_timeout`,
//! so that a stop wakes it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::recorder::{Recorder, Stall};
use super::suspend::suspended;
use crate::clock::{Clock, Monotonic};

/// How the heartbeat goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How often the thread wakes. Default: 10 ms: 100 wake-ups a second cost about 0.1 % of a
    /// core, and no lease is so short that 10 ms matter.
    pub period: Duration,
    /// How much later than due is a stall. Default: 10 ms, above what an idle Linux scheduler
    /// delays a wake-up by.
    pub threshold: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { period: Duration::from_millis(10), threshold: Duration::from_millis(10) }
    }
}

/// Asks what the heartbeat saw. Clones are cheap and outlive the detector, whose end looks like a
/// stall that goes on; so keep the detector as long as anybody asks.
#[derive(Clone, Debug)]
pub struct Stalls {
    recorder: Arc<Recorder>,
    stopped: Arc<AtomicBool>,
}

impl Stalls {
    /// The longest time after `since` in which the process did not run, up to `now` (both of the
    /// detector's clock); zero when there was none above the threshold. About 75 ns on Linux, most
    /// of it the clocks of a suspension; takes no lock.
    ///
    /// A stop ends with the late beat, a moment after the process goes on. What began in between,
    /// such as a lease that was taken at `since`, is told of no more than can lie after that.
    #[must_use]
    pub fn longest_since(&self, since: Monotonic, now: Monotonic) -> Duration {
        self.recorder.longest_since(since, now, suspended())
    }

    /// The lateness that 99 of 100 of the last 4,096 beats stayed within.
    #[must_use]
    pub fn p99(&self) -> Duration {
        self.recorder.p99()
    }

    /// How many stalls there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.recorder.count()
    }

    /// The longest stall ever.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.recorder.max()
    }

    /// The last stalls, newest first.
    #[must_use]
    pub fn recent(&self) -> Vec<Stall> {
        self.recorder.recent()
    }

    /// Whether the heartbeat still goes.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        !self.stopped.load(Ordering::Acquire)
    }
}

/// Owns the heartbeat thread, and ends it when dropped.
#[derive(Debug)]
pub struct Detector {
    stalls: Stalls,
    thread: Option<JoinHandle<()>>,
}

impl Detector {
    /// Starts the thread. `clock` should be [`Clock::system`], the one that is given to
    /// [`Stalls::longest_since`] too: a monotonic reading means nothing on another clock.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(clock: Clock, options: Options) -> std::io::Result<Self> {
        let Options { period, threshold } = options;
        let recorder = Recorder::new(period, threshold, clock.monotonic(), suspended());
        let stalls =
            Stalls { recorder: Arc::new(recorder), stopped: Arc::new(AtomicBool::new(false)) };
        let beating = stalls.clone();
        let thread = std::thread::Builder::new()
            .name("steadfast-beat".to_owned())
            .spawn(move || beat(&clock, period, &beating))?;
        Ok(Self { stalls, thread: Some(thread) })
    }

    /// The handle to ask.
    #[must_use]
    pub fn stalls(&self) -> Stalls {
        self.stalls.clone()
    }
}

fn beat(clock: &Clock, period: Duration, stalls: &Stalls) {
    let mut due = clock.monotonic() + period;
    while !stalls.stopped.load(Ordering::Acquire) {
        let now = clock.monotonic();
        if now < due {
            // It may end early, for no reason or because we are stopped; the loop looks again.
            std::thread::park_timeout(due - now);
            continue;
        }
        let _ = stalls.recorder.beat(now, suspended());
        due = now + period;
    }
}

impl Drop for Detector {
    fn drop(&mut self) {
        self.stalls.stopped.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It cannot panic in a way that matters any more.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_beats_and_ends() {
        let clock = Clock::system();
        let detector = Detector::start(clock.clone(), Options::default()).unwrap();
        let stalls = detector.stalls();
        let began = clock.monotonic();
        while stalls.recorder.last_beat_at() <= began {
            std::thread::yield_now();
        }
        assert!(stalls.is_watched());
        drop(detector);
        assert!(!stalls.is_watched());
        let last = stalls.recorder.last_beat_at();
        let later = last + Duration::from_secs(5);
        let longest = stalls.longest_since(last, later);
        assert!(longest >= Duration::from_millis(4_990), "{longest:?}: silence is a stall");
    }

    #[test]
    fn an_endless_period_is_stopped_at_once() {
        let options = Options { period: Duration::from_secs(86_400), ..Options::default() };
        drop(Detector::start(Clock::system(), options).unwrap());
    }
}
