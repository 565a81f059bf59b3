//! What is wrong with a configuration.

use std::fmt;
use std::path::PathBuf;

use figment::error::Kind;

use super::value::Setting;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, dotted; empty when it is not about one.
    pub key: String,
    /// Where the key was set: a file with a line, an environment variable, a flag.
    pub origin: Option<String>,
    /// What is wrong, and what is allowed.
    pub what: String,
}

impl Problem {
    /// A problem with a key; where it was set is filled in later.
    pub fn new(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self { key: key.into(), origin: None, what: what.into() }
    }

    /// What figment says about a value of type `T`.
    pub(super) fn of_value<T: Setting>(path: &str, error: figment::Error) -> Self {
        let origin = error.metadata.as_ref().map(|metadata| metadata.name.to_string());
        let must = format!("must be {}", T::ALLOWED.replace('`', ""));
        let what = match &error.kind {
            Kind::Message(message) => message.clone(),
            Kind::InvalidType(actual, _) | Kind::InvalidValue(actual, _) => {
                format!("{must}, not {actual}")
            }
            Kind::UnknownField(field, known) => {
                let hint = suggestion(field, known.iter().copied());
                format!("{must}; it has no {field:?}{hint}")
            }
            Kind::MissingField(field) => format!("{must}; {field:?} is missing"),
            other => format!("{must}: {other}"),
        };
        Self { key: path.to_owned(), origin, what }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)
    }
}

/// `; did you mean "…"?` when one of the known words is close to what was written.
pub(super) fn suggestion<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    // 0.8 lets two letters of a ten-letter word be wrong.
    const CLOSE: f64 = 0.8;
    known
        .map(|name| (strsim::jaro_winkler(word, name), name))
        .filter(|(closeness, _)| *closeness >= CLOSE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(String::new, |(_, name)| format!("; did you mean {name:?}?"))
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path}:{line}: {what}", path = path.display())]
    Syntax {
        /// Which.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        what: String,
    },
    /// Something in it is wrong; all that was found.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
