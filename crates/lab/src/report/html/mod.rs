//! A run as one page: everything is inside, nothing is fetched.
//!
//! What is most wanted comes first: the verdict with its reason, then what each variant was asked
//! and what it answered, then the curves of the broken twin beside the protected one on the same
//! axes, over the faults that both were given; then the evidence in detail.
//!
//! Every text goes through `maud`, which escapes it. Besides, a content security policy in the page
//! forbids every request, so that even a mistake here could send nothing anywhere.

mod bounds;
mod charts;
mod checks;
mod faults;
mod panels;
mod verdict;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::words;
use crate::run::Report;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// What the page may do: show its own styles, and run its own script. No request at all.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      base-uri 'none'; form-action 'none'";

/// Files that lie beside a page, by name.
struct Beside<'a> {
    json: &'a str,
    histories: &'a [String],
}

/// A run as a page by itself.
#[must_use]
pub fn page(report: &Report) -> String {
    whole(report, None)
}

/// The same with links to the files that lie beside it.
pub(super) fn page_beside(report: &Report, json: &str, histories: &[String]) -> String {
    whole(report, Some(&Beside { json, histories }))
}

fn whole(report: &Report, beside: Option<&Beside<'_>>) -> String {
    let title = format!("{}: {}", report.experiment, report.verdict);
    let body = html! {
        header { (verdict::header(report, beside.is_some())) }
        main {
            (bounds::section(report))
            (panels::section(report))
            (charts::section(report))
            (checks::section(report))
            (charts::tables(report))
            (charts::notes(report))
            (faults::section(report))
            (verdict::facts(report, beside))
        }
    };
    document(&title, &body)
}

/// A page around a body; the gallery has the same.
pub(super) fn document(title: &str, body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (body)
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
    .into_string()
}

/// A badge with a verdict's colour.
fn badge(class: &str, text: &str) -> Markup {
    html! { span class={ "badge " (class) } { (text) } }
}

/// The class of something that went as it should, did not, or was not found out.
fn class(verdict: crate::Verdict) -> &'static str {
    match verdict {
        crate::Verdict::Holds => "good",
        crate::Verdict::Violated => "bad",
        crate::Verdict::Unknown => "open",
    }
}

/// The same of a variant: one that was to be caught and was is fine.
fn variant_class(variant: &crate::run::VariantReport) -> &'static str {
    match (variant.as_expected, variant.verdict) {
        (true, _) => "good",
        (false, crate::Verdict::Unknown) => "open",
        (false, _) => "bad",
    }
}

/// A variant's name with what came of it, over a picture or a table of its own.
fn variant_head(variant: &crate::run::VariantReport) -> Markup {
    html! {
        h4.variant {
            (variant.name) " "
            (badge(variant_class(variant), &said(variant)))
        }
    }
}

/// `unprotected, caught`.
fn said(variant: &crate::run::VariantReport) -> String {
    format!("{}, {}", words::protection(variant.protected), words::outcome_of(variant))
}

/// A grid with a column for each variant, as far as there is room.
fn columns(count: usize, inner: &Markup) -> Markup {
    // Four are two rows of two, five and six are two rows of three.
    let class = if count > 4 { 3 } else { count.max(1) };
    html! { div class={ "columns n" (class) } { (inner) } }
}
