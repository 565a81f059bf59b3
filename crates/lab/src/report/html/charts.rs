//! Figures against something else than time, figures in rows, and what else is to be said.

use maud::{Markup, html};

use super::panels::keys;
use super::{columns, variant_head};
use crate::limits::PAGE_ROWS_MAX;
use crate::observed::{Chart, Table};
use crate::report::draw::plot::{self, Curve, Frame};
use crate::report::draw::scale::Axis;
use crate::run::{Report, VariantReport};

/// Up to so many lines of all variants share one picture.
const SHARED_LINES_MAX: usize = 6;
/// Up to so many points of a line are marked each.
const MARKS_MAX: usize = 40;

/// A chart of all the variants that have it.
struct Group<'a> {
    title: &'a str,
    of: Vec<(&'a VariantReport, &'a Chart)>,
}

pub(super) fn section(report: &Report) -> Markup {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for variant in &report.variants {
        for chart in &variant.observed.charts {
            match groups.iter_mut().find(|group| group.title == chart.title) {
                Some(group) => group.of.push((variant, chart)),
                None => groups.push(Group { title: &chart.title, of: vec![(variant, chart)] }),
            }
        }
    }
    html! {
        @if !groups.is_empty() {
            section #charts {
                h2 { "Charts" }
                @for (number, group) in groups.iter().enumerate() { (one(group, number)) }
            }
        }
    }
}

