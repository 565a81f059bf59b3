//! What is wrong with a history file, and where.

use std::io;

use crate::limits::LINE_BYTES_MAX;

/// Why a history file cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// The line, from 1. Zero when it is the file as a whole.
    pub line: u64,
    /// The column, in characters, from 1. Zero when it is the line or the operation as a whole.
    pub column: u64,
    /// What is wrong, and what is allowed.
    pub what: String,
}

impl std::error::Error for LineError {}

impl std::fmt::Display for LineError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.line, self.column) {
            (0, _) => {}
            (line, 0) => write!(f, "line {line}: ")?,
            (line, column) => write!(f, "line {line}, column {column}: ")?,
        }
        f.write_str(&self.what)
    }
}

impl LineError {
    /// At a place.
    pub(super) fn new(line: u64, column: u64, what: impl Into<String>) -> Self {
        Self { line, column, what: what.into() }
    }

    /// Of the file as a whole.
    pub(super) fn of_file(what: impl Into<String>) -> Self {
        Self::new(0, 0, what)
    }

    /// Of a file that does not go on where it should.
    pub(super) fn cut(line: u64, what: impl std::fmt::Display) -> Self {
        let rest = match line {
            0 | 1 => "copy the file again, whole".to_owned(),
            _ => format!(
                "copy the file again, whole, or check what there is: its first {} {}",
                line - 1,
                if line == 2 { "line" } else { "lines" }
            ),
        };
        Self::new(line, 0, format!("cut off: {what}; {rest}"))
    }

    /// Of a line, or an operation, that is longer than any.
    pub(super) fn too_long(line: u64, what: &str) -> Self {
        let most = LINE_BYTES_MAX >> 20;
        Self::new(
            line,
            0,
            format!("{what} is longer than {most} MiB; this is no history, or not its beginning"),
        )
    }

    /// Of bytes that are no text.
    pub(super) fn not_utf8(line: u64, bytes: &[u8], error: std::str::Utf8Error) -> Self {
        let at = error.valid_up_to();
        let column = characters(&bytes[..at]) + 1;
        let byte = bytes.get(at).copied().unwrap_or_default();
        Self::new(line, column, format!("byte 0x{byte:02x} is not UTF-8; a history is text"))
    }

    /// Of a reader that fails.
    pub(super) fn io(line: u64, error: &io::Error) -> Self {
        Self::new(line, 0, format!("cannot be read: {error}"))
    }
}

/// How many characters begin in these bytes: in UTF-8, all that do not continue one.
pub(super) fn characters(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| !is_continuation(**byte)).count() as u64
}

/// Whether a byte of UTF-8 continues a character.
pub(super) const fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}
