//! Options that make no sense.

use std::time::Duration;

use crate::timeout::{Attempt, Options, Timeout, options::Adaptive};
use crate::{Share, latency};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn the_defaults_are_the_sources_numbers() {
    let options = Options::default();
    assert_eq!(options.check(), Ok(()));
    assert_eq!((options.attempt.longest(), options.overall), (ms(100), Some(ms(350))));
    let adaptive = Adaptive::default();
    assert!((1.0 - adaptive.quantile.get() - 0.002).abs() < 1e-12, "dep.timeout_rate < 0.2 %");
}

#[test]
fn each_mistake_is_named() {
    let fine = Adaptive::default();
    for (wrong, said) in [
        (Adaptive { quantile: Share::ALL, ..fine }, "quantile = 100 %: must be from 50 % to"),
        (Adaptive { quantile: Share::percent(49), ..fine }, "quantile = 49 %: must be"),
        (Adaptive { jitter: -0.1, ..fine }, "jitter = -0.1: must be from 0 to 4"),
        (Adaptive { jitter: f64::NAN, ..fine }, "jitter = NaN: must be"),
        (Adaptive { floor: Duration::ZERO, ..fine }, "floor = 0 µs: must be above 0 s"),
        (
            Adaptive { ceiling: ms(9), ..fine },
            "ceiling = 9 ms: must be at least the floor of 10 ms",
        ),
        (Adaptive { samples_min: 0, ..fine }, "samples_min = 0: must be at least 1"),
        (
            Adaptive { lately: latency::Options { slices: 0, ..fine.lately }, ..fine },
            "lately.slices = 0: must be from 2 to 60",
        ),
    ] {
        let text = wrong.check().unwrap_err().to_string();
        assert!(text.starts_with(said), "{text}");
        assert!(super::super::Adaptive::new(wrong).is_err());
        let attempt = Attempt::Adaptive(wrong);
        assert!(Timeout::new(attempt).is_err());
        let text = Options { attempt, overall: None }.check().unwrap_err().to_string();
        assert!(text.starts_with(&format!("attempt.{said}")), "{text}");
    }
    let zero = Options { attempt: Attempt::Fixed(Duration::ZERO), overall: None };
    assert_eq!(zero.check().unwrap_err().key, "attempt.fixed");
}

#[test]
fn an_attempt_must_not_take_longer_than_all_of_them() {
    let options = Options { attempt: Attempt::Fixed(ms(400)), overall: Some(ms(350)) };
    assert_eq!(
        options.check().unwrap_err().to_string(),
        "overall = 350 ms: must be at least 400 ms, the longest an attempt may take"
    );
}
