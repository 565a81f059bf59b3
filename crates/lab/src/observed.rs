//! What a trial leaves behind: a history, curves, figures.
//!
//! Everything that a report shows comes from here, and so does everything that a verdict rests on.
//! Times are true time since the trial's beginning; a simulated trial fills it with the same bytes
//! for the same seed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::history::Event;
use crate::quantity::{Quantity, Unit};

/// What was seen in one trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Observed {
    /// What clients did and heard, in order of time.
    #[serde(skip)]
    pub history: Vec<Event>,
    /// Figures over the whole trial, by the names that the system declares.
    pub indicators: BTreeMap<String, Quantity>,
    /// Curves over time.
    pub series: Vec<Series>,
    /// When which fault was at work; filled in by whoever applied it.
    pub spans: Vec<Span>,
    /// Figures against something else than time.
    pub charts: Vec<Chart>,
    /// Figures in rows.
    pub tables: Vec<Table>,
    /// What else a reader should know, a sentence each: "the breaker opened after 1.2 s".
    pub notes: Vec<String>,
}

/// A curve over time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    /// What it shows; curves with the same `panel` share a picture.
    pub name: String,
    /// The picture it belongs to: `throughput`, `latency`, `retries`, `breaker`, `lease`, `phi`, …
    pub panel: String,
    /// Of its values.
    pub unit: Unit,
    /// Seconds since the beginning, and the value there. Held until the next point when `stepped`.
    pub points: Vec<(f64, f64)>,
    /// Whether it is a state that holds until it changes (a breaker, a lease holder).
    pub stepped: bool,
    /// What the values of a state mean: `["closed", "half-open", "open"]`.
    pub states: Vec<String>,
}

/// A fault at work.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Span {
    /// What it is, and where: `pause worker-1`.
    pub label: String,
    /// Since when, in seconds.
    pub from: f64,
    /// Until when, in seconds.
    pub to: f64,
}

/// Figures against something else than time, as lines in one picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// What its x axis means, with the unit.
    pub x: String,
    /// What its y axis means, with the unit.
    pub y: String,
    /// Whether the axes are logarithmic.
    pub log: (bool, bool),
    /// A name and its points.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

/// Figures in rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// The columns.
    pub head: Vec<String>,
    /// The cells, as many in each row as there are columns.
    pub rows: Vec<Vec<String>>,
}

impl Observed {
    /// Sets a figure.
    pub fn indicator(&mut self, name: &str, value: Quantity) {
        self.indicators.insert(name.to_owned(), value);
    }

    /// Adds a sentence.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}

impl Series {
    /// An empty curve.
    #[must_use]
    pub fn new(panel: &str, name: &str, unit: Unit) -> Self {
        Self {
            name: name.to_owned(),
            panel: panel.to_owned(),
            unit,
            points: Vec::new(),
            stepped: false,
            states: Vec::new(),
        }
    }

    /// An empty curve of states.
    #[must_use]
    pub fn states(panel: &str, name: &str, states: &[&str]) -> Self {
        Self {
            stepped: true,
            states: states.iter().map(|&state| state.to_owned()).collect(),
            ..Self::new(panel, name, Unit::Count)
        }
    }

    /// Adds a point.
    pub fn push(&mut self, at: Duration, value: f64) {
        self.points.push((at.as_secs_f64(), value));
    }
}
