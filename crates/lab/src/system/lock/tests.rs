//! The experiments under several seeds, their controls, and every fault at once.

use crate::run::{self, Options, Report, Silent, VariantReport};
use crate::{Error, Scenario, Verdict, experiment};

use crate::system::SEEDS;

fn report(scenario: &Scenario, seed: u64) -> Report {
    run::simulate(scenario, &Options::seeded(seed), &Silent).unwrap()
}

fn value(variant: &VariantReport, indicator: &str) -> f64 {
    variant.indicators[indicator].value
}

/// What a failed assertion shows: the figures, not the curves.
fn figures(report: &Report) -> String {
    let variant = |it: &VariantReport| {
        let figures: Vec<_> =
            it.indicators.iter().map(|(name, value)| format!("{name} {value}")).collect();
        format!("{}: {}: {}\n", it.name, it.verdict, figures.join(", "))
    };
    let variants: String = report.variants.iter().map(variant).collect();
    format!("seed {}: {}: {}\n{variants}", report.seed, report.verdict, report.because)
}

/// A built-in scenario with something else in its file.
fn changed(name: &str, from: &str, to: &str) -> Scenario {
    let text = experiment::text(name).unwrap();
    assert!(text.contains(from), "{name} has no {from:?}");
    Scenario::parse(&text.replace(from, to), None).unwrap()
}

#[test]
fn the_late_write_is_caught_without_a_full_fence_and_kept_out_with_it() {
    let scenario = experiment::find("fencing").unwrap();
    for seed in SEEDS {
        let report = report(&scenario, seed);
        assert_eq!(report.verdict, Verdict::Holds, "{}", figures(&report));
        let [unfenced, writes, fenced] = &report.variants[..] else { panic!("three variants") };
        for broken in [unfenced, writes] {
            assert!(value(broken, "stale_leader_write.count") > 0.0, "{}", figures(&report));
            assert!(value(broken, "seconds_to_detect") < 60.0, "{}", figures(&report));
        }
        // The history alone says so, too: nobody has to look into the storage.
        assert_eq!(unfenced.checks[0].verdict, Verdict::Violated, "{}", figures(&report));
        assert!(!fenced.indicators.contains_key("seconds_to_detect"));
    }
}

#[test]
fn redlock_falls_to_one_clock_and_tokens_do_not() {
    let scenario = experiment::find("redlock-clock-jump").unwrap();
    for seed in SEEDS {
        let report = report(&scenario, seed);
        assert_eq!(report.verdict, Verdict::Holds, "{}", figures(&report));
        let [redlock, monotonic, tokens] = &report.variants[..] else { panic!("three variants") };
        assert!(value(redlock, "second_holder.count") > 0.0, "{}", figures(&report));
        assert_eq!(value(monotonic, "second_holder.count"), 0.0);
        assert!(value(tokens, "second_holder.count") > 0.0, "the leases failed, the data did not");
    }
}

