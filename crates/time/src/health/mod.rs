//! Is this node's clock good enough to act on? And if not, out with it.
//!
//! A wrong clock is not noticed like a dead machine: everything goes on, with wrong dates and
//! leases that are longer or shorter than they should be, and data is lost in silence. So a node
//! watches its own clock and takes itself out (*quarantine*: it gives up and refuses leases) when
//! one of these holds, and comes back when none has for a while:
//!
//! | reason | bound, with its default |
//! |---|---|
//! | [`Reason::Uncertain`] | the clock's own error above [`Options::max_uncertainty`], 250 ms |
//! | [`Reason::Offset`] | 80 % of [`Options::max_offset`] (500 ms) off the reference |
//! | [`Reason::Peers`] | the same against at least half of the others (CockroachDB's rule) |
//! | [`Reason::Unsynchronized`] | nobody synchronises it, where [`Options::synchronized_only`] |
//! | [`Reason::Jumped`] | a step against the monotonic clock above [`Options::max_jump`], 100 ms |
//! | [`Reason::Stalled`] | the process stood still above [`Options::max_stall`], where given |
//!
//! [`Health`] is the machine, `(state, observation) -> transition`; [`Monitor`] runs it over a
//! [`Clock`](crate::Clock). Coming back takes [`Options::good_readings`] in a row *and*
//! [`Options::hold`], so that a clock on the edge does not flap.
//!
//! Limits: an error that all peers share, or that the reference has, is seen by nobody.

mod jump;
mod monitor;
mod options;
mod skew;

use std::fmt;
use std::time::Duration;

pub use jump::Jumps;
pub use monitor::{Monitor, Sensors, Watch};
pub use options::{Invalid, Options};
pub use skew::Skews;

use crate::clock::Monotonic;
use crate::interval::{Interval, Offset};
use crate::limits::PEERS_MAX;
use crate::wall::Status;

/// Another clock's offset, as measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// How far the other clock is ahead of ours.
    pub offset: Offset,
    /// How far that may be wrong: half of the round trip, and what the other clock admits.
    pub error: Duration,
}

impl Measured {
    /// The most that the clocks may be apart.
    fn at_most(&self) -> Duration {
        self.offset.abs().saturating_add(self.error)
    }

    /// Whether the clocks are certainly further apart than `bound`. What may or may not be is let
    /// pass, as CockroachDB does: a slow network must not take a node out.
    fn certainly_beyond(&self, bound: Duration) -> bool {
        self.offset.abs().saturating_sub(self.error) > bound
    }
}

/// Everything that was seen at one moment.
#[derive(Clone, Debug)]
pub struct Observation {
    /// When.
    pub at: Monotonic,
    /// The date with its error.
    pub interval: Interval,
    /// What that rests on.
    pub status: Status,
    /// A reference that is trusted more than this clock, such as NTP, if there is one.
    pub reference: Option<Measured>,
    /// Other nodes' clocks, as many as answered lately. Of more than 64, the first count.
    pub peers: Vec<Measured>,
    /// The longest time since the last observation in which the process did not run.
    pub stall: Duration,
}

/// Why a node is quarantined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The clock admits too large an error.
    Uncertain {
        /// The error.
        error: Duration,
    },
    /// The clock is off the reference.
    Offset {
        /// How far the reference is ahead.
        offset: Offset,
    },
    /// The clock is out of step with at least half of the others.
    Peers {
        /// With how many.
        apart: usize,
        /// Of how many.
        of: usize,
    },
    /// Nobody synchronises the clock.
    Unsynchronized,
    /// The wall clock stepped against the monotonic one.
    Jumped {
        /// How far, forward or back.
        by: Offset,
    },
    /// The process did not run.
    Stalled {
        /// For how long.
        length: Duration,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uncertain { error } => write!(f, "the clock is only sure to ±{error:?}"),
            Self::Offset { offset } => {
                write!(f, "the reference clock is at {offset} from this one")
            }
            Self::Peers { apart, of } => {
                write!(f, "the clock is out of step with {apart} of {of} others")
            }
            Self::Unsynchronized => f.write_str("nobody synchronises the clock"),
            Self::Jumped { by } => write!(f, "the wall clock jumped by {by}"),
            Self::Stalled { length } => write!(f, "the process did not run for {length:?}"),
        }
    }
}

/// How a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its clock is within all bounds.
    Healthy,
    /// Its clock is not to be relied on.
    Quarantined {
        /// Why, as of the last bad observation.
        reason: Reason,
        /// Since when.
        since: Monotonic,
    },
}

