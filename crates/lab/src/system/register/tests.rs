//! The built-in scenario, over its seeds.

use crate::run::{self, Options, Report, Silent, VariantReport};
use crate::{Verdict, experiment};

fn report(seed: u64, only: &[&str]) -> Report {
    let scenario = experiment::find("quorum").unwrap();
    let only = only.iter().map(|&name| name.to_owned()).collect();
    let options = Options { only, ..Options::seeded(seed) };
    run::simulate(&scenario, &options, &Silent).unwrap()
}

fn value(variant: &VariantReport, indicator: &str) -> f64 {
    variant.indicators[indicator].value
}

#[test]
fn what_is_protected_holds_and_the_others_are_caught_under_every_seed() {
    let mut inversions = 0.0;
    for seed in crate::system::SEEDS {
        let report = report(seed, &[]);
        assert_eq!(report.verdict, Verdict::Holds, "seed {seed}: {}", report.because);
        let variant = |name| report.variants.iter().find(|it| it.name == name).unwrap();
        // Each is caught for the reason that its text gives.
        for loose in ["w1-r1", "w2-r1"] {
            assert!(value(variant(loose), "stale_reads.count") > 0.0, "seed {seed}: {loose}");
        }
        let regular = variant("w2-r2-no-repair");
        assert_eq!(value(regular, "stale_reads.count"), 0.0, "seed {seed}: it is regular");
        assert!(regular.bounds.iter().all(|it| it.verdict == Verdict::Holds), "seed {seed}");
        assert_eq!(regular.checks[0].verdict, Verdict::Violated, "seed {seed}: and not atomic");
        inversions += value(regular, "new_old_inversions.count");
        let all = variant("w3-r1");
        assert_eq!(value(all, "stale_reads.count"), 0.0, "seed {seed}");
        assert!(value(all, "linearizable_op.availability") < 0.999, "seed {seed}");
        assert!(value(variant("w2-r2-liar"), "made_up_reads.count") > 0.0, "seed {seed}");
    }
    assert!(inversions > 0.0, "what makes it so is new, then old");
}

#[test]
fn the_same_seed_gives_the_same_and_another_one_does_not() {
    let seen = |seed| {
        let report = report(seed, &["w1-r1", "w2-r2-liar"]);
        let seen = |it: &VariantReport| (it.observed.clone(), it.observed.history.clone());
        report.variants.iter().map(seen).collect::<Vec<_>>()
    };
    let first = seen(1);
    assert_eq!(first, seen(1));
    assert_ne!(first, seen(2));
}

#[test]
fn the_matrix_says_what_the_arithmetic_says() {
    let report = report(1, &["w2-r2"]);
    let table = &report.variants[0].observed.tables[0];
    assert_eq!(table.rows.len(), 9);
    for row in &table.rows {
        assert_eq!(row.len(), table.head.len());
        let digit = |at: usize| row[0].as_bytes()[at] - b'0';
        let (w, r) = (digit(2), digit(6));
        for lost in 0..=2_u8 {
            let at = 2 + 2 * usize::from(lost);
            let (stale, available) = (row[at].as_str(), row[at + 1].as_str());
            // What overlaps is never stale; what needs more than there are is never done whole.
            if w + r > 3 {
                assert_eq!(stale, "0 %", "{row:?}");
            }
            let can = w.max(r) <= 3 - lost;
            assert_eq!(available == "100 %", can, "{row:?}: {lost} lost");
        }
    }
    let stale = table.rows[0][2].as_str();
    assert_ne!(stale, "0 %", "W=1 R=1 without any loss");
}
