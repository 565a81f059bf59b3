//! Rules that the types cannot keep.

use std::time::Duration;

use steadfast_dispatch::limits::ZONE_CAPACITY_MAX;
use steadfast_providers::limits::{DEFAULT_STOCK_MAX, DELAY_MAX};
use steadfast_transactions::limits::RETRY_CAP_MAX;

use super::error::Problem;
use super::settings::{Config, Fault};
use super::value::{ClockSource, Length, OrOff, Provider};
use super::{budget, settings};

/// Shortest lease: far above the round trip within a process and the error of a kept clock.
const LEASE_MIN: Duration = Duration::from_secs(1);

/// Longest time that anything here may be set to; above it, it is a slip of the unit.
const LENGTH_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Longest time that any bound of the clock may be set to.
const HOUR: Duration = Duration::from_secs(3_600);

/// Fastest courier, in metres per minute: 120 km/h.
const METRES_PER_MINUTE_MAX: f64 = 2_000.0;

/// Everything that is wrong with values that were understood one by one.
pub(super) fn check(config: &Config) -> Vec<Problem> {
    let mut rules = Rules { problems: budget::problems(config) };
    rules.problems.extend(config.policy_problems());
    if let Err(invalid) = config.dispatch_options().check() {
        let what = format!("must be {}, not {}", invalid.allowed, invalid.value);
        match &*invalid.key {
            // Checked below, with the other counts.
            "preparing.limit" => {}
            "silence_max" => rules.add("dispatch.heartbeat_timeout", what),
            key => rules
                .add(&format!("dispatch.detector.{}", key.trim_start_matches("detector.")), what),
        }
    }
    rules.retry(&config.providers.retry);
    let settings::Dispatch { tick, offer_timeout, search_timeout, lease, .. } = config.dispatch;
    let positive = [
        ("http.drain_timeout", config.http.drain_timeout),
        ("limits.gateway", config.limits.gateway),
        ("limits.order", config.limits.order),
        ("limits.database", config.limits.database),
        ("dispatch.tick", tick),
        ("dispatch.offer_timeout", offer_timeout),
        ("dispatch.search_timeout", search_timeout),
        ("providers.call_timeout", config.providers.call_timeout),
    ];
    for (key, length) in positive {
        rules.length(key, length, Duration::from_millis(1), LENGTH_MAX);
    }
    rules.length("dispatch.lease", lease, LEASE_MIN, Duration::from_secs(300));
    if let OrOff::On(timeout) = config.dispatch.heartbeat_timeout {
        rules.length("dispatch.heartbeat_timeout", timeout, Duration::from_secs(1), LENGTH_MAX);
    }
    if offer_timeout >= search_timeout {
        let what = format!(
            "{offer_timeout} must be shorter than dispatch.search_timeout, which is \
             {search_timeout}; otherwise a courier is asked only once"
        );
        rules.add("dispatch.offer_timeout", what);
    }
    let speed = config.dispatch.metres_per_minute;
    if !(speed > 0.0 && speed <= METRES_PER_MINUTE_MAX) {
        let what = format!("must be above 0 and at most {METRES_PER_MINUTE_MAX}, not {speed}");
        rules.add("dispatch.metres_per_minute", what);
    }
    rules.count("orders.preparing_max", config.orders.preparing_max, 1, 1_000_000);
    let capacity = usize::try_from(config.dispatch.zone_capacity).unwrap_or(usize::MAX);
    let most = usize::try_from(ZONE_CAPACITY_MAX).unwrap_or(usize::MAX);
    rules.count("dispatch.zone_capacity", capacity, 1, most);
    rules.count("http.connections_max", config.http.connections_max, 1, 1_000_000);
    rules.count("sqlite.readers", config.sqlite.readers, 1, 64);
    rules.clock(config);
    rules.listeners(config);
    rules.sandbox(config);
    if config.sqlite.log < config.sqlite.checkpoint {
        rules.add("sqlite.log", "must not be smaller than sqlite.checkpoint".to_owned());
    }
    rules.problems
}

