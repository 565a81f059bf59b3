//! Text tables with one header line: the shape of all seven files of a replay.
//!
//! One reader for the input (tabs) and for the output as written (single spaces), so that an
//! error says the same things everywhere: line, column, what stood there, what is allowed.

use std::collections::HashSet;

/// What is wrong with a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The first line is not the header of the format.
    #[error(
        "line 1: the header must be {allowed:?} (columns separated by {separator:?}), found {found:?}"
    )]
    Header {
        /// The header that the format has.
        allowed: String,
        /// The separator of columns.
        separator: char,
        /// The line as read.
        found: String,
    },
    /// A line has too few or too many columns.
    #[error("line {line}: {allowed}, separated by single {separator:?}, found {found}")]
    Columns {
        /// Number of the line, from 1.
        line: usize,
        /// How many columns there must be.
        allowed: String,
        /// The separator of columns.
        separator: char,
        /// How many there are.
        found: usize,
    },
    /// A value is not allowed in its column.
    #[error("line {line}, column {column:?}: {found:?} is not {allowed}")]
    Value {
        /// Number of the line, from 1.
        line: usize,
        /// Name of the column.
        column: String,
        /// What stood there.
        found: String,
        /// What may stand there.
        allowed: String,
    },
    /// The table has not exactly one row.
    #[error("there must be exactly one line after the header, found {found}")]
    OneRow {
        /// How many there are.
        found: usize,
    },
}

/// A table that has passed the checks of its shape.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Row>,
}

/// One line of a table.
#[derive(Debug)]
pub struct Row {
    line: usize,
    header: &'static [&'static str],
    values: Vec<String>,
}

impl Table {
    /// Splits `text`; every line must have as many columns as the header.
    ///
    /// # Errors
    ///
    /// [`Error::Header`] or [`Error::Columns`].
    pub fn parse(
        text: &str,
        separator: char,
        header: &'static [&'static str],
    ) -> Result<Self, Error> {
        Self::parse_shape(text, separator, header, false)
    }

    /// As [`Table::parse`], but the last column is a list: it may go on over more columns.
    ///
    /// # Errors
    ///
    /// [`Error::Header`] or [`Error::Columns`].
    pub fn parse_list(
        text: &str,
        separator: char,
        header: &'static [&'static str],
    ) -> Result<Self, Error> {
        Self::parse_shape(text, separator, header, true)
    }

    fn parse_shape(
        text: &str,
        separator: char,
        header: &'static [&'static str],
        list: bool,
    ) -> Result<Self, Error> {
        let allowed = header.join(&separator.to_string());
        let mut lines = text.split('\n').enumerate().map(|(index, line)| (index + 1, line));
        let found = lines.next().map_or("", |(_, line)| line);
        if found != allowed {
            return Err(Error::Header { allowed, separator, found: found.to_owned() });
        }
        let mut rows = Vec::new();
        let mut lines = lines.peekable();
        while let Some((line, content)) = lines.next() {
            // A file ends with a line break; whatever else is empty is an error below.
            if content.is_empty() && lines.peek().is_none() {
                break;
            }
            let values: Vec<String> = content.split(separator).map(str::to_owned).collect();
            let fits = values.len() == header.len() || (list && values.len() > header.len());
            if !fits || values.iter().any(String::is_empty) {
                let least = if list { "at least " } else { "" };
                return Err(Error::Columns {
                    line,
                    allowed: format!("{least}{} columns with a value each", header.len()),
                    separator,
                    found: values.iter().filter(|value| !value.is_empty()).count(),
                });
            }
            rows.push(Row { line, header, values });
        }
        Ok(Self { rows })
    }

    /// All lines after the header.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The only line after the header.
    ///
    /// # Errors
    ///
    /// [`Error::OneRow`].
    pub fn only_row(&self) -> Result<&Row, Error> {
        match self.rows.as_slice() {
            [row] => Ok(row),
            rows => Err(Error::OneRow { found: rows.len() }),
        }
    }

    /// Checks that the first column holds identifiers of the form `<prefix><number>`, each once.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] at the first that is malformed or repeated.
    pub fn unique(&self, prefix: char) -> Result<(), Error> {
        let mut seen = HashSet::new();
        for row in &self.rows {
            let id = row.identifier(0, prefix)?;
            if !seen.insert(id) {
                return Err(row.error(0, "a new identifier: it stands on an earlier line"));
            }
        }
        Ok(())
    }
}

