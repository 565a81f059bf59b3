//! `lab report`

use std::path::PathBuf;

use steadfast_lab::report;

use crate::cli::{Failure, Out};

pub(super) const EXAMPLES: &str = "\
Example:
  steadfast lab report out     after some of its files were removed, or others put there";

/// Arguments of `lab report`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder that `lab run --report` has written to.
    dir: PathBuf,
}

impl Args {
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        let gallery = report::index(&self.dir).map_err(|error| Failure::of(&error))?;
        for (path, why) in &gallery.skipped {
            anstream::eprintln!("left out: {}: {why}", path.display());
        }
        if out.json() {
            let skipped: Vec<_> = gallery
                .skipped
                .iter()
                .map(|(path, why)| serde_json::json!({ "path": path, "why": why }))
                .collect();
            return out.document(&serde_json::json!({
                "gallery": gallery.html, "runs": gallery.runs, "skipped": skipped,
            }));
        }
        let (page, runs) = (gallery.html.display(), gallery.runs);
        out.line(format!("{page}: {runs} {}", if runs == 1 { "run" } else { "runs" }))
    }
}
