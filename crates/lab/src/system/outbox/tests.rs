//! What an outbox is for.

use crate::run::{self, Options, Silent};
use crate::{Verdict, experiment};

#[test]
fn the_outbox_holds_and_both_dual_writes_are_caught_under_every_seed() {
    let scenario = experiment::find("dual-write").unwrap();
    for seed in crate::system::SEEDS {
        let report = run::simulate(&scenario, &Options::seeded(seed), &Silent).unwrap();
        println!("seed {seed}: {} in {:.2} s, {:.0}x", report.verdict, report.wall_s, report.speed);
        for variant in &report.variants {
            let figures = variant.indicators.iter().map(|(name, value)| format!(" {name}={value}"));
            println!("{} ({}){}", variant.name, variant.verdict, figures.collect::<String>());
        }
        assert_eq!(report.verdict, Verdict::Holds, "seed {seed}: {}", report.because);
        let figure = |variant: usize, name: &str| report.variants[variant].indicators[name].value;
        // Each order of the two writes fails in its own way.
        assert!(figure(0, "orders_without_event.count") > 0.0);
        assert!(figure(1, "events_without_order.count") > 0.0);
    }
}

#[test]
fn a_seed_gives_the_same_bytes() {
    let scenario = experiment::find("dual-write").unwrap();
    let run = || {
        let report = run::simulate(&scenario, &Options::seeded(3), &Silent).unwrap();
        let seen = report.variants.iter().map(|variant| &variant.observed);
        serde_json::to_string(&seen.collect::<Vec<_>>()).unwrap()
    };
    assert_eq!(run(), run());
}
