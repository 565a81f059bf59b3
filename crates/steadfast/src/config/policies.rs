//! What stands between the parts: every number of every policy.
//!
//! The defaults are those of the parts, and a test holds them to it. What the parts refuse is
//! refused at the start, under the key as it is written here.

use std::time::Duration;

use steadfast_dispatch::policies as parts;
use steadfast_resilience::limits::PLACES_MAX;
use steadfast_resilience::policy::Options;
use steadfast_resilience::{
    Invalid, Share as Part, breaker, budget, bulkhead, bulkhead::pool, hedge, limit, objective,
    shed, timeout,
};

use super::error::Problem;
use super::settings::{Budget, Bulkhead, Config, Dependency, Gate, Hedge, Objective, Reads};
use super::value::{Adaptive, Concurrency, Length, OrOff, Share, Window};

/// Longest time that a circuit stays open or waits for its probes; above it, it is a slip of the
/// unit.
const OPEN_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Requests at work at once that a limit which adapts may rise to.
const GATE_MAX: u32 = 4_096;

fn part(share: Share) -> Part {
    // Both types have checked the number.
    Part::new(share.get()).unwrap_or_default()
}

fn places(bulkhead: &Bulkhead) -> bulkhead::Options {
    let Bulkhead { limit, queue, wait } = *bulkhead;
    bulkhead::Options { limit, queue, wait: wait.get() }
}

fn paid(budget: &Budget) -> budget::Options {
    let Budget { ratio, floor_per_second, window } = *budget;
    budget::Options { ratio: ratio.get(), floor_per_second, window: window.get() }
}

fn judged(breaker: &super::settings::Breaker) -> breaker::Options {
    breaker::Options {
        window: match breaker.window {
            Window::Calls(calls) => breaker::Window::Count(calls),
            Window::Time(length) => breaker::Window::Time(length.get()),
        },
        failure_rate: part(breaker.failure_rate),
        slow_call: breaker.slow_call.on().map(Length::get),
        slow_call_rate: part(breaker.slow_call_rate),
        minimum_calls: breaker.minimum_calls,
        open_for: breaker.open_for.get(),
        probes: breaker.probes,
        probe_timeout: breaker.probe_timeout.get(),
        open_when_budget_spent: breaker.open_when_budget_spent,
    }
}

pub(super) fn hedged(hedge: &Hedge, enabled: bool) -> Option<hedge::Options> {
    enabled.then(|| hedge::Options {
        p95_above: hedge.p95_above.get(),
        error_budget_above: part(hedge.error_budget_above),
        share_max: part(hedge.share_max),
        observed_min: hedge.observed_min,
        delay: hedge::Delay::Quantile(part(hedge.delay)),
        ..hedge::Options::default()
    })
}

/// A limit that is found out by watching, up to `max`.
fn watched(adaptive: Adaptive, max: u32) -> Option<limit::Options> {
    let algorithm = match adaptive {
        Adaptive::Off => return None,
        Adaptive::Aimd => limit::Algorithm::Aimd(limit::aimd::Options::default()),
        Adaptive::Vegas => limit::Algorithm::Vegas(limit::vegas::Options::default()),
        Adaptive::Gradient => limit::Algorithm::Gradient(limit::gradient::Options::default()),
    };
    let standard = limit::Bounds::default();
    let (initial, min) = (standard.initial.min(max), standard.min.min(max));
    let bounds = limit::Bounds { initial, min, max };
    Some(limit::Options { algorithm, bounds, ..limit::Options::default() })
}

fn possible(concurrency: &shed::Concurrency) -> Result<(), Invalid> {
    match concurrency {
        shed::Concurrency::Fixed(requests) if (1..=PLACES_MAX).contains(requests) => Ok(()),
        shed::Concurrency::Fixed(requests) => {
            let allowed = format!("from 1 to {PLACES_MAX}");
            Err(Invalid::new("concurrency", requests, allowed))
        }
        shed::Concurrency::Adaptive(options) => options.check(),
    }
}

