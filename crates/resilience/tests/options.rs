//! Options out of a configuration file: every number, and every kind of mistake.
#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::time::Duration;

use steadfast_resilience::policy::{Options, Policy};
use steadfast_resilience::retry::{Backoff, Jitter};
use steadfast_resilience::timeout::Attempt;
use steadfast_resilience::timeout::options::Adaptive;
use steadfast_resilience::{
    Share, breaker, budget, bulkhead, detector, hedge, latency, limit, objective, retry, shed,
    timeout,
};
use steadfast_time::sim::Simulation;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Every number of a policy, and none of them the default.
const EVERY_NUMBER: &str = r#"
[timeout]
attempt = { quantile = 0.99, jitter = 2, floor = "5ms", ceiling = "80ms", samples_min = 50, lately = { window = "1m", slices = 6 } }
overall = "1.5s"

[retry]
attempts = 3
backoff = { base = "20ms", factor = 1.5, cap = "1s" }
jitter = "decorrelated"
nested = true
attempt_least = "2ms"
retry_after_max = "5s"

[budget]
ratio = 0.1
floor_per_second = 0.5
window = "30s"

[breaker]
window = "1h 30m"
failure_rate = 0.4
slow_call = "250ms"
slow_call_rate = 0.8
minimum_calls = 10
open_for = "5s"
probes = 3
probe_timeout = "10 seconds"
open_when_budget_spent = true

[bulkhead]
limit = 32
queue = 0
wait = "10ms"

[limit]
algorithm = { gradient = { smoothing = 0.3, long_window = 300, tolerance = 2.0, queue = 8 } }
bounds = { initial = 40, min = 5, max = 400 }
window = "500ms"
samples = 20

[hedge]
p95_above = "200ms"
error_budget_above = 0.25
share_max = 0.01
observed_min = 200
delay = 0.9
lately = { window = "30s", slices = 3 }

[objective]
target = 0.995
window = "7 days"
burn_window = "10m"
"#;

fn every_number() -> Options {
    let share = |share| Share::new(share).unwrap();
    Options {
        timeout: Some(timeout::Options {
            attempt: Attempt::Adaptive(Adaptive {
                quantile: share(0.99),
                jitter: 2.0,
                floor: ms(5),
                ceiling: ms(80),
                samples_min: 50,
                lately: latency::Options { window: secs(60), slices: 6 },
            }),
            overall: Some(ms(1_500)),
        }),
        retry: Some(retry::Options {
            attempts: 3,
            backoff: Backoff { base: ms(20), factor: 1.5, cap: secs(1) },
            jitter: Jitter::Decorrelated,
            nested: true,
            attempt_least: ms(2),
            retry_after_max: secs(5),
        }),
        budget: Some(budget::Options { ratio: 0.1, floor_per_second: 0.5, window: secs(30) }),
        breaker: Some(breaker::Options {
            window: breaker::Window::Time(secs(5_400)),
            failure_rate: share(0.4),
            slow_call: Some(ms(250)),
            slow_call_rate: share(0.8),
            minimum_calls: 10,
            open_for: secs(5),
            probes: 3,
            probe_timeout: secs(10),
            open_when_budget_spent: true,
        }),
        bulkhead: Some(bulkhead::Options { limit: 32, queue: 0, wait: ms(10) }),
        limit: Some(limit::Options {
            algorithm: limit::Algorithm::Gradient(limit::gradient::Options {
                smoothing: 0.3,
                long_window: 300,
                tolerance: 2.0,
                queue: 8,
            }),
            bounds: limit::Bounds { initial: 40, min: 5, max: 400 },
            window: ms(500),
            samples: 20,
        }),
        hedge: Some(hedge::Options {
            p95_above: ms(200),
            error_budget_above: share(0.25),
            share_max: share(0.01),
            observed_min: 200,
            delay: hedge::Delay::Quantile(share(0.9)),
            lately: latency::Options { window: secs(30), slices: 3 },
        }),
        objective: Some(objective::Options {
            target: share(0.995),
            window: secs(7 * 86_400),
            burn_window: secs(600),
        }),
    }
}

#[test]
fn every_number_can_be_set() {
    let options: Options = toml::from_str(EVERY_NUMBER).unwrap();
    assert_eq!(options, every_number());
    let policy = Policy::builder("stock").options(options).build(Simulation::new(1).clock());
    assert_eq!(*policy.unwrap().options(), options);
}

