//! Many runs on one page: a card for each, with its verdict, its key figures, and a small picture.

use std::collections::BTreeSet;
use std::path::PathBuf;

use maud::{Markup, html};

use super::draw::spark::spark;
use super::summary::{Curve, Summary, VariantSummary};
use super::{html as pages, words};
use crate::Verdict;

/// How many figures a card shows.
const FIGURES_MAX: usize = 2;

/// The page over many runs: those that did not go as they should first, then by experiment, mode,
/// engine and seed.
#[must_use]
pub fn page(runs: &[Summary]) -> String {
    page_with(runs, &[])
}

/// The same with the files that are no runs, and why.
pub(super) fn page_with(runs: &[Summary], skipped: &[(PathBuf, String)]) -> String {
    let mut sorted: Vec<&Summary> = runs.iter().collect();
    sorted.sort_by_key(|run| {
        (rank(run.verdict), &run.experiment, words::mode(run.mode), &run.engine, run.seed)
    });
    let count = |verdict| runs.iter().filter(|run| run.verdict == verdict).count();
    let experiments: BTreeSet<&str> = runs.iter().map(|run| run.experiment.as_str()).collect();
    let body = html! {
        header {
            p.crumb { "steadfast lab" }
            h1 { "What holds, and what does not without it" }
            p.about {
                (several(runs.len(), "run")) " of " (several(experiments.len(), "experiment")) ". A run holds when every "
                "protected variant holds and every unprotected one is caught."
            }
            p.counts {
                @for verdict in [Verdict::Violated, Verdict::Unknown, Verdict::Holds] {
                    @if count(verdict) > 0 {
                        span class={ "badge " (class(verdict)) } {
                            (words::sign(verdict)) " " (count(verdict)) " " (verdict)
                        } " "
                    }
                }
            }
            label.filter hidden {
                "Filter "
                input type="search" placeholder="fencing real etcd" autocomplete="off";
            }
        }
        main {
            @if runs.is_empty() {
                p { "No runs yet. " code { "steadfast lab run fencing --report ." } " writes one." }
            }
            ul.cards { @for run in sorted { (card(run)) } }
            @if !skipped.is_empty() {
                section {
                    h2 { "Not shown" }
                    ul { @for (path, reason) in skipped {
                        li { code { (path.file_name().unwrap_or_default().to_string_lossy()) } ": " (reason) }
                    } }
                }
            }
        }
    };
    pages::document("steadfast lab: all runs", &body)
}

fn several(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Violated => 0,
        Verdict::Unknown => 1,
        Verdict::Holds => 2,
    }
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "good",
        Verdict::Violated => "bad",
        Verdict::Unknown => "open",
    }
}

fn card(run: &Summary) -> Markup {
    let engine = run.engine.as_deref().map(words::engine);
    let figures = key_figures(run);
    html! {
        li.card {
            p.top {
                span class={ "badge " (class(run.verdict)) } { (words::sign(run.verdict)) " " (run.verdict) }
                span.about {
                    (words::mode(run.mode))
                    @if let Some(engine) = engine { ", " (engine) }
                    ", seed " (run.seed)
                }
            }
            h2 { a href=(run.page()) { (run.experiment) } }
            p.title { (run.title) }
            @if run.verdict != Verdict::Holds { p.because { (words::sentence(&run.because)) } }
            (picture(run))
            div.scroll {
                table {
                    @if !figures.is_empty() {
                        thead { tr { td {} td {} @for name in &figures { th.number scope="col" { code { (name) } } } } }
                    }
                    tbody { @for variant in &run.variants {
                        tr {
                            th scope="row" { (variant.name) }
                            td.outcome { (outcome(variant)) }
                            @for name in &figures {
                                td.number {
                                    @if let Some(value) = variant.indicators.get(*name) { (value) } @else { "–" }
                                }
                            }
                        }
                    } }
                }
            }
        }
    }
}

fn outcome(variant: &VariantSummary) -> Markup {
    let class = match (variant.as_expected, variant.verdict) {
        (true, _) => "good",
        (false, Verdict::Unknown) => "open",
        (false, _) => "bad",
    };
    let word = words::outcome(variant.protected, variant.verdict, variant.left_out.is_some());
    html! { span class={ "badge " (class) } { (word) } }
}