struct Rules {
    problems: Vec<Problem>,
}

impl Rules {
    fn add(&mut self, key: &str, what: String) {
        self.problems.push(Problem::new(key, what));
    }

    fn length(&mut self, key: &str, length: Length, min: Duration, max: Duration) {
        if !(min..=max).contains(&length.get()) {
            let (min, max) = (Length::new(min), Length::new(max));
            self.add(key, format!("must be between {min} and {max}, not {length}"));
        }
    }

    fn count(&mut self, key: &str, count: usize, min: usize, max: usize) {
        if !(min..=max).contains(&count) {
            self.add(key, format!("must be between {min} and {max}, not {count}"));
        }
    }

    fn clock(&mut self, config: &Config) {
        let clock = &config.clock;
        let millis = Duration::from_millis;
        self.length("clock.error", clock.error, Duration::from_micros(1), HOUR);
        self.length("clock.ask_every", clock.ask_every, Duration::from_secs(1), HOUR);
        for (key, length) in [
            ("clock.max_offset", clock.max_offset),
            ("clock.max_uncertainty", clock.max_uncertainty),
            ("clock.max_jump", clock.max_jump),
        ] {
            self.length(key, length, millis(1), HOUR);
        }
        self.length("clock.hold", clock.hold, Duration::ZERO, HOUR);
        // Below two heartbeats of the detector every other one would be a stall.
        self.length("clock.stall_warning", clock.stall_warning, millis(20), HOUR);
        if let OrOff::On(length) = clock.max_stall {
            self.length("clock.max_stall", length, millis(20), HOUR);
        }
        let (max_uncertainty, max_offset) = (clock.max_uncertainty, clock.max_offset);
        if max_uncertainty > max_offset {
            let what = format!("must not be more than clock.max_offset, {max_offset}");
            self.add("clock.max_uncertainty", what);
        }
        if clock.source == ClockSource::Assumed && clock.error > max_uncertainty {
            let what = format!(
                "must not be more than clock.max_uncertainty, {max_uncertainty}; no lease would \
                 ever be held"
            );
            self.add("clock.error", what);
        }
        if clock.source == ClockSource::Ntp && clock.servers.get().is_empty() {
            let what = "must be set with clock.source = \"ntp\"".to_owned();
            self.add("clock.servers", what);
        }
    }

    /// A listener that other machines can reach needs a token, or somebody's word.
    fn listeners(&mut self, config: &Config) {
        let http = &config.http;
        let listeners = [
            ("listen", config.listen, "http.token_env", &http.token_env),
            ("admin", config.admin, "http.admin_token_env", &http.admin_token_env),
        ];
        for (key, address, token_key, token) in listeners {
            if !address.ip().is_loopback() && token.is_none() && !http.allow_remote {
                let what = format!(
                    "{address} can be reached from other machines; set {token_key} so that they \
                     need a token, or http.allow_remote = true"
                );
                self.add(key, what);
            }
        }
        if config.listen == config.admin && config.listen.port() != 0 {
            self.add("admin", format!("{} is taken by listen", config.admin));
        }
    }

    fn retry(&mut self, retry: &settings::Retry) {
        self.length("providers.retry.base", retry.base, Duration::from_millis(1), RETRY_CAP_MAX);
        self.length("providers.retry.cap", retry.cap, Duration::from_millis(1), RETRY_CAP_MAX);
        if retry.base > retry.cap {
            let what = format!("must not be longer than providers.retry.cap, {}", retry.cap);
            self.add("providers.retry.base", what);
        }
        let attempts = usize::try_from(retry.attempts).unwrap_or(usize::MAX);
        self.count("providers.retry.attempts", attempts, 1, 1_000);
    }