pub(super) fn good_enough(objective: &Objective) -> objective::Options {
    objective::Options {
        target: part(objective.target),
        window: objective.window.get(),
        ..objective::Options::default()
    }
}

impl Config {
    /// Between the services and what they call.
    pub fn policy_options(&self) -> parts::Options {
        let journal = Options {
            objective: Some(good_enough(&self.policies.objective)),
            ..parts::journal(self.limits.database.get())
        };
        parts::Options {
            journal,
            stock: self.dependency(&self.policies.stock),
            payment: self.dependency(&self.policies.payment),
        }
    }

    /// For the way in: how many, and what waits.
    pub fn gate_options(&self) -> (shed::Concurrency, shed::Options) {
        let Gate { concurrency, queue, target } = self.policies.gateway;
        let adaptive = match concurrency {
            Concurrency::Fixed(_) => Adaptive::Off,
            Concurrency::Aimd => Adaptive::Aimd,
            Concurrency::Vegas => Adaptive::Vegas,
            Concurrency::Gradient => Adaptive::Gradient,
        };
        let concurrency = match (concurrency, watched(adaptive, GATE_MAX)) {
            (Concurrency::Fixed(requests), _) => shed::Concurrency::Fixed(requests),
            (_, limit) => shed::Concurrency::Adaptive(limit.unwrap_or_default()),
        };
        let interval = self.limits.gateway.get();
        (concurrency, shed::Options { queue, target: target.get(), interval })
    }

    /// For the threads of the reads.
    pub fn pool_options(&self) -> pool::Options {
        let Reads { threads, queue, .. } = self.policies.reads;
        pool::Options { threads, queue }
    }

    /// Between the gateway and the reads.
    pub fn reads_options(&self) -> Options {
        let Reads { budget, hedge, hedged: routes, .. } = &self.policies.reads;
        Options {
            budget: Some(paid(budget)),
            hedge: hedged(hedge, !routes.get().is_empty()),
            objective: Some(good_enough(&self.policies.objective)),
            ..Options::NONE
        }
    }

    fn dependency(&self, settings: &Dependency) -> Options {
        let ceiling = self.providers.call_timeout.get();
        let attempt = match settings.adaptive_timeout {
            OrOff::Off => timeout::Attempt::Fixed(ceiling),
            OrOff::On(floor) => timeout::Attempt::Adaptive(timeout::options::Adaptive {
                floor: floor.get(),
                ceiling,
                ..timeout::options::Adaptive::default()
            }),
        };
        Options {
            timeout: Some(timeout::Options { attempt, overall: None }),
            budget: Some(paid(&settings.budget)),
            breaker: Some(judged(&settings.breaker)),
            bulkhead: Some(places(&settings.bulkhead)),
            limit: watched(settings.adaptive_limit, settings.bulkhead.limit),
            hedge: hedged(&settings.hedge, settings.hedged),
            objective: Some(good_enough(&self.policies.objective)),
            ..Options::NONE
        }
    }

