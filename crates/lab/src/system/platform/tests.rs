//! What each of the checks is for, and that all of them are enough.

use crate::experiment;
use crate::run::{self, Options, Silent};
use crate::verdict::Verdict;

fn table(report: &run::Report) -> String {
    let mut text = String::new();
    for variant in &report.variants {
        text += &format!("{} ({})", variant.name, variant.verdict);
        for (name, value) in &variant.indicators {
            text += &format!(" {name}={value}");
        }
        text += "\n";
    }
    text
}

#[test]
fn the_protected_hold_and_the_others_are_caught_under_every_seed() {
    let scenario = experiment::find("platform").unwrap();
    for seed in crate::system::SEEDS {
        let report = run::simulate(&scenario, &Options::seeded(seed), &Silent).unwrap();
        println!("seed {seed}: {} in {:.2} s, {:.0}x", report.verdict, report.wall_s, report.speed);
        print!("{}", table(&report));
        assert_eq!(report.verdict, Verdict::Holds, "seed {seed}: {}", report.because);
    }
}

#[test]
fn a_seed_gives_the_same_bytes() {
    let scenario = experiment::find("platform").unwrap();
    let run = || {
        let only = vec!["protected".to_owned()];
        let options = Options { only, ..Options::seeded(3) };
        let report = run::simulate(&scenario, &options, &Silent).unwrap();
        let observed = report.variants[0].observed.clone();
        (observed.history.clone(), serde_json::to_string(&observed).unwrap())
    };
    assert_eq!(run(), run());
}
