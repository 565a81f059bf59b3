//! How a command fails.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use steadfast_lab::Verdict;

/// The exit code of what Ctrl-C has ended: 128 and the number of `SIGINT`.
pub const INTERRUPTED: u8 = 130;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// It could not be done, or what was checked is not right. Exit code 1.
    Failed(String),
    /// It was asked for wrongly. Exit code 2.
    Usage(String),
    /// What was asked about does not hold, or nobody knows; stdout says so already. Exit codes 1
    /// and 3.
    Verdict(Verdict),
    /// It was told to stop before it was done. Exit code 130, as a shell has it for Ctrl-C.
    Interrupted(String),
    /// Stdout could not be written. A reader that has left is no failure.
    Stdout(io::Error),
}

impl Failure {
    /// It could not be done.
    pub fn failed(what: impl Display) -> Self {
        Self::Failed(what.to_string())
    }

    /// An error with everything that it says about its causes.
    pub fn of(error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let words = inner.to_string();
            // A transparent error says the same as its cause.
            if !text.ends_with(&words) {
                text = format!("{text}: {words}");
            }
            cause = inner.source();
        }
        Self::Failed(text)
    }

    /// Says so on stderr, and gives the exit code.
    pub fn report(self) -> ExitCode {
        let (text, code) = match self {
            Self::Failed(text) => (text, 1),
            Self::Usage(text) => (text, 2),
            Self::Interrupted(text) => (text, INTERRUPTED),
            Self::Verdict(verdict) => return ExitCode::from(verdict.exit_code()),
            Self::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return ExitCode::SUCCESS;
            }
            Self::Stdout(error) => (format!("cannot write to stdout: {error}"), 1),
        };
        let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        for line in text.lines() {
            anstream::eprintln!("{red}error:{red:#} {line}");
        }
        ExitCode::from(code)
    }
}

impl From<crate::config::Error> for Failure {
    fn from(error: crate::config::Error) -> Self {
        Self::Usage(error.to_string())
    }
}
