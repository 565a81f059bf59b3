//! Reads and writes histories of either format.

use std::io::{BufRead, Chain, Cursor, Read, Write};
use std::path::Path;
use std::{fmt, io};

use super::event::Event;
use super::line::LineError;
use super::{edn, jsonl};
use crate::limits::LINE_BYTES_MAX;

/// How a history is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    JsonLines,
    /// Jepsen's EDN.
    Edn,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::JsonLines => "JSON lines",
            Self::Edn => "EDN",
        })
    }
}

impl Format {
    /// What the name of a file says: `.jsonl` and `.ndjson`, or `.edn`.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            "edn" => Some(Self::Edn),
            _ => None,
        }
    }
}

/// How a history is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How it is written down; found out from how it begins when there is none.
    pub format: Option<Format>,
    /// Whether each value is a tuple `[key value]`, as Jepsen's `independent` namespace makes them:
    /// the first part becomes the event's key.
    pub independent: bool,
}

/// Reads events, one at a time, in bounded memory. After an error there is nothing more.
#[derive(Debug)]
pub struct Reader<R> {
    inner: Inner<Chain<Cursor<Vec<u8>>, R>>,
    independent: bool,
    is_done: bool,
}

#[derive(Debug)]
enum Inner<R> {
    JsonLines(jsonl::Reader<R>),
    Edn(edn::Reader<R>),
}

/// Reads a history, of whichever format it is.
///
/// # Errors
/// When how it begins shows that it is none.
pub fn read<R: BufRead>(mut input: R, options: Options) -> Result<Reader<R>, LineError> {
    let (head, format) = begin(&mut input, options.format)?;
    let input = Cursor::new(head).chain(input);
    let inner = match format {
        Format::JsonLines => Inner::JsonLines(jsonl::Reader::new(input)),
        Format::Edn => Inner::Edn(edn::Reader::new(input)),
    };
    Ok(Reader { inner, independent: options.independent, is_done: false })
}

impl<R: BufRead> Reader<R> {
    /// The format that is read.
    #[must_use]
    pub fn format(&self) -> Format {
        match self.inner {
            Inner::JsonLines(_) => Format::JsonLines,
            Inner::Edn(_) => Format::Edn,
        }
    }

    /// The line on which the event that was read last begins, from 1; 0 before the first.
    #[must_use]
    pub fn line(&self) -> u64 {
        match &self.inner {
            Inner::JsonLines(reader) => reader.line(),
            Inner::Edn(reader) => reader.line(),
        }
    }

    /// How many events were skipped because they are no client's.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        match &self.inner {
            Inner::JsonLines(reader) => reader.skipped(),
            Inner::Edn(reader) => reader.skipped(),
        }
    }

    /// How many times ran backwards, and were raised to the one before. JSON lines have none: there
    /// it is an error.
    #[must_use]
    pub fn raised(&self) -> u64 {
        match &self.inner {
            Inner::JsonLines(_) => 0,
            Inner::Edn(reader) => reader.raised(),
        }
    }

    fn keyed(&self, event: Event) -> Result<Event, LineError> {
        if !self.independent {
            return Ok(event);
        }
        let error = |what: String| Err(LineError::new(self.line(), 0, what));
        if let Some(key) = &event.key {
            return error(format!(
                "the event has the key {key:?} already; read it without taking its value apart"
            ));
        }
        match edn::tuple(event.value) {
            Ok((key, value)) => Ok(Event { key: Some(key), value, ..event }),
            Err(value) => error(format!("{value} is no tuple of a key and a value")),
        }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Event, LineError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let event = match &mut self.inner {
            Inner::JsonLines(reader) => reader.next()?,
            Inner::Edn(reader) => reader.next()?,
        };
        let event = event.and_then(|event| self.keyed(event));
        self.is_done = event.is_err();
        Some(event)
    }
}

