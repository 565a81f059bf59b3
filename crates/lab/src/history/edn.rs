//! Histories as Jepsen's EDN.
//!
//! What Jepsen and Knossos have written can be checked here, and what was recorded here can be
//! checked there; so a verdict need not be taken on trust.
//!
//! # What is read
//! One operation after the other, usually one a line, or one vector or list of them for the whole
//! file; each a map, or a record such as `#jepsen.history.Op{…}`, with `:process`, `:type`, `:f`,
//! `:value`, `:time`, `:error`. Other keys are passed over, `:index` among them: the order is that
//! of the file. An operation whose `:process` is no number, such as `:nemesis`, is no client's; it
//! is skipped, and counted. When no operation has a `:time`, its place in the file stands for it, a millisecond each.
//! Older Jepsens took the time a moment before they wrote the operation down, so that times may
//! run backwards a little: they are raised to the one before, and counted.
//!
//! | EDN | value |
//! |---|---|
//! | `nil`, booleans, numbers, strings, vectors | the same |
//! | keyword, symbol, character | its name, as text |
//! | list; set | array; in the order of its values |
//! | map | object; keys that are no text as JSON: `{0 10}` is `{"0": 10}` |
//! | `1N`, `1.5M` | a number if it is one exactly, its digits as text otherwise; so is `1/3` |
//! | `#tag value` | the value |
//!
//! With [`Options::independent`](super::Options) a value is a tuple `[key value]`, as Jepsen's
//! `independent` namespace makes them.
//!
//! # What is written
//! One operation a line, which [`Reader`] reads as the same event. Names are written as Jepsen's
//! are, keywords and numbers where they can be, and a key as a tuple with the value.
//!
//! # Why another reader around a library
//! `clojure-reader` reads a form: it is kept up, fuzzed, has a permissive licence, knows records
//! and numbers of any size, and says the line and the column of what it does not like. It wants
//! the whole text in memory, though. So a small scanner that knows brackets, strings and comments,
//! and nothing else, cuts the stream into operations first, and holds one of them at a time. (`edn-format` needs an iterator that can
//! be cloned, recurses on what it reads, and has not moved for years; `edn-rs` is given up by its
//! authors; `edn` knows no records.)
//!
//! # Limits
//! An operation has at most [`LINE_BYTES_MAX`](crate::limits::LINE_BYTES_MAX) bytes and
//! [`EDN_DEPTH_MAX`] brackets and tags within one another. `##Inf`, `##NaN` and
//! `\u0041` are refused. A keyword and a string with the same name become the same text.

mod frame;
mod op;
mod value;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, BufRead, Write};

use self::frame::Scanner;
use self::op::{Form, Op};
use super::event::{Event, Kind};
use super::line::LineError;
use crate::limits::EDN_DEPTH_MAX;

/// Reads events from EDN, one at a time. After an error there is nothing more.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    scanner: Scanner,
    times: Times,
    line: u64,
    skipped: u64,
    raised: u64,
    is_done: bool,
}

/// How far apart operations without a time are, in nanoseconds: enough to tell them apart where
/// times are shown in milliseconds.
const PLACE: u64 = 1_000_000;

/// Where times come from.
#[derive(Clone, Copy, Debug)]
enum Times {
    Unknown,
    /// From the operations; the last one.
    Given(u64),
    /// From their order; the last one.
    Order(u64),
}

impl<R: BufRead> Reader<R> {
    /// Reads what `input` has.
    pub fn new(input: R) -> Self {
        Self {
            input,
            scanner: Scanner::new(),
            times: Times::Unknown,
            line: 0,
            skipped: 0,
            raised: 0,
            is_done: false,
        }
    }

    /// The line on which the event that was read last begins, from 1; 0 before the first.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// How many operations were skipped because they are no client's.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// How many times ran backwards, and were raised.
    #[must_use]
    pub fn raised(&self) -> u64 {
        self.raised
    }

