//! Extreme numbers.

use std::time::Duration;

use fastrand::Rng;
use steadfast_resilience::budget::{self, Budget, Throttle, throttle};
use steadfast_resilience::deadline::{Context, Deadline};
use steadfast_resilience::detector::{Detector, Distribution, Monitor};
use steadfast_resilience::event::Events;
use steadfast_resilience::hedge::{self, Delay, Gate, Hedger};
use steadfast_resilience::limit::{
    self, Aimd, Algorithm, Bounds, Estimate, Gradient, Limit, Vegas,
};
use steadfast_resilience::retry::{Backoff, Jitter, Machine, Repeatable};
use steadfast_resilience::timeout::{self, Adaptive, Scope, Timeout};
use steadfast_resilience::{Class, Share, breaker, detector, latency, retry};
use steadfast_time::{Clock, Monotonic};

const ZERO: Duration = Duration::ZERO;
const MAX: Duration = Duration::MAX;

const fn at(seconds: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_secs(seconds))
}

const END: Monotonic = Monotonic::from_start(MAX);

const STRANGE: [f64; 5] =
    [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -f64::MIN_POSITIVE, f64::MAX];

/// No option that is a number may be none, endless, or negative.
#[test]
fn numbers_that_are_none_are_refused_wherever_one_is_set() {
    for strange in STRANGE {
        assert!(Share::new(strange).is_err());
        let ratio = budget::Options { ratio: strange, ..Default::default() };
        assert!(ratio.check().is_err(), "{strange}");
        let floor = budget::Options { floor_per_second: strange, ..Default::default() };
        assert!(floor.check().is_err(), "{strange}");
        let token_ratio = throttle::Options { token_ratio: strange, ..Default::default() };
        assert!(Throttle::new(&token_ratio).is_err(), "{strange}");
        let backoff = Backoff { factor: strange, ..Backoff::default() };
        assert!(backoff.check().is_err(), "{strange}");
        let jitter = timeout::options::Adaptive { jitter: strange, ..Default::default() };
        assert!(jitter.check().is_err(), "{strange}");
        let threshold = detector::Options { threshold: strange, ..Default::default() };
        assert!(threshold.check().is_err(), "{strange}");
        let algorithms = [
            Algorithm::Aimd(limit::aimd::Options { backoff: strange, ..Default::default() }),
            Algorithm::Vegas(limit::vegas::Options { smoothing: strange, ..Default::default() }),
            Algorithm::Vegas(limit::vegas::Options {
                decrease: limit::vegas::Decrease::To(strange),
                ..Default::default()
            }),
            Algorithm::Gradient(limit::gradient::Options {
                smoothing: strange,
                ..Default::default()
            }),
            Algorithm::Gradient(limit::gradient::Options {
                tolerance: strange,
                ..Default::default()
            }),
        ];
        for algorithm in algorithms {
            let options = limit::Options { algorithm, ..Default::default() };
            assert!(options.check().is_err(), "{algorithm:?}");
        }
    }
}

/// [`Backoff::pause`] may be asked before the settings were checked.
#[test]
fn pauses_of_unchecked_settings_are_lengths_of_time() {
    let mut rng = Rng::with_seed(1);
    for factor in STRANGE {
        for (base, cap) in [(ZERO, ZERO), (MAX, MAX), (MAX, ZERO), (Duration::from_secs(1), MAX)] {
            let backoff = Backoff { base, factor, cap };
            for retry in [0, 1, 2, 3, u32::MAX] {
                assert!(backoff.pause(retry) <= cap, "{backoff:?} {retry}");
                for jitter in Jitter::ALL {
                    let _ = jitter.pause(&backoff, retry, Some(MAX), &mut rng);
                }
            }
        }
    }
}

#[test]
fn a_retry_at_the_end_of_time_is_decided_like_any_other() {
    let options = retry::Options { retry_after_max: MAX, attempt_least: MAX, ..Default::default() };
    assert!(options.check().is_err());
    let context = Context::until(Deadline::at(END));
    let mut call = Machine::new(options, Repeatable::Marked, context);
    let class = Class::Transient { retry_after: Some(MAX) };
    let free = || Ok::<(), budget::Spent>(());
    for now in [at(0), END] {
        let _ = call.decide(now, class, MAX, &mut Rng::with_seed(1), free);
    }
}

