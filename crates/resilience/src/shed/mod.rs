//! To be written: see the module list in the brief.

mod decision;

pub use decision::{Reason, Refused};

/// How important a piece of work is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// The first to be thrown away: refreshes, prefetching, batch work.
    Background,
    /// Ordinary work.
    #[default]
    Normal,
    /// The last to be thrown away: what finishes work that has been begun.
    Critical,
}

impl std::fmt::Display for Priority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Background => "background",
            Self::Normal => "normal",
            Self::Critical => "critical",
        })
    }
}