    /// Looks for the end of the next form; false when there is none.
    fn advance(&mut self) -> Result<bool, LineError> {
        loop {
            let bytes = match self.input.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(LineError::io(self.scanner.start().line, &error)),
            };
            if bytes.is_empty() {
                self.scanner.end()?;
                return Ok(false);
            }
            let (used, is_complete) = self.scanner.feed(bytes)?;
            self.input.consume(used);
            if is_complete {
                return Ok(true);
            }
        }
    }

    fn read(&mut self) -> Result<Option<Event>, LineError> {
        let (mut discards, mut kept) = (false, 0);
        while self.advance()? {
            let start = self.scanner.start();
            self.line = start.line;
            let form = op::read(self.scanner.form()?, start)?;
            discards = matches!(form, Form::Incomplete);
            match form {
                Form::Incomplete => {
                    // Each is read again with what follows it.
                    kept += 1;
                    if kept > EDN_DEPTH_MAX {
                        let what = format!("more than {EDN_DEPTH_MAX} forms wait for another one");
                        return Err(LineError::new(self.line, 0, what));
                    }
                    self.scanner.keep();
                    continue;
                }
                Form::Other => self.skipped += 1,
                Form::Nothing => {}
                Form::Op(op) => {
                    self.scanner.take();
                    return self.event(op).map(Some);
                }
            }
            self.scanner.take();
            kept = 0;
        }
        if discards {
            return Err(LineError::new(self.line, 0, "nothing follows a #_ or a #tag"));
        }
        Ok(None)
    }

    fn event(&mut self, op: Op) -> Result<Event, LineError> {
        let time = self.time(op.time)?;
        let Op { process, kind, f, value, error, .. } = op;
        Ok(Event { process, kind, f, key: None, value, time, error })
    }

    fn time(&mut self, given: Option<u64>) -> Result<u64, LineError> {
        let (time, times) = match (self.times, given) {
            (Times::Unknown, None) => (0, Times::Order(0)),
            (Times::Order(last), None) => (last + PLACE, Times::Order(last + PLACE)),
            (Times::Unknown, Some(time)) => (time, Times::Given(time)),
            (Times::Given(last), Some(time)) => {
                self.raised += u64::from(time < last);
                (time.max(last), Times::Given(time.max(last)))
            }
            (Times::Given(_), None) | (Times::Order(_), Some(_)) => {
                let what = "some operations have a :time and some have none; \
                     all must have one, or none";
                return Err(LineError::new(self.line, 0, what));
            }
        };
        self.times = times;
        Ok(time)
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

/// Writes events as Jepsen's operations, one a line.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    index: u64,
    has_keys: bool,
    line: String,
}

impl<W: Write> Writer<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out, index: 0, has_keys: false, line: String::new() }
    }

    /// Writes one event.
    ///
    /// # Errors
    /// When it cannot be written; or when some events have a key and some have none, which Jepsen's
    /// tuples cannot tell apart.
    pub fn push(&mut self, event: &Event) -> io::Result<()> {
        let has_key = event.key.is_some();
        if self.index == 0 {
            self.has_keys = has_key;
        } else if self.has_keys != has_key {
            let what = "some events have a key and some have none; EDN cannot tell them apart";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        self.line.clear();
        write_op(event, self.index, &mut self.line);
        self.index += 1;
        self.out.write_all(self.line.as_bytes())
    }

    /// What was written to.
    pub fn into_inner(self) -> W {
        self.out
    }
}

fn write_op(event: &Event, index: u64, line: &mut String) {
    let kind = match event.kind {
        Kind::Invoke => "invoke",
        Kind::Ok => "ok",
        Kind::Fail => "fail",
        Kind::Info => "info",
    };
    // Writing to a string does not fail.
    let _ = write!(line, "{{:index {index}, :time {}, ", event.time);
    let _ = write!(line, ":process {}, :type :{kind}, :f ", event.process);
    value::write_keyword(&event.f, line);
    line.push_str(", :value ");
    if let Some(key) = &event.key {
        line.push('[');
        value::write_name(key, line);
        line.push(' ');
    }
    value::write_value(&event.value, line);
    if event.key.is_some() {
        line.push(']');
    }
    if let Some(error) = &event.error {
        line.push_str(", :error ");
        value::write_text(error, line);
    }
    line.push_str("}\n");
}

/// Writes events as Jepsen's operations, one a line.
///
/// # Errors
/// As [`Writer::push`].
pub fn write<'a>(events: impl IntoIterator<Item = &'a Event>, out: impl Write) -> io::Result<()> {
    let mut writer = Writer::new(out);
    events.into_iter().try_for_each(|event| writer.push(event))
}

/// The parts of a tuple `[key value]`; the value itself when it is none.
pub(super) fn tuple(
    value: serde_json::Value,
) -> Result<(Cow<'static, str>, serde_json::Value), serde_json::Value> {
    match value {
        serde_json::Value::Array(mut parts) if parts.len() == 2 => {
            let inner = parts.pop().unwrap_or_default();
            let key = parts.pop().unwrap_or_default();
            Ok((Cow::Owned(value::name(key)), inner))
        }
        other => Err(other),
    }
}