/// The other way round: what is caught is a pause past the lease, and a jump of its size, and not the rig.
#[test]
fn without_its_fault_no_twin_is_caught() {
    let calm = changed("fencing", r#"for = ["1s", "2500ms"]"#, r#"for = "100ms""#);
    let still = changed("redlock-clock-jump", r#"jump = "+5s""#, r#"jump = "+1ms""#);
    for (scenario, twins) in [(calm, &["unfenced", "writes-only"][..]), (still, &["redlock"])] {
        let report = report(&scenario, 1);
        for twin in report.variants.iter().filter(|it| twins.contains(&it.name.as_str())) {
            assert_eq!(twin.checks[0].verdict, Verdict::Holds, "{}", figures(&report));
            let harm = ["stale_leader_write.count", "lost.count", "second_holder.count"];
            assert!(harm.iter().all(|it| value(twin, it) == 0.0), "{}", figures(&report));
            assert!(value(twin, "acknowledged") > 30.0, "{}", figures(&report));
        }
    }
}

#[test]
fn a_seed_gives_the_same_history_and_figures_and_another_one_others() {
    for name in ["fencing", "redlock-clock-jump"] {
        let scenario = experiment::find(name).unwrap();
        let [first, again, other] = [7, 7, 8].map(|seed| report(&scenario, seed));
        for (number, variant) in first.variants.iter().enumerate() {
            assert!(!variant.observed.history.is_empty());
            assert!(variant.observed == again.variants[number].observed, "{name} {}", variant.name);
            assert_ne!(variant.observed.history, other.variants[number].observed.history);
        }
    }
}

/// Everything at once: workers, coordinator and storage are stopped and killed, clocks jump and
/// drift, messages are lost, doubled and overtaken.
const TROUBLE: &str = r#"
name = "trouble"
title = "Every fault"
claim = "A full fence keeps all updates, whatever happens."
system = "lock"
duration = "3m"
[settings]
lease = "1s"
work = ["100ms", "1500ms"]
[[faults]]
kind = "pause"
node = "worker-*"
every = ["1s", "2s"]
for = ["500ms", "3s"]
[[faults]]
kind = "kill"
node = "worker-*"
every = ["3s", "6s"]
for = ["500ms", "2s"]
[[faults]]
kind = "kill"
node = "coordinator"
every = ["10s", "15s"]
for = ["500ms", "2s"]
[[faults]]
kind = "pause"
node = "coordinator"
every = ["10s", "15s"]
for = ["500ms", "2s"]
[[faults]]
kind = "pause"
node = "storage"
every = ["10s", "15s"]
for = ["100ms", "2s"]
[[faults]]
kind = "clock"
node = "*"
jump = "-20s"
drift_ppm = 500_000
every = ["2s", "4s"]
for = ["1s", "4s"]
[[faults]]
kind = "partition"
from = "worker-*"
to = "coordinator"
every = ["5s", "10s"]
for = ["1s", "3s"]
[[fault]]
kind = "link"
from = "*"
to = "*"
jitter = "20ms"
loss = "2%"
duplicate = "10%"
reorder = "5%"
[[invariant]]
model = "cas-register"
[[bound]]
indicator = "stale_leader_write.count"
at_most = 0
[[bound]]
indicator = "lost.count"
at_most = 0
[[bound]]
indicator = "acknowledged"
at_least = 5
[[variant]]
name = "unfenced"
protected = false
settings = { fence = "none" }
[[variant]]
name = "fenced"
protected = true
settings = { fence = "full" }
"#;

#[test]
fn a_full_fence_holds_under_every_fault_at_once() {
    let scenario = Scenario::parse(TROUBLE, None).unwrap();
    for seed in SEEDS {
        let report = report(&scenario, seed);
        assert_eq!(report.verdict, Verdict::Holds, "{}", figures(&report));
    }
}

#[test]
fn what_cannot_be_is_refused_with_its_line() {
    let text = experiment::text("redlock-clock-jump").unwrap();
    let refused = |from: &str, to: &str, expected: &str| {
        assert!(text.contains(from), "{from:?}");
        let Err(Error::Scenario(problems)) = Scenario::parse(&text.replace(from, to), None) else {
            panic!("{to:?} is taken")
        };
        let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert!(shown.iter().any(|it| it.contains(expected)), "{expected:?}: {shown:?}");
    };
    let redlock = r#"settings = { engine = "redlock" }"#;
    refused(redlock, r#"settings = { engine = "redlock", fence = "full" }"#, "gives no token");
    refused(redlock, r#"settings = { engine = "redlok" }"#, "redlock");
    refused(r#"lease = "3s""#, r#"lease = "5ms""#, "make it longer");
    refused("clients = 5", "clients = 500", "workers share a lock");
    refused("clients = 5", "rate = \"5/s\"", "leave it out");
    refused(r#"node = "coordinator""#, r#"node = "coordinator-6""#, "no node");
}