/// A change, to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// Give up what rests on time, and refuse it.
    Quarantine {
        /// Why.
        reason: Reason,
    },
    /// Take up again.
    Readmit {
        /// How long it was out.
        after: Duration,
    },
}

/// The machine. Healthy until an observation says otherwise, so make one before the first lease.
#[derive(Debug)]
pub struct Health {
    options: Options,
    state: State,
    jumps: Jumps,
    skews: Skews,
    /// Good observations in a row, while quarantined.
    good: u32,
    /// The last bad observation.
    bad_at: Monotonic,
}

impl Health {
    /// A healthy node.
    ///
    /// # Errors
    /// [`Invalid`] when the options contradict each other.
    pub fn new(options: Options) -> Result<Self, Invalid> {
        options.check()?;
        Ok(Self {
            options,
            state: State::Healthy,
            jumps: Jumps::new(options.max_jump, options.drift_ppm),
            skews: Skews::new(),
            good: 0,
            bad_at: Monotonic::default(),
        })
    }

    /// How the node stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether it may rely on its clock.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.state == State::Healthy
    }

    /// The skew that 99 of 100 of the last observations stayed within (`clock_skew_p99`); none
    /// before the first. A lease must be longer than this and a round trip.
    #[must_use]
    pub fn clock_skew_p99(&self) -> Option<Duration> {
        self.skews.p99()
    }

    /// Takes an observation; they come in order of time. Answers a change of state.
    pub fn observe(&mut self, seen: &Observation) -> Option<Transition> {
        self.skews.record(skew(seen));
        // Always asked, since it compares each reading with the one before.
        let jump = self.jumps.observe(seen.at, seen.interval.middle());
        let reason = self.judge(seen, jump);
        match (self.state, reason) {
            (State::Healthy, None) => None,
            (State::Healthy, Some(reason)) => {
                self.good = 0;
                self.bad_at = seen.at;
                self.state = State::Quarantined { reason, since: seen.at };
                Some(Transition::Quarantine { reason })
            }
            (State::Quarantined { since, .. }, Some(reason)) => {
                self.good = 0;
                self.bad_at = seen.at;
                self.state = State::Quarantined { reason, since };
                None
            }
            (State::Quarantined { since, .. }, None) => {
                self.good = self.good.saturating_add(1);
                let held = seen.at - self.bad_at >= self.options.hold;
                if !held || self.good < self.options.good_readings {
                    return None;
                }
                self.state = State::Healthy;
                Some(Transition::Readmit { after: seen.at - since })
            }
        }
    }

    fn judge(&self, seen: &Observation, jump: Option<Offset>) -> Option<Reason> {
        let options = &self.options;
        if let Some(by) = jump {
            return Some(Reason::Jumped { by });
        }
        if options.max_stall.is_some_and(|limit| seen.stall > limit) {
            return Some(Reason::Stalled { length: seen.stall });
        }
        let error = seen.interval.error();
        if error > options.max_uncertainty {
            return Some(Reason::Uncertain { error });
        }
        // The product may be rounded up beyond what a length can be.
        let share = options.max_offset.as_secs_f64() * options.tolerated_share;
        let bound = Duration::try_from_secs_f64(share).unwrap_or(options.max_offset);
        if let Some(reference) = seen.reference.filter(|one| one.certainly_beyond(bound)) {
            return Some(Reason::Offset { offset: reference.offset });
        }
        let peers = &seen.peers[..seen.peers.len().min(PEERS_MAX)];
        let apart = peers.iter().filter(|peer| peer.certainly_beyond(bound)).count();
        if apart > 0 && apart * 2 >= peers.len() {
            return Some(Reason::Peers { apart, of: peers.len() });
        }
        let synchronized = seen.status == Status::Synchronized;
        (options.synchronized_only && !synchronized).then_some(Reason::Unsynchronized)
    }
}

/// How far apart this clock and the others may be: its own error, the reference's offset, and the
/// median of the peers' (so that one bad peer does not make it).
fn skew(seen: &Observation) -> Duration {
    let mut peers: Vec<Duration> =
        seen.peers.iter().take(PEERS_MAX).map(Measured::at_most).collect();
    peers.sort_unstable();
    let median = peers.get(peers.len() / 2).copied().unwrap_or_default();
    let reference = seen.reference.map_or(Duration::ZERO, |one| one.at_most());
    seen.interval.error().max(reference).max(median)
}

#[cfg(test)]
mod tests;
