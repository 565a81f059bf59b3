//! What is wrong with a scenario, and where.

use std::fmt;
use std::path::PathBuf;

/// A place in a file, both from 1. Zero when it is the file as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// Finds places in a text: where its lines begin is looked up once.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    text: &'a str,
    /// Where each line begins.
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let after = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(after).collect() }
    }

    /// Where a byte is.
    pub(super) fn place(&self, byte: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= byte);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let before = self.text.get(start..byte).unwrap_or_default();
        Place { line, column: before.chars().count() + 1 }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file; none for a built-in scenario.
    pub path: Option<PathBuf>,
    /// Where in it.
    pub place: Place,
    /// What is wrong, what is allowed, and what may have been meant.
    pub what: String,
}

impl Problem {
    /// At a place.
    #[must_use]
    pub fn at(place: Place, what: impl Into<String>) -> Self {
        Self { path: None, place, what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}:", path.display())?;
        }
        if self.place != Place::default() {
            write!(f, "{}:{}:", self.place.line, self.place.column)?;
        }
        if self.path.is_some() || self.place != Place::default() {
            f.write_str(" ")?;
        }
        f.write_str(&self.what)
    }
}

/// `; did you mean "…"?` when one of the known words is close to what was written, and otherwise
/// the known words.
#[must_use]
pub(crate) fn suggestion(word: &str, known: &[&str]) -> String {
    // 0.8 lets two letters of a ten-letter word be wrong.
    const CLOSE: f64 = 0.8;
    let closest = known
        .iter()
        .map(|name| (strsim::jaro_winkler(word, name), name))
        // In a short word two letters that changed places are already far.
        .filter(|(closeness, name)| {
            *closeness >= CLOSE || strsim::damerau_levenshtein(word, name) <= 1
        })
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match closest {
        Some((_, name)) => format!("; did you mean {name:?}?"),
        None if known.is_empty() => String::new(),
        None => format!("; known are {}", known.join(", ")),
    }
}
