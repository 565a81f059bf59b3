//! What one order per wish needs.

use crate::run::{self, Options, Silent};
use crate::{Verdict, experiment};

#[test]
fn one_key_for_a_wish_holds_and_the_others_are_caught_under_every_seed() {
    let scenario = experiment::find("idempotency").unwrap();
    for seed in crate::system::SEEDS {
        let report = run::simulate(&scenario, &Options::seeded(seed), &Silent).unwrap();
        println!("seed {seed}: {} in {:.2} s, {:.0}x", report.verdict, report.wall_s, report.speed);
        for variant in &report.variants {
            let figures = variant.indicators.iter().map(|(name, value)| format!(" {name}={value}"));
            println!("{} ({}){}", variant.name, variant.verdict, figures.collect::<String>());
        }
        assert_eq!(report.verdict, Verdict::Holds, "seed {seed}: {}", report.because);
    }
}

#[test]
fn a_seed_gives_the_same_bytes() {
    let scenario = experiment::find("idempotency").unwrap();
    let run = || {
        let report = run::simulate(&scenario, &Options::seeded(3), &Silent).unwrap();
        let seen = report.variants.iter().map(|it| (it.observed.history.clone(), &it.observed));
        serde_json::to_string(&seen.collect::<Vec<_>>()).unwrap()
    };
    assert_eq!(run(), run());
}
