//! The bounds.

use std::time::Duration;

/// What a clock must keep to, and how a node comes back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// The largest error that the clock may admit. Default: 250 ms, half of
    /// [`Options::max_offset`]: two nodes that are each off by so much are just within it.
    pub max_uncertainty: Duration,
    /// How far apart two nodes' clocks may be, whatever rests on it. Default: 500 ms,
    /// CockroachDB's.
    pub max_offset: Duration,
    /// The share of [`Options::max_offset`] beyond which a node takes itself out, before it is too
    /// late. Default: 0.8, CockroachDB's (400 ms of 500).
    pub tolerated_share: f64,
    /// The largest step of the wall clock against the monotonic one between two observations, on
    /// top of drift. Default: 100 ms, below the 128 ms from which ntpd steps instead of slewing.
    pub max_jump: Duration,
    /// How fast the two may part without a step, in parts per million. Default: 700: NTP slews by
    /// at most 500 ppm, and 200 ppm of drift (Google's assumption) on top.
    pub drift_ppm: u32,
    /// The longest time that the process may stand still. Default: none; a stall longer than a
    /// lease's margin costs that lease already, and the clock is none the worse for it.
    pub max_stall: Option<Duration>,
    /// Whether a clock that nobody synchronises is refused. Default: no, since the default clock is
    /// one of assumed error.
    pub synchronized_only: bool,
    /// Good observations in a row before a node comes back. Default: 5.
    pub good_readings: u32,
    /// How long after the last bad observation a node comes back at the earliest. Default: 10 s.
    pub hold: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_uncertainty: Duration::from_millis(250),
            max_offset: Duration::from_millis(500),
            tolerated_share: 0.8,
            max_jump: Duration::from_millis(100),
            drift_ppm: 700,
            max_stall: None,
            synchronized_only: false,
            good_readings: 5,
            hold: Duration::from_secs(10),
        }
    }
}

/// The options contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The share is no share.
    #[error("tolerated_share must be above 0 and at most 1")]
    Share,
    /// Every reading, or none, would be a jump.
    #[error("max_jump, max_offset and max_uncertainty must not be zero")]
    Zero,
    /// The bound could not be kept even by two good clocks.
    #[error(
        "max_uncertainty ({uncertainty:?}) must not be more than max_offset ({offset:?}): clocks \
         that are allowed that error are allowed to be further apart"
    )]
    Uncertainty {
        /// The error allowed.
        uncertainty: Duration,
        /// The offset allowed.
        offset: Duration,
    },
}

impl Options {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        if !(self.tolerated_share > 0.0 && self.tolerated_share <= 1.0) {
            return Err(Invalid::Share);
        }
        if self.max_jump.is_zero() || self.max_offset.is_zero() || self.max_uncertainty.is_zero() {
            return Err(Invalid::Zero);
        }
        if self.max_uncertainty > self.max_offset {
            let (uncertainty, offset) = (self.max_uncertainty, self.max_offset);
            return Err(Invalid::Uncertainty { uncertainty, offset });
        }
        Ok(())
    }
}
