//! What was found, as text and as JSON.

use serde::Serialize;
use steadfast_lab::Verdict;
use steadfast_lab::check::{Model, Piece, Report};
use steadfast_lab::history::{Event, Kind};

use super::Seen;
use crate::cli::table::Table;
use crate::cli::{Failure, Out};
use crate::config::value::Length;

/// What was found, and how.
#[derive(Debug)]
pub struct Found {
    pub model: Model,
    pub report: Report,
    /// From the first byte to the verdict.
    pub seconds: f64,
    pub limit: Length,
    pub seen: Seen,
}

/// The fields of the JSON document.
#[derive(Serialize)]
struct Document<'a> {
    verdict: Verdict,
    model: &'static str,
    operations: u64,
    keys: u64,
    seconds: f64,
    /// Events that were left out because they are no client's.
    skipped: u64,
    piece: Option<&'a Piece>,
}

impl Found {
    /// What the user should know besides, on stderr.
    pub fn notes(&self, is_independent: bool) {
        let seen = &self.seen;
        if seen.raised > 0 {
            anstream::eprintln!(
                "note: time ran backwards {} times; the order of the file counts",
                thousands(seen.raised)
            );
        }
        let is_cas = seen.names.iter().any(|name| name == "cas");
        if self.report.verdict != Verdict::Holds && seen.only_pairs && !is_independent && !is_cas {
            anstream::eprintln!(
                "note: every value is a pair; if they are keys and values, add --independent"
            );
        }
    }

    /// Prints it.
    pub fn print(&self, out: &mut Out) -> Result<(), Failure> {
        let report = &self.report;
        if out.json() {
            return out.document(&Document {
                verdict: report.verdict,
                model: self.model.name(),
                operations: report.operations,
                keys: report.keys,
                seconds: self.seconds,
                skipped: self.seen.skipped,
                piece: report.piece.as_ref(),
            });
        }
        out.line(self.sentence())?;
        let Some(piece) = &report.piece else { return Ok(()) };
        out.line("")?;
        out.line(&piece.what)?;
        if piece.events.is_empty() {
            return Ok(());
        }
        out.line("")?;
        out.table(&table(&piece.events))
    }

    fn sentence(&self) -> String {
        let Report { verdict, operations, keys, .. } = self.report;
        let (model, seconds) = (self.model, seconds(self.seconds));
        let keys = match keys {
            0 | 1 => String::new(),
            keys => format!(" on {} keys", thousands(keys)),
        };
        let count = thousands(operations);
        let (count, fits, fit) = match operations {
            1 => (format!("{count} operation"), "fits", "does not fit"),
            _ => (format!("{count} operations{keys}"), "fit", "do not fit"),
        };
        match verdict {
            Verdict::Holds => format!("holds: {count} {fits} {model}, {seconds}"),
            Verdict::Violated => format!("violated: {count} {fit} {model}, {seconds}"),
            Verdict::Unknown => format!(
                "unknown: whether {count} {fits} {model} was not found out within {}; \
                 --time-limit gives more",
                self.limit
            ),
        }
    }
}

fn table(events: &[Event]) -> Table {
    let has_keys = events.iter().any(|event| event.key.is_some());
    let mut titles = vec!["TIME ms", "PROCESS", "TYPE", "F"];
    titles.extend(has_keys.then_some("KEY"));
    titles.push("VALUE");
    let mut table = Table::new(&titles);
    for event in events {
        let kind = match event.kind {
            Kind::Invoke => "invoke",
            Kind::Ok => "ok",
            Kind::Fail => "fail",
            Kind::Info => "info",
        };
        let time = format!("{:.3}", event.time as f64 / 1e6);
        let mut row = vec![time, event.process.to_string(), kind.to_owned(), event.f.to_string()];
        if has_keys {
            row.push(event.key.as_deref().unwrap_or_default().to_owned());
        }
        row.push(shortened(&event.value));
        table.row(row);
    }
    table
}

/// A value as it fits a table; nothing for a question without an argument.
fn shortened(value: &serde_json::Value) -> String {
    const SHOWN: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Seconds with as many digits as say something.
fn seconds(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.2} s") } else { format!("{seconds:.0} s") }
}

/// A number with its thousands apart.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        let text = [0, 12, 999, 1_000, 12_345, 1_234_567].map(thousands);
        assert_eq!(text, ["0", "12", "999", "1,000", "12,345", "1,234,567"]);
    }
}
