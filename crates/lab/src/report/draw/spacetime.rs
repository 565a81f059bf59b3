//! A piece of a history as a space-time diagram: processes as lanes, operations as bars.
//!
//! What matters in such a piece is what came before what, and what overlapped. A true time axis
//! hides just that: two milliseconds are invisible beside the ten seconds that lie between. So each
//! event has a column of its own, in the order in which it happened, and the columns are as far
//! apart as the labels need. The clock's times stand under them.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::Value;

use super::{cut, text_width};
use crate::history::{Event, Kind};
use crate::limits::{PAGE_VALUE_CHARS_MAX, PIECE_OPERATIONS_MAX};
use crate::quantity::Quantity;

const LANE_HEIGHT: f64 = 34.0;
const BAR_HEIGHT: f64 = 22.0;
const LEFT: f64 = 92.0;
const TOP: f64 = 10.0;
/// The least distance of two columns.
const GAP: f64 = 14.0;
/// How many characters of a label are shown on a bar.
const LABEL_CHARS: usize = 30;

/// How an operation of a piece ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Ok,
    Fail,
    /// Nobody knows, or its end is no part of the piece.
    Open,
}

/// One operation of a piece. A piece need not be a whole history: an answer may stand without its
/// question.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) process: u64,
    pub(crate) what: String,
    pub(crate) key: Option<String>,
    pub(crate) argument: Value,
    pub(crate) answer: Option<Value>,
    pub(crate) error: Option<String>,
    /// What was asked, and what was heard: `read → 3`, `write 2`, `cas [1,2] ✗`. The object is left
    /// out when all are of one.
    pub(crate) label: String,
    pub(crate) end: End,
    /// Places of its events in the piece.
    from: usize,
    to: Option<usize>,
    /// Nanoseconds.
    pub(crate) began: u64,
    pub(crate) ended: Option<u64>,
}

/// The operations of a piece, in the order in which they began.
pub(crate) fn bars(events: &[Event]) -> Vec<Bar> {
    let mut open: BTreeMap<u64, usize> = BTreeMap::new();
    let mut bars: Vec<Bar> = Vec::new();
    for (place, event) in events.iter().enumerate() {
        let asked = match event.kind {
            Kind::Invoke => None,
            Kind::Ok | Kind::Fail | Kind::Info => open.remove(&event.process),
        };
        let at = asked.unwrap_or_else(|| {
            bars.push(Bar {
                process: event.process,
                what: event.f.to_string(),
                key: event.key.as_ref().map(ToString::to_string),
                argument: event.value.clone(),
                answer: None,
                error: None,
                label: String::new(),
                end: End::Open,
                from: place,
                to: None,
                began: event.time,
                ended: None,
            });
            bars.len() - 1
        });
        if event.kind == Kind::Invoke {
            // What it asked before has no answer in this piece; its bar ends here.
            if let Some(before) = open.insert(event.process, at) {
                bars[before].to = Some(place);
            }
            continue;
        }
        let bar = &mut bars[at];
        bar.answer = Some(event.value.clone());
        bar.error = event.error.as_ref().map(ToString::to_string);
        bar.end = match event.kind {
            Kind::Ok => End::Ok,
            Kind::Fail => End::Fail,
            Kind::Info | Kind::Invoke => End::Open,
        };
        if event.kind != Kind::Info {
            (bar.to, bar.ended) = (Some(place), Some(event.time));
        }
    }
    let one_key = the_key(&bars).is_some();
    for bar in &mut bars {
        bar.label = bar.say(one_key);
    }
    bars
}

/// The object that all operations are about, if they are all about one.
pub(crate) fn the_key(bars: &[Bar]) -> Option<&str> {
    let key = bars.first()?.key.as_deref()?;
    bars.iter().all(|bar| bar.key.as_deref() == Some(key)).then_some(key)
}

