//! Histories against models, and the piece that does not fit.

use maud::{Markup, html};

use super::{badge, class, variant_head};
use crate::limits::PAGE_ROWS_MAX;
use crate::report::draw::cut;
use crate::report::draw::spacetime::{Bar, End, bars, diagram, shown, the_key, time};
use crate::report::words;
use crate::run::{CheckReport, Report};

pub(super) fn section(report: &Report) -> Markup {
    if report.variants.iter().all(|variant| variant.checks.is_empty()) {
        return html! {};
    }
    html! {
        section #checks {
            h2 { "Histories" }
            p.about {
                "What clients did and heard, and nothing that the system says about itself, held "
                "against the model."
            }
            @for (place, variant) in report.variants.iter().enumerate() {
                @if !variant.checks.is_empty() {
                    (variant_head(variant))
                    @for (number, check) in variant.checks.iter().enumerate() {
                        (one(check, &format!("h{place}c{number}")))
                    }
                }
            }
        }
    }
}

fn one(check: &CheckReport, id: &str) -> Markup {
    html! {
        p {
            code { (check.model) } ": " (badge(class(check.verdict), &check.verdict.to_string()))
            " over " (check.operations) " operations."
        }
        @if let Some(piece) = &check.piece { p.what { (words::sentence(&piece.what)) } }
        @if let Some(piece) = check.piece.as_ref().filter(|piece| !piece.events.is_empty()) {
            @let bars = bars(&piece.events);
            @let about = in_words(&bars);
            @let title = format!("A piece of the history that does not fit {}", check.model);
            @let (picture, left) = diagram(id, &title, &about, &bars);
            figure.piece {
                div.scroll tabindex="0" { (picture) }
                figcaption {
                    @if let Some(key) = the_key(&bars) { "All of " code { (cut(key, 60)) } ". " }
                    "A column for each event, in their order; the times under them are not to scale."
                    @if bars.iter().any(|bar| bar.end == End::Fail) {
                        " Grey, with ✗: refused, without effect."
                    }
                    @if bars.iter().any(|bar| bar.end == End::Open) {
                        " Dashed, with ?: no answer here, so it may have happened at any later time."
                    }
                    @if left > 0 { " The last " (left) " operations are in the table only." }
                }
            }
            details {
                summary { "The same as a table" }
                (table(&bars))
            }
        }
    }
}

fn in_words(bars: &[Bar]) -> String {
    let some: Vec<String> = bars
        .iter()
        .take(20)
        .map(|bar| format!("process {} {} from {}", bar.process, bar.label, time(bar.began)))
        .collect();
    some.join("; ")
}

fn table(bars: &[Bar]) -> Markup {
    let head = ["process", "operation", "key", "argument", "answer", "outcome", "from", "to"];
    html! {
        div.scroll tabindex="0" {
            table {
                thead { tr { @for name in head { th scope="col" { (name) } } } }
                tbody {
                    @for bar in bars.iter().take(PAGE_ROWS_MAX) {
                        tr {
                            td.number { (bar.process) }
                            td { (bar.what) }
                            td { (bar.key.as_deref().unwrap_or("")) }
                            td { code { (shown(&bar.argument)) } }
                            td { @if let Some(answer) = &bar.answer { code { (shown(answer)) } } }
                            td {
                                (match bar.end { End::Ok => "ok", End::Fail => "failed", End::Open => "unknown" })
                                @if let Some(error) = &bar.error { ": " (error) }
                            }
                            td.number { (time(bar.began)) }
                            td.number { @if let Some(at) = bar.ended { (time(at)) } }
                        }
                    }
                }
            }
        }
        @if bars.len() > PAGE_ROWS_MAX {
            p.about { "And " (bars.len() - PAGE_ROWS_MAX) " more, in the JSON." }
        }
    }
}