#[test]
fn a_breaker_of_endless_lengths_works_at_any_time() {
    let options = breaker::Options {
        window: breaker::Window::Time(MAX),
        slow_call: Some(MAX),
        minimum_calls: 1,
        probes: 1,
        open_for: MAX,
        probe_timeout: MAX,
        ..Default::default()
    };
    for now in [at(0), END] {
        let breaker = breaker::Breaker::new(options).unwrap();
        let (granted, _) = breaker.acquire(now);
        let opened = breaker.record(now, granted.unwrap(), true).unwrap();
        assert_eq!(opened.to, breaker::State::Open);
        let _ = (opened.to_string(), breaker.snapshot(END).to_string());
        // Open "for ever" is until the end of a clock of nanoseconds.
        let (granted, changed) = breaker.acquire(END);
        assert_eq!(changed.unwrap().to, breaker::State::HalfOpen);
        assert!(breaker.record(END, granted.unwrap(), false).is_some());
    }
}

/// Round-trip times are the caller's, and nobody checks them.
#[test]
fn a_limit_survives_endless_round_trips() {
    let bounds = Bounds { initial: 5, min: 1, max: 1_000_000 };
    let algorithms = [
        Algorithm::Aimd(Default::default()),
        Algorithm::Vegas(Default::default()),
        Algorithm::Gradient(Default::default()),
    ];
    for algorithm in algorithms {
        for window in [ZERO, Duration::from_secs(60)] {
            let options = limit::Options { algorithm, bounds, window, samples: 3 };
            let limit = Limit::new(&options, Rng::with_seed(1)).unwrap();
            for rtt in [ZERO, MAX, Duration::from_nanos(u64::MAX), Duration::from_nanos(1)] {
                for now in [at(1), at(0), END, at(2)] {
                    let _ = limit.try_acquire().unwrap().success(now, rtt);
                    let _ = limit.try_acquire().unwrap().dropped(now, rtt);
                    assert!((1..=1_000_000).contains(&limit.limit()), "{algorithm:?}");
                }
            }
            assert_eq!(limit.in_flight(), 0);
        }
    }
}

#[test]
fn algorithms_with_unchecked_bounds_do_not_panic() {
    let sample = |dropped| limit::Sample { rtt: MAX, in_flight: u32::MAX, dropped };
    for (initial, min, max) in [(u32::MAX, 0, u32::MAX), (7, 9, 3), (0, 0, 0)] {
        let bounds = Bounds { initial, min, max };
        let mut estimates: [Box<dyn Estimate>; 3] = [
            Box::new(Aimd::new(Default::default(), bounds)),
            Box::new(Vegas::new(Default::default(), bounds, Rng::with_seed(1))),
            Box::new(Gradient::new(Default::default(), bounds)),
        ];
        for estimate in &mut estimates {
            for dropped in [false, true, false, false] {
                assert!(estimate.update(&sample(dropped)) <= max.max(initial));
            }
        }
    }
}

/// With a limit of none nobody would be let in to find out more.
#[test]
fn an_algorithm_that_says_none_still_lets_one_through() {
    struct Fixed(u32);
    impl Estimate for Fixed {
        fn limit(&self) -> u32 {
            self.0
        }
        fn update(&mut self, _: &limit::Sample) -> u32 {
            self.0
        }
    }
    for (says, means) in [(0, 1), (7, 7), (u32::MAX, steadfast_resilience::limits::PLACES_MAX)] {
        let machine = limit::Machine::with(&Default::default(), Box::new(Fixed(says))).unwrap();
        let limit = Limit::with(machine);
        assert_eq!(limit.limit(), means);
        assert!(limit.try_acquire().is_ok());
    }
}

