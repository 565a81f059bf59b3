//! What went wrong, and when.

use std::time::Duration;

use maud::{Markup, html};

use super::{columns, panels, variant_head};
use crate::fault::{Fault, Planned};
use crate::limits::PAGE_ROWS_MAX;
use crate::quantity::Quantity;
use crate::report::draw::bands::{Lane, at_most, lanes, only_planned};
use crate::report::draw::plot::{self, Frame};
use crate::report::draw::scale::Axis;
use crate::report::words;
use crate::run::{Report, VariantReport};

/// How many lanes a picture of faults has at most.
const LANES_MAX: usize = 16;

pub(super) fn section(report: &Report) -> Markup {
    let x = Axis::time(panels::end(report));
    let ran: Vec<&VariantReport> =
        report.variants.iter().filter(|variant| variant.left_out.is_none()).collect();
    let all: Vec<Vec<Lane>> = ran.iter().map(|variant| lanes(variant, x.to)).collect();
    let Some(first) = ran.first() else { return html! {} };
    let same_lanes = all.windows(2).all(|two| two[0] == two[1]);
    let same_plan = ran.windows(2).all(|two| two[0].schedule == two[1].schedule);
    if all.iter().all(Vec::is_empty) && ran.iter().all(|variant| variant.schedule.is_empty()) {
        return html! {
            section #faults { h2 { "Faults" } p { "None: nothing was made to go wrong." } }
        };
    }
    html! {
        section #faults style="--gutter:16px" {
            h2 { "Faults" }
            p.about {
                @if same_plan {
                    "Every variant was given the same faults at the same times."
                } @else {
                    "Each variant was given its own faults."
                }
                @if ran.iter().any(|variant| only_planned(variant)) { " The picture shows them as planned." }
            }
            @if same_lanes {
                figure.wide { (picture(first, &all[0], 0, &x)) }
            } @else {
                (columns(ran.len(), &html! {
                    @for (place, (variant, lanes)) in ran.iter().zip(&all).enumerate() {
                        figure.twin { (variant_head(variant)) (picture(variant, lanes, place, &x)) }
                    }
                }))
            }
            @if same_plan {
                (table(&first.schedule))
            } @else {
                @for variant in &ran { (variant_head(variant)) (table(&variant.schedule)) }
            }
        }
    }
}

fn picture(variant: &VariantReport, lanes: &[Lane], place: usize, x: &Axis) -> Markup {
    if lanes.is_empty() {
        return html! { p.none { "None was at work." } };
    }
    let about: Vec<String> = lanes
        .iter()
        .take(20)
        .map(|lane| {
            let first = lane.spans.first().map_or(0.0, |span| span.0);
            format!("{}: {} times, first at {}", lane.label, lane.spans.len(), words::length(first))
        })
        .collect();
    plot::lanes_only(&Frame {
        id: format!("f{place}"),
        title: format!("Faults over time, {}", variant.name),
        about: about.join("; "),
        x,
        x_name: None,
        shade: Vec::new(),
        lanes: at_most(lanes, LANES_MAX),
    })
}

fn table(schedule: &[Planned]) -> Markup {
    if schedule.is_empty() {
        return html! {};
    }
    html! {
        details open[schedule.len() <= 12] {
            summary { "The schedule: " (schedule.len()) @if schedule.len() == 1 { " fault" } @else { " faults" } }
            div.scroll tabindex="0" {
                table {
                    thead { tr {
                        th.number scope="col" { "at" } th.number scope="col" { "for" }
                        th scope="col" { "fault" } th scope="col" { "how" }
                    } }
                    tbody {
                        @for planned in schedule.iter().take(PAGE_ROWS_MAX) {
                            tr {
                                td.number { (time(planned.at)) }
                                td.number {
                                    @match planned.length {
                                        Some(length) => { (time(length)) }
                                        None => { "to the end" }
                                    }
                                }
                                td { (planned.fault) }
                                td { (details(&planned.fault)) }
                            }
                        }
                    }
                }
            }
            @if schedule.len() > PAGE_ROWS_MAX {
                p.about { "And " (schedule.len() - PAGE_ROWS_MAX) " more, in the JSON." }
            }
        }
    }
}

fn time(length: Duration) -> String {
    if length.is_zero() { "0".to_owned() } else { Quantity::time(length).to_string() }
}

/// What a fault does, in words; what it leaves alone is not said.
fn details(fault: &Fault) -> String {
    let mut all: Vec<String> = Vec::new();
    match fault {
        Fault::Link { link, .. } => {
            lasting(&mut all, "delay", link.delay);
            lasting(&mut all, "jitter", link.jitter);
            shares(
                &mut all,
                &[("loss", link.loss), ("duplicates", link.duplicate), ("reordered", link.reorder)],
            );
            all.extend(link.bandwidth.map(|bytes| format!("{bytes} bytes a second")));
        }
        Fault::Partition { one_way, .. } => {
            all.push(if *one_way { "one way" } else { "both ways" }.to_owned());
        }
        Fault::Http { http, .. } => {
            lasting(&mut all, "latency", http.latency);
            lasting(&mut all, "jitter", http.jitter);
            if http.share > 0.0 {
                all.push(format!("{} answered with {}", Quantity::share(http.share), http.status));
            }
            shares(&mut all, &[("replies lost", http.lost_replies)]);
        }
        Fault::Pause { .. } => all.push("stands still".to_owned()),
        Fault::Kill { .. } => all.push("ends at once".to_owned()),
        Fault::Clock { clock, .. } => {
            if clock.jump_micros != 0 {
                let sign = if clock.jump_micros < 0 { '-' } else { '+' };
                let jump = Duration::from_micros(clock.jump_micros.unsigned_abs());
                all.push(format!("jumps by {sign}{}", time(jump)));
            }
            if clock.drift_ppm != 0 {
                all.push(format!("drifts by {:+} ppm", clock.drift_ppm));
            }
            all.extend(clock.error.map(|error| format!("admits an error of {}", time(error))));
        }
        Fault::Disk { disk, .. } => {
            lasting(&mut all, "delay", disk.delay);
            if disk.full {
                all.push("full".to_owned());
            }
            shares(
                &mut all,
                &[("syncs failed", disk.failed_syncs), ("syncs lost", disk.lost_syncs)],
            );
        }
        Fault::Lie { share, .. } => shares(&mut all, &[("answers not true", *share)]),
    }
    all.join(", ")
}

fn lasting(all: &mut Vec<String>, what: &str, length: Duration) {
    if !length.is_zero() {
        all.push(format!("{what} {}", time(length)));
    }
}

fn shares(all: &mut Vec<String>, shares: &[(&str, f64)]) {
    let some = shares.iter().filter(|(_, share)| *share > 0.0);
    all.extend(some.map(|(what, share)| format!("{what} {}", Quantity::share(*share))));
}