impl Bar {
    fn say(&self, one_key: bool) -> String {
        let key = self.key.as_ref().filter(|_| !one_key);
        let mut label = match key {
            Some(key) => format!("{} {key}", self.what),
            None => self.what.clone(),
        };
        let asked = shown(&self.argument);
        if !asked.is_empty() {
            label.push_str(if key.is_some() { " = " } else { " " });
            label.push_str(&asked);
        }
        match (self.end, &self.answer) {
            (End::Ok, Some(answer)) if *answer != self.argument => {
                label.push_str(" → ");
                label.push_str(&if answer.is_null() {
                    "nothing".to_owned()
                } else {
                    shown(answer)
                });
            }
            (End::Ok, _) => {}
            (End::Fail, _) => label.push_str(" ✗"),
            (End::Open, _) => label.push_str(" ?"),
        }
        label
    }
}

/// A value as it is written in JSON; nothing for none.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => cut(text, PAGE_VALUE_CHARS_MAX),
        value => cut(&value.to_string(), PAGE_VALUE_CHARS_MAX),
    }
}

/// A time of a history.
pub(crate) fn time(nanos: u64) -> String {
    let seconds = nanos as f64 / 1e9;
    if seconds >= 1.0 {
        format!("{seconds:.3} s")
    } else {
        Quantity::time(std::time::Duration::from_nanos(nanos)).to_string()
    }
}

/// The diagram, and how many operations had no room in it.
pub(crate) fn diagram(id: &str, title: &str, about: &str, all: &[Bar]) -> (Markup, usize) {
    let bars = all.get(..PIECE_OPERATIONS_MAX).unwrap_or(all);
    let processes: Vec<u64> = {
        let set: std::collections::BTreeSet<u64> = bars.iter().map(|bar| bar.process).collect();
        set.into_iter().collect()
    };
    let lane = |bar: &Bar| processes.binary_search(&bar.process).unwrap_or(0) as f64;
    let columns = columns(bars);
    let end = columns.end;
    let height = TOP + processes.len() as f64 * LANE_HEIGHT;
    let width = LEFT + end + 30.0;
    let picture = html! {
        svg.spacetime #(id) width=(width) height=(height + 26.0)
            viewBox={ "0 0 " (width) " " (height + 26.0) } role="img"
            aria-labelledby={ (id) "-t " (id) "-d" }
        {
            title #{ (id) "-t" } { (title) }
            desc #{ (id) "-d" } { (about) }
            @for (number, process) in processes.iter().enumerate() {
                @let middle = TOP + (number as f64 + 0.5) * LANE_HEIGHT;
                text class="tick" x="0" y=(middle + 4.0) { "process " (process) }
                line class="grid" x1=(LEFT - 8.0) x2=(width) y1=(middle) y2=(middle) {}
            }
            @for (at, label) in &columns.times {
                line class="hair" x1=(LEFT + at) x2=(LEFT + at) y1=(TOP) y2=(height + 6.0) {}
                text class="tick middle" x=(LEFT + at) y=(height + 20.0) { (label) }
            }
            @for bar in bars {
                @let (from, to) = columns.of(bar);
                @let top = TOP + lane(bar) * LANE_HEIGHT + (LANE_HEIGHT - BAR_HEIGHT) / 2.0;
                @let class = match bar.end { End::Ok => "ok", End::Fail => "failed", End::Open => "open" };
                g class={ "operation " (class) } {
                    title { "process " (bar.process) ": " (bar.label) }
                    rect x=(LEFT + from) y=(top) width=(to - from) height=(BAR_HEIGHT) rx="4" {}
                    text x=(LEFT + from + 7.0) y=(top + 15.0) { (cut(&bar.label, LABEL_CHARS)) }
                }
            }
        }
    };
    (picture, all.len() - bars.len())
}

/// Where each event stands.
struct Columns {
    places: BTreeMap<usize, f64>,
    end: f64,
    times: Vec<(f64, String)>,
}

impl Columns {
    fn of(&self, bar: &Bar) -> (f64, f64) {
        let place = |event: usize| self.places.get(&event).copied();
        let from = place(bar.from).unwrap_or(0.0);
        if bar.to == Some(bar.from) {
            return (from, from + needs(bar));
        }
        (from, bar.to.and_then(place).unwrap_or(self.end))
    }
}

/// The least width of a bar.
fn needs(bar: &Bar) -> f64 {
    text_width(&cut(&bar.label, LABEL_CHARS)) * 1.08 + 14.0
}

