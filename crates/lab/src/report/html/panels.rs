//! Curves over time: for each panel the variants side by side, on the same axes.

use maud::{Markup, html};

use super::{columns, variant_head};
use crate::observed::Series;
use crate::quantity::{Quantity, Unit};
use crate::report::draw::bands::{Lane, at_most, lanes, only_planned, shade};
use crate::report::draw::plot::{self, Curve, Frame, Row, States};
use crate::report::draw::scale::Axis;
use crate::report::words;
use crate::run::{Report, VariantReport};

/// How many lanes of faults stand under a picture. All of them are shown once, at the faults.
const LANES_MAX: usize = 6;
/// How many states of one curve have a row. The rest shares the last.
const STATES_MAX: usize = 12;

/// What shares a picture.
struct Panel<'a> {
    name: &'a str,
    /// The curves' unit; none for states.
    unit: Option<Unit>,
    /// The names of its curves, over all variants, in order of their first appearance.
    names: Vec<&'a str>,
    /// The upright axis, of all variants.
    y: Axis,
}

/// The end of the time axis, over all variants.
pub(super) fn end(report: &Report) -> f64 {
    let points = report
        .variants
        .iter()
        .flat_map(|variant| &variant.observed.series)
        .filter_map(|series| series.points.last())
        .map(|point| point.0);
    let last = points.filter(|at| at.is_finite()).fold(0.0, f64::max);
    // A last point that is late by a moment is no reason for a longer axis.
    if last > 1.01 * report.duration_s { last } else { report.duration_s }
}

pub(super) fn section(report: &Report) -> Markup {
    let panels = panels(report);
    if panels.is_empty() {
        return html! {};
    }
    let x = Axis::time(end(report));
    let lanes: Vec<Vec<Lane>> =
        report.variants.iter().map(|variant| lanes(variant, x.to)).collect();
    let gutter = gutter(report, &panels);
    html! {
        section #curves style={ "--gutter:" (gutter) "px" } {
            h2 { "Over time" }
            p.about {
                "The variants beside each other, on the same axes. Shaded: a fault was at work; which "
                "one stands under the axis. One that lasts from beginning to end is not shaded."
                @if report.variants.iter().any(only_planned) { " The faults are shown as planned." }
            }
            @for (number, panel) in panels.iter().enumerate() {
                (panel_of(report, panel, number, &x, &lanes))
            }
        }
    }
}

fn is_states(series: &Series) -> bool {
    !series.states.is_empty()
}

fn panels(report: &Report) -> Vec<Panel<'_>> {
    let mut panels: Vec<Panel<'_>> = Vec::new();
    let all = || report.variants.iter().flat_map(|variant| &variant.observed.series);
    for series in all().filter(|series| !series.points.is_empty()) {
        let unit = (!is_states(series)).then_some(series.unit);
        let known = panels.iter_mut().find(|it| it.name == series.panel && it.unit == unit);
        match known {
            Some(panel) if panel.names.contains(&series.name.as_str()) => {}
            Some(panel) => panel.names.push(&series.name),
            None => {
                let belongs = |it: &&Series| it.panel == series.panel && it.unit == series.unit;
                let values = all()
                    .filter(|it| !is_states(it))
                    .filter(belongs)
                    .flat_map(|it| it.points.iter().map(|point| point.1));
                panels.push(Panel {
                    name: &series.panel,
                    unit,
                    names: vec![&series.name],
                    y: Axis::upright(series.unit, values),
                });
            }
        }
    }
    // Pictures of one panel stand together, in the order of the panels.
    let order: Vec<&str> = panels.iter().map(|panel| panel.name).collect();
    panels.sort_by_key(|panel| order.iter().position(|name| *name == panel.name));
    panels
}

