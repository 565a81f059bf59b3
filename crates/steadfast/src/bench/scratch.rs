//! Where a bench keeps its data.

use std::io;
use std::path::{Path, PathBuf};

/// A data directory: the user's own, which stays, or one that is removed afterwards.
#[derive(Debug)]
pub enum Scratch {
    /// The user's.
    Kept(PathBuf),
    /// Ours, in the working directory and so on its disk: `/tmp` is often memory.
    Removed(tempfile::TempDir),
}

impl Scratch {
    /// The directory named, or a new one below the working directory.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(data: Option<&Path>) -> io::Result<Self> {
        match data {
            Some(path) => {
                std::fs::create_dir_all(path)?;
                Ok(Self::Kept(path.to_owned()))
            }
            None => {
                let mut builder = tempfile::Builder::new();
                builder.prefix(".steadfast-bench-").tempdir_in(".").map(Self::Removed)
            }
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Removed(directory) => directory.path(),
        }
    }

    /// The directory above the data, on the same disk; probes leave the data alone.
    pub fn beside(&self) -> &Path {
        self.path()
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."))
    }
}
