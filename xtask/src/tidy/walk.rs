//! The files of the repository.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Directories that are not ours to check: what is built, and what git keeps.
const SKIPPED: &[&str] = &["target", ".git", "out"];

/// All files below `root`, from there, in a fixed order.
pub(super) fn files(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    collect(root, Path::new(""), &mut files)?;
    files.sort();
    Ok(files)
}

fn collect(root: &Path, below: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        let path = below.join(&name);
        if kind.is_file() {
            files.push(path);
        } else if kind.is_dir()
            && !SKIPPED.iter().any(|skipped| name == *skipped)
            && !scratch(&name)
        {
            collect(root, &path, files)?;
        }
    }
    Ok(())
}

/// Whether a directory is data that the program left while it runs.
fn scratch(name: &std::ffi::OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with(".steadfast-") || name == "steadfast-data" || name == "__pycache__"
}
