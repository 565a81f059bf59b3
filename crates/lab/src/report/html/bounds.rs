//! What each variant was asked, and what it answered: a row for each model and bound.

use maud::{Markup, html};

use super::class;
use crate::Verdict;
use crate::report::draw::percent;
use crate::report::words::{self, BoundRow};
use crate::run::{BoundReport, Report};

/// The table of everything that the verdicts rest on, then the other figures.
pub(super) fn section(report: &Report) -> Markup {
    let variants = || report.variants.iter();
    let checks = words::checks(variants().map(|variant| &variant.checks));
    let bounds = words::bounds(variants().map(|variant| &variant.bounds));
    let others = words::free_indicators(variants().map(|variant| &variant.indicators), &bounds);
    html! {
        @if !checks.is_empty() || !bounds.is_empty() {
            section #asked {
                h2 { "What was asked of each variant" }
                div.scroll tabindex="0" {
                    table.matrix {
                        (head(report))
                        tbody {
                            @for (model, cells) in &checks {
                                tr {
                                    th scope="row" {
                                        "The history fits the model " code { (model) }
                                    }
                                    @for cell in cells {
                                        @match cell {
                                            Some(check) => {
                                                td class=(class(check.verdict)) {
                                                    span.value { (mark(check.verdict)) " " (check.verdict) }
                                                    span.about { (check.operations) " operations" }
                                                }
                                            }
                                            None => { td.none { "not asked" } }
                                        }
                                    }
                                }
                            }
                            @for row in &bounds { (bound_row(report, row)) }
                        }
                    }
                }
            }
        }
        @if !others.is_empty() {
            section #figures {
                h2 { "Other figures" }
                div.scroll tabindex="0" {
                    table.matrix {
                        (head(report))
                        tbody {
                            @for name in &others {
                                tr {
                                    (name_cell(report, name, None))
                                    @for variant in &report.variants {
                                        @match variant.indicators.get(*name) {
                                            Some(value) => { td { span.value { (value) } } }
                                            None => { td.none { "not measured" } }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn head(report: &Report) -> Markup {
    html! {
        thead { tr {
            td {}
            @for variant in &report.variants {
                th scope="col" {
                    (variant.name)
                    span.about { (words::protection(variant.protected)) }
                }
            }
        } }
    }
}

fn mark(verdict: Verdict) -> Markup {
    html! { span aria-hidden="true" { (words::sign(verdict)) } }
}

fn name_cell(report: &Report, indicator: &str, limit: Option<&str>) -> Markup {
    html! {
        th scope="row" {
            code { (indicator) }
            @if let Some(limit) = limit { " " span.limit { (limit) } }
            @if let Some(about) = words::about(report, indicator) { span.about { (about) } }
        }
    }
}

fn bound_row(report: &Report, row: &BoundRow<'_>) -> Markup {
    let limit = words::limit(row.at_least, row.at_most);
    // One scale for the row, so that the bars can be compared.
    let values = row.cells.iter().flatten().filter_map(|cell| cell.value).map(|it| it.value);
    let limits = [row.at_least, row.at_most].into_iter().flatten().map(|it| it.value);
    let most = values.chain(limits).filter(|value| value.is_finite()).fold(0.0, f64::max);
    html! {
        tr {
            (name_cell(report, row.indicator, Some(&limit)))
            @for (variant, cell) in report.variants.iter().zip(&row.cells) {
                @match (cell, variant.indicators.get(row.indicator)) {
                    (Some(bound), _) => {
                        td class=(class(bound.verdict)) {
                            span.value {
                                (mark(bound.verdict)) " "
                                @match bound.value {
                                    Some(value) => { (value) }
                                    None => { "not measured" }
                                }
                            }
                            (bar(bound, most))
                        }
                    }
                    (None, Some(value)) => { td.none { span.value { (value) } span.about { "not asked" } } }
                    (None, None) => { td.none { "not asked" } }
                }
            }
        }
    }
}

/// The value as a bar, the limits as marks on it.
fn bar(bound: &BoundReport, most: f64) -> Markup {
    let Some(value) = bound.value.map(|value| value.value).filter(|value| value.is_finite()) else {
        return html! {};
    };
    // A little room, so that a mark at the end is seen.
    let share = |value: f64| if most > 0.0 { value.max(0.0) / (1.04 * most) } else { 0.0 };
    let marks: Vec<f64> =
        [bound.at_least, bound.at_most].into_iter().flatten().map(|it| share(it.value)).collect();
    html! {
        svg.bar width="100%" height="12" role="img" {
            title { (words::relation(bound)) }
            rect.rail x="0" y="4" width="100%" height="4" rx="2" {}
            rect.fill x="0" y="4" width=(percent(share(value))) height="4" rx="2" {}
            @for place in marks {
                rect.mark x=(percent(place)) y="0" width="2" height="12" {}
            }
        }
    }
}
