//! What verdicts, bounds and lengths are called, in all kinds of reports alike.

use std::collections::{BTreeMap, BTreeSet};

use crate::check::Model;
use crate::run::{BoundReport, CheckReport, Mode, Report, VariantReport};
use crate::{Quantity, Unit, Verdict};

/// What came of a variant: one that is not protected is caught or not.
pub(crate) fn outcome(protected: bool, verdict: Verdict, left_out: bool) -> &'static str {
    match (protected, verdict) {
        _ if left_out => "left out",
        (_, Verdict::Unknown) => "unknown",
        (true, Verdict::Holds) => "holds",
        (true, Verdict::Violated) => "violated",
        (false, Verdict::Violated) => "caught",
        (false, Verdict::Holds) => "not caught",
    }
}

/// [`outcome`] of a whole variant.
pub(crate) fn outcome_of(variant: &VariantReport) -> &'static str {
    outcome(variant.protected, variant.verdict, variant.left_out.is_some())
}

/// A sign beside the colour.
pub(crate) fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "✓",
        Verdict::Violated => "✗",
        Verdict::Unknown => "?",
    }
}

/// `protected` or `unprotected`.
pub(crate) fn protection(protected: bool) -> &'static str {
    if protected { "protected" } else { "unprotected" }
}

/// Where it ran.
pub(crate) fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Simulated => "simulated",
        Mode::Real => "real",
    }
}

/// The engine's name out of its address: `etcd` of `etcd://127.0.0.1:2379`.
pub(crate) fn engine(address: &str) -> &str {
    address.split("://").next().unwrap_or(address)
}

/// A length of time.
pub(crate) fn length(seconds: f64) -> String {
    Quantity { value: seconds, unit: Unit::Time }.to_string()
}

/// `612×`.
pub(crate) fn speed(factor: f64) -> String {
    if factor >= 10.0 { format!("{factor:.0}×") } else { format!("{factor:.1}×") }
}

/// What is allowed: `≤ 5 %`, `≥ 95 %`, `10 ms to 20 ms`.
pub(crate) fn limit(at_least: Option<Quantity>, at_most: Option<Quantity>) -> String {
    match (at_least, at_most) {
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (Some(least), None) => format!("≥ {least}"),
        (None, Some(most)) => format!("≤ {most}"),
        (None, None) => "any".to_owned(),
    }
}

/// A value beside its limit: `3.2 % ≤ 5 %` when it is kept, `18 % > 5 %` when it is not.
pub(crate) fn relation(bound: &BoundReport) -> String {
    let Some(value) = bound.value else {
        return format!("not measured, {}", limit(bound.at_least, bound.at_most));
    };
    let below = bound.at_least.filter(|least| value.value < least.value);
    let above = bound.at_most.filter(|most| value.value > most.value);
    match (below, above) {
        (Some(least), _) => format!("{value} < {least}"),
        (None, Some(most)) => format!("{value} > {most}"),
        (None, None) if bound.at_least.is_some() && bound.at_most.is_some() => {
            format!("{value}, within {}", limit(bound.at_least, bound.at_most))
        }
        (None, None) => format!("{value} {}", limit(bound.at_least, bound.at_most)),
    }
}

/// The name of the files of a run, without an ending: `fencing-real-etcd-seed7`.
pub(crate) fn stem(experiment: &str, mode: Mode, engine_at: Option<&str>, seed: u64) -> String {
    let engine = engine_at.map(|at| format!("-{}", engine(at))).unwrap_or_default();
    file_name(&format!("{experiment}-{}{engine}-seed{seed}", self::mode(mode)))
}

/// A text as a part of a file's name.
pub(crate) fn file_name(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = text.chars().map(|c| if plain(c) { c } else { '-' }).collect();
    // Neither hidden nor a folder.
    if name.starts_with('.') { format!("_{name}") } else { name }
}

/// A bound with its cell for each variant; none where it is not asked.
pub(crate) struct BoundRow<'a> {
    pub(crate) indicator: &'a str,
    pub(crate) at_least: Option<Quantity>,
    pub(crate) at_most: Option<Quantity>,
    pub(crate) cells: Vec<Option<&'a BoundReport>>,
}

