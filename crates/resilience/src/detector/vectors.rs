//! What others have published, and whether it holds here.
#![cfg(test)]

use std::time::Duration;

use proptest::prelude::*;
use steadfast_time::Monotonic;

use super::{Detector, Distribution, Options};

const NORMAL: Distribution = Distribution::Normal;
const LOGISTIC: Distribution = Distribution::Logistic;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn at(millis: u64) -> Monotonic {
    Monotonic::from_start(ms(millis))
}

fn close(value: f64, expected: f64, tolerance: f64) {
    assert!((value - expected).abs() <= tolerance, "{value}, expected {expected} ± {tolerance}");
}

/// As `createFailureDetector` of Akka's and Pekko's `AccrualFailureDetectorSpec`.
fn akka() -> Options {
    Options {
        distribution: LOGISTIC,
        threshold: 8.0,
        samples: 1_000,
        min_deviation: ms(100),
        first_heartbeat: ms(1_000),
        acceptable_pause: Duration::ZERO,
        ..Options::default()
    }
}

/// A detector that has had heartbeats, and the time of the last one; intervals as Akka's
/// `fakeTimeGenerator` has them.
fn after(options: Options, intervals: &[u64]) -> (Detector, u64) {
    let mut detector = Detector::new(&options).unwrap();
    let mut now = 0;
    for interval in intervals {
        now += interval;
        detector.heartbeat(at(now));
    }
    (detector, now)
}

/// `AccrualFailureDetectorSpec`, "use good enough cumulative distribution function".
#[test]
fn akka_distribution_function() {
    let rows = [
        (0.0, 0.5),
        (6.0, 0.7257),
        (15.0, 0.9332),
        (20.0, 0.977_25),
        (25.0, 0.993_79),
        (35.0, 0.999_77),
        (40.0, 0.999_97),
    ];
    for (silence, expected) in rows {
        close(LOGISTIC.cdf(silence, 0.0, 10.0), expected, 0.001);
        close(1.0 - 10_f64.powf(-LOGISTIC.phi(silence, 0.0, 10.0)), expected, 0.001);
        // The exact distribution, to the digits that are published.
        close(NORMAL.cdf(silence, 0.0, 10.0), expected, 5e-5);
        close(1.0 - 10_f64.powf(-NORMAL.phi(silence, 0.0, 10.0)), expected, 5e-5);
    }
    close(LOGISTIC.cdf(40.0, 0.0, 10.0), 0.999_97, 0.000_1);
    close(LOGISTIC.cdf(22.0, 20.0, 3.0), 0.7475, 0.001);
    for x in 0..40 {
        let phi = |x: i32| LOGISTIC.phi(f64::from(x), 0.0, 10.0);
        assert!(phi(x) < phi(x + 1));
    }
}

/// The same, "handle outliers without losing precision or hitting exceptions".
#[test]
fn akka_outliers() {
    close(LOGISTIC.phi(10.0, 0.0, 1.0), 38.0, 1.0);
    assert_eq!(LOGISTIC.phi(-25.0, 0.0, 1.0), 0.0);
}

/// The same, "return realistic phi values", and what the exact distribution says of them.
#[test]
fn akka_realistic_values() {
    let rows = [
        (0.0, 0.0),
        (500.0, 0.1),
        (1_000.0, 0.3),
        (1_200.0, 1.6),
        (1_400.0, 4.7),
        (1_600.0, 10.8),
        (1_700.0, 15.3),
    ];
    for (silence, expected) in rows {
        close(LOGISTIC.phi(silence, 1_000.0, 100.0), expected, 0.1);
    }
    for (silence, expected) in [(1_400.0, 4.499), (1_600.0, 9.006), (1_700.0, 11.893)] {
        close(NORMAL.phi(silence, 1_000.0, 100.0), expected, 5e-4);
    }
    for distribution in [LOGISTIC, NORMAL] {
        let (wide, narrow) = (distribution.phi(1_100.0, 1_000.0, 500.0), 100.0);
        assert!(wide < distribution.phi(1_100.0, 1_000.0, narrow));
    }
}

