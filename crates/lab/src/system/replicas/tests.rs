//! The built-in scenario, over its seeds.

use crate::run::{self, Options, Report, Silent};
use crate::{Verdict, experiment};

fn report(seed: u64) -> Report {
    let scenario = experiment::find("lww-skew").unwrap();
    run::simulate(&scenario, &Options::seeded(seed), &Silent).unwrap()
}

#[test]
fn what_is_protected_holds_and_the_wall_clock_is_caught_under_every_seed() {
    for seed in crate::system::SEEDS {
        let report = report(seed);
        assert_eq!(report.verdict, Verdict::Holds, "seed {seed}: {}", report.because);
        let value = |variant: &str, indicator: &str| {
            let variant = report.variants.iter().find(|it| it.name == variant).unwrap();
            variant.indicators[indicator].value
        };
        assert!(value("lww-wall-clock", "lost_causal_writes.count") > 0.0, "seed {seed}");
        assert!(value("lww-wall-clock", "causal_regressions.count") > 0.0, "seed {seed}");
        // Last write wins, by whatever clock, keeps one of two that were written at once; vectors
        // keep both. A trial without such a case would show nothing of this.
        assert!(value("lww-hlc", "lost_concurrent_writes.count") > 0.0, "seed {seed}");
        assert_eq!(value("version-vectors", "lost_concurrent_writes.count"), 0.0, "seed {seed}");
        assert!(value("version-vectors", "siblings.max") > 1.0, "seed {seed}");
        // The clock that is seconds ahead is noticed.
        assert!(value("lww-hlc", "refused_stamps.count") > 0.0, "seed {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_and_another_one_does_not() {
    let seen = |seed| {
        let variants = report(seed).variants;
        variants
            .into_iter()
            .map(|it| (it.observed.history.clone(), it.observed))
            .collect::<Vec<_>>()
    };
    let first = seen(3);
    assert_eq!(first, seen(3));
    assert_ne!(first, seen(4));
}
