//! What a scenario may set.

use std::time::Duration;

use steadfast_resilience::policy::Options;
use steadfast_resilience::retry::{Backoff, Jitter};
use steadfast_resilience::timeout::Attempt;
use steadfast_resilience::{
    Share, breaker, budget, bulkhead, hedge, limits, objective, retry, timeout,
};

use super::drive::Arrivals;
use super::station::Capacity;
use crate::limits::{DEPENDENCIES_MAX, QUEUE_MAX, WORKERS_MAX};
use crate::scenario::{Load, Reader};

/// Calls a second unless the scenario says otherwise.
const RATE: f64 = 100.0;

/// What a variant is made of.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Calls a second.
    pub rate: f64,
    pub arrivals: Arrivals,
    /// How long a client waits.
    pub patience: Duration,
    /// Whether the API node knows how long.
    pub propagate: bool,
    /// The dependencies, by name. Each call needs one of them.
    pub dependencies: Vec<String>,
    pub capacity: Capacity,
    /// What stands in front of each dependency.
    pub policy: Options,
    /// Places at the API node that all calls share, to whichever dependency.
    pub pool: Option<bulkhead::Options>,
}

impl Settings {
    /// Reads all of them, noting what is wrong.
    pub fn read(load: Load, reader: &Reader<'_>) -> Self {
        let patience = reader.duration("patience", Duration::from_secs(1));
        if patience.is_zero() {
            reader.problem("patience", "must be longer than nothing");
        }
        let arrivals = match reader.choice("arrivals", &["poisson", "even"], "poisson") {
            "even" => Arrivals::Even,
            _ => Arrivals::Poisson,
        };
        let settings = Self {
            rate: load.rate.unwrap_or(RATE),
            arrivals,
            patience,
            propagate: reader.flag("propagate", true),
            dependencies: dependencies(reader),
            capacity: capacity(reader),
            policy: policy(reader),
            pool: pool(reader, patience),
        };
        if let Err(invalid) = settings.policy.check() {
            // Its own keys are named in the sentence.
            reader.problem("retry", invalid);
        }
        settings
    }
}

fn dependencies(reader: &Reader<'_>) -> Vec<String> {
    let mut names: Vec<String> =
        reader.texts("dependencies").into_iter().map(str::to_owned).collect();
    if names.is_empty() {
        names.push("dependency".to_owned());
    }
    if names.len() > DEPENDENCIES_MAX {
        reader.problem("dependencies", format!("at most {DEPENDENCIES_MAX}"));
        names.truncate(DEPENDENCIES_MAX);
    }
    let is_word = |name: &String| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !name.is_empty() && name != super::API && name.chars().all(plain)
    };
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() < names.len() || !names.iter().all(is_word) {
        let what = "must be different names of a-z, 0-9 and '-', and none of them \"api\"";
        reader.problem("dependencies", what);
    }
    names
}

fn capacity(reader: &Reader<'_>) -> Capacity {
    let service = reader.duration("service", Duration::from_millis(15));
    if service.is_zero() {
        reader.problem("service", "must be longer than nothing: work takes time");
    }
    Capacity {
        workers: count(reader, "workers", 1..=WORKERS_MAX, 2),
        service: service.max(Duration::from_nanos(1)),
        queue: count(reader, "queue", 0..=QUEUE_MAX, 100),
    }
}

fn policy(reader: &Reader<'_>) -> Options {
    let attempt = reader.duration("attempt", Duration::from_millis(350));
    let interval = reader.duration("interval", Duration::from_millis(100));
    let attempts = count(reader, "attempts", 1..=u64::from(limits::ATTEMPTS_MAX), 4);
    let retry = retry::Options { attempts, ..retry::Options::default() };
    let retry = match reader.choice("retry", &["none", "fixed", "backoff"], "backoff") {
        "none" => None,
        "fixed" => {
            let backoff = Backoff::constant(interval);
            Some(retry::Options { backoff, jitter: Jitter::None, ..retry })
        }
        _ => Some(retry),
    };
    let objective = objective::Options {
        target: share(reader, "objective", Share::permille(999)),
        ..objective::Options::default()
    };
    let hedge = match reader.choice("hedge", &["off", "conditional", "eager"], "off") {
        "conditional" => Some(hedge::Options::default()),
        // No gate at all: whatever is not answered within the interval is asked again.
        "eager" => Some(hedge::Options {
            p95_above: Duration::ZERO,
            error_budget_above: Share::NONE,
            share_max: Share::ALL,
            delay: hedge::Delay::Fixed(interval),
            ..hedge::Options::default()
        }),
        _ => None,
    };
    let floor = reader.rate("budget_floor").unwrap_or(0.0);
    let ratio = reader.any_quantity("budget").map(|quantity| match quantity.unit {
        crate::Unit::Share | crate::Unit::Times => quantity.value,
        _ => {
            reader.problem("budget", "expected a share of the calls such as \"5%\", or \"10x\"");
            0.0
        }
    });
    let budget = ratio.map(|ratio| budget::Options {
        ratio,
        floor_per_second: floor,
        ..budget::Options::default()
    });
    let open_for = reader.duration("open_for", breaker::Options::default().open_for);
    let breaker = reader
        .flag("breaker", false)
        .then(|| breaker::Options { open_for, ..breaker::Options::default() });
    let places = count(reader, "bulkhead", 0..=u64::from(limits::PLACES_MAX), 0);
    let wait = reader.duration("bulkhead_wait", bulkhead::Options::default().wait);
    let bulkhead = (places > 0).then_some(bulkhead::Options { limit: places, queue: places, wait });
    Options {
        timeout: Some(timeout::Options { attempt: Attempt::Fixed(attempt), overall: None }),
        retry,
        budget,
        breaker,
        bulkhead,
        limit: None,
        hedge,
        objective: hedge.map(|_| objective),
    }
}

/// Places that all calls share. Nobody is refused one: whoever finds none waits as long as the
/// client does.
fn pool(reader: &Reader<'_>, patience: Duration) -> Option<bulkhead::Options> {
    let limit = count(reader, "pool", 0..=u64::from(limits::PLACES_MAX), 0);
    let queue = limits::WAITERS_MAX;
    let wait = patience.clamp(Duration::from_millis(1), limits::QUEUE_WAIT_MAX);
    (limit > 0).then_some(bulkhead::Options { limit, queue, wait })
}

fn count(
    reader: &Reader<'_>,
    key: &'static str,
    allowed: std::ops::RangeInclusive<u64>,
    default: u64,
) -> u32 {
    u32::try_from(reader.count(key, allowed, default)).unwrap_or(u32::MAX)
}

fn share(reader: &Reader<'_>, key: &'static str, default: Share) -> Share {
    let value = reader.share(key, default.get());
    Share::new(value).unwrap_or(default)
}