impl Row {
    /// Number of the line in its file, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The value of a column that is known to exist.
    pub fn text(&self, column: usize) -> &str {
        &self.values[column]
    }

    /// The values from `column` to the end of the line.
    pub fn list(&self, column: usize) -> &[String] {
        &self.values[column..]
    }

    /// A whole number from `least` to `most`, both allowed; no sign but a minus, no zero in
    /// front.
    ///
    /// # Errors
    ///
    /// [`Error::Value`].
    pub fn integer(&self, column: usize, least: i64, most: i64) -> Result<i64, Error> {
        self.text(column)
            .parse::<i64>()
            .ok()
            .filter(|value| (least..=most).contains(value))
            .filter(|value| value.to_string() == self.text(column))
            .ok_or_else(|| self.error(column, format!("a whole number from {least} to {most}")))
    }

    /// An identifier: `prefix`, then digits.
    ///
    /// # Errors
    ///
    /// [`Error::Value`].
    pub fn identifier(&self, column: usize, prefix: char) -> Result<&str, Error> {
        let id = self.text(column);
        let digits = id.strip_prefix(prefix).unwrap_or_default();
        if !digits.is_empty() && digits.len() <= 12 && digits.bytes().all(|b| b.is_ascii_digit()) {
            Ok(id)
        } else {
            Err(self.error(column, format!("an identifier such as \"{prefix}12\"")))
        }
    }

    /// The error that says what is allowed in a column of this line.
    pub fn error(&self, column: usize, allowed: impl Into<String>) -> Error {
        Error::Value {
            line: self.line,
            column: self.header.get(column).copied().unwrap_or("list").to_owned(),
            found: self.values.get(column).cloned().unwrap_or_default(),
            allowed: allowed.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[&str] = &["courier", "x"];

    fn error(text: &str) -> String {
        Table::parse(text, '\t', HEADER).unwrap_err().to_string()
    }

    #[test]
    fn a_table_is_read_with_and_without_a_last_line_break() {
        for text in ["courier\tx\nc1\t5\n", "courier\tx\nc1\t5"] {
            let table = Table::parse(text, '\t', HEADER).unwrap();
            assert_eq!(table.rows().len(), 1);
            assert_eq!(table.rows()[0].integer(1, 0, 9).unwrap(), 5);
            assert_eq!(table.rows()[0].line(), 2);
        }
    }

    #[test]
    fn shape_errors_name_the_line_and_what_is_allowed() {
        assert!(error("courier x\n").contains("line 1: the header must be \"courier\\tx\""));
        assert!(error("courier\tx\nc1\n").contains("line 2: 2 columns"));
        assert!(error("courier\tx\nc1\t\n").contains("line 2: 2 columns"));
        assert!(error("courier\tx\n\nc1\t5\n").contains("line 2: 2 columns"));
        assert!(error("courier\tx\nc1\t5\t\n").contains("line 2: 2 columns"));
    }

    #[test]
    fn value_errors_name_the_column() {
        let table = Table::parse("courier\tx\nd1\t+5\nc1\t7\nc1\t07\n", '\t', HEADER).unwrap();
        let rows = table.rows();
        assert_eq!(
            rows[0].integer(1, 0, 9).unwrap_err().to_string(),
            "line 2, column \"x\": \"+5\" is not a whole number from 0 to 9"
        );
        assert!(rows[2].integer(1, 0, 9).is_err(), "no zero in front");
        assert!(rows[1].integer(1, 0, 6).is_err());
        assert!(table.unique('c').unwrap_err().to_string().contains("\"d1\" is not an identifier"));
    }

    #[test]
    fn an_identifier_stands_once() {
        let table = Table::parse("courier\tx\nc1\t5\nc1\t7\n", '\t', HEADER).unwrap();
        assert!(table.unique('c').unwrap_err().to_string().starts_with("line 3"));
    }

    #[test]
    fn a_list_goes_on_to_the_end_of_the_line() {
        let table = Table::parse_list("courier x\nc1 5 6 7\n", ' ', HEADER).unwrap();
        assert_eq!(table.rows()[0].list(1), ["5", "6", "7"]);
    }
}
