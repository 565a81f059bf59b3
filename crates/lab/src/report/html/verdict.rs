//! The verdict, and how the run is repeated.

use maud::{Markup, html};

use super::{Beside, badge, class, said, variant_class};
use crate::Verdict;
use crate::report::words;
use crate::run::{Campaign, Mode, Report};

/// The verdict, big, with its reason, and the claim that was tried.
pub(super) fn header(report: &Report, has_gallery: bool) -> Markup {
    let word = match report.verdict {
        Verdict::Holds => "Holds",
        Verdict::Violated => "Violated",
        Verdict::Unknown => "Unknown",
    };
    html! {
        p.crumb {
            @if has_gallery { a href="index.html" { "All runs" } " / " }
            span.name { (report.experiment) }
        }
        h1 { (report.title) }
        div class={ "verdict " (class(report.verdict)) } {
            p.word { span aria-hidden="true" { (words::sign(report.verdict)) " " } (word) }
            p.because { (words::sentence(&report.because)) }
        }
        blockquote.claim {
            p { (report.claim) }
            @if !report.source.is_empty() { footer { "Source: " (report.source) } }
        }
        dl.short {
            div { dt { "Mode" } dd { (mode(report)) } }
            div { dt { "Seed" } dd { (report.seed) } }
            div { dt { "Duration" } dd { (words::length(report.duration_s)) " each" } }
            div { dt { "Speed" } dd { (words::speed(report.speed)) " real time" } }
            div { dt { "System" } dd { (report.system) } }
        }
        p.label { "Run it again" }
        (command(&report.command))
        ul.variants {
            @for variant in &report.variants {
                li {
                    p { b { (variant.name) } " " (badge(variant_class(variant), &said(variant))) }
                    p.about { (variant.about) }
                    @if let Some(reason) = &variant.left_out { p.about { "Not run: " (reason) } }
                }
            }
        }
        @if let Some(campaign) = &report.campaign { (score(campaign)) }
    }
}

fn mode(report: &Report) -> String {
    match &report.engine {
        Some(engine) => format!("{}, {engine}", words::mode(report.mode)),
        None => words::mode(report.mode).to_owned(),
    }
}

fn command(command: &str) -> Markup {
    html! {
        div.command {
            code tabindex="0" { (command) }
            button.copy type="button" hidden { "Copy" }
        }
    }
}

fn score(campaign: &Campaign) -> Markup {
    let last = campaign.first_seed + campaign.seeds.saturating_sub(1);
    html! {
        section {
            h2 { "Over " (campaign.seeds) " seeds" }
            p.about {
                "Seeds " (campaign.first_seed) " to " (last) "; everything else on this page is of one "
                "of them. "
                @if campaign.failed.is_empty() { "Each went as expected." } @else {
                    "Not as expected: "
                    @for (number, seed) in campaign.failed.iter().take(20).enumerate() {
                        @if number > 0 { ", " } (seed)
                    }
                    @if campaign.failed.len() > 20 { ", and " (campaign.failed.len() - 20) " more" }
                    "."
                }
            }
            div.scroll tabindex="0" {
                table {
                    thead { tr {
                        th scope="col" { "variant" } th.number scope="col" { "holds" }
                        th.number scope="col" { "violated" } th.number scope="col" { "unknown" }
                        th.number scope="col" { "seeds to detect" }
                    } }
                    tbody {
                        @for score in &campaign.variants {
                            tr {
                                th scope="row" { (score.name) " " span.about { (words::protection(score.protected)) } }
                                td.number { (score.holds) } td.number { (score.violated) }
                                td.number { (score.unknown) }
                                td.number {
                                    @match score.seeds_to_detect {
                                        Some(seeds) => { (format!("{seeds:.2}")) }
                                        None => { "–" }
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

/// How it ran, at the end of the page.
pub(super) fn facts(report: &Report, beside: Option<&Beside<'_>>) -> Markup {
    let simulated = report.mode == Mode::Simulated;
    html! {
        section #run {
            h2 { "This run" }
            p {
                "The system " b { (report.system) } ", " (report.variants.len()) " variants of "
                (words::length(report.duration_s)) " each, in " (words::length(report.wall_s))
                @if simulated {
                    " of real time: " (words::speed(report.speed)) ". The same seed gives the same "
                    "history, byte for byte."
                } @else {
                    ". Real processes: the same seed gives the same faults at the same times, and not "
                    "the same history."
                }
            }
            @if let Some(beside) = beside {
                p {
                    "The same as JSON: " a href=(beside.json) { (beside.json) } "."
                    @if !beside.histories.is_empty() {
                        " The histories: "
                        @for (number, name) in beside.histories.iter().enumerate() {
                            @if number > 0 { ", " }
                            a href=(name) { (name) }
                        }
                        "."
                    }
                }
            }
        }
    }
}
