//! The repository's own rules, checked.
//!
//! A habit that can be checked mechanically should be, so that nobody has to be told. Each rule
//! is a function from a file (or from the manifests) to findings, and has a test that shows it
//! failing: a check that has never been seen failing is not a check.
//!
//! | module | rules |
//! |---|---|
//! | [`code`] | clocks, spawning, leftovers, `allow` without a reason, module docs, length |
//! | [`text`] | tabs, blanks at line ends, paths of somebody's machine |
//! | [`floors`] | who may depend on whom |
//! | [`licences`] | licence files, and every crate's own |

mod code;
mod floors;
mod lexer;
mod licences;
mod text;
mod walk;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Something that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, from the repository's directory.
    pub file: PathBuf,
    /// The line, from 1; 0 when it is about the whole file.
    pub line: usize,
    /// What is wrong, and what to do instead.
    pub what: String,
}

impl Finding {
    fn new(file: &Path, line: usize, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:", self.line)?;
        }
        write!(f, " {}", self.what)
    }
}

/// Checks everything; says whether nothing was found.
///
/// # Errors
/// A file cannot be read.
pub fn run(root: &Path) -> io::Result<bool> {
    let findings = check(root)?;
    for finding in &findings {
        eprintln!("{finding}");
    }
    if findings.is_empty() {
        println!("tidy");
    } else {
        eprintln!("{} findings", findings.len());
    }
    Ok(findings.is_empty())
}

/// Everything that breaks a rule, by file and line.
fn check(root: &Path) -> io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in walk::files(root)? {
        // What is not text has no lines to look at.
        let Ok(content) = std::fs::read_to_string(root.join(&file)) else {
            continue;
        };
        findings.extend(text::check(&file, &content));
        if file.extension().is_some_and(|extension| extension == "rs") {
            findings.extend(code::check(&file, &content));
        }
    }
    findings.extend(floors::check(root)?);
    findings.extend(licences::check(root)?);
    findings.sort();
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let findings = check(&crate::root()).unwrap();
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "\n{}", lines.join("\n"));
    }
}
