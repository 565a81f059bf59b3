//! Numbers that know what they are numbers of.
//!
//! "At most 5" is no bound: 5 %, 5 ms and 5 a second are three different promises. A bound in a
//! scenario is written with its unit, an indicator has one, and the two are compared only when they
//! are of the same kind.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Things. Written as a bare number: `0`.
    Count,
    /// A part of a whole, kept as 0 to 1. Written `5%`.
    Share,
    /// A length of time, kept in seconds. Written `350ms`, `2s`, `1.5m`.
    Time,
    /// So many a second. Written `20/s`.
    Rate,
    /// So many times something else. Written `1.05x`.
    Times,
}

impl Unit {
    /// How a quantity of it is written, for messages.
    #[must_use]
    pub fn example(self) -> &'static str {
        match self {
            Self::Count => "0",
            Self::Share => "\"5%\"",
            Self::Time => "\"350ms\"",
            Self::Rate => "\"20/s\"",
            Self::Times => "\"1.05x\"",
        }
    }

    /// What it is called, for messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "a count",
            Self::Share => "a share",
            Self::Time => "a length of time",
            Self::Rate => "a rate",
            Self::Times => "a factor",
        }
    }
}

/// JSON has no "not a number"; it is written as `null`.
fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// A number with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantity {
    /// In the unit's own measure: see [`Unit`].
    #[serde(deserialize_with = "number")]
    pub value: f64,
    /// Of what.
    pub unit: Unit,
}

impl Quantity {
    /// So many things.
    #[must_use]
    pub fn count(count: u64) -> Self {
        // Exact up to 2^53; nothing here counts that far.
        Self { value: count as f64, unit: Unit::Count }
    }

    /// `part` of `whole`; none of nothing is 0.
    #[must_use]
    pub fn share_of(part: u64, whole: u64) -> Self {
        Self::share(if whole == 0 { 0.0 } else { part as f64 / whole as f64 })
    }

    /// A part of a whole, 0 to 1.
    #[must_use]
    pub fn share(value: f64) -> Self {
        Self { value, unit: Unit::Share }
    }

    /// A length of time.
    #[must_use]
    pub fn time(length: Duration) -> Self {
        Self { value: length.as_secs_f64(), unit: Unit::Time }
    }

    /// So many a second.
    #[must_use]
    pub fn rate(value: f64) -> Self {
        Self { value, unit: Unit::Rate }
    }

    /// So many times something else.
    #[must_use]
    pub fn times(value: f64) -> Self {
        Self { value, unit: Unit::Times }
    }

    /// Reads `5%`, `350ms`, `20/s`, `1.05x` or `0`.
    ///
    /// # Errors
    /// When it is none of these; in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        // A message says which it is; what is longer is none in any case.
        let shown = || text.chars().take(SHOWN_MAX).collect::<String>();
        let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-' || c == '+'));
        let (number, unit) = text.split_at(split.unwrap_or(text.len()));
        let wrong = || {
            format!(
                "{:?} is not a quantity; write a count (12), a share (5%), a length of time \
                 (350ms, 2s, 1m, 1h), a rate (20/s) or a factor (1.05x)",
                shown()
            )
        };
        let value: f64 = number.parse().map_err(|_| wrong())?;
        if value < 0.0 {
            return Err(format!("{:?} is negative", shown()));
        }
        let quantity = match unit.trim() {
            "" => Self { value, unit: Unit::Count },
            "%" => Self::share(value / 100.0),
            "ns" => Self { value: value / 1e9, unit: Unit::Time },
            "us" | "µs" => Self { value: value / 1e6, unit: Unit::Time },
            "ms" => Self { value: value / 1e3, unit: Unit::Time },
            "s" => Self { value, unit: Unit::Time },
            "m" | "min" => Self { value: value * 60.0, unit: Unit::Time },
            "h" => Self { value: value * 3_600.0, unit: Unit::Time },
            "/s" => Self::rate(value),
            "/min" | "/m" => Self::rate(value / 60.0),
            "x" => Self::times(value),
            _ => return Err(wrong()),
        };
        if quantity.value.is_finite() {
            Ok(quantity)
        } else {
            Err(format!("{:?} is too large", shown()))
        }
    }
}

