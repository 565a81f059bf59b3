//! How long the machine has been suspended.

use std::time::Duration;

/// `CLOCK_BOOTTIME` goes on while the machine is suspended, `CLOCK_MONOTONIC` does not; the
/// difference is how long that was, since boot. Read in an order that can make it a little too
/// large or small by what passes between the calls, so it is rounded down to milliseconds.
#[cfg(target_os = "linux")]
pub(super) fn suspended() -> Duration {
    use rustix::time::{ClockId, Timespec, clock_gettime};
    let length = |time: Timespec| {
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
    };
    let monotonic = length(clock_gettime(ClockId::Monotonic));
    let boot = length(clock_gettime(ClockId::Boottime));
    let after = length(clock_gettime(ClockId::Monotonic));
    // If the thread was preempted between the calls, the larger reading keeps the difference
    // from growing by that.
    let difference = boot.saturating_sub(after.max(monotonic));
    Duration::from_millis(u64::try_from(difference.as_millis()).unwrap_or(u64::MAX))
}

/// Not known on other systems; there a monotonic clock that goes on shows the suspension as a
/// late beat.
#[cfg(not(target_os = "linux"))]
pub(super) fn suspended() -> Duration {
    Duration::ZERO
}