fn gutter(report: &Report, panels: &[Panel<'_>]) -> f64 {
    let ticks = panels
        .iter()
        .filter(|panel| panel.unit.is_some())
        .flat_map(|panel| panel.y.ticks.iter().map(|tick| tick.label.as_str()));
    let states = report
        .variants
        .iter()
        .flat_map(|variant| &variant.observed.series)
        .flat_map(|series| series.states.iter().map(String::as_str));
    plot::gutter(ticks.chain(states))
}

fn panel_of(
    report: &Report,
    panel: &Panel<'_>,
    number: usize,
    x: &Axis,
    lanes: &[Vec<Lane>],
) -> Markup {
    let pictures = html! {
        @for (place, (variant, lanes)) in report.variants.iter().zip(lanes).enumerate() {
            @if variant.left_out.is_none() {
                figure.twin {
                    (variant_head(variant))
                    (picture(panel, variant, format!("p{number}v{place}"), x, lanes))
                }
            }
        }
    };
    let ran = report.variants.iter().filter(|variant| variant.left_out.is_none()).count();
    html! {
        section.panel {
            h3 { (title(panel.name)) @if let Some(note) = note(panel) { " " small { (note) } } }
            @if panel.unit.is_some() { (keys(&panel.names)) }
            (columns(ran, &pictures))
            (figures(report, panel))
        }
    }
}

/// `lease_holder` as a heading.
fn title(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}", letters.as_str().replace('_', " "))
}

fn note(panel: &Panel<'_>) -> Option<&'static str> {
    match panel.unit? {
        _ if panel.y.log => Some("logarithmic"),
        Unit::Share => Some("share"),
        Unit::Rate => Some("a second"),
        Unit::Count | Unit::Time | Unit::Times => None,
    }
}

/// What the colours mean. With the script, a key switches its curve off.
pub(super) fn keys(names: &[&str]) -> Markup {
    html! {
        ul.keys {
            @for (number, name) in names.iter().enumerate() {
                li {
                    button.key type="button" data-curve=(number) aria-pressed="true" {
                        svg width="22" height="10" aria-hidden="true" {
                            line class={ "curve c" (number % 8) @if number >= 8 { " dashed" } }
                                x1="1" x2="21" y1="5" y2="5" {}
                        }
                        " " (name)
                    }
                }
            }
        }
    }
}

fn of<'a>(panel: &'a Panel<'_>, variant: &'a VariantReport) -> impl Iterator<Item = &'a Series> {
    variant.observed.series.iter().filter(|series| {
        series.panel == panel.name
            && panel.unit == (!is_states(series)).then_some(series.unit)
            && !series.points.is_empty()
    })
}

fn picture(
    panel: &Panel<'_>,
    variant: &VariantReport,
    id: String,
    x: &Axis,
    lanes: &[Lane],
) -> Markup {
    let series: Vec<&Series> = of(panel, variant).collect();
    if series.is_empty() {
        return html! { p.none { "Not measured in this variant." } };
    }
    let about: Vec<String> = series.iter().map(|series| in_words(series, x.to)).collect();
    let frame = Frame {
        id,
        title: format!("{}, {}", title(panel.name), variant.name),
        about: about.join(" "),
        x,
        x_name: None,
        shade: shade(lanes, x.to),
        lanes: at_most(lanes, LANES_MAX),
    };
    if panel.unit.is_none() {
        let several = series.len() > 1;
        let states: Vec<States> = series
            .iter()
            .map(|series| States {
                name: several.then(|| series.name.clone()),
                rows: rows(series, x.to),
            })
            .collect();
        return plot::states(&frame, &states);
    }
    let curves: Vec<Curve<'_>> = series
        .iter()
        .map(|series| Curve {
            name: &series.name,
            number: panel.names.iter().position(|name| *name == series.name).unwrap_or(0),
            points: &series.points,
            stepped: series.stepped,
            marked: false,
        })
        .collect();
    plot::curves(&frame, &panel.y, &curves)
}

/// The states that were held, each with its stretches of time.
fn rows(series: &Series, until: f64) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let names = series.states.len();
    for (number, label) in series.states.iter().enumerate() {
        let spans = held(series, number, until);
        if names <= STATES_MAX || rows.len() + 1 < STATES_MAX {
            // Of a long list only what occurred.
            if names <= STATES_MAX || !spans.is_empty() {
                rows.push(Row { label: label.clone(), number, spans });
            }
        } else if let Some(last) = rows.last_mut().filter(|row| row.label == "others") {
            last.spans.extend(spans);
        } else if !spans.is_empty() {
            rows.push(Row { label: "others".to_owned(), number, spans });
        }
    }
    for row in &mut rows {
        row.spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    rows
}

