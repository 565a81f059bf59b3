//! The lock-free parts under every interleaving.
//!
//! `loom` replaces the atomics, so what it needs is built apart, with a flag of its own, into a
//! folder of its own.

use std::io;
use std::path::Path;

/// Crates that have such parts.
const CRATES: &[&str] = &["steadfast-resilience"];

/// Runs the models; says whether all of them hold.
///
/// # Errors
/// Cargo cannot be started.
pub fn run(root: &Path) -> io::Result<bool> {
    for name in CRATES {
        let status = crate::cargo()
            .args(["test", "--quiet", "--release", "--lib", "--package", name, "loom_tests"])
            .arg("--target-dir")
            .arg(root.join("target/loom"))
            .env("RUSTFLAGS", "--cfg steadfast_loom")
            .current_dir(root)
            .status()?;
        if !status.success() {
            return Ok(false);
        }
    }
    Ok(true)
}