/// Bytes with which files begin that are not text, and what to do about it.
const OTHERS: &[(&[u8], &str)] = &[
    (b"\x1f\x8b", "is compressed with gzip; pipe it through `gzip -dc`"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd; pipe it through `zstd -dc`"),
    (b"\xfd7zXZ", "is compressed with xz; pipe it through `xz -dc`"),
    (b"BZh", "is compressed with bzip2; pipe it through `bzip2 -dc`"),
    (b"PK\x03\x04", "is a ZIP archive; unpack it first"),
    (b"JEPSEN", "is Jepsen's own binary format; the history.edn beside it is the same as text"),
    (b"\xff\xfe", "is UTF-16; a history is UTF-8"),
    (b"\xfe\xff", "is UTF-16; a history is UTF-8"),
];

/// Before this many bytes no history has a value, so no byte 0.
const TEXT_FROM: usize = 16;

/// The mark that some programs put before UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads as much as shows the format. What was read comes back, without a byte-order mark.
fn begin(input: &mut impl BufRead, format: Option<Format>) -> Result<(Vec<u8>, Format), LineError> {
    let mut head = Vec::new();
    loop {
        let bytes = match input.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(LineError::io(0, &error)),
        };
        let length = bytes.len();
        head.extend_from_slice(bytes);
        input.consume(length);
        // What a file begins with that is none of ours is known after a few bytes.
        let is_all = length == 0;
        if head.len() < 8 && !is_all {
            continue;
        }
        if let Some((_, what)) = OTHERS.iter().find(|(magic, _)| head.starts_with(magic)) {
            return Err(LineError::of_file(format!("the file {what}")));
        }
        // Further on it may be part of a text.
        if let Some(at) = head.iter().take(TEXT_FROM).position(|byte| *byte == 0) {
            let what = format!("byte {at} of the file is 0: this is no text, so no history");
            return Err(LineError::of_file(what));
        }
        if head.starts_with(MARK) {
            head.drain(..MARK.len());
        }
        let found = match format {
            Some(format) => Some(format),
            None => detect(&head)?,
        };
        // A file that ends before it shows what it is has no event in either.
        let is_list = head.trim_ascii_start().starts_with(b"[");
        let other = if is_list { Format::Edn } else { Format::JsonLines };
        if let Some(format) = found.or(is_all.then_some(other)) {
            return Ok((head, format));
        }
        if head.len() > LINE_BYTES_MAX {
            return Err(LineError::of_file("the file begins with nothing but blanks"));
        }
    }
}

/// What begins like this; `None` when more must be seen.
fn detect(head: &[u8]) -> Result<Option<Format>, LineError> {
    let mut shown = head.iter().enumerate().filter(|(_, byte)| !byte.is_ascii_whitespace());
    let mut next = || shown.next().map(|(at, byte)| (at, *byte));
    let Some((at, first)) = next() else { return Ok(None) };
    let second = next().map(|(_, byte)| byte);
    let third = next().map(|(_, byte)| byte);
    Ok(match (first, second, third) {
        (b'{', Some(b'"' | b'}'), _) => Some(Format::JsonLines),
        (b'[', Some(b'{'), Some(b'"')) => {
            let what = "the file is one JSON array; it must be one object a line, \
                 as `jq -c '.[]'` makes them";
            return Err(LineError::of_file(what));
        }
        (b'{', None, _) | (b'[', None, _) | (b'[', Some(b'{'), None) => None,
        (b'{' | b'[' | b'(' | b'#' | b';', _, _) => Some(Format::Edn),
        _ => {
            let line = head[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            let found = String::from_utf8_lossy(&head[at..]);
            let found: String = found.chars().take_while(|c| !c.is_control()).take(20).collect();
            let what = format!(
                "{found:?} begins no history; one begins with {{\"process\":… (JSON lines) or \
                 {{:process … or [{{:process … (Jepsen's EDN)"
            );
            return Err(LineError::new(line, 0, what));
        }
    })
}

/// Writes events in a format, one at a time.
#[derive(Debug)]
pub struct Writer<W>(Output<W>);

#[derive(Debug)]
enum Output<W> {
    JsonLines(W),
    Edn(edn::Writer<W>),
}

impl<W: Write> Writer<W> {
    /// Writes to `out`.
    pub fn new(out: W, format: Format) -> Self {
        Self(match format {
            Format::JsonLines => Output::JsonLines(out),
            Format::Edn => Output::Edn(edn::Writer::new(out)),
        })
    }

    /// Writes one event.
    ///
    /// # Errors
    /// When it cannot be written; for EDN see [`edn::Writer::push`].
    pub fn push(&mut self, event: &Event) -> io::Result<()> {
        match &mut self.0 {
            Output::JsonLines(out) => jsonl::write_event(event, out),
            Output::Edn(writer) => writer.push(event),
        }
    }

    /// What was written to.
    pub fn into_inner(self) -> W {
        match self.0 {
            Output::JsonLines(out) => out,
            Output::Edn(writer) => writer.into_inner(),
        }
    }
}
