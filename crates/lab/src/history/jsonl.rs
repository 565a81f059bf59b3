//! Histories as JSON lines.
//!
//! One event a line, so that a file can be written while things happen, cut with `head`, searched
//! with `grep`, and read without holding more of it than one line. What the lines say is in
//! [the format](super).
//!
//! The reader is strict about what it understands and indifferent to what it does not: a field of
//! the format with a value of another kind is an error with its line and column, a field that is
//! not of the format is passed over, as are blank lines. Events whose `process` is a word, as
//! Jepsen's `"nemesis"`, are no client's: they are skipped, and counted.
//!
//! # Limits
//! A line is at most [`LINE_BYTES_MAX`] long. A longer one is refused without reading it whole.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead, Read, Write};

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use serde_json::Value;
use serde_json::error::Category;

use super::event::{Event, Kind};
use super::line::{LineError, characters};
use super::word::word;
use crate::limits::LINE_BYTES_MAX;

/// Reads events from JSON lines, one at a time. After an error there is nothing more.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    buffer: Vec<u8>,
    line: u64,
    skipped: u64,
    is_done: bool,
}

/// A line as it is written.
#[derive(Deserialize)]
struct Written<'a> {
    process: Process,
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(borrow)]
    f: Cow<'a, str>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    value: Value,
    time: u64,
    #[serde(default)]
    error: Option<String>,
}

/// Whose event it is.
enum Process {
    Client(u64),
    /// Jepsen's nemesis and its like: they break things, and ask nothing.
    Other,
}

impl<'de> Deserialize<'de> for Process {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Process;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`process` as a whole number, from 0")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Process, E> {
                Ok(Process::Client(number))
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<Process, E> {
                Ok(Process::Other)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads what `input` has.
    pub fn new(input: R) -> Self {
        Self { input, buffer: Vec::new(), line: 0, skipped: 0, is_done: false }
    }

    /// The line of the event that was read last, from 1; 0 before the first.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// How many events were skipped because they are no client's.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The next line into the buffer, without its end; `None` behind the last. Whether it was
    /// ended.
    fn fill(&mut self) -> Result<Option<bool>, LineError> {
        self.buffer.clear();
        // One more than a line may have, for its end; another shows that it has none.
        let most = LINE_BYTES_MAX as u64 + 2;
        let read = (&mut self.input).take(most).read_until(b'\n', &mut self.buffer);
        let read = read.map_err(|error| LineError::io(self.line + 1, &error))?;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        let is_ended = self.buffer.pop_if(|last| *last == b'\n').is_some();
        if self.buffer.len() > LINE_BYTES_MAX {
            return Err(LineError::too_long(self.line, "the line"));
        }
        Ok(Some(is_ended))
    }

    fn read(&mut self) -> Result<Option<Event>, LineError> {
        loop {
            let Some(is_ended) = self.fill()? else { return Ok(None) };
            let text = std::str::from_utf8(&self.buffer)
                .map_err(|error| not_utf8(self.line, &self.buffer, error, is_ended))?;
            if text.trim().is_empty() {
                continue;
            }
            let written: Written<'_> = serde_json::from_str(text)
                .map_err(|error| not_an_event(self.line, text, &error, is_ended))?;
            let Process::Client(process) = written.process else {
                self.skipped += 1;
                continue;
            };
            return Ok(Some(Event {
                process,
                kind: written.kind,
                f: word(&written.f),
                key: written.key.map(Cow::Owned),
                value: written.value,
                time: written.time,
                error: written.error.map(Cow::Owned),
            }));
        }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Event, LineError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let result = self.read().transpose();
        self.is_done = !matches!(result, Some(Ok(_)));
        result
    }
}

/// A cut through a character of several bytes is a cut, not a wrong byte.
fn not_utf8(line: u64, bytes: &[u8], error: std::str::Utf8Error, is_ended: bool) -> LineError {
    if !is_ended && error.error_len().is_none() {
        return LineError::cut(line, "the file ends in the middle of a character");
    }
    LineError::not_utf8(line, bytes, error)
}

fn not_an_event(line: u64, text: &str, error: &serde_json::Error, is_ended: bool) -> LineError {
    const FIELDS: &str = "an event is {\"process\":0,\"type\":\"invoke\",\"f\":\"read\",\
         \"value\":null,\"time\":0}";
    if error.classify() == Category::Eof {
        return if is_ended {
            LineError::new(line, 0, "ends in the middle of an event; each has a line of its own")
        } else {
            let length = text.chars().count();
            LineError::cut(line, format!("the file ends after {length} characters of an event"))
        };
    }
    // The library says where at the end of its words; it knows one line only.
    let words = error.to_string();
    let what = words.rsplit_once(" at line ").map_or(&*words, |(what, _)| what);
    let before = &text.as_bytes()[..error.column().saturating_sub(1).min(text.len())];
    LineError::new(line, characters(before) + 1, format!("{what}; {FIELDS}"))
}

/// Writes one event, as a line.
///
/// # Errors
/// When it cannot be written.
pub fn write_event(event: &Event, mut out: impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut out, event)?;
    out.write_all(b"\n")
}

/// Writes events, each as a line.
///
/// # Errors
/// When they cannot be written.
pub fn write<'a>(
    events: impl IntoIterator<Item = &'a Event>,
    mut out: impl Write,
) -> io::Result<()> {
    events.into_iter().try_for_each(|event| write_event(event, &mut out))
}
