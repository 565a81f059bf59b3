//! One plot: an upright axis or rows of states, a shade for the faults, their lanes under the axis.

use maud::{Markup, html};

use super::bands::Lane;
use super::curve::{HEIGHT, WIDTH, path, strokes};
use super::scale::Axis;
use super::{cut, percent, text_width};
use crate::quantity::Unit;

/// Height of the part with curves, in pixels.
const CURVES_HEIGHT: f64 = 150.0;
/// Height of one row of states.
const ROW_HEIGHT: f64 = 17.0;
/// Height of the name over the rows of one curve of states.
const NAME_HEIGHT: f64 = 18.0;
/// Height of one lane of faults: its label, and the stroke under it.
const LANE_HEIGHT: f64 = 21.0;
/// Room for the labels of the axis under the plot.
const AXIS_HEIGHT: f64 = 26.0;
/// Room over the plot: half a label.
const TOP: f64 = 8.0;

/// What all kinds of plots have.
pub(crate) struct Frame<'a> {
    /// Its name in the page; begins with a letter.
    pub(crate) id: String,
    /// What it shows, for those who cannot see it.
    pub(crate) title: String,
    /// What is to be seen on it, in words.
    pub(crate) about: String,
    /// The axis at the bottom.
    pub(crate) x: &'a Axis,
    /// What the axis at the bottom is called, unless it is time.
    pub(crate) x_name: Option<&'a str>,
    /// When something was wrong.
    pub(crate) shade: Vec<(f64, f64)>,
    /// What was wrong.
    pub(crate) lanes: Vec<Lane>,
}

/// A curve.
pub(crate) struct Curve<'a> {
    /// What it shows.
    pub(crate) name: &'a str,
    /// Its colour, and its number among the keys of its panel.
    pub(crate) number: usize,
    /// Its points.
    pub(crate) points: &'a [(f64, f64)],
    /// Whether a value is held until the next.
    pub(crate) stepped: bool,
    /// Whether each point is marked.
    pub(crate) marked: bool,
}

/// The rows of one curve of states.
pub(crate) struct States {
    /// Whose states; not said when it is the only one.
    pub(crate) name: Option<String>,
    /// Each state, with the time that it was held.
    pub(crate) rows: Vec<Row>,
}

/// One state.
pub(crate) struct Row {
    /// What it is.
    pub(crate) label: String,
    /// Its colour.
    pub(crate) number: usize,
    /// When it was held.
    pub(crate) spans: Vec<(f64, f64)>,
}

/// Curves on an upright axis.
pub(crate) fn curves(frame: &Frame<'_>, y: &Axis, curves: &[Curve<'_>]) -> Markup {
    let at = |place: f64| TOP + (1.0 - place) * CURVES_HEIGHT;
    let inner = html! {
        @for tick in &y.ticks {
            line class="grid" x1="0" x2="100%" y1=(at(tick.place)) y2=(at(tick.place)) {}
            text class="tick end" x="-7" y=(at(tick.place) + 4.0) { (tick.label) }
        }
        svg class="curves" x="0" y=(TOP) width="100%" height=(CURVES_HEIGHT)
            viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none"
        {
            @for curve in curves {
                path class={ "curve c" (curve.number % 8) @if curve.number >= 8 { " dashed" } }
                    data-curve=(curve.number) data-name=(curve.name) data-stepped[curve.stepped]
                    d=(path(curve.points, frame.x, y, curve.stepped.then_some(frame.x.to))) {}
            }
        }
        @for curve in curves.iter().filter(|curve| curve.marked) {
            @for &(x, value) in curve.points {
                @if x.is_finite() && value.is_finite() {
                    circle class={ "mark c" (curve.number % 8) } data-curve=(curve.number) r="2.6"
                        cx=(percent(frame.x.place(x))) cy=(at(y.place(value))) {}
                }
            }
        }
    };
    framed(frame, Some(y), CURVES_HEIGHT, &inner)
}