/// The same, "return phi value of 0.0 on startup", "based on guess when only one heartbeat", and
/// "using first interval after second heartbeat".
#[test]
fn akka_bootstrap() {
    let (detector, _) = after(akka(), &[]);
    assert_eq!(detector.phi(at(5_000)), 0.0);
    assert!(!detector.is_suspected(at(5_000)));

    let (detector, now) = after(akka(), &[0]);
    close(detector.phi(at(now + 1_000)), 0.3, 0.2);
    close(detector.phi(at(now + 2_000)), 4.5, 0.3);
    assert!(detector.phi(at(now + 3_000)) > 15.0);

    let (detector, now) = after(akka(), &[0, 100]);
    assert!(detector.phi(at(now + 100)) > 0.0);
}

/// The same, "mark node as dead if heartbeat are missed": threshold 3, 0, 1000, 100, 100, 7000.
#[test]
fn akka_script_up_down() {
    let (detector, now) = after(Options { threshold: 3.0, ..akka() }, &[0, 1_000, 100]);
    assert!(!detector.is_suspected(at(now + 100)));
    assert!(detector.is_suspected(at(now + 100 + 7_000)));
}

/// The same, "mark node as available if it starts heartbeat again after being marked dead": a
/// long absence does not make the next one look normal.
#[test]
fn akka_absence_is_not_the_new_rhythm() {
    let options = Options { acceptable_pause: ms(3_000), ..akka() };
    let intervals: Vec<u64> = std::iter::once(0).chain([1_000; 999]).collect();
    let (mut detector, mut now) = after(options, &intervals);
    now += 5 * 60 * 1_000;
    assert!(detector.is_suspected(at(now)));
    for step in [100, 900] {
        now += step;
        detector.heartbeat(at(now));
        assert!(!detector.is_suspected(at(now + 100)));
    }
    now += 100 + 7_000;
    assert!(detector.is_suspected(at(now)));
    detector.heartbeat(at(now + 100));
    assert!(!detector.is_suspected(at(now + 1_000)));
}

/// The same, "accept some configured missing heartbeats" and "fail after configured acceptable
/// missing heartbeats".
#[test]
fn akka_acceptable_pause() {
    let options = Options { acceptable_pause: ms(3_000), ..akka() };
    let (mut detector, now) = after(options, &[0, 1_000, 1_000, 1_000]);
    assert!(!detector.is_suspected(at(now + 4_000)));
    detector.heartbeat(at(now + 4_000));
    assert!(!detector.is_suspected(at(now + 5_000)));

    let (mut detector, now) = after(options, &[0, 1_000, 1_000, 1_000, 1_000, 1_000]);
    assert!(!detector.is_suspected(at(now + 500)));
    detector.heartbeat(at(now + 1_000));
    assert!(detector.is_suspected(at(now + 6_000)));
}

/// The same, "use maxSampleSize heartbeats".
#[test]
fn akka_old_samples_are_dropped() {
    let options = Options { samples: 3, ..akka() };
    let (detector, now) = after(options, &[0, 100, 100, 100]);
    let fast = detector.phi(at(now + 100));
    let (detector, now) = after(options, &[0, 100, 100, 100, 700, 500, 500, 500]);
    close(detector.phi(at(now + 500)), fast, 0.001);
}

/// Cassandra's `ArrivalWindowTest`: a window of 4, heartbeats at 111 to 555 ms.
#[test]
fn cassandra_arrival_window() {
    let exponential = Distribution::Exponential;
    let options = Options { distribution: exponential, samples: 4, ..akka() };
    let (detector, now) = after(options, &[111; 5]);
    assert_eq!((now, detector.history().unwrap().mean()), (555, ms(111)));
    // One mean: 1/ln 10, which the source gives as 0.4342.
    close(detector.phi(at(666)), std::f64::consts::LOG10_E, 0.01);
    close(detector.phi(at(3_000)), 9.566, 0.01);
    // φ = t / (mean · ln 10)
    close(exponential.phi(2_445.0, 111.0, 0.0), 2_445.0 / (111.0 * 10_f64.ln()), 1e-12);
}