/// The indicators that tell the variants apart: first those whose bound one variant keeps and another
/// does not, then the other bounds', then any.
fn key_figures(run: &Summary) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    let bounds = || run.variants.iter().flat_map(|variant| &variant.bounds);
    let splits = |name: &str| {
        let verdicts: Vec<Verdict> =
            bounds().filter(|bound| bound.indicator == name).map(|bound| bound.verdict).collect();
        verdicts.windows(2).any(|two| two[0] != two[1])
    };
    let telling = bounds().filter(|bound| splits(&bound.indicator));
    let bounded = telling.chain(bounds()).map(|bound| bound.indicator.as_str());
    let any = run.variants.iter().flat_map(|variant| variant.indicators.keys().map(String::as_str));
    for name in bounded.chain(any) {
        if names.len() < FIGURES_MAX && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The curve that differs most between the variants, else the first chart.
fn picture(run: &Summary) -> Markup {
    if let Some(curves) = telling_curves(run) {
        let points: Vec<(usize, &[(f64, f64)])> = curves
            .iter()
            .enumerate()
            .map(|(number, (_, curve))| (number, curve.points.as_slice()))
            .collect();
        let Some((_, first)) = curves.first() else { return html! {} };
        let title = match &first.name {
            name if *name == first.panel => format!("{name} over time"),
            name => format!("{}, {name}, over time", first.panel),
        };
        let names = curves.iter().map(|(name, _)| *name);
        return figure(&title, names, &points, (false, false));
    }
    let charts = || run.variants.iter().flat_map(|variant| &variant.seen.charts);
    let Some(first) = charts().next() else { return html! {} };
    let lines: Vec<_> = charts()
        .filter(|chart| chart.title == first.title)
        .flat_map(|chart| &chart.lines)
        .collect();
    let points: Vec<(usize, &[(f64, f64)])> = lines
        .iter()
        .take(8)
        .enumerate()
        .map(|(number, (_, points))| (number, points.0.as_slice()))
        .collect();
    figure(&first.title, lines.iter().take(8).map(|(name, _)| name.as_str()), &points, first.log)
}

fn figure<'a>(
    title: &str,
    names: impl Iterator<Item = &'a str>,
    curves: &[(usize, &[(f64, f64)])],
    log: (bool, bool),
) -> Markup {
    html! {
        figure {
            (spark(title, curves, log))
            figcaption {
                (title) ": "
                @for (number, name) in names.enumerate() {
                    span.legend {
                        svg width="14" height="8" aria-hidden="true" {
                            line class={ "curve c" (number % 8) } x1="1" x2="13" y1="4" y2="4" {}
                        }
                        " " (name)
                    } " "
                }
            }
        }
    }
}

/// One curve of each variant that has it: that with the largest difference of the means, measured by
/// the larger one.
fn telling_curves(run: &Summary) -> Option<Vec<(&str, &Curve)>> {
    let all = run.variants.iter().flat_map(|variant| &variant.seen.series);
    let mut best: Option<(f64, Vec<(&str, &Curve)>)> = None;
    for candidate in all.filter(|curve| curve.states.is_empty()) {
        let of: Vec<(&str, &Curve)> = run
            .variants
            .iter()
            .filter_map(|variant| {
                let same = |curve: &&Curve| {
                    (&curve.panel, &curve.name) == (&candidate.panel, &candidate.name)
                        && curve.states.is_empty()
                };
                Some((variant.name.as_str(), variant.seen.series.iter().find(same)?))
            })
            .collect();
        let means: Vec<f64> = of.iter().filter_map(|(_, curve)| mean(&curve.points)).collect();
        let most = means.iter().copied().fold(0.0, f64::max);
        let least = means.iter().copied().fold(f64::INFINITY, f64::min);
        let differ = if of.len() > 1 && most > 0.0 { (most - least) / most } else { 0.0 };
        if !means.is_empty() && best.as_ref().is_none_or(|(known, _)| differ > *known) {
            best = Some((differ, of));
        }
    }
    best.map(|(_, of)| of)
}

fn mean(points: &[(f64, f64)]) -> Option<f64> {
    let numbers: Vec<f64> =
        points.iter().map(|point| point.1).filter(|value| value.is_finite()).collect();
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
}