fn held(series: &Series, state: usize, until: f64) -> Vec<(f64, f64)> {
    let mut spans: Vec<(f64, f64)> = Vec::new();
    for (place, &(at, value)) in series.points.iter().enumerate() {
        if !(value.is_finite() && value.round() == state as f64) {
            continue;
        }
        let to = series.points.get(place + 1).map_or(until, |next| next.0).max(at);
        match spans.last_mut() {
            Some(last) if at <= last.1 => last.1 = to,
            _ => spans.push((at, to)),
        }
    }
    spans
}

fn seconds(spans: &[(f64, f64)]) -> f64 {
    spans.iter().map(|(from, to)| to - from).sum()
}

/// What a picture says to those who cannot see it.
fn in_words(series: &Series, until: f64) -> String {
    if is_states(series) {
        let states: Vec<String> = rows(series, until)
            .iter()
            .filter(|row| !row.spans.is_empty())
            .map(|row| format!("{} for {}", row.label, words::length(seconds(&row.spans))))
            .collect();
        return format!("{}: {}.", series.name, states.join(", "));
    }
    let Some(range) = Range::of(series) else {
        return format!("{}: no values.", series.name);
    };
    let show = |value| Quantity { value, unit: series.unit };
    format!(
        "{}: from {} to {}, {} in the mean, highest at {}.",
        series.name,
        show(range.least),
        show(range.most),
        show(range.mean),
        words::length(range.most_at)
    )
}

struct Range {
    least: f64,
    mean: f64,
    most: f64,
    most_at: f64,
    last: f64,
}

impl Range {
    fn of(series: &Series) -> Option<Self> {
        let numbers: Vec<(f64, f64)> =
            series.points.iter().copied().filter(|point| point.1.is_finite()).collect();
        let first = numbers.first()?;
        let mut range =
            Self { least: first.1, mean: 0.0, most: first.1, most_at: first.0, last: first.1 };
        for &(at, value) in &numbers {
            range.least = range.least.min(value);
            range.mean += value / numbers.len() as f64;
            range.last = value;
            if value > range.most {
                (range.most, range.most_at) = (value, at);
            }
        }
        Some(range)
    }
}

/// The figures of a picture, as a table.
fn figures(report: &Report, panel: &Panel<'_>) -> Markup {
    let until = end(report);
    let rows_of = |variant: &VariantReport| -> Vec<Vec<String>> {
        of(panel, variant)
            .flat_map(|series| -> Vec<Vec<String>> {
                let name = series.name.clone();
                if panel.unit.is_none() {
                    let line = |row: &Row| {
                        let (time, times) = (seconds(&row.spans), row.spans.len().to_string());
                        vec![name.clone(), row.label.clone(), words::length(time), times]
                    };
                    return rows(series, until).iter().map(line).collect();
                }
                let show = |value| Quantity { value, unit: series.unit }.to_string();
                Range::of(series).map_or_else(Vec::new, |range| {
                    let Range { least, mean, most, most_at, last } = range;
                    let at = words::length(most_at);
                    vec![vec![name, show(least), show(mean), show(most), at, show(last)]]
                })
            })
            .collect()
    };
    let head: &[&str] = if panel.unit.is_none() {
        &["curve", "state", "held for", "times"]
    } else {
        &["curve", "lowest", "mean of points", "highest", "at", "last"]
    };
    html! {
        details {
            summary { "The same in figures" }
            div.scroll tabindex="0" {
                table {
                    thead { tr { th scope="col" { "variant" } @for name in head { th scope="col" { (name) } } } }
                    tbody {
                        @for variant in &report.variants {
                            @for row in rows_of(variant) {
                                tr {
                                    th scope="row" { (variant.name) }
                                    @for cell in row { td { (cell) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
