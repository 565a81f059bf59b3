//! Golden files: generated text that is kept, so that a change of it is seen.
//!
//! Every test that compares with one has one of [`NAMES`] in its name and writes the file when
//! `UPDATE_GOLDEN` is set.

use std::io;
use std::path::Path;

/// What tests are called that compare with golden files.
const NAMES: [&str; 2] = ["golden", "as_committed"];

/// Writes all golden files anew.
///
/// # Errors
/// Cargo did not start.
pub fn run(root: &Path) -> io::Result<bool> {
    let status = crate::cargo()
        .args(["test", "--quiet", "--workspace", "--all-features", "--"])
        .args(NAMES)
        .env("UPDATE_GOLDEN", "1")
        .current_dir(root)
        .status()?;
    Ok(status.success())
}
