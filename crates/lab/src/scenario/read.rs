//! Sections of a file that know where everything in them stands.
//!
//! A [`Section`] is a table with the place of each key; a [`Reader`] takes keys out of it, each with
//! the type that is expected, and at the end refuses what nobody has asked for. Problems are
//! collected, so that a file with three mistakes shows three.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Lines, Place, Problem, suggestion};
use crate::quantity::{Quantity, Unit};

/// A table of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    /// Where it begins.
    pub place: Place,
    entries: BTreeMap<String, Entry>,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    place: Place,
    value: Value,
}

/// What can stand in a scenario.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    List(Vec<(Place, Value)>),
    Table(Section),
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Boolean(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl Section {
    /// Reads a whole file.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let lines = Lines::of(text);
        let table = DeTable::parse(text).map_err(|error| {
            let place = error.span().map_or(Place::default(), |span| lines.place(span.start));
            Problem::at(place, error.message())
        })?;
        Self::from_table(&lines, Place { line: 1, column: 1 }, table.get_ref())
    }

    fn from_table(lines: &Lines<'_>, place: Place, table: &DeTable<'_>) -> Result<Self, Problem> {
        let mut entries = BTreeMap::new();
        for (key, value) in table {
            let place = lines.place(key.span().start);
            let value = convert(lines, value)?.1;
            entries.insert(key.get_ref().to_string(), Entry { place, value });
        }
        Ok(Self { place, entries })
    }

    /// This section's entries, and of the other those that this one does not have.
    #[must_use]
    pub fn over(&self, below: &Self) -> Self {
        let mut entries = below.entries.clone();
        entries.extend(self.entries.clone());
        Self { place: self.place, entries }
    }

    /// Whether it has a key.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Takes keys out.
    #[must_use]
    pub fn reader(&self) -> Reader<'_> {
        Reader {
            section: self,
            asked: RefCell::default(),
            problems: RefCell::default(),
            lenient: Cell::default(),
        }
    }
}

fn convert(lines: &Lines<'_>, value: &Spanned<DeValue<'_>>) -> Result<(Place, Value), Problem> {
    let Range { start, .. } = value.span();
    let place = lines.place(start);
    let wrong = |what: String| Problem::at(place, what);
    let converted = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => Value::Integer(
            i64::from_str_radix(number.as_str(), number.radix())
                .map_err(|_| wrong(format!("{} is out of range", number.as_str())))?,
        ),
        DeValue::Float(number) => Value::Float(
            number
                .as_str()
                .parse()
                .map_err(|_| wrong(format!("{} is not a number", number.as_str())))?,
        ),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(_) => return Err(wrong("no date has a meaning here".into())),
        DeValue::Array(values) => {
            let values: Result<_, _> = values.iter().map(|value| convert(lines, value)).collect();
            Value::List(values?)
        }
        DeValue::Table(table) => Value::Table(Section::from_table(lines, place, table)?),
    };
    Ok((place, converted))
}

/// Takes keys out of a section. Whatever is missing or wrong is noted, and read as the default; see
/// [`Reader::end`].
#[derive(Debug)]
pub struct Reader<'a> {
    section: &'a Section,
    asked: RefCell<Vec<&'static str>>,
    problems: RefCell<Vec<Problem>>,
    /// Whether keys that nobody asked for are none of the problems.
    lenient: Cell<bool>,
}

impl<'a> Reader<'a> {
    fn entry(&self, key: &'static str) -> Option<&'a Entry> {
        self.asked.borrow_mut().push(key);
        self.section.entries.get(key)
    }

    /// Whether the section has a key.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.section.has(key)
    }

    /// Whether anything was wrong so far.
    #[must_use]
    pub fn has_problems(&self) -> bool {
        !self.problems.borrow().is_empty()
    }

    /// Notes a problem with a key, or with the whole section when it is not there.
    pub fn problem(&self, key: &str, what: impl std::fmt::Display) {
        let place = self.section.entries.get(key).map_or(self.section.place, |entry| entry.place);
        self.problems.borrow_mut().push(Problem::at(place, format!("{key}: {what}")));
    }

    /// Where a key stands; the section, when it is not there.
    #[must_use]
    pub fn place(&self, key: &str) -> Place {
        self.section.entries.get(key).map_or(self.section.place, |entry| entry.place)
    }

    fn wanted(&self, key: &'static str, wanted: &str, found: &Value) {
        self.problem(key, format!("expected {wanted}, found {}", found.kind()));
    }

