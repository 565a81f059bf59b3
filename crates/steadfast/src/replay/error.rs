//! Why a replay stopped.

use std::path::PathBuf;
use std::sync::Arc;

use steadfast_coordination as coordination;
use steadfast_dispatch::AssemblyError;
use steadfast_dispatch::names::NameError;
use steadfast_journal::StorageError;

use super::check::Violation;
use super::{day, files, history};

/// Violations that a message spells out; the rest is counted.
const SHOWN: usize = 5;

/// Why a replay stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The day cannot be read.
    #[error(transparent)]
    Day(#[from] day::Error),
    /// A name of the day cannot be used.
    #[error("the day's names: {0}")]
    Name(#[from] NameError),
    /// The journals cannot be opened, or are in use.
    #[error(transparent)]
    Open(#[from] StorageError),
    /// A journal failed on the way.
    #[error("{0}; what was committed is kept, and a restart goes on from there")]
    Storage(Arc<StorageError>),
    /// A journal refused what only a replay writes.
    #[error("the replay's own record: {0}")]
    Record(steadfast_journal::Error),
    /// The journal cannot be read back.
    #[error(transparent)]
    History(#[from] history::Error),
    /// The platform does not start.
    #[error(transparent)]
    Assembly(#[from] AssemblyError),
    /// The leases do not work.
    #[error(transparent)]
    Leases(#[from] coordination::Invalid),
    /// The platform refused what the day did.
    #[error("minute {minute}: {what}: {source}")]
    Refused {
        /// When.
        minute: i64,
        /// What was asked.
        what: String,
        /// Why not.
        source: Box<steadfast_dispatch::Error>,
    },
    /// The data directory belongs to another replay, or to none.
    #[error(
        "{} holds {found}, not {wanted}; choose another directory, or remove it if it is not \
         needed any more",
        path.display()
    )]
    OtherReplay {
        /// The data directory.
        path: PathBuf,
        /// What it holds.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// A file of the day or of the data directory cannot be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What the journal has recorded is not what the rules of the day make of its trips.
    #[error(
        "the trip {offer} of {courier}: {what} in the journal, {right} by the rules of the day"
    )]
    Untimely {
        /// Which trip.
        offer: String,
        /// Whose.
        courier: String,
        /// What is recorded.
        what: String,
        /// What would be right.
        right: String,
    },
    /// The plan cannot be written or read back.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// The plan, as written, breaks rules of the day.
    #[error("the plan in {} breaks rules of the day:{}", dir.display(), listed(violations))]
    RulesBroken {
        /// Where the plan is.
        dir: PathBuf,
        /// Which rules, and where.
        violations: Vec<Violation>,
    },
}

impl Error {
    pub(super) fn refused(minute: i64, what: String, error: steadfast_dispatch::Error) -> Self {
        Self::Refused { minute, what, source: Box::new(error) }
    }
}

fn listed(violations: &[Violation]) -> String {
    let shown = violations.iter().take(SHOWN);
    let mut text: String = shown.map(|violation| format!("\n  {violation}")).collect();
    if violations.len() > SHOWN {
        text += &format!("\n  and {} more", violations.len() - SHOWN);
    }
    text
}