/// All bounds, in the order in which the variants have them.
pub(crate) fn bounds<'a>(
    variants: impl Iterator<Item = &'a Vec<BoundReport>>,
) -> Vec<BoundRow<'a>> {
    let variants: Vec<_> = variants.collect();
    let mut rows: Vec<BoundRow<'_>> = Vec::new();
    for (place, bound) in each(&variants) {
        let known = rows.iter().position(|row| {
            row.indicator == bound.indicator
                && (row.at_least, row.at_most) == (bound.at_least, bound.at_most)
                && row.cells[place].is_none()
        });
        let at = known.unwrap_or_else(|| {
            rows.push(BoundRow {
                indicator: &bound.indicator,
                at_least: bound.at_least,
                at_most: bound.at_most,
                cells: vec![None; variants.len()],
            });
            rows.len() - 1
        });
        rows[at].cells[place] = Some(bound);
    }
    rows
}

/// A model with the check of each variant; none where it is not asked.
pub(crate) type CheckRow<'a> = (Model, Vec<Option<&'a CheckReport>>);

/// All models, in the order in which the variants have them.
pub(crate) fn checks<'a>(
    variants: impl Iterator<Item = &'a Vec<CheckReport>>,
) -> Vec<CheckRow<'a>> {
    let variants: Vec<_> = variants.collect();
    let mut rows: Vec<CheckRow<'_>> = Vec::new();
    for (place, check) in each(&variants) {
        let at = rows.iter().position(|(model, _)| *model == check.model).unwrap_or_else(|| {
            rows.push((check.model, vec![None; variants.len()]));
            rows.len() - 1
        });
        rows[at].1[place] = Some(check);
    }
    rows
}

/// Each item with the place of its variant.
fn each<'a, T>(variants: &[&'a Vec<T>]) -> impl Iterator<Item = (usize, &'a T)> {
    variants
        .iter()
        .enumerate()
        .flat_map(|(place, items)| items.iter().map(move |item| (place, item)))
}

/// The indicators that no bound mentions, by name.
pub(crate) fn free_indicators<'a>(
    all: impl Iterator<Item = &'a BTreeMap<String, Quantity>>,
    bounds: &[BoundRow<'_>],
) -> BTreeSet<&'a str> {
    let is_free = |name: &&str| bounds.iter().all(|row| row.indicator != *name);
    all.flat_map(|indicators| indicators.keys().map(String::as_str)).filter(is_free).collect()
}

/// A sentence with a capital letter and a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.trim().chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let rest = letters.as_str();
    let ends = rest.is_empty() || rest.ends_with(['.', '!', '?', '…']);
    format!("{first}{rest}{}", if ends { "" } else { "." })
}

/// What an indicator means, as the system declares it.
pub(crate) fn about(report: &Report, indicator: &str) -> Option<&'static str> {
    let known = crate::system::find(&report.system)?.indicators();
    known.iter().find(|known| known.name == indicator).map(|known| known.about)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stands_beside_its_limit_as_it_is() {
        let bound = |value, at_least, at_most| BoundReport {
            indicator: "share".to_owned(),
            value,
            at_least,
            at_most,
            verdict: Verdict::Unknown,
        };
        let share = |value| Some(Quantity::share(value));
        assert_eq!(relation(&bound(share(0.03), None, share(0.05))), "3 % ≤ 5 %");
        assert_eq!(relation(&bound(share(0.18), None, share(0.05))), "18 % > 5 %");
        assert_eq!(relation(&bound(share(0.9), share(0.95), None)), "90 % < 95 %");
        assert_eq!(relation(&bound(None, share(0.95), None)), "not measured, ≥ 95 %");
        assert_eq!(
            relation(&bound(share(0.1), share(0.05), share(0.2))),
            "10 %, within 5 % to 20 %"
        );
    }

    #[test]
    fn a_file_has_a_name_that_every_system_takes() {
        assert_eq!(
            stem("fencing", Mode::Real, Some("etcd://127.0.0.1:2379"), 7),
            "fencing-real-etcd-seed7"
        );
        assert_eq!(stem("../x y", Mode::Simulated, None, 1), "_..-x-y-simulated-seed1");
    }
}