    /// Everything that the policies would refuse.
    pub(super) fn policy_problems(&self) -> Vec<Problem> {
        let parts::Options { journal, stock, payment } = self.policy_options();
        let mut problems = Vec::new();
        let ceiling = self.providers.call_timeout;
        let mut check = |section: &str, found: Vec<Invalid>| {
            for Invalid { key, value, allowed } in found {
                // What all policies share is written once.
                if (section, &*key) == ("gateway", "interval") {
                    // It is the gateway's budget; no budget at all is somebody else's complaint.
                    if !self.limits.gateway.get().is_zero() {
                        let what = format!("must be shorter than limits.gateway, {value}");
                        problems.push(Problem::new("policies.gateway.target", what));
                    }
                    continue;
                }
                // A call's limit is set elsewhere, and no time at all is refused there.
                if key.starts_with("timeout.attempt.fixed") {
                    continue;
                }
                if key.starts_with("timeout.attempt.") {
                    let what = format!("must be from 1ms to providers.call_timeout, {ceiling}");
                    let key = format!("policies.{section}.adaptive_timeout");
                    problems.push(Problem::new(key, what));
                    continue;
                }
                let key = match key.strip_prefix("objective.") {
                    Some(_) => format!("policies.{key}"),
                    None => format!("policies.{section}.{key}"),
                };
                let problem = Problem::new(key, format!("must be {allowed}, not {value}"));
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
        };
        check("reads", self.reads_options().problems());
        check("reads", self.pool_options().check().err().into_iter().collect());
        let (concurrency, gate) = self.gate_options();
        check("gateway", possible(&concurrency).err().into_iter().collect());
        check("gateway", gate.check().err().into_iter().collect());
        check("journal", journal.problems());
        check("stock", stock.problems());
        check("payment", payment.problems());
        let dependencies = [("stock", &self.policies.stock), ("payment", &self.policies.payment)];
        for (name, settings) in dependencies {
            let Dependency { hedge, breaker, .. } = settings;
            for (key, length) in
                [("open_for", breaker.open_for), ("probe_timeout", breaker.probe_timeout)]
            {
                if length.get() > OPEN_MAX {
                    let what = format!("must be at most {}, not {length}", Length::new(OPEN_MAX));
                    problems.push(Problem::new(format!("policies.{name}.breaker.{key}"), what));
                }
            }
            if settings.hedged && hedge.p95_above >= ceiling {
                let what = format!(
                    "must be below providers.call_timeout, {ceiling}, not {}: no call takes longer",
                    hedge.p95_above
                );
                problems.push(Problem::new(format!("policies.{name}.hedge.p95_above"), what));
            }
            if settings.bulkhead.wait > ceiling {
                let what = format!(
                    "must be at most providers.call_timeout, {ceiling}, not {}",
                    settings.bulkhead.wait
                );
                problems.push(Problem::new(format!("policies.{name}.bulkhead.wait"), what));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_parts() {
        assert_eq!(Config::default().policy_options(), parts::Options::default());
        assert_eq!(Config::default().policy_problems(), []);
    }

    #[test]
    fn hedging_switched_on_has_the_sources_numbers() {
        assert_eq!(hedged(&Hedge::default(), true), Some(hedge::Options::default()));
        assert_eq!(Config::default().reads_options().hedge, Some(hedge::Options::default()));
        let shed = shed::Options { queue: 1_024, ..shed::Options::default() };
        assert_eq!(Config::default().gate_options().1, shed);
    }

    #[test]
    fn each_mistake_names_its_key_its_value_and_what_is_allowed() {
        let problem = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            let problems = config.policy_problems();
            assert_eq!(problems.len(), 1, "{problems:?}");
            format!("{}: {}", problems[0].key, problems[0].what)
        };
        let zero = problem(|c| c.policies.stock.breaker.window = Window::Calls(0));
        assert!(zero.starts_with("policies.stock.breaker.window: must be 1 to"), "{zero}");
        let zero = problem(|c| c.policies.payment.budget.window = Length::millis(0));
        assert!(zero.starts_with("policies.payment.budget.window: must be"), "{zero}");
        let never = problem(|c| c.policies.stock.hedged = true);
        assert_eq!(
            never,
            "policies.stock.hedge.p95_above: must be below providers.call_timeout, 100ms, not \
             300ms: no call takes longer"
        );
        let once = problem(|c| c.policies.objective.window = Length::millis(0));
        assert!(once.starts_with("policies.objective.window: must be"), "{once}");
        let floor = problem(|c| {
            c.policies.stock.adaptive_timeout = OrOff::On(Length::millis(200));
        });
        assert!(floor.starts_with("policies.stock.adaptive_timeout: must be from"), "{floor}");
    }
}
