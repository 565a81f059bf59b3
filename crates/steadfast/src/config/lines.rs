//! A configuration file whose keys know their line.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::Error;

/// Largest configuration file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A file's content, twice: as values, and as the line of each key.
#[derive(Debug)]
pub struct File {
    /// The values.
    pub table: toml::Table,
    /// Dotted path of a key or table → line, from 1.
    pub lines: BTreeMap<String, usize>,
}

impl File {
    /// Reads and parses a file.
    ///
    /// # Errors
    /// It cannot be read, or is not TOML.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
        let size = fs::metadata(path).map_err(unreadable)?.len();
        if size > FILE_BYTES_MAX {
            let source = std::io::Error::other(format!("it is larger than {FILE_BYTES_MAX} bytes"));
            return Err(unreadable(source));
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(path, &text)
    }

    /// Parses the text of a file.
    ///
    /// # Errors
    /// It is not TOML.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let syntax = |error: toml::de::Error| Error::Syntax {
            path: path.to_owned(),
            line: error.span().map_or(1, |span| line_of(text, span.start)),
            what: error.message().to_owned(),
        };
        let table = text.parse::<toml::Table>().map_err(syntax)?;
        let spanned = DeTable::parse(text).map_err(syntax)?;
        let mut lines = BTreeMap::new();
        collect(spanned.get_ref(), "", text, &mut lines);
        Ok(Self { table, lines })
    }
}

fn collect(table: &DeTable<'_>, path: &str, text: &str, lines: &mut BTreeMap<String, usize>) {
    for (key, value) in table {
        let name = key.get_ref();
        let path = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
        if let DeValue::Table(inner) = value.get_ref() {
            collect(inner, &path, text, lines);
        }
        lines.insert(path, line_of(text, key.span().start));
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_know_their_lines() {
        let text = "listen = \"127.0.0.1:1\"\n\n[limits]\n# why\norder = \"1s\"\n";
        let file = File::parse(Path::new("x.toml"), text).unwrap();
        assert_eq!(file.lines["listen"], 1);
        assert_eq!(file.lines["limits.order"], 5);
    }

    #[test]
    fn a_mistake_in_the_syntax_names_its_line() {
        let error = File::parse(Path::new("x.toml"), "a = 1\nb = = 2\n").unwrap_err();
        assert!(error.to_string().starts_with("x.toml:2: "), "{error}");
    }
}