/// As close as the labels allow: the longest path through "after the one before" and "a bar is as
/// wide as its label".
fn columns(bars: &[Bar]) -> Columns {
    let mut events: BTreeMap<usize, (u64, Option<&Bar>)> = BTreeMap::new();
    for bar in bars {
        events.entry(bar.from).or_insert((bar.began, None));
        if let (Some(to), Some(ended)) = (bar.to, bar.ended) {
            events.insert(to, (ended, (to != bar.from).then_some(bar)));
        }
    }
    let mut places: BTreeMap<usize, f64> = BTreeMap::new();
    let mut last: Option<f64> = None;
    // An event of a process that has a bar running into it must not cut that one's label.
    let mut free: BTreeMap<u64, f64> = BTreeMap::new();
    for (&event, &(_, ends)) in &events {
        let mut at = last.map_or(0.0, |last| last + GAP);
        if let Some(bar) = ends {
            at = at.max(places.get(&bar.from).copied().unwrap_or(0.0) + needs(bar));
        }
        for bar in bars.iter().filter(|bar| bar.from == event) {
            at = at.max(free.get(&bar.process).copied().unwrap_or(0.0));
            // What has no end runs to the edge, or to the next of its process.
            if bar.ended.is_none() || bar.to == Some(bar.from) {
                free.insert(bar.process, at + needs(bar) + 4.0);
            }
        }
        places.insert(event, at);
        last = Some(at);
    }
    let open = bars.iter().filter(|bar| bar.to.is_none_or(|to| to == bar.from));
    let mut end = last.unwrap_or(0.0) + GAP;
    for bar in open {
        end = end.max(places.get(&bar.from).copied().unwrap_or(0.0) + needs(bar));
    }
    let mut times: Vec<(f64, String)> = Vec::new();
    let mut free_from = f64::NEG_INFINITY;
    for (event, &(nanos, _)) in &events {
        let (at, label) = (places.get(event).copied().unwrap_or(0.0), time(nanos));
        let half = text_width(&label) / 2.0;
        if at - half >= free_from {
            free_from = at + half + 8.0;
            times.push((at, label));
        }
    }
    Columns { places, end, times }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(process: u64, kind: Kind, f: &'static str, value: Value, time: u64) -> Event {
        Event { process, kind, f: f.into(), key: None, value, time, error: None }
    }

    #[test]
    fn an_operation_says_what_was_asked_and_heard() {
        let bars = bars(&[
            event(0, Kind::Invoke, "write", json!(3), 0),
            event(1, Kind::Invoke, "read", Value::Null, 1),
            event(0, Kind::Ok, "write", json!(3), 2),
            event(1, Kind::Ok, "read", json!(1), 3),
            event(2, Kind::Invoke, "cas", json!([1, 2]), 4),
            event(2, Kind::Fail, "cas", json!([1, 2]), 5),
            event(3, Kind::Invoke, "write", json!(9), 6),
            event(4, Kind::Ok, "read", json!(7), 7),
        ]);
        let labels: Vec<_> = bars.iter().map(|bar| bar.label.as_str()).collect();
        assert_eq!(labels, ["write 3", "read → 1", "cas [1,2] ✗", "write 9 ?", "read 7"]);
        assert_eq!(bars[3].ended, None);
    }

    #[test]
    fn columns_keep_the_order_and_leave_room_for_labels() {
        let bars = bars(&[
            event(0, Kind::Invoke, "write", json!("a value that is rather long"), 0),
            event(1, Kind::Invoke, "read", Value::Null, 5),
            event(1, Kind::Ok, "read", json!(1), 6),
            event(0, Kind::Ok, "write", json!("a value that is rather long"), 1_000_000_000),
            event(1, Kind::Invoke, "read", Value::Null, 2_000_000_000),
        ]);
        let columns = columns(&bars);
        let places: Vec<f64> = columns.places.values().copied().collect();
        assert!(places.windows(2).all(|two| two[1] - two[0] >= GAP), "{places:?}");
        for bar in &bars {
            let (from, to) = columns.of(bar);
            assert!(to - from >= text_width(&cut(&bar.label, LABEL_CHARS)), "{bar:?}");
        }
    }
}
