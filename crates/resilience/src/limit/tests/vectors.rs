//! The values of `AIMDLimitTest` and `VegasLimitTest` in Netflix' concurrency-limits (commit
//! 78a74b9), and values of `Gradient2Limit`'s formula, which has no test there, worked out by hand.

use super::*;
use crate::limit::vegas::Decrease;
use crate::limit::{Aimd, Bounds, Estimate, Gradient, Sample, Vegas};

fn sample(rtt: u64, in_flight: u32) -> Sample {
    Sample { rtt: ms(rtt), in_flight, dropped: false }
}

const fn dropped(rtt: u64, in_flight: u32) -> Sample {
    Sample { rtt: ms(rtt), in_flight, dropped: true }
}

fn aimd(initial: u32, min: u32, max: u32) -> Aimd {
    Aimd::new(Default::default(), Bounds { initial, min, max })
}

fn vegas(initial: u32, max: u32, smoothing: f64, decrease: Decrease) -> Vegas {
    let options = crate::limit::vegas::Options { smoothing, decrease, ..Default::default() };
    Vegas::new(options, Bounds { initial, min: 1, max }, fastrand::Rng::with_seed(1))
}

#[test]
fn aimd_as_published() {
    assert_eq!(aimd(20, 20, 200).update(&sample(1, 10)), 21, "increaseOnSuccess");
    assert_eq!(aimd(30, 20, 200).update(&dropped(0, 0)), 27, "decreaseOnDrops");
    assert_eq!(aimd(21, 1, 21).update(&sample(1, 10)), 21, "successOverflow");
}

#[test]
fn aimd_at_its_edges() {
    assert_eq!(aimd(20, 20, 200).update(&dropped(0, 0)), 20, "not below its minimum");
    assert_eq!(aimd(20, 20, 200).update(&sample(1, 9)), 20, "no growth while half is unused");
    assert_eq!(aimd(30, 20, 200).update(&sample(5_000, 30)), 31);
    assert_eq!(aimd(30, 20, 200).update(&sample(5_001, 30)), 27, "too slow is a drop");
}

#[test]
fn vegas_as_published() {
    let fresh = || vegas(10, 20, 1.0, Decrease::Log10);
    for (rtt, in_flight, limit) in [(10, 11, 16), (50, 11, 9), (14, 14, 10)] {
        let mut vegas = fresh();
        assert_eq!(vegas.update(&sample(10, 10)), 10);
        assert_eq!(vegas.update(&sample(rtt, in_flight)), limit, "{rtt} ms, {in_flight} in flight");
    }
    let mut large = vegas(10_000, 20_000, 1.0, Decrease::Log10);
    assert_eq!(large.update(&sample(10_000, 5_000)), 10_000, "largeLimitIncrease");
    assert_eq!(large.update(&sample(10_000, 6_000)), 10_024, "largeLimitIncrease");
    for (smoothing, limits) in [(1.0, [100, 50, 25]), (0.5, [100, 75, 56])] {
        let mut halves = vegas(100, 200, smoothing, Decrease::To(0.5));
        for (rtt, limit) in [10, 20, 20].into_iter().zip(limits) {
            assert_eq!(halves.update(&sample(rtt, 100)), limit, "smoothing {smoothing}");
        }
    }
}

#[test]
fn vegas_learns_the_load_free_time_anew_and_not_from_drops() {
    let mut vegas = vegas(10, 20, 1.0, Decrease::Log10);
    assert_eq!(vegas.update(&sample(10, 10)), 10);
    assert_eq!(vegas.update(&dropped(0, 10)), 9, "a drop");
    assert_eq!(vegas.update(&sample(10, 10)), 15, "the load-free time is still 10 ms");
    // The server is slower for good. The limit falls to where a queue of six is left of it, until
    // the next probe; after that it rises again.
    let limits: Vec<u32> = (0..2_000).map(|_| vegas.update(&sample(100, 20))).collect();
    assert_eq!((limits.iter().min(), limits.last()), (Some(&6), Some(&20)));
}

#[test]
fn gradient_by_hand() {
    let mut gradient = Gradient::new(Default::default(), Bounds::default());
    let mut limit = |sample: Sample| {
        gradient.update(&sample);
        (gradient.limit * 1e4).round() / 1e4
    };
    // 1.5 · 10/10, at most 1: 0.8 · 20 + 0.2 · (20 + 4)
    assert_eq!(limit(sample(10, 20)), 20.8);
    // long (10 + 40)/2 = 25; 1.5 · 25/40 = 0.9375: 0.8 · 20.8 + 0.2 · (19.5 + 4)
    assert_eq!(limit(sample(40, 20)), 21.34);
    // long 130/3; 1.5 · 43.33/80 = 0.8125: 0.8 · 21.34 + 0.2 · (17.33875 + 4)
    assert_eq!(limit(sample(80, 20)), 21.3398);
    // long 282.5; 1.5 · 282.5/1000, at least 0.5: 0.8 · 21.33975 + 0.2 · (10.669875 + 4)
    assert_eq!(limit(sample(1_000, 20)), 20.0058);
    // Half of it is not used.
    assert_eq!(limit(sample(10, 10)), 20.0058);
    let mut gradient =
        Gradient::new(Default::default(), Bounds { initial: 100, min: 20, max: 200 });
    assert_eq!(gradient.update(&dropped(0, 100)), 90, "a drop takes a tenth");
}

#[test]
fn gradient_forgets_a_bad_time_faster() {
    let mut gradient = Gradient::new(Default::default(), Bounds::default());
    gradient.update(&sample(1_000, 20));
    for _ in 0..9 {
        gradient.update(&sample(1_000, 20));
    }
    assert_eq!(gradient.long, 1e9);
    // The average goes from 1000 to 1000 − 990 · 2/601, then loses a twentieth.
    gradient.update(&sample(10, 20));
    let expected = (1_000.0 - 990.0 * 2.0 / 601.0) * 0.95;
    assert!((gradient.long / 1e6 - expected).abs() < 1e-6, "{}", gradient.long);
}