#[test]
fn a_hedge_that_is_never_due_is_refused_and_does_no_harm() {
    let wrong = hedge::Options { delay: Delay::Fixed(MAX), ..Default::default() };
    assert_eq!(Hedger::new(wrong).unwrap_err().key, "delay");
    let slow = Some(Duration::from_secs(1));
    let figures = hedge::Figures { observed: 1_000, median: slow, p95: slow, delay: slow };
    let call = hedge::Call { repeatable: true, repeated: false, left: Some(MAX) };
    assert_eq!(Gate::plan(&wrong, &figures, call), Ok(MAX));
    let call = hedge::Call { left: Some(ZERO), ..call };
    assert_eq!(Gate::plan(&wrong, &figures, call), Err(hedge::Withheld::Deadline { left: ZERO }));
}

/// "No limit" is written as the longest length of time, and a clock must bear that.
#[test]
fn a_timeout_without_an_end_waits_on_the_systems_clock() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clock = Clock::system();
        let timeout = Timeout::new(timeout::Attempt::Fixed(MAX)).unwrap();
        let now = clock.monotonic();
        let limit = timeout::Limit::new(now, timeout.limit(now), Scope::Attempt);
        let work = clock.sleep(Duration::from_millis(1));
        assert_eq!(timeout::within(&clock, limit, work).await, Ok(()));
    });
}

#[test]
fn an_adaptive_timeout_stays_in_its_bounds_whatever_it_is_told() {
    let ceiling = Duration::from_secs(1);
    let options =
        timeout::options::Adaptive { samples_min: 1, jitter: 4.0, ceiling, ..Default::default() };
    let mut machine = Adaptive::new(options).unwrap();
    for now in [at(0), at(5), at(1), END, at(2)] {
        for length in [ZERO, MAX, Duration::from_millis(20)] {
            machine.observe(now, length, Some(MAX));
            machine.timed_out(now, length);
            assert!((options.floor..=ceiling).contains(&machine.limit(now)));
        }
    }
    let endless = timeout::options::Adaptive { ceiling: MAX, floor: MAX, ..Default::default() };
    let shared = timeout::Shared::new(endless).unwrap();
    assert_eq!(shared.limit(at(0)), MAX);
}

#[test]
fn a_detector_says_something_of_any_silence() {
    for distribution in Distribution::ALL {
        let options = detector::Options {
            distribution,
            acceptable_pause: ZERO,
            stall_tolerance: MAX,
            ..Default::default()
        };
        let mut peer = Detector::new(&options).unwrap();
        for now in [at(0), at(0), END, at(3)] {
            peer.heartbeat(now);
            peer.stalled(now, MAX);
            assert!(peer.phi(END).is_finite());
        }
        let mut peers = Monitor::new(options, Events::silent("peers")).unwrap();
        peers.heartbeat(at(0), &1).unwrap();
        let suspected = peers.tick(END);
        assert_eq!(suspected.len(), 1);
        assert!(suspected[0].1.phi.is_finite() && !suspected[0].1.to_string().is_empty());
        assert!(peers.false_suspect_rate(END).is_finite());
        for phi in STRANGE {
            let _ = distribution.reach(phi.min(1e300));
        }
    }
}

/// A clock with a coarse step, or a test that never moves it.
#[test]
fn a_clock_that_stands_still_breaks_nothing() {
    let now = at(7);
    let window = breaker::Window::Time(Duration::from_secs(10));
    let breaker = breaker::Breaker::new(breaker::Options { window, ..Default::default() }).unwrap();
    let budget = Budget::new(&budget::Options::default()).unwrap();
    let hedger = Hedger::new(hedge::Options::default()).unwrap();
    let mut lately = latency::Window::new(latency::Options::default()).unwrap();
    let mut peers = Monitor::new(detector::Options::default(), Events::silent("peers")).unwrap();
    for _ in 0..10_000 {
        let (permit, _) = breaker.permit(now);
        assert!(permit.unwrap().success(now).is_none());
        budget.deposit(now);
        let plan = hedger.plan(now, true, Context::default());
        hedger.answered(now, &plan);
        lately.record(now, ZERO);
        peers.heartbeat(now, &1).unwrap();
        assert!(peers.tick(now).is_empty());
    }
    assert_eq!(breaker.snapshot(now).counts.calls, 10_000);
    assert_eq!((0..10_000).filter(|_| budget.take(now).is_ok()).count(), 510);
    assert_eq!(lately.count(now), 10_000);
    assert!(peers.phi(now, &1).unwrap() < 0.1);
}