/// Rows of states, one above the other.
pub(crate) fn states(frame: &Frame<'_>, all: &[States]) -> Markup {
    let height_of = |states: &States| {
        states.rows.len() as f64 * ROW_HEIGHT
            + if states.name.is_some() { NAME_HEIGHT } else { 0.0 }
    };
    let height = all.iter().map(height_of).sum::<f64>().max(ROW_HEIGHT);
    let tops = all.iter().scan(TOP, |next, states| {
        let top = *next;
        *next += height_of(states);
        Some(top)
    });
    let inner = html! {
        @for (states, top) in all.iter().zip(tops) {
            @let first = top + if states.name.is_some() { NAME_HEIGHT } else { 0.0 };
            @if let Some(name) = &states.name {
                text class="lane-name" x="4" y=(top + 13.0) { (fitted(name, 40)) }
            }
            @for (number, row) in states.rows.iter().enumerate() {
                @let middle = first + (number as f64 + 0.5) * ROW_HEIGHT;
                line class="grid" x1="0" x2="100%" y1=(middle) y2=(middle) {}
                text class="tick end" x="-7" y=(middle + 4.0) { (fitted(&row.label, ROW_LABEL_CHARS)) }
                svg class="curves" x="0" y=(middle) width="100%" height="1"
                    viewBox={ "0 0 " (WIDTH) " 1" } preserveAspectRatio="none"
                {
                    path class={ "state s" (row.number % 8) } d=(strokes(&row.spans, frame.x))
                        data-state=(row.label) data-of=[states.name.as_deref()] {}
                }
            }
        }
    };
    framed(frame, None, height, &inner)
}

/// Only the lanes of faults, on their own time axis.
pub(crate) fn lanes_only(frame: &Frame<'_>) -> Markup {
    framed(frame, None, 0.0, &html! {})
}

/// The longest label of a row of states, in characters.
const ROW_LABEL_CHARS: usize = 15;

/// A label of at most so many characters; a longer one is cut, and says all when it is pointed at.
fn fitted(label: &str, most: usize) -> Markup {
    let shown = cut(label, most);
    html! { @if shown != label { title { (label) } } (shown) }
}

/// How much room the labels at the left take, in pixels.
pub(crate) fn gutter<'a>(labels: impl Iterator<Item = &'a str>) -> f64 {
    let widest = labels.map(|label| text_width(&cut(label, ROW_LABEL_CHARS))).fold(0.0, f64::max);
    (widest + 11.0).clamp(30.0, 106.0).ceil()
}

fn framed(frame: &Frame<'_>, y: Option<&Axis>, height: f64, inner: &Markup) -> Markup {
    let (id, x) = (&frame.id, frame.x);
    let bottom = TOP + height;
    let axis_height = if frame.x_name.is_some() { 2.0 * AXIS_HEIGHT - 6.0 } else { AXIS_HEIGHT };
    let lanes_from = bottom + axis_height;
    let all = lanes_from + frame.lanes.len() as f64 * LANE_HEIGHT + 2.0;
    // Every other label goes when the plot is narrow.
    let many = x.ticks.len() > 4;
    html! {
        div.plot {
            svg.picture #(id) width="100%" height=(all) role="img"
                aria-labelledby={ (id) "-t " (id) "-d" }
                data-x0=(x.from) data-x1=(x.to) data-x-log[x.log]
                data-x-unit=(if frame.x_name.is_some() { "plain" } else { unit(x.unit) })
                data-y0=[y.map(|y| y.from)] data-y1=[y.map(|y| y.to)]
                data-y-log[y.is_some_and(|y| y.log)] data-y-unit=[y.map(|y| unit(y.unit))]
            {
                title #{ (id) "-t" } { (frame.title) }
                desc #{ (id) "-d" } { (frame.about) }
                @for &(from, to) in &frame.shade {
                    @let (from, to) = (x.place(from), x.place(to));
                    rect class="shade" x=(percent(from)) y=(TOP) height=(height)
                        width=(percent((to - from).max(0.001))) {}
                }
                (inner)
                line class="axis" x1="0" x2="100%" y1=(bottom) y2=(bottom) {}
                @for (number, tick) in x.ticks.iter().enumerate() {
                    @let place = percent(tick.place);
                    line class="axis" x1=(place) x2=(place) y1=(bottom) y2=(bottom + 4.0) {}
                    text class={ "tick middle" @if many && number % 2 == 1 { " spare" } }
                        x=(place) y=(bottom + 17.0) { (tick.label) }
                }
                @if let Some(name) = frame.x_name {
                    text class="tick middle" x="50%" y=(bottom + 32.0) { (name) }
                }
                @for (number, lane) in frame.lanes.iter().enumerate() {
                    @let top = lanes_from + number as f64 * LANE_HEIGHT;
                    text class="lane-name" x="0" y=(top + 11.0) { (fitted(&lane.label, 36)) }
                    line class="grid" x1="0" x2="100%" y1=(top + 17.5) y2=(top + 17.5) {}
                    svg class="curves" x="0" y=(top + 17.5) width="100%" height="1"
                        viewBox={ "0 0 " (WIDTH) " 1" } preserveAspectRatio="none"
                    {
                        path class="fault" d=(strokes(&lane.spans, x)) {}
                    }
                }
            }
        }
    }
}

/// The unit's name, for the script.
fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Count => "count",
        Unit::Share => "share",
        Unit::Time => "time",
        Unit::Rate => "rate",
        Unit::Times => "times",
    }
}
