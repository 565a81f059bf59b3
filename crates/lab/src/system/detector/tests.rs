//! The built-in scenario, over its seeds.

use crate::run::{self, Options, Report, Silent, VariantReport};
use crate::{Verdict, experiment};

fn report(seed: u64, only: &[&str]) -> Report {
    let scenario = experiment::find("failure-detector").unwrap();
    let only = only.iter().map(|&name| name.to_owned()).collect();
    let options = Options { only, ..Options::seeded(seed) };
    run::simulate(&scenario, &options, &Silent).unwrap()
}

#[test]
fn phi_holds_and_each_fixed_timeout_is_caught_under_every_seed() {
    for seed in crate::system::SEEDS {
        let report = report(seed, &[]);
        assert_eq!(report.verdict, Verdict::Holds, "seed {seed}: {}", report.because);
        let value = |variant: &str, indicator: &str| {
            let variant = report.variants.iter().find(|it| it.name == variant).unwrap();
            variant.indicators[indicator].value
        };
        // The short one is wrong, the long one is late, and each only that.
        assert!(value("fixed-2s", "false_suspicions.count") > 0.0, "seed {seed}");
        assert!(value("fixed-2s", "detection.mean") < 4.0, "seed {seed}");
        assert_eq!(value("fixed-8s", "false_suspicions.count"), 0.0, "seed {seed}");
        assert!(value("fixed-8s", "detection.mean") > 4.0, "seed {seed}");
        // All saw the same crashes.
        let crashes = |it: &VariantReport| it.indicators["crashes.count"].value;
        assert!(report.variants.iter().all(|it| crashes(it) == crashes(&report.variants[0])));
        assert!(crashes(&report.variants[0]) > 50.0, "seed {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_and_another_one_does_not() {
    let seen = |seed| report(seed, &["phi-8"]).variants.remove(0).observed;
    let first = seen(1);
    assert_eq!(first, seen(1));
    assert_ne!(first, seen(2));
}

#[test]
fn the_curve_goes_down_as_one_waits_longer() {
    let report = report(1, &["phi-8"]);
    let chart = &report.variants[0].observed.charts[0];
    assert_eq!(chart.lines.len(), 4);
    for (name, points) in &chart.lines {
        for pair in points.windows(2) {
            assert!(pair[0].0 <= pair[1].0, "{name}: slower with a higher setting");
            assert!(pair[0].1 >= pair[1].1, "{name}: no more mistakes with a higher setting");
        }
    }
}
