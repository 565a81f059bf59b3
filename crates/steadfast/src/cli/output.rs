//! What goes to stdout.

use std::io::{self, BufWriter, Write};

use anstream::{AutoStream, ColorChoice};
use serde::Serialize;

use super::Failure;
use super::table::Table;

/// Stdout, as text or as JSON.
#[derive(Debug)]
pub struct Out {
    stdout: BufWriter<io::Stdout>,
    json: bool,
}

impl Out {
    /// Stdout; with `json`, commands are asked for one document.
    pub fn new(json: bool) -> Self {
        Self { stdout: BufWriter::new(io::stdout()), json }
    }

    /// Whether JSON is wanted.
    pub const fn json(&self) -> bool {
        self.json
    }

    /// Bytes as they are.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stdout.write_all(bytes).map_err(Failure::Stdout)
    }

    /// Text and a line break.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub fn line(&mut self, text: impl std::fmt::Display) -> Result<(), Failure> {
        writeln!(self.stdout, "{text}").map_err(Failure::Stdout)
    }

    /// Text with colours, which only a terminal that wants them gets to see, and a line break.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub fn styled(&mut self, text: impl std::fmt::Display) -> Result<(), Failure> {
        let text = text.to_string();
        match AutoStream::choice(&io::stdout()) {
            ColorChoice::Never => self.line(anstream::adapter::strip_str(&text)),
            _ => self.line(text),
        }
    }

    /// A table.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub fn table(&mut self, table: &Table) -> Result<(), Failure> {
        self.raw(table.render().as_bytes())
    }

    /// A JSON document.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub fn document(&mut self, document: &impl Serialize) -> Result<(), Failure> {
        let json = serde_json::to_string_pretty(document).map_err(Failure::failed)?;
        self.line(json)
    }

    /// Sends what is buffered on its way.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub fn finish(&mut self) -> Result<(), Failure> {
        self.stdout.flush().map_err(Failure::Stdout)
    }
}
