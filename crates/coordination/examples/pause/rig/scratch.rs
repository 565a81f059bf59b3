//! Where a run keeps what it makes.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Outcome;

/// A folder that is given, and stays, or one of the run's own, which goes unless it is kept.
pub struct Scratch {
    path: PathBuf,
    own: Option<TempDir>,
}

impl Scratch {
    pub fn new(given: Option<&Path>) -> Outcome<Self> {
        Ok(match given {
            Some(path) => {
                std::fs::create_dir_all(path)?;
                Self { path: path.to_owned(), own: None }
            }
            None => {
                let own = tempfile::Builder::new().prefix("pause-").tempdir()?;
                Self { path: own.path().to_owned(), own: Some(own) }
            }
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it where it is, for somebody to look at.
    pub fn keep(&mut self) -> &Path {
        if let Some(own) = self.own.take() {
            let _ = own.keep();
        }
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("what the run left is in {}", self.keep().display());
        }
    }
}
