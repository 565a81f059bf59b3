//! Who is there: how couriers' heartbeats are judged, and why like that.
//!
//! A courier who seems to be gone gets no offers until the next sign of life. Both mistakes cost
//! something: an offer to somebody who is not there delays a meal by the time that the offer stays
//! open; to pass over somebody who is there costs that courier money. The second is the worse one,
//! and phones are silent for good reasons: a lift, a tunnel, a hand-over between networks, an
//! operating system that saves its battery. So:
//!
//! - The **rhythm** of each courier's app is learnt (a φ-accrual detector, isolating at φ ≥ 8), from
//!   heartbeats alone. To accept, decline, arrive, pick up, deliver or change a shift ends a
//!   silence too, but says nothing of the rhythm.
//! - An **acceptable pause** of 40 s comes on top of the rhythm, and the deviation counts as at
//!   least 1 s. So nobody is isolated after less than 40 + 5.6 · 1 = 45.6 s of silence, whatever
//!   was learnt before: an app that beats every second in the foreground and every thirty in the
//!   background is not isolated when it changes over, nor when one of those comes late.
//! - The **ceiling** ([`crate::service::Options::heartbeat_timeout`], 60 s) isolates whatever the
//!   rhythm says. It is what counts before a rhythm is known (bootstrapped by 15 s ± a quarter,
//!   which alone would allow 76 s), and for apps that are too irregular to judge.
//!
//! Between the two the rhythm decides: an app that beats every second is missed after 46 s, one
//! that beats every five after 51 s, one that beats every fifteen after the full 60 s.
//!
//! Silence is measured by the monotonic clock, so that a wall clock that is set does not isolate
//! anybody, and without the time in which this process itself stood still. Nothing of it is
//! stored: after a restart everybody on shift counts as just seen.

use std::time::Duration;

use steadfast_resilience::detector::{Counts, Distribution, Options};

use crate::limits::{COURIER_SAMPLES, COURIERS_WATCHED_MAX};

/// The detector's options for couriers; the reasons are those of this module.
#[must_use]
pub fn detector() -> Options {
    Options {
        distribution: Distribution::Normal,
        threshold: 8.0,
        samples: COURIER_SAMPLES,
        min_deviation: Duration::from_secs(1),
        first_heartbeat: Duration::from_secs(15),
        acceptable_pause: Duration::from_secs(40),
        silence_max: Some(Duration::from_secs(60)),
        tick: Duration::from_secs(1),
        stall_tolerance: Duration::from_secs(1),
        peers_max: COURIERS_WATCHED_MAX,
    }
}

/// What the watch over the couriers has come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Liveness {
    /// How many couriers are watched and suspected, and how often a suspicion was false, since
    /// this process has started.
    pub counts: Counts,
    /// `fd.false_suspect_rate`: false suspicions per courier-hour, over the last 24 hours; see
    /// [`steadfast_resilience::detector::Monitor::false_suspect_rate`]. The sources demand less
    /// than 0.001. A suspected courier who comes back by setting a shift had really gone; whoever
    /// comes back by anything else had been there, and was suspected falsely.
    pub false_suspect_rate: f64,
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use steadfast_resilience::detector::Detector;
    use steadfast_time::Monotonic;

    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_millis(ms))
    }

    /// The silence that a courier is allowed after heartbeats at these intervals.
    fn allowance(intervals: impl IntoIterator<Item = u64>) -> f64 {
        let mut courier = Detector::new(&detector()).unwrap();
        let mut now = 0;
        courier.heartbeat(at(now));
        for interval in intervals {
            now += interval;
            courier.heartbeat(at(now));
        }
        courier.allowance().unwrap().as_secs_f64()
    }

    #[test]
    fn the_options_are_allowed() {
        assert_eq!(detector().check(), Ok(()));
    }

    #[test]
    fn whoever_beats_every_thirty_seconds_is_not_isolated_before_45_s() {
        let mut rng = Rng::with_seed(1);
        let mut least = f64::MAX;
        for _ in 0..300 {
            // A rhythm of its own for a while, then another one, and now and then chaos.
            let mut intervals = Vec::new();
            for _ in 0..rng.usize(1..4) {
                let (most, jitter) = (rng.u64(1..=30_000), rng.u64(1..=100));
                let beat = |rng: &mut Rng| most - rng.u64(..=most * jitter / 100);
                intervals.extend((0..rng.usize(..80)).map(|_| beat(&mut rng)));
            }
            let allowed = allowance(intervals);
            assert!((45.0..=60.0).contains(&allowed), "{allowed} s");
            least = least.min(allowed);
        }
        assert!(least < 50.0, "no rhythm was ever learnt: {least} s");
        // The extreme: a hundred heartbeats at once.
        assert!(allowance([0; 100]) >= 45.0);
    }

    #[test]
    fn the_rhythm_decides_between_the_two_limits() {
        let rows = [(1_000, 46.6), (5_000, 50.6), (10_000, 55.6), (15_000, 60.0), (30_000, 60.0)];
        for (interval, expected) in rows {
            let allowed = allowance([interval; 100]);
            assert!((allowed - expected).abs() < 0.1, "{interval} ms: {allowed}, not {expected}");
        }
        // Before anything is known, the ceiling holds.
        assert_eq!(allowance([]), 60.0);
    }
}
