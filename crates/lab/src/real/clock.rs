//! One clock for all processes of the machine.
//!
//! Every [`Clock::system`] counts from its own start. Histories of several processes need moments
//! that can be compared, so this one counts as the kernel does, from the start of the machine.

use std::sync::Arc;

use rustix::time::{ClockId, clock_gettime};
use steadfast_time::{Clock, Interval, Monotonic, Sleep, Source};

struct Machine {
    /// Where waits and dates come from.
    system: Clock,
}

impl Source for Machine {
    fn monotonic(&self) -> Monotonic {
        let now = clock_gettime(ClockId::Monotonic);
        let (seconds, nanos) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
        Monotonic::from_nanos(seconds * 1_000_000_000 + nanos)
    }

    fn interval(&self) -> Interval {
        self.system.interval()
    }

    fn sleep_until(&self, deadline: Monotonic) -> Sleep {
        self.system.sleep(deadline - self.monotonic())
    }
}

/// The kernel's monotonic clock: the same in every process.
#[must_use]
pub fn machine() -> Clock {
    Clock::new(Arc::new(Machine { system: Clock::system() }))
}
