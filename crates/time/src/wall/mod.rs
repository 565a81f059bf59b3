//! How far the wall clock may be off, and who says so.
//!
//! `clock_gettime` gives a date to the nanosecond and no word on its error, which may be
//! milliseconds or years. An [`Uncertainty`] supplies that word, and together with a clock it makes
//! dates that are intervals ([`Clock::disciplined`], [`Clock::system_with`]):
//!
//! | source | where the bound comes from | when it is unknown |
//! |---|---|---|
//! | [`Assumed`] | configuration | never; it is as good as the assumption |
//! | [`Kernel`] | the maximum error that the machine's own NTP service tells the kernel | not built |
//! | [`ntp::Ntp`](crate::ntp::Ntp) | several servers, of which a majority must agree | not built |
//!
//! Between two synchronisations a bound grows by the drift that the oscillator may have. What
//! no source can know is an error that all of its own sources share, such as a leap second that
//! one operator smears and another does not: never mix the two kinds.

mod assumed;
pub mod kernel;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use assumed::{Assumed, DEFAULT_ERROR};
pub use kernel::Kernel;

use crate::clock::{Clock, Monotonic, Sleep, Source};
use crate::interval::{Interval, Offset, drift};
use crate::timestamp::Timestamp;

/// What the error bound of a clock rests on. The names follow AWS ClockBound's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// On configuration alone; nobody has measured anything.
    Assumed,
    /// On a synchronisation that is still being repeated.
    Synchronized,
    /// On an earlier synchronisation; the repetition fails, and the bound grows by drift.
    FreeRunning,
    /// On nothing that holds: the clock jumped, or the machine was suspended, since the last
    /// synchronisation. The bound covers both readings, with and without the jump.
    Disrupted,
}

/// The two readings that an estimate starts from, taken one right after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The monotonic clock.
    pub monotonic: Monotonic,
    /// The wall clock, as it is.
    pub wall: Timestamp,
}

/// How far a machine's wall and monotonic clocks may part without a step: reading the two is not
/// one, and between them the thread may be preempted. They also part by what the machine's own NTP
/// service slews, at most 500 ppm.
const PARTED: Duration = Duration::from_millis(20);
const SLEW_PPM: u32 = 500;

impl Reading {
    /// How far the wall clock has gone more or less than the monotonic one since an earlier reading,
    /// if that is more than slewing and preemption explain; else zero.
    pub(crate) fn parted_since(&self, earlier: Self) -> Duration {
        let since = self.monotonic - earlier.monotonic;
        let parted = Offset::between(self.wall, earlier.wall + since).abs();
        let explained = PARTED.saturating_add(drift(SLEW_PPM, since));
        if parted > explained { parted } else { Duration::ZERO }
    }
}

/// The date with its bound, and what that rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// The true time is in here.
    pub interval: Interval,
    /// What that rests on.
    pub status: Status,
}

/// Knows how far a wall clock may be off. Called for each date that anybody asks for, so it must
/// be quick and must not wait.
pub trait Uncertainty: Send + Sync {
    /// The date with its bound at the moment of `reading`.
    fn estimate(&self, reading: Reading) -> Estimate;
}

impl<U: Uncertainty + ?Sized> Uncertainty for Arc<U> {
    fn estimate(&self, reading: Reading) -> Estimate {
        (**self).estimate(reading)
    }
}

/// A clock with dates from elsewhere.
pub(crate) struct Disciplined {
    clock: Clock,
    uncertainty: Arc<dyn Uncertainty>,
}

impl Disciplined {
    pub(crate) fn new(clock: Clock, uncertainty: Arc<dyn Uncertainty>) -> Self {
        Self { clock, uncertainty }
    }

    fn estimate(&self) -> Estimate {
        let reading = Reading { monotonic: self.clock.monotonic(), wall: self.clock.now() };
        self.uncertainty.estimate(reading)
    }
}

impl Source for Disciplined {
    fn monotonic(&self) -> Monotonic {
        self.clock.monotonic()
    }

    fn interval(&self) -> Interval {
        self.estimate().interval
    }

    fn sleep_until(&self, deadline: Monotonic) -> Sleep {
        self.clock.sleep_until(deadline)
    }

    fn status(&self) -> Status {
        self.estimate().status
    }
}
