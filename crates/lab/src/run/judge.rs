//! The verdict: the same question to each variant.

use super::Options;
use super::report::{BoundReport, CheckReport, VariantReport};
use crate::check;
use crate::scenario::Bound;
use crate::system::Trial;
use crate::{Error, Observed, Scenario, Verdict};

/// Holds what was seen in a trial against what is claimed.
pub(super) fn variant(
    trial: &Trial<'_>,
    observed: Observed,
    options: &Options,
) -> Result<VariantReport, Error> {
    let (scenario, variant) = (trial.scenario, trial.variant);
    let mut checks = Vec::new();
    for invariant in scenario.invariants.iter().filter(|it| it.is_for(&variant.name)) {
        if trial.is_interrupted() {
            return Err(Error::Interrupted);
        }
        let limits = check::Options { time: options.check_time, clock: options.clock.clone() };
        let found = check::check(invariant.model, &observed.history, &limits).map_err(|error| {
            Error::System {
                system: scenario.system.name(),
                reason: format!("its history: {error}"),
            }
        })?;
        checks.push(CheckReport {
            model: invariant.model,
            verdict: found.verdict,
            operations: found.operations,
            piece: found.piece,
        });
    }
    let bounds: Vec<_> = scenario
        .bounds
        .iter()
        .filter(|bound| bound.is_for(&variant.name))
        .map(|bound| held(bound, &observed))
        .collect();
    let verdicts = checks.iter().map(|check| check.verdict);
    let verdict = Verdict::all(verdicts.chain(bounds.iter().map(|bound| bound.verdict)));
    let wanted = if variant.protected { Verdict::Holds } else { Verdict::Violated };
    Ok(VariantReport {
        name: variant.name.clone(),
        about: variant.about.clone(),
        protected: variant.protected,
        left_out: None,
        verdict,
        as_expected: verdict == wanted,
        checks,
        bounds,
        indicators: observed.indicators.clone(),
        schedule: trial.schedule.clone(),
        observed,
    })
}

/// A variant that was not run.
#[cfg(feature = "real")]
pub(super) fn left_out(trial: &Trial<'_>, reason: String) -> VariantReport {
    VariantReport {
        name: trial.variant.name.clone(),
        about: trial.variant.about.clone(),
        protected: trial.variant.protected,
        left_out: Some(reason),
        verdict: Verdict::Unknown,
        as_expected: false,
        checks: Vec::new(),
        bounds: Vec::new(),
        indicators: Default::default(),
        schedule: Vec::new(),
        observed: Observed::default(),
    }
}

fn held(bound: &Bound, observed: &Observed) -> BoundReport {
    let value = observed.indicators.get(&bound.indicator).copied();
    let verdict = match value {
        None => Verdict::Unknown,
        // What is no number keeps no bound and breaks none. To call that a violation would let a
        // twin be caught by a division by zero.
        Some(value) if value.value.is_nan() => Verdict::Unknown,
        Some(value) if bound.allows(value) => Verdict::Holds,
        Some(_) => Verdict::Violated,
    };
    BoundReport {
        indicator: bound.indicator.clone(),
        value,
        at_least: bound.at_least,
        at_most: bound.at_most,
        verdict,
    }
}

/// The verdict over all variants, and why.
pub(super) fn experiment(scenario: &Scenario, variants: &[VariantReport]) -> (Verdict, String) {
    let names = |wanted: &dyn Fn(&VariantReport) -> bool| {
        let names: Vec<_> =
            variants.iter().filter(|it| wanted(it)).map(|it| it.name.as_str()).collect();
        names.join(", ")
    };
    let broken = names(&|it| it.protected && it.verdict == Verdict::Violated);
    if !broken.is_empty() {
        return (Verdict::Violated, format!("protected, and violated all the same: {broken}"));
    }
    let missed = names(&|it| !it.protected && it.verdict == Verdict::Holds);
    if !missed.is_empty() {
        let because = format!("unprotected, and nothing was caught: {missed}; the check is blind");
        return (Verdict::Violated, because);
    }
    let left_out: Vec<_> = variants
        .iter()
        .filter_map(|it| Some(format!("{} ({})", it.name, it.left_out.as_ref()?)))
        .collect();
    if !left_out.is_empty() {
        return (Verdict::Unknown, format!("left out: {}", left_out.join(", ")));
    }
    let open = names(&|it| it.verdict == Verdict::Unknown);
    if !open.is_empty() {
        return (Verdict::Unknown, format!("not found out: {open}"));
    }
    if variants.len() < scenario.variants.len() {
        return (Verdict::Unknown, "as expected, but not all variants were run".to_owned());
    }
    let because = "every protected variant holds, and every unprotected one is caught".to_owned();
    (Verdict::Holds, because)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Quantity;

    #[test]
    fn what_is_no_number_is_not_found_out() {
        let bound = Bound {
            indicator: "share".to_owned(),
            at_least: None,
            at_most: Some(Quantity::share(0.5)),
            only: Vec::new(),
        };
        let with = |value: f64| {
            let mut observed = Observed::default();
            observed.indicator("share", Quantity::share(value));
            held(&bound, &observed).verdict
        };
        assert_eq!(with(0.4), Verdict::Holds);
        assert_eq!(with(0.6), Verdict::Violated);
        assert_eq!(with(f64::INFINITY), Verdict::Violated);
        assert_eq!(with(f64::NAN), Verdict::Unknown);
        assert_eq!(held(&bound, &Observed::default()).verdict, Verdict::Unknown);
    }
}