    fn sandbox(&mut self, config: &Config) {
        let sandbox = &config.providers.sandbox;
        if sandbox.default_stock > DEFAULT_STOCK_MAX {
            let what = format!("must be at most {DEFAULT_STOCK_MAX}");
            self.add("providers.sandbox.default_stock", what);
        }
        for (operation, fault) in sandbox.faults() {
            let key = format!("providers.sandbox.{operation}");
            for (name, length) in [("delay", fault.delay), ("delay_max", fault.delay_max)] {
                self.length(&format!("{key}.{name}"), length, Duration::ZERO, DELAY_MAX);
            }
            if fault.delay > fault.delay_max {
                let what = format!("must not be longer than delay_max, {}", fault.delay_max);
                self.add(&format!("{key}.delay"), what);
            }
        }
        let unused = [&config.providers.stock, &config.providers.payment]
            .into_iter()
            .all(|provider| !Provider::is_sandbox(provider));
        if unused && *sandbox != settings::Sandbox::default() {
            let what = "is set, but neither stock nor payment is the sandbox".to_owned();
            self.add("providers.sandbox", what);
        }
    }
}

impl settings::Sandbox {
    /// The faults of each operation, by its name.
    pub fn faults(&self) -> [(&'static str, &Fault); 5] {
        [
            ("reserve", &self.reserve),
            ("release", &self.release),
            ("authorize", &self.authorize),
            ("capture", &self.capture),
            ("void", &self.void),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(change: impl FnOnce(&mut Config)) -> Vec<String> {
        let mut config = Config::default();
        change(&mut config);
        check(&config).into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn the_defaults_are_fine() {
        assert_eq!(check(&Config::default()), []);
    }

    #[test]
    fn each_rule_names_its_key() {
        assert_eq!(keys(|c| c.limits.gateway = Length::secs(0)), ["limits.gateway"]);
        assert_eq!(keys(|c| c.dispatch.lease = Length::millis(5)), ["dispatch.lease"]);
        assert_eq!(
            keys(|c| c.dispatch.metres_per_minute = f64::NAN),
            ["dispatch.metres_per_minute"]
        );
        assert_eq!(keys(|c| c.dispatch.zone_capacity = 0), ["dispatch.zone_capacity"]);
        assert_eq!(keys(|c| c.orders.preparing_max = 0), ["orders.preparing_max"]);
        let search = Length::secs(10);
        assert_eq!(keys(|c| c.dispatch.search_timeout = search), ["dispatch.offer_timeout"]);
        assert_eq!(keys(|c| c.sqlite.log = "1MiB".parse().unwrap()), ["sqlite.log"]);
        assert_eq!(keys(|c| c.admin = c.listen), ["admin"]);
        let slow = Length::secs(3_600);
        let fault = keys(|c| c.providers.sandbox.capture.delay = slow);
        assert_eq!(fault[0], "providers.sandbox.capture.delay");
    }

    #[test]
    fn a_clock_without_a_chance_is_refused() {
        let second = Length::secs(1);
        assert_eq!(keys(|c| c.clock.error = second), ["clock.error"]);
        assert_eq!(keys(|c| c.clock.max_uncertainty = second), ["clock.max_uncertainty"]);
        assert_eq!(keys(|c| c.clock.source = ClockSource::Ntp), ["clock.servers"]);
        assert_eq!(keys(|c| c.clock.max_jump = Length::secs(0)), ["clock.max_jump"]);
        assert_eq!(keys(|c| c.clock.ask_every = Length::millis(999)), ["clock.ask_every"]);
        assert_eq!(keys(|c| c.clock.stall_warning = Length::millis(5)), ["clock.stall_warning"]);
        let stall = OrOff::On(Length::millis(5));
        assert_eq!(keys(|c| c.clock.max_stall = stall), ["clock.max_stall"]);
    }

    #[test]
    fn a_listener_for_everybody_needs_a_token_or_a_word() {
        let open = "0.0.0.0:7070".parse().unwrap();
        assert_eq!(keys(|c| c.listen = open), ["listen"]);
        assert!(keys(|c| (c.listen, c.http.allow_remote) = (open, true)).is_empty());
        assert!(keys(|c| (c.listen, c.http.token_env) = (open, Some("T".into()))).is_empty());
    }
}