fn one(group: &Group<'_>, number: usize) -> Markup {
    let Some((_, first)) = group.of.first() else { return html! {} };
    let lines = || group.of.iter().flat_map(|(_, chart)| &chart.lines);
    let points = || lines().flat_map(|(_, points)| points.iter());
    let x = Axis::chart(first.log.0, false, points().map(|point| point.0));
    let y = Axis::chart(first.log.1, true, points().map(|point| point.1));
    let shared = group.of.len() > 1 && lines().count() <= SHARED_LINES_MAX;
    // A line of its variant, when all are in one picture.
    let label = |variant: &VariantReport, chart: &Chart, line: &str| match shared {
        false => line.to_owned(),
        true if chart.lines.len() == 1 => variant.name.clone(),
        true => format!("{}: {line}", variant.name),
    };
    let mut names: Vec<String> = Vec::new();
    for (variant, chart) in &group.of {
        for (line, _) in &chart.lines {
            let name = label(variant, chart, line);
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let place_of = |name: &str| names.iter().position(|known| known == name).unwrap_or(0);
    let draw = |of: &[(&VariantReport, &Chart)], id: String| {
        let named: Vec<(String, &Vec<(f64, f64)>)> = of
            .iter()
            .flat_map(|(variant, chart)| {
                chart.lines.iter().map(|(line, points)| (label(variant, chart, line), points))
            })
            .collect();
        let curves: Vec<Curve<'_>> = named
            .iter()
            .map(|(name, points)| Curve {
                name,
                number: place_of(name),
                points,
                stepped: false,
                marked: points.len() <= MARKS_MAX,
            })
            .collect();
        let frame = Frame {
            id,
            title: format!("{}: {} against {}", first.title, first.y, first.x),
            about: format!("{} lines; the table has their points.", curves.len()),
            x: &x,
            x_name: Some(&first.x),
            shade: Vec::new(),
            lanes: Vec::new(),
        };
        plot::curves(&frame, &y, &curves)
    };
    let gutter = plot::gutter(y.ticks.iter().map(|tick| tick.label.as_str()));
    let named: Vec<&str> = names.iter().map(String::as_str).collect();
    html! {
        section.panel style={ "--gutter:" (gutter) "px" } {
            h3 { (group.title) " " small { (first.y) @if first.log.1 { ", logarithmic" } } }
            (keys(&named))
            @if shared {
                figure.wide { (draw(&group.of, format!("c{number}"))) }
            } @else {
                (columns(group.of.len(), &html! {
                    @for (place, (variant, chart)) in group.of.iter().enumerate() {
                        figure.twin {
                            (variant_head(variant))
                            (draw(&[(*variant, *chart)], format!("c{number}v{place}")))
                        }
                    }
                }))
            }
            details {
                summary { "The same in figures" }
                (rows(
                    &["variant", "line", &first.x, &first.y],
                    group.of.iter().flat_map(|(variant, chart)| {
                        chart.lines.iter().flat_map(move |(line, points)| {
                            points.iter().map(move |(x, y)| {
                                vec![variant.name.clone(), line.clone(), plain(*x), plain(*y)]
                            })
                        })
                    }),
                ))
            }
        }
    }
}

/// Four digits that matter.
fn plain(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let places = usize::try_from(3 - value.abs().log10().floor() as i64).unwrap_or(0);
    let text = format!("{value:.places$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

fn rows(head: &[&str], all: impl Iterator<Item = Vec<String>>) -> Markup {
    let all: Vec<Vec<String>> = all.collect();
    let numbers: Vec<bool> =
        (0..head.len()).map(|at| all.iter().filter_map(|row| row.get(at)).all(is_number)).collect();
    let is_number = |at: usize| numbers.get(at).copied().unwrap_or_default();
    html! {
        div.scroll tabindex="0" {
            table {
                thead { tr { @for (at, name) in head.iter().enumerate() {
                    th.number[is_number(at)] scope="col" { (name) }
                } } }
                tbody {
                    @for row in all.iter().take(PAGE_ROWS_MAX) {
                        tr { @for (at, cell) in row.iter().enumerate() {
                            td.number[is_number(at)] { (cell) }
                        } }
                    }
                }
            }
        }
        @if all.len() > PAGE_ROWS_MAX {
            p.about { "And " (all.len() - PAGE_ROWS_MAX) " more rows, in the JSON." }
        }
    }
}

/// Whether a cell is a number with a short unit, or nothing; a column of them is set to the right.
fn is_number(cell: impl AsRef<str>) -> bool {
    let cell = cell.as_ref().trim();
    let number = cell.trim_start_matches(['-', '+', '≤', '≥', '<', '>', '~', ' ']);
    matches!(cell, "" | "-" | "–")
        || (number.starts_with(|c: char| c.is_ascii_digit()) && number.chars().count() <= 14)
}

/// The tables, each with its variant; one that all variants have alike stands once.
pub(super) fn tables(report: &Report) -> Markup {
    let mut tables: Vec<(Vec<&VariantReport>, &Table)> = Vec::new();
    for variant in &report.variants {
        for table in &variant.observed.tables {
            match tables.iter_mut().find(|(_, known)| *known == table) {
                Some((of, _)) => of.push(variant),
                None => tables.push((vec![variant], table)),
            }
        }
    }
    // The variants' tables of one title stand one after the other.
    let titles: Vec<&str> = tables.iter().map(|(_, table)| table.title.as_str()).collect();
    tables.sort_by_key(|(_, table)| titles.iter().position(|title| *title == table.title));
    html! {
        @if !tables.is_empty() {
            section #tables {
                h2 { "Tables" }
                @for (of, table) in &tables {
                    h3 {
                        (table.title)
                        @if of.len() < report.variants.len() {
                            " " small {
                                @for (number, variant) in of.iter().enumerate() {
                                    @if number > 0 { ", " }
                                    (variant.name)
                                }
                            }
                        }
                    }
                    @let head: Vec<&str> = table.head.iter().map(String::as_str).collect();
                    (rows(&head, table.rows.iter().cloned()))
                }
            }
        }
    }
}

/// What the systems had to say.
pub(super) fn notes(report: &Report) -> Markup {
    if report.variants.iter().all(|variant| variant.observed.notes.is_empty()) {
        return html! {};
    }
    html! {
        section #notes {
            h2 { "Notes" }
            @for variant in &report.variants {
                @if !variant.observed.notes.is_empty() {
                    (variant_head(variant))
                    ul { @for note in &variant.observed.notes { li { (note) } } }
                }
            }
        }
    }
}