    /// A text; none when it is not there.
    pub fn text(&self, key: &'static str) -> Option<&'a str> {
        match &self.entry(key)?.value {
            Value::Text(text) => Some(text),
            other => {
                self.wanted(key, "a text", other);
                None
            }
        }
    }

    /// A text that must be there.
    pub fn required(&self, key: &'static str) -> &'a str {
        if !self.section.has(key) {
            self.problem(key, "is missing");
        }
        let text = self.text(key);
        if text == Some("") {
            self.problem(key, "is empty");
        }
        text.unwrap_or_default()
    }

    /// One of several words.
    pub fn choice(
        &self,
        key: &'static str,
        known: &[&'static str],
        default: &'static str,
    ) -> &'static str {
        let Some(text) = self.text(key) else { return default };
        match known.iter().find(|word| **word == text) {
            Some(word) => word,
            None => {
                self.problem(key, format!("unknown {text:?}{}", suggestion(text, known)));
                default
            }
        }
    }

    /// True or false.
    pub fn flag(&self, key: &'static str, default: bool) -> bool {
        match self.entry(key).map(|entry| &entry.value) {
            None => default,
            Some(Value::Boolean(value)) => *value,
            Some(other) => {
                self.wanted(key, "true or false", other);
                default
            }
        }
    }

    /// A whole number within bounds, both included.
    pub fn count(
        &self,
        key: &'static str,
        allowed: std::ops::RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        match self.entry(key).map(|entry| &entry.value) {
            None => default,
            Some(Value::Integer(number)) => match u64::try_from(*number) {
                Ok(number) if allowed.contains(&number) => number,
                _ => {
                    let (least, most) = (allowed.start(), allowed.end());
                    self.problem(key, format!("{number} is not within {least} and {most}"));
                    default
                }
            },
            Some(other) => {
                self.wanted(key, "a whole number", other);
                default
            }
        }
    }

    /// A whole number of either sign within bounds, both included.
    pub fn integer(
        &self,
        key: &'static str,
        allowed: std::ops::RangeInclusive<i64>,
        default: i64,
    ) -> i64 {
        match self.entry(key).map(|entry| &entry.value) {
            None => default,
            Some(Value::Integer(number)) if allowed.contains(number) => *number,
            Some(Value::Integer(number)) => {
                let (least, most) = (allowed.start(), allowed.end());
                self.problem(key, format!("{number} is not within {least} and {most}"));
                default
            }
            Some(other) => {
                self.wanted(key, "a whole number", other);
                default
            }
        }
    }

    /// A quantity of any unit; a bare number is a count.
    pub fn any_quantity(&self, key: &'static str) -> Option<Quantity> {
        match &self.entry(key)?.value {
            Value::Text(text) => match Quantity::parse(text) {
                Ok(quantity) => Some(quantity),
                Err(what) => {
                    self.problem(key, what);
                    None
                }
            },
            Value::Integer(number) => self.bare(key, *number as f64),
            Value::Float(number) => self.bare(key, *number),
            other => {
                self.wanted(key, "a quantity", other);
                None
            }
        }
    }

    /// A number without a unit: so many things.
    fn bare(&self, key: &'static str, value: f64) -> Option<Quantity> {
        if !value.is_finite() {
            self.problem(key, "is not a number");
        } else if value < 0.0 {
            self.problem(key, format!("{value} is negative"));
        } else {
            return Some(Quantity { value, unit: Unit::Count });
        }
        None
    }

    /// A quantity of one unit.
    pub fn quantity(&self, key: &'static str, unit: Unit) -> Option<f64> {
        let quantity = self.any_quantity(key)?;
        // Nothing of anything is nothing: `0` needs no unit.
        if quantity.unit == unit || quantity.value == 0.0 {
            return Some(quantity.value);
        }
        let (name, example) = (unit.name(), unit.example());
        self.problem(key, format!("expected {name} such as {example}; is a unit missing?"));
        None
    }

    /// A length of time.
    pub fn duration(&self, key: &'static str, default: Duration) -> Duration {
        self.optional_duration(key).unwrap_or(default)
    }

    /// A length of time, if it is there.
    pub fn optional_duration(&self, key: &'static str) -> Option<Duration> {
        let seconds = self.quantity(key, Unit::Time)?;
        let length = Duration::try_from_secs_f64(seconds);
        length.map_err(|_| self.problem(key, "is too long")).ok()
    }

    /// A share, 0 to 1: `"20%"`.
    pub fn share(&self, key: &'static str, default: f64) -> f64 {
        match self.quantity(key, Unit::Share) {
            Some(share) if share > 1.0 => {
                self.problem(key, "a share is at most 100%");
                default
            }
            Some(share) => share,
            None => default,
        }
    }

    /// A rate in things a second: `"20/s"`.
    pub fn rate(&self, key: &'static str) -> Option<f64> {
        self.quantity(key, Unit::Rate)
    }

    /// A length of time, or the shortest and the longest of several: `"2s"`, `["1s", "5s"]`.
    pub fn durations(
        &self,
        key: &'static str,
        default: (Duration, Duration),
    ) -> (Duration, Duration) {
        let Some(entry) = self.section.entries.get(key) else {
            self.asked.borrow_mut().push(key);
            return default;
        };
        let Value::List(values) = &entry.value else {
            return self.optional_duration(key).map_or(default, |length| (length, length));
        };
        self.asked.borrow_mut().push(key);
        let lengths: Option<Vec<Duration>> = values
            .iter()
            .map(|(_, value)| match value {
                Value::Text(text) => match Quantity::parse(text) {
                    Ok(Quantity { value, unit: Unit::Time }) => {
                        Duration::try_from_secs_f64(value).ok()
                    }
                    _ => None,
                },
                _ => None,
            })
            .collect();
        match lengths.as_deref() {
            Some(&[least, most]) if least <= most => (least, most),
            _ => {
                self.problem(key, "expected a length of time, or [shortest, longest]");
                default
            }
        }
    }

    /// A list of texts; empty when it is not there. One text is a list of one.
    pub fn texts(&self, key: &'static str) -> Vec<&'a str> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Vec::new(),
            Some(Value::Text(text)) => vec![text],
            Some(Value::List(values)) => {
                let texts = values.iter().map(|(_, value)| match value {
                    Value::Text(text) => Some(text.as_str()),
                    _ => None,
                });
                texts.collect::<Option<Vec<_>>>().unwrap_or_else(|| {
                    self.problem(key, "expected a list of texts");
                    Vec::new()
                })
            }
            Some(other) => {
                self.wanted(key, "a list of texts", other);
                Vec::new()
            }
        }
    }

    /// A list of quantities of one unit; empty when it is not there.
    pub fn quantities(&self, key: &'static str, unit: Unit) -> Vec<f64> {
        let Some(Value::List(values)) = self.entry(key).map(|entry| &entry.value) else {
            if self.section.has(key) {
                self.problem(key, "expected a list");
            }
            return Vec::new();
        };
        let mut numbers = Vec::with_capacity(values.len());
        for (_, value) in values {
            let quantity = match value {
                Value::Text(text) => Quantity::parse(text).ok(),
                Value::Integer(number) => {
                    Some(Quantity { value: *number as f64, unit: Unit::Count })
                }
                Value::Float(number) => Some(Quantity { value: *number, unit: Unit::Count }),
                _ => None,
            };
            match quantity {
                Some(Quantity { value, unit: is })
                    if is == unit && value.is_finite() && value >= 0.0 =>
                {
                    numbers.push(value);
                }
                _ => {
                    let (name, example) = (unit.name(), unit.example());
                    self.problem(key, format!("expected {name} such as {example} in each place"));
                    return Vec::new();
                }
            }
        }
        numbers
    }

    /// A table; none when it is not there.
    pub fn section(&self, key: &'static str) -> Option<&'a Section> {
        match &self.entry(key)?.value {
            Value::Table(section) => Some(section),
            other => {
                self.wanted(key, "a table", other);
                None
            }
        }
    }

    /// Tables of one name, `[[…]]`.
    pub fn sections(&self, key: &'static str) -> Vec<&'a Section> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Vec::new(),
            Some(Value::List(values)) => values
                .iter()
                .filter_map(|(_, value)| match value {
                    Value::Table(section) => Some(section),
                    other => {
                        self.wanted(key, "tables", other);
                        None
                    }
                })
                .collect(),
            Some(other) => {
                self.wanted(key, "tables", other);
                Vec::new()
            }
        }
    }

    /// Says nothing of keys that are not asked for: a mistake that is already noted keeps the reader
    /// from knowing which there should be.
    pub fn ignore_rest(&self) {
        self.lenient.set(true);
    }

    /// Ends the reading: what is in the section and was not asked for is a problem, too.
    pub fn end(self) -> Vec<Problem> {
        let asked = self.asked.into_inner();
        let mut problems = self.problems.into_inner();
        let unasked = (!self.lenient.get()).then_some(&self.section.entries);
        for (key, entry) in unasked.into_iter().flatten() {
            if !asked.contains(&key.as_str()) {
                let hint = suggestion(key, &asked);
                problems.push(Problem::at(entry.place, format!("unknown key {key:?}{hint}")));
            }
        }
        problems
    }
}