#[test]
fn what_is_not_said_is_the_default_and_a_part_can_be_off() {
    let read = |text: &str| toml::from_str::<Options>(text).unwrap();
    assert_eq!(read(""), Options::default());
    assert_eq!(read("[timeout]\n[retry]\n[budget]\n[breaker]"), Options::default());
    let off = "timeout = \"off\"\nretry = \"off\"\nbudget = \"off\"\nbreaker = \"off\"";
    assert_eq!(read(off), Options::NONE);
    // A part that is not there unless it is asked for.
    assert_eq!(read("[bulkhead]").bulkhead, Some(bulkhead::Options::default()));
    assert_eq!(read("[limit]").limit, Some(limit::Options::default()));

    let fixed = read("[timeout]\nattempt = \"70ms\"\noverall = \"off\"").timeout;
    let attempt = Attempt::Fixed(ms(70));
    assert_eq!(fixed, Some(timeout::Options { attempt, overall: None }));
    let breaker = read("[breaker]\nwindow = 200\nslow_call = \"off\"").breaker.unwrap();
    assert_eq!(breaker.window, breaker::Window::Count(200));
    assert_eq!(breaker.slow_call, None);
    assert_eq!(read("[hedge]\ndelay = \"30ms\"").hedge.unwrap().delay, hedge::Delay::Fixed(ms(30)));
    for jitter in Jitter::ALL {
        let name = format!("{jitter:?}").to_lowercase();
        let text = format!("[retry]\njitter = \"{name}\"");
        assert_eq!(read(&text).retry.unwrap().jitter, jitter);
    }
}

#[test]
fn the_parts_that_stand_alone_can_be_set_too() {
    let detector: detector::Options = toml::from_str(
        r#"
        distribution = "logistic"
        threshold = 12.5
        samples = 200
        min_deviation = "50ms"
        first_heartbeat = "2s"
        acceptable_pause = "4s"
        silence_max = "1m"
        tick = "500ms"
        stall_tolerance = "off"
        peers_max = 99
        "#,
    )
    .unwrap();
    let expected = detector::Options {
        distribution: detector::Distribution::Logistic,
        threshold: 12.5,
        samples: 200,
        min_deviation: ms(50),
        first_heartbeat: secs(2),
        acceptable_pause: secs(4),
        silence_max: Some(secs(60)),
        tick: ms(500),
        stall_tolerance: Duration::MAX,
        peers_max: 99,
    };
    assert_eq!(detector, expected);
    assert_eq!(detector.check(), Ok(()));

    let limit = |text: &str| toml::from_str::<limit::Options>(text).unwrap();
    assert_eq!(limit(""), limit::Options::default());
    let algorithm = limit::Algorithm::Aimd(limit::aimd::Options { backoff: 0.8, timeout: secs(2) });
    let bounds = limit::Bounds { initial: 30, min: 10, max: 300 };
    let expected = limit::Options { algorithm, bounds, window: ms(250), samples: 5 };
    let text = "algorithm = { aimd = { backoff = 0.8, timeout = \"2s\" } }\n\
                bounds = { initial = 30, min = 10, max = 300 }\nwindow = \"250ms\"\nsamples = 5";
    assert_eq!(limit(text), expected);
    let vegas = limit::vegas::Options {
        smoothing: 0.5,
        probe_multiplier: 10,
        decrease: limit::vegas::Decrease::To(0.5),
    };
    let text = "algorithm.vegas = { smoothing = 0.5, probe_multiplier = 10, decrease = 0.5 }";
    assert_eq!(limit(text).algorithm, limit::Algorithm::Vegas(vegas));
    let vegas = limit::Algorithm::Vegas(limit::vegas::Options::default());
    assert_eq!(limit("algorithm.vegas.decrease = \"log10\"").algorithm, vegas);
    assert_eq!(limit("algorithm = \"vegas\"").algorithm, vegas);

    let shed: shed::Options =
        toml::from_str("queue = 64\ntarget = \"2ms\"\ninterval = \"50ms\"").unwrap();
    assert_eq!(shed, shed::Options { queue: 64, target: ms(2), interval: ms(50) });
    let pool: bulkhead::pool::Options = toml::from_str("threads = 2\nqueue = 7").unwrap();
    assert_eq!(pool, bulkhead::pool::Options { threads: 2, queue: 7 });
}

#[cfg(all(feature = "tower", feature = "http"))]
#[test]
fn a_servers_deadlines_can_be_set() {
    use steadfast_resilience::deadline;
    let read = |text: &str| toml::from_str::<deadline::Options>(text).unwrap();
    assert_eq!(read(""), deadline::Options::default());
    let expected = deadline::Options { absent: None, max: secs(10) };
    assert_eq!(read("absent = \"off\"\nmax = \"10s\""), expected);
}

