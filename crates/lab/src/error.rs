//! Why there is no result.

use std::path::PathBuf;

use crate::scenario::Problem;

/// Why an experiment has no result. That something is violated is a result, not an error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The scenario is not one; all that was found.
    #[error("{}", lines(.0))]
    Scenario(Vec<Problem>),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The system under test cannot be run in this way.
    #[error("{system} has no {mode} mode: {reason}")]
    Mode {
        /// The system.
        system: &'static str,
        /// `real` or `simulated`.
        mode: &'static str,
        /// Why, and what to do instead.
        reason: String,
    },
    /// The system under test could not be set up, or broke in a way that is no finding.
    #[error("{system}: {reason}")]
    System {
        /// The system.
        system: &'static str,
        /// What happened.
        reason: String,
    },
    /// One variant cannot be had with what was asked for, and the others can: a lock without tokens
    /// has no fenced variant. The run goes on without it, and says so.
    #[error("left out: {reason}")]
    LeftOut {
        /// Why.
        reason: String,
    },
    /// It was told to stop before it was done.
    #[error("interrupted; nothing is left running")]
    Interrupted,
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
