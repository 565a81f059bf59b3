//! `lab report`

use std::path::PathBuf;

use steadfast_lab::report;

use crate::cli::{Failure, Out};

pub(super) const EXAMPLES: &str = "\
Examples:
  steadfast lab report out                           the gallery, after files came or went
  steadfast lab report out --pages docs/experiments  the figures into the documents, wherever one has
                                                     <!-- figures:begin NAME -->";

/// Arguments of `lab report`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder that `lab run --report` has written to.
    dir: PathBuf,
    /// Write the runs' figures into the documents of this folder that have a place for them.
    #[arg(long, value_name = "DIR")]
    pages: Option<PathBuf>,
}

impl Args {
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        let gallery = report::index(&self.dir).map_err(|error| Failure::of(&error))?;
        for (path, why) in &gallery.skipped {
            anstream::eprintln!("left out: {}: {why}", path.display());
        }
        let pages = match &self.pages {
            Some(pages) => report::markdown::write(&self.dir, pages),
            None => Ok(Vec::new()),
        };
        let pages = pages.map_err(|error| Failure::of(&error))?;
        if out.json() {
            let skipped: Vec<_> = gallery
                .skipped
                .iter()
                .map(|(path, why)| serde_json::json!({ "path": path, "why": why }))
                .collect();
            return out.document(&serde_json::json!({
                "gallery": gallery.html, "runs": gallery.runs, "skipped": skipped,
                "pages": pages,
            }));
        }
        let (page, runs) = (gallery.html.display(), gallery.runs);
        out.line(format!("{page}: {runs} {}", if runs == 1 { "run" } else { "runs" }))?;
        for page in &pages {
            out.line(page.display())?;
        }
        Ok(())
    }
}