/// Each is refused where it is read, with the key, the value and what is allowed.
#[test]
fn a_mistake_is_named_with_its_key_its_value_and_what_is_allowed() {
    let rows = [
        ("breker = {}", "breker", "unknown field `breker`", "`breaker`"),
        ("breaker = 5", "breaker = 5", "integer `5`", "a table with its options, or \"off\""),
        ("breaker = \"none\"", "breaker = ", "\"none\"", "a table with its options, or \"off\""),
        ("[breaker]\nfailure_rte = 0.5", "failure_rte", "unknown field", "`failure_rate`"),
        ("[breaker]\nfailure_rate = 1.5", "failure_rate = 1.5", "1.5 is not", "number from 0 to 1"),
        ("[breaker]\nfailure_rate = -1", "failure_rate = -1", "-1 is not", "number from 0 to 1"),
        ("[breaker]\nfailure_rate = nan", "failure_rate = nan", "NaN is", "number from 0 to 1"),
        ("[breaker]\nfailure_rate = \"50%\"", "failure_rate", "\"50%\"", "number from 0 to 1"),
        ("[breaker]\nopen_for = 60", "open_for = 60", "60 has no unit", "such as \"350ms\""),
        ("[breaker]\nopen_for = 0.5", "open_for = 0.5", "0.5 has no unit", "such as \"350ms\""),
        ("[breaker]\nopen_for = \"60\"", "open_for", "\"60\"", "a length of time in words"),
        ("[breaker]\nopen_for = \"soon\"", "open_for", "\"soon\"", "a length of time in words"),
        ("[breaker]\nopen_for = \"-5s\"", "open_for", "\"-5s\"", "a length of time in words"),
        ("[breaker]\nopen_for = \"2 months\"", "open_for", "\"2 months\"", "a length of time"),
        ("[breaker]\nopen_for = \"off\"", "open_for", "\"off\"", "a length of time in words"),
        ("[breaker]\nslow_call = 2", "slow_call = 2", "2 has no unit", "or \"off\""),
        ("[breaker]\nwindow = -1", "window = -1", "-1 is not", "a number of calls, or a length"),
        ("[breaker]\nwindow = 1.5", "window = 1.5", "1.5 is not", "a number of calls, or a length"),
        ("[breaker]\nwindow = \"many\"", "window", "\"many\"", "a number of calls, or a length"),
        ("[breaker]\nprobes = -1", "probes = -1", "`-1`", "u32"),
        ("[hedge]\ndelay = 95", "delay = 95", "95 is not", "a share of calls, a number from 0 to"),
        ("[retry]\njitter = \"some\"", "jitter", "`some`", "`full`, `equal`, `decorrelated`"),
        ("[retry]\nbackof = {}", "backof", "unknown field `backof`", "`backoff`"),
        ("[retry.backoff]\nbase = 100", "base = 100", "100 has no unit", "such as \"350ms\""),
        ("[timeout]\nattempt = 100", "attempt = 100", "`100`", "\"100ms\", or a table"),
        ("[timeout]\nattempt = \"slow\"", "attempt", "\"slow\"", "\"100ms\", or a table"),
        ("[timeout.attempt]\nflor = \"1ms\"", "flor", "unknown field `flor`", "`floor`"),
        ("[timeout]\noverall = 1", "overall = 1", "1 has no unit", "or \"off\""),
        ("[budget]\nwindow = 10", "window = 10", "10 has no unit", "such as \"350ms\""),
        ("[objective]\ntarget = 99.9", "target = 99.9", "99.9 is not", "a number from 0 to 1"),
        ("[bulkhead]\nwait = 50", "wait = 50", "50 has no unit", "such as \"350ms\""),
        ("[hedge.lately]\nwindow = 60", "window = 60", "60 has no unit", "such as \"350ms\""),
    ];
    for (text, key, value, allowed) in rows {
        let error = toml::from_str::<Options>(text).unwrap_err().to_string();
        for part in [key, value, allowed] {
            assert!(error.contains(part), "{text:?}: {part:?} is missing in\n{error}");
        }
    }
    let error = toml::from_str::<limit::Options>("algorithm = \"reno\"").unwrap_err().to_string();
    assert!(error.contains("\"aimd\", \"vegas\" or \"gradient\""), "{error}");
    let error = toml::from_str::<detector::Options>("distribution = \"even\"").unwrap_err();
    assert!(error.to_string().contains("`normal`, `logistic`, `exponential`"), "{error}");
}

/// What can be read and still makes no sense is refused when the policy is made.
#[test]
fn nonsense_that_can_be_read_is_refused_by_the_builder() {
    let rows = [
        ("[limit.bounds]\nmin = 0", "limit.min = 0: must be from 1 to max = 200"),
        ("[breaker]\nwindow = 0", "breaker.window = 0: must be 1 to 65536 calls"),
        ("[breaker]\nwindow = \"0s\"", "breaker.window = 0 s: must be longer than 0 s"),
        ("[budget]\nwindow = \"0s\"", "budget.window = 0ns: must be from 100ms to 60s"),
        ("[budget]\nratio = 10.5", "budget.ratio = 10.5: must be 0, or from 0.000001 to 10"),
        (
            "[timeout]\noverall = \"50ms\"",
            "timeout.overall = 50 ms: must be at least 100 ms, the longest an attempt may take",
        ),
        ("[retry]\nattempts = 0", "retry.attempts = 0: must be from 1 to 10"),
        (
            "[hedge]",
            "objective = none: must be set where there is hedging, which looks at it first",
        ),
        ("[bulkhead]\nlimit = 0", "bulkhead.limit = 0: must be from 1 to 1000000"),
    ];
    for (text, expected) in rows {
        let options: Options = toml::from_str(text).unwrap();
        let built = Policy::builder("stock").options(options).build(Simulation::new(1).clock());
        assert_eq!(built.unwrap_err().to_string(), expected, "{text:?}");
    }
}