/// Where φ = 8 lies.
#[test]
fn the_reach_of_eight() {
    close(LOGISTIC.reach(8.0), 5.226, 5e-4);
    close(NORMAL.reach(8.0), 5.612, 5e-4);
    close(Distribution::Exponential.reach(8.0), 18.42, 5e-3);
    for distribution in Distribution::ALL {
        for phi in [0.01, 0.301, 1.0, 3.0, 8.0, 16.0, 100.0] {
            let reach = distribution.reach(phi);
            // Deviation and mean are 1, the mean of the first two 0.
            let mean = if distribution == Distribution::Exponential { 1.0 } else { 0.0 };
            close(distribution.phi(reach, mean, 1.0), phi, 1e-9);
        }
    }
}

/// −log₁₀ of the normal distribution's tail, to fifteen digits (by its continued fraction, in
/// arithmetic of fifty digits). The probability itself is 0 as a floating point number from 38.6
/// deviations on: a detector that takes its logarithm says "infinite" there.
#[test]
fn the_tail_does_not_underflow() {
    let rows = [
        (10.0, 23.118_053_405_486_08),
        (29.0, 184.482_832_448_715_34),
        (30.0, 197.309_209_261_660_95),
        (31.0, 210.569_400_932_203_94),
        (37.0, 299.242_181_178_609_9),
        (40.0, 349.437_006_459_345_84),
        (100.0, 2_173.871_542_869_034_3),
        (1_000.0, 217_150.640_041_994_4),
    ];
    for (z, expected) in rows {
        close(NORMAL.phi(z, 0.0, 1.0), expected, expected * 1e-13);
    }
    assert_eq!(NORMAL.phi(-40.0, 0.0, 1.0), 0.0);
    for distribution in Distribution::ALL {
        let far = distribution.phi(1e9, 1.0, 1.0);
        assert!(far.is_finite() && far > 1e8, "{distribution}: {far}");
        assert_eq!(
            distribution.phi(2.0, 1.0, 0.0).is_infinite(),
            distribution != Distribution::Exponential
        );
        assert!(!distribution.phi(1.0, 1.0, 0.0).is_nan());
    }
}

fn any_distribution() -> impl Strategy<Value = Distribution> {
    prop::sample::select(Distribution::ALL.to_vec())
}

proptest! {
    /// Longer silence, stronger suspicion; and the suspicion begins where φ says.
    #[test]
    fn phi_grows_with_the_silence(
        distribution in any_distribution(),
        mean in 1e-3_f64..1e6,
        spread in 1e-3_f64..10.0,
        silence in 0.0_f64..100.0,
        longer in 0.0_f64..10.0,
    ) {
        let (deviation, silence) = (mean * spread, mean * silence);
        let phi = distribution.phi(silence, mean, deviation);
        let later = distribution.phi(silence + longer * mean, mean, deviation);
        prop_assert!(phi >= 0.0 && phi.is_finite());
        // The error function is good to the last digit, not monotonic in it.
        prop_assert!(later >= phi * (1.0 - 1e-14), "{phi} then {later}");
        let cdf = distribution.cdf(silence, mean, deviation);
        prop_assert!((0.0..=1.0).contains(&cdf));
        if phi < 10.0 {
            prop_assert!((cdf - (1.0 - 10_f64.powf(-phi))).abs() < 1e-12);
        }
    }

    #[test]
    fn a_peer_is_suspected_when_phi_reaches_the_threshold(
        distribution in any_distribution(),
        threshold in 0.5_f64..20.0,
        pause in 0_u64..5_000,
        intervals in prop::collection::vec(1_u64..3_000, 0..40),
    ) {
        let pause = ms(pause);
        let options =
            Options { distribution, threshold, acceptable_pause: pause, samples: 16, ..akka() };
        let mut detector = Detector::new(&options).unwrap();
        let mut now = 0;
        detector.heartbeat(at(0));
        for interval in intervals {
            now += interval;
            detector.heartbeat(at(now));
        }
        let end = at(now) + detector.allowance().unwrap();
        let (before, after) = (Duration::from_micros(1), Duration::from_micros(1));
        let early = Monotonic::from_start(end.since_start().saturating_sub(before));
        prop_assert!(!detector.is_suspected(early) || early == at(now));
        prop_assert!(detector.phi(early) <= threshold + 1e-9);
        prop_assert!(detector.is_suspected(end));
        prop_assert!(detector.phi(end + after) >= threshold - 1e-9);
    }
}
