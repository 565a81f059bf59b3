//! What can be wrong with a folder.

use std::io;
use std::path::{Path, PathBuf};

/// Why a log cannot be opened, or written any more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process (or another engine of this one) has it open.
    #[error("{} is in use by another server; one server at a time can have a folder", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// It holds something else.
    #[error(
        "{} is neither empty nor a folder of this engine; choose another one, nothing was changed",
        folder.display()
    )]
    Foreign {
        /// The folder.
        folder: PathBuf,
    },
    /// Written by another release.
    #[error(
        "{} has format {found}, this release reads format {known}; use the release that wrote it, \
         nothing was changed",
        file.display()
    )]
    Version {
        /// The file that says so.
        file: PathBuf,
        /// Its version.
        found: String,
        /// The version that can be read.
        known: u32,
    },
    /// Not as it was written. Starting without it could give a token twice, so nothing starts.
    #[error(
        "{} is damaged at byte {offset}: {what}; restore the folder from a copy, nothing was changed",
        file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// The operating system refuses.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// An earlier write failed; what is on disk is known again after a restart.
    #[error("the log stopped after an error: {0}")]
    Stopped(String),
}

impl Error {
    pub(super) fn io<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    pub(super) fn damaged(file: &Path, offset: usize, what: impl Into<String>) -> Self {
        Self::Damaged { file: file.to_owned(), offset: offset as u64, what: what.into() }
    }
}
