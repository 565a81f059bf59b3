//! Figures of a run into the document about it.

use std::io::Write as _;
use std::path::Path;

use steadfast_lab::report::markdown;
use steadfast_lab::run::Report;

use crate::cli::Failure;

/// Writes a run's figures into `EXPERIMENT.md` of a folder, whole or not at all.
pub(super) fn write(report: &Report, folder: &Path) -> Result<(), Failure> {
    let path = folder.join(format!("{}.md", report.experiment));
    let failed =
        |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", path.display()));
    let page = std::fs::read_to_string(&path).map_err(|error| failed(&error))?;
    let figures = markdown::figures(report);
    let updated =
        markdown::update(&page, &report.experiment, &figures).map_err(|error| failed(&error))?;
    if updated == page {
        return Ok(());
    }
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
    file.write_all(updated.as_bytes()).map_err(|error| failed(&error))?;
    file.persist(&path).map_err(|error| failed(&error.error))?;
    Ok(())
}
