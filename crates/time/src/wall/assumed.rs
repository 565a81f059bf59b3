//! A bound out of the configuration.

use std::time::Duration;

use super::{Estimate, Reading, Status, Uncertainty};
use crate::interval::Interval;

/// The error that is assumed where nothing is configured or measured. NTP over the internet keeps
/// within some tens of milliseconds when it works; "a clock read to the microsecond may be right
/// to ±100 ms" is the sources' figure.
pub const DEFAULT_ERROR: Duration = Duration::from_millis(100);

/// The wall clock is off by at most this much, because the operator says so. Nothing checks it:
/// watch the offset to other clocks with [`crate::health`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assumed(pub Duration);

impl Default for Assumed {
    fn default() -> Self {
        Self(DEFAULT_ERROR)
    }
}

impl Uncertainty for Assumed {
    fn estimate(&self, reading: Reading) -> Estimate {
        Estimate { interval: Interval::around(reading.wall, self.0), status: Status::Assumed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clock;

    #[test]
    fn a_system_clock_takes_the_configured_error() {
        let clock = Clock::system_with(Assumed(Duration::from_millis(3)));
        assert_eq!(clock.interval().error(), Duration::from_millis(3));
        assert_eq!(clock.status(), Status::Assumed);
        assert_eq!(Clock::system().interval().error(), DEFAULT_ERROR);
    }
}
