//! The two experiments, over ten seeds; and that their bounds can tell.

use std::time::Duration;

use crate::run::{self, Options, Silent};
use crate::system::Trial;
use crate::{Quantity, Scenario, Verdict, experiment};

fn retry_storm() -> Scenario {
    experiment::find("retry-storm").unwrap()
}

/// The whole experiment, and what it says when it is not as expected.
fn is_as_claimed(scenario: &Scenario, seed: u64) {
    let report = run::simulate(scenario, &Options::seeded(seed), &Silent).unwrap();
    for variant in &report.variants {
        let bounds = variant.bounds.iter().map(|bound| {
            let value = bound.value.map_or("?".to_owned(), |value| value.to_string());
            format!("{} {value} {}", bound.indicator, bound.verdict)
        });
        let bounds: Vec<_> = bounds.collect();
        println!("seed {seed} {:>18} {:>8}: {}", variant.name, variant.verdict, bounds.join(", "));
    }
    assert_eq!(report.verdict, Verdict::Holds, "seed {seed}: {}", report.because);
}

/// The same scenario in a part of its time.
fn shorter(scenario: Scenario, parts: u32) -> Scenario {
    let faults = scenario.faults.iter().map(|fault| crate::fault::Planned {
        at: fault.at / parts,
        length: fault.length.map(|length| length / parts),
        ..fault.clone()
    });
    let faults = faults.collect();
    Scenario { duration: scenario.duration / parts, faults, ..scenario }
}

#[test]
fn retry_storm_is_as_claimed_for_ten_seeds() {
    let scenario = shorter(retry_storm(), 4);
    for seed in crate::system::SEEDS {
        is_as_claimed(&scenario, seed);
    }
}

/// In its full length; a minute or so where nothing is optimised.
#[test]
fn retry_storm_is_as_claimed() {
    let seeds = if cfg!(debug_assertions) { 1..=1 } else { 1..=10 };
    for seed in seeds {
        is_as_claimed(&retry_storm(), seed);
    }
}

#[test]
fn bulkhead_is_as_claimed_for_ten_seeds() {
    let scenario = shorter(experiment::find("bulkhead").unwrap(), 3);
    for seed in crate::system::SEEDS {
        is_as_claimed(&scenario, seed);
    }
}

/// Runs one variant of a scenario.
fn observe(scenario: &Scenario, variant: &str, seed: u64, length: Duration) -> crate::Observed {
    let variant = scenario.variants.iter().find(|known| known.name == variant).unwrap();
    let trial = Trial::new(scenario, variant, seed, length, &Silent);
    scenario.system.simulate(&trial).unwrap()
}

#[test]
fn the_same_seed_is_the_same_run() {
    let scenario = retry_storm();
    for variant in &scenario.variants {
        let run = |seed| observe(&scenario, &variant.name, seed, Duration::from_secs(30));
        let (first, second) = (run(3), run(3));
        assert!(first.history.len() > 4_000);
        assert_eq!(first, second, "{}", variant.name);
        assert_ne!(first.history, run(4).history);
    }
}

/// A client's history has each of its calls once, begun and ended.
#[test]
fn every_call_is_in_the_history_with_its_end() {
    let scenario = retry_storm();
    let observed = observe(&scenario, "fixed-interval", 1, Duration::from_secs(20));
    let operations = crate::history::pairs(&observed.history).unwrap();
    assert!(operations.iter().all(|operation| operation.completed.is_some()));
    let ok = operations.iter().filter(|it| it.outcome == crate::history::Outcome::Ok).count();
    let share = observed.indicators["api.success"];
    assert_eq!(share, Quantity::share(ok as f64 / operations.len() as f64));
}

/// With the protection off, more than what the dependency can do is asked of it; with it on, not
/// even what it is asked anyway and 5 % more.
#[test]
fn the_storm_is_one() {
    let scenario = retry_storm();
    let of = |variant| {
        let observed = observe(&scenario, variant, 5, scenario.duration);
        move |indicator: &str| observed.indicators[indicator].value
    };
    let (fixed, budget) = (of("fixed-interval"), of("budget"));
    assert!(fixed("upstream.qps") > 170.0, "{}", fixed("upstream.qps"));
    assert!(fixed("api.success.after") < 0.05, "{}", fixed("api.success.after"));
    assert!(fixed("recovery") > 100.0);
    assert!(budget("upstream.qps") < 105.0);
    assert!(budget("recovery") < 15.0);
    assert!(budget("breaker.opens") >= 1.0);
}

/// Hedges are issued in the slow minute, and withheld when calls fail: the error budget is gone.
#[test]
fn hedges_are_for_a_tail_and_not_for_an_outage() {
    let scenario = retry_storm();
    let observed = observe(&scenario, "budget-and-hedge", 2, scenario.duration);
    let hedges = observed.series.iter().find(|series| series.name == "hedges").unwrap();
    let within = |from: f64, to: f64| {
        let values = hedges.points.iter().filter(|(at, _)| (from..to).contains(at));
        values.map(|(_, value)| *value).fold(0.0, f64::max)
    };
    assert!(within(60.0, 120.0) > 0.0, "none in the slow minute");
    assert_eq!(within(180.0, 720.0), 0.0, "some while every fifth call fails");
}

#[test]
fn a_fault_that_the_system_cannot_be_given_is_refused() {
    let text = experiment::text("bulkhead").unwrap();
    let scenario = text.replace("node = \"payment\"", "node = \"api\"");
    let scenario = Scenario::parse(&scenario, None).unwrap();
    let error = run::simulate(&scenario, &Options::seeded(1), &Silent).unwrap_err();
    assert!(error.to_string().contains("not the API node"), "{error}");
    for (from, to, word) in [
        ("workers = 3", "workers = 0", "workers"),
        ("retry = \"none\"", "retry = \"fixd\"", "did you mean"),
        ("queue = 100", "queues = 100", "queues"),
        ("attempt = \"1s\"", "attempt = \"0s\"", "fixed"),
    ] {
        let problems = Scenario::parse(&text.replace(from, to), None).unwrap_err().to_string();
        assert!(problems.contains(word), "{problems}");
    }
}

/// What ends when another begins does so in a trial of any length.
#[test]
fn a_shorter_trial_has_the_same_faults_at_the_same_share_of_it() {
    let scenario = retry_storm();
    let variant = &scenario.variants[0];
    for seconds in 1..=600 {
        let length = Duration::from_secs(seconds);
        let trial = Trial::new(&scenario, variant, 1, length, &Silent);
        let times: Vec<_> = trial.schedule.iter().map(|it| (it.at, it.length.unwrap())).collect();
        let [slow, failing, pause] = times[..] else { panic!("{times:?}") };
        assert_eq!(slow.0 + slow.1, failing.0, "{length:?}");
        let share = pause.0.as_secs_f64() / length.as_secs_f64();
        assert!((share - 0.5).abs() < 1e-6, "{length:?}: {share}");
    }
}
