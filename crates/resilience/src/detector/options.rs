//! What a failure detector is told.

use std::time::Duration;

use super::Distribution;
use crate::Invalid;
use crate::limits::{PEERS_MAX, SAMPLES_ALL_MAX, SAMPLES_MAX};

/// φ = 100 is one wrong suspicion in a googol: more cannot be meant.
const THRESHOLD_MAX: f64 = 100.0;

/// Samples are kept in 32 bits of microseconds, which end at 71 minutes.
const INTERVAL_MAX: Duration = Duration::from_secs(3_600);

/// How a failure detector judges. The defaults are Akka's and Pekko's for the members of a
/// cluster (`reference.conf`, `cluster.failure-detector`), except where it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Options {
    /// What is assumed of the times between heartbeats. Akka's is
    /// [`Logistic`](Distribution::Logistic); ours is the paper's,
    /// [`Normal`](Distribution::Normal).
    pub distribution: Distribution,
    /// A peer is suspected from this φ on: 8, in Akka, Pekko and Cassandra alike.
    pub threshold: f64,
    /// How many times between heartbeats are remembered: 1,000, as in Akka and Cassandra. Fewer
    /// follow a change of pace sooner and cost four bytes less each.
    pub samples: usize,
    /// The deviation counts as at least this: 100 ms. A peer that has been regular to the
    /// millisecond would otherwise be suspected when it is late by ten.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length"))]
    pub min_deviation: Duration,
    /// The time that is expected between heartbeats before any has been measured: 1 s. Until the
    /// history is full it contains two such samples, a quarter below and a quarter above.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length"))]
    pub first_heartbeat: Duration,
    /// How much longer than its rhythm says a peer may be silent without reason: 3 s. It pays for
    /// lost heartbeats, garbage collections and hand-overs of the network, which no distribution
    /// of ordinary delays foresees.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length"))]
    pub acceptable_pause: Duration,
    /// A peer that has been silent for this long is suspected whatever its rhythm; `None` (as
    /// in Akka and Cassandra): never. After an hour of chaos φ may take a quarter of an hour to
    /// reach its threshold.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length_or_off"))]
    pub silence_max: Option<Duration>,
    /// How often [`super::Monitor::tick`] is called: every second.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length"))]
    pub tick: Duration,
    /// How much later than that the next input may come before this process must itself have
    /// stood still: 1 s (Cassandra's `max_local_pause` is 5 s, of a φ that takes 18). Together
    /// with `tick` it should stay below `acceptable_pause`, which pays for shorter stalls.
    /// [`Duration::MAX`] switches this protection off.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length_or_ever"))]
    pub stall_tolerance: Duration,
    /// Peers that a [`super::Monitor`] watches at once: 10,000. With more than 250,000 of them fewer
    /// samples have to do: [`SAMPLES_ALL_MAX`] are kept in all.
    pub peers_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            distribution: Distribution::Normal,
            threshold: 8.0,
            samples: 1_000,
            min_deviation: Duration::from_millis(100),
            first_heartbeat: Duration::from_secs(1),
            acceptable_pause: Duration::from_secs(3),
            silence_max: None,
            tick: Duration::from_secs(1),
            stall_tolerance: Duration::from_secs(1),
            peers_max: 10_000,
        }
    }
}

impl Options {
    /// Checks that they make sense.
    ///
    /// # Errors
    /// The first that does not, with what is allowed.
    pub fn check(&self) -> Result<(), Invalid> {
        if !(self.threshold > 0.0 && self.threshold <= THRESHOLD_MAX) {
            let allowed = format!("above 0 and at most {THRESHOLD_MAX}");
            return Err(Invalid::new("detector.threshold", self.threshold, allowed));
        }
        count("detector.samples", self.samples, SAMPLES_MAX)?;
        count("detector.peers_max", self.peers_max, PEERS_MAX)?;
        let each = SAMPLES_ALL_MAX / self.peers_max;
        if self.samples > each {
            let allowed = format!("at most {each} for each of {} peers", self.peers_max);
            return Err(Invalid::new("detector.samples", self.samples, allowed));
        }
        length("detector.min_deviation", self.min_deviation, INTERVAL_MAX)?;
        length("detector.first_heartbeat", self.first_heartbeat, INTERVAL_MAX)?;
        if self.acceptable_pause > INTERVAL_MAX {
            let value = format!("{:?}", self.acceptable_pause);
            return Err(Invalid::new("detector.acceptable_pause", value, "at most an hour"));
        }
        if let Some(silence_max) = self.silence_max {
            length("detector.silence_max", silence_max, Duration::MAX)?;
        }
        length("detector.tick", self.tick, INTERVAL_MAX)?;
        length("detector.stall_tolerance", self.stall_tolerance, Duration::MAX)
    }
}

fn count(key: &'static str, value: usize, max: usize) -> Result<(), Invalid> {
    if (1..=max).contains(&value) {
        Ok(())
    } else {
        Err(Invalid::new(key, value, format!("from 1 to {max}")))
    }
}

fn length(key: &'static str, value: Duration, max: Duration) -> Result<(), Invalid> {
    // Samples are whole microseconds.
    if value < Duration::from_micros(1) {
        Err(Invalid::new(key, format!("{value:?}"), "at least a microsecond"))
    } else if value > max {
        Err(Invalid::new(key, format!("{value:?}"), format!("at most {max:?}")))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_allowed_and_nonsense_is_named() {
        let good = Options::default();
        assert_eq!(good.check(), Ok(()));
        let off = Options { stall_tolerance: Duration::MAX, silence_max: None, ..good };
        assert_eq!(off.check(), Ok(()));
        let hours = Duration::from_secs(7_200);
        let rows = [
            (Options { threshold: 0.0, ..good }, "detector.threshold"),
            (Options { threshold: f64::NAN, ..good }, "detector.threshold"),
            (Options { threshold: 101.0, ..good }, "detector.threshold"),
            (Options { samples: 0, ..good }, "detector.samples"),
            (Options { samples: SAMPLES_MAX + 1, ..good }, "detector.samples"),
            (Options { peers_max: 0, ..good }, "detector.peers_max"),
            (Options { peers_max: PEERS_MAX, ..good }, "detector.samples"),
            (Options { min_deviation: Duration::ZERO, ..good }, "detector.min_deviation"),
            (Options { first_heartbeat: Duration::ZERO, ..good }, "detector.first_heartbeat"),
            (Options { first_heartbeat: hours, ..good }, "detector.first_heartbeat"),
            (Options { acceptable_pause: hours, ..good }, "detector.acceptable_pause"),
            (Options { silence_max: Some(Duration::ZERO), ..good }, "detector.silence_max"),
            (Options { tick: Duration::ZERO, ..good }, "detector.tick"),
            (Options { stall_tolerance: Duration::ZERO, ..good }, "detector.stall_tolerance"),
        ];
        for (options, key) in rows {
            assert_eq!(options.check().unwrap_err().key, key);
        }
    }

    #[test]
    fn a_mistake_says_what_is_allowed() {
        let wrong = Options { samples: 0, ..Options::default() };
        let text = wrong.check().unwrap_err().to_string();
        assert_eq!(text, "detector.samples = 0: must be from 1 to 10000");
    }
}