/// How much of a text that is no quantity a message shows, in characters.
const SHOWN_MAX: usize = 60;

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value;
        let text = match self.unit {
            Unit::Count => digits(value),
            Unit::Share => format!("{} %", digits(value * 100.0)),
            Unit::Time if value >= 120.0 => format!("{} min", digits(value / 60.0)),
            Unit::Time if value >= 1.0 => format!("{} s", digits(value)),
            Unit::Time if value >= 1e-3 || value == 0.0 => format!("{} ms", digits(value * 1e3)),
            Unit::Time => format!("{} µs", digits(value * 1e6)),
            Unit::Rate => format!("{}/s", digits(value)),
            // Two places tell 1.05x from 1.1x; what is next to nothing needs more.
            Unit::Times if value > 0.0 && value < 0.01 => format!("{}x", digits(value)),
            Unit::Times => format!("{value:.2}x"),
        };
        f.pad(&text)
    }
}

/// Three digits that matter, and no empty decimals.
fn digits(value: f64) -> String {
    let size = value.abs();
    let places = match size {
        v if !v.is_finite() || v >= 100.0 => 0,
        // A whole number, or what multiplying one has made of it.
        v if (v - v.round()).abs() < 1e-9 && v.round() >= 1.0 => 0,
        0.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        v if v >= 0.01 => 3,
        // Between 1e-308 and a hundredth: so many zeros, and three digits.
        v => 2 + (-v.log10()).ceil().max(1.0) as usize,
    };
    format!("{value:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_with_its_unit() {
        let read = |text| Quantity::parse(text).unwrap();
        assert_eq!(read("5%"), Quantity::share(0.05));
        assert_eq!(read("350ms"), Quantity::time(Duration::from_millis(350)));
        assert_eq!(read("10m"), Quantity::time(Duration::from_secs(600)));
        assert_eq!(read("20/s"), Quantity::rate(20.0));
        assert_eq!(read("1.05x"), Quantity::times(1.05));
        assert_eq!(read("3"), Quantity::count(3));
        for wrong in ["", "fast", "5 apples", "-1%", "nan", "1e3s", "..ms"] {
            assert!(Quantity::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let endless = "9".repeat(400);
        let large = format!("1{}", "0".repeat(307));
        for (wrong, words) in [
            ("-1%".to_owned(), "negative"),
            (endless, "too large"),
            // Finite as it is written, and not in seconds.
            (format!("{large}h"), "too large"),
        ] {
            let error = Quantity::parse(&wrong).unwrap_err();
            assert!(error.contains(words) && error.len() < 300, "{error}");
        }
        let error = Quantity::parse(&"x".repeat(100_000)).unwrap_err();
        assert!(error.len() < 300, "{} bytes", error.len());
    }

    #[test]
    fn what_is_shown_is_read_again() {
        for text in ["0", "5 %", "0.512 %", "350 µs", "1.23 s", "12 min", "20/s", "1.05x"] {
            assert_eq!(Quantity::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_little_is_not_nothing() {
        assert_eq!(Quantity::share(0.000_001_2).to_string(), "0.000120 %");
        assert_eq!(Quantity::rate(0.000_416_7).to_string(), "0.000417/s");
        assert_eq!(Quantity::times(0.001_2).to_string(), "0.00120x");
        assert_eq!(Quantity::share(0.07).to_string(), "7 %", "7.000000000000001 in the computer");
        assert_eq!(Quantity::count(0).to_string(), "0");
    }

    #[test]
    fn what_is_shown_has_sensible_digits() {
        let shown = |quantity: Quantity| quantity.to_string();
        assert_eq!(shown(Quantity::share(0.0512)), "5.12 %");
        assert_eq!(shown(Quantity::time(Duration::from_micros(350))), "350 µs");
        assert_eq!(shown(Quantity::time(Duration::from_millis(1_234))), "1.23 s");
        assert_eq!(shown(Quantity::count(0)), "0");
        assert_eq!(shown(Quantity::times(3.456)), "3.46x");
    }
}
