//! A run in a folder: page, JSON, histories, and the gallery over all that is there.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::{Summary, gallery, html, json, load, words};
use crate::Error;
use crate::history::jsonl;
use crate::limits::{GALLERY_REPORTS_MAX, REPORT_BYTES_MAX};
use crate::run::Report;

/// The gallery's page.
const INDEX: &str = "index.html";

/// Where a run was written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Its page.
    pub html: PathBuf,
    /// The same as JSON.
    pub json: PathBuf,
    /// A history for each variant that has one, as JSON lines, in the order of the variants.
    pub histories: Vec<PathBuf>,
    /// The gallery over the folder.
    pub gallery: Gallery,
}

/// A gallery that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gallery {
    /// Its page.
    pub html: PathBuf,
    /// How many runs are in it.
    pub runs: usize,
    /// JSON files of the folder that are not in it, and why.
    pub skipped: Vec<(PathBuf, String)>,
}

/// Writes a run into a folder, which is made when it is not there, and the gallery anew. Each file
/// appears whole or not at all; the same run again replaces its own files.
///
/// # Errors
/// When the folder or a file cannot be written.
pub fn save(report: &Report, folder: &Path) -> Result<Saved, Error> {
    std::fs::create_dir_all(folder)
        .map_err(|source| Error::File { path: folder.to_owned(), source })?;
    let stem = words::stem(&report.experiment, report.mode, report.engine.as_deref(), report.seed);
    let mut histories = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for variant in &report.variants {
        if variant.observed.history.is_empty() {
            continue;
        }
        let name = format!("{stem}-{}.jsonl", words::file_name(&variant.name));
        histories.push(whole(folder, &name, |file| jsonl::write(&variant.observed.history, file))?);
        names.push(name);
    }
    let json_name = format!("{stem}.json");
    let page = html::page_beside(report, &json_name, &names);
    let json_path = whole(folder, &json_name, |file| file.write_all(json(report).as_bytes()))?;
    let html = whole(folder, &format!("{stem}.html"), |file| file.write_all(page.as_bytes()))?;
    Ok(Saved { html, json: json_path, histories, gallery: index(folder)? })
}

/// Writes the gallery over all runs whose JSON is in a folder. A file that is no report is left out,
/// with the reason.
///
/// # Errors
/// When the folder cannot be read, or the gallery not be written.
pub fn index(folder: &Path) -> Result<Gallery, Error> {
    let (found, skipped) = read(folder)?;
    let summaries: Vec<Summary> = found.into_iter().map(|found| found.summary).collect();
    let page = gallery::page_with(&summaries, &skipped);
    let html = whole(folder, INDEX, |file| file.write_all(page.as_bytes()))?;
    Ok(Gallery { html, runs: summaries.len(), skipped })
}

/// A run that was found in a folder.
pub(super) struct Found {
    pub(super) summary: Summary,
    pub(super) stem: String,
    pub(super) written: SystemTime,
}

/// A file that is no run, and why.
type Skipped = (PathBuf, String);

/// The runs of a folder.
pub(super) fn read(folder: &Path) -> Result<(Vec<Found>, Vec<Skipped>), Error> {
    let (mut found, mut skipped) = (Vec::new(), Vec::new());
    for path in files(folder, "json")? {
        if found.len() >= GALLERY_REPORTS_MAX {
            skipped.push((path, format!("a gallery has at most {GALLERY_REPORTS_MAX} runs")));
            continue;
        }
        match one(&path) {
            Ok(run) => found.push(run),
            Err(reason) => skipped.push((path, reason)),
        }
    }
    Ok((found, skipped))
}

/// The files of a folder with an ending, by name.
pub(super) fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::File { path: folder.to_owned(), source };
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // Files whose names begin with a dot are others' that are not finished.
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.extension().is_some_and(|is| is == ending) && !hidden {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn one(path: &Path) -> Result<Found, String> {
    let data = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if data.len() > REPORT_BYTES_MAX {
        return Err(format!("{} bytes are no report; at most {REPORT_BYTES_MAX}", data.len()));
    }
    let written = data.modified().map_err(|error| error.to_string())?;
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let summary = load(&text).map_err(|error| error.to_string())?;
    // The gallery links to the page by the run's name; a copy under another name has none.
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    if stem.as_deref() != Some(summary.stem().as_str()) {
        return Err(format!("it is the run {}, under another name", summary.stem()));
    }
    Ok(Found { stem: summary.stem(), summary, written })
}

/// Writes a file beside its place, then moves it there: a reader sees the old one or the new one.
pub(super) fn whole(
    folder: &Path,
    name: &str,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<PathBuf, Error> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let aside = folder.join(format!(".{name}.{}-{number}.part", std::process::id()));
    let path = folder.join(name);
    let written = (|| {
        let mut file = BufWriter::new(File::create(&aside)?);
        fill(&mut file)?;
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        std::fs::rename(&aside, &path)
    })();
    if let Err(source) = written {
        // The first failure is the one to tell; what is left is hidden, and no report.
        let _ = std::fs::remove_file(&aside);
        return Err(Error::File { path, source });
    }
    Ok(path)
}
