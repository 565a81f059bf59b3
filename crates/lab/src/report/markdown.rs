//! The figures of a run inside a page of the documentation.
//!
//! Figures that are written by hand are wrong after the next change. So a page has a place for them,
//! and a command writes the last run into it:
//!
//! ```text
//! <!-- figures:begin fencing -->
//! anything here is replaced
//! <!-- figures:end -->
//! ```
//!
//! The block has nothing in it that depends on this machine's speed: the same seed gives the same
//! block, so a page changes only when the system does.

use std::fmt::Write as _;

use std::path::{Path, PathBuf};

use super::save::{self, Found};
use super::summary::VariantSummary;
use super::{Summary, words};
use crate::run::{BoundReport, CheckReport, Mode, Report};
use crate::{Quantity, Verdict};

const END: &str = "<!-- figures:end -->";

/// Why a page cannot be updated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It has no place for this experiment.
    #[error("the page has no line \"<!-- figures:begin {0} -->\"")]
    NoBegin(String),
    /// It has two.
    #[error("the page has the line \"<!-- figures:begin {0} -->\" more than once")]
    TwoBegins(String),
    /// The place does not end before the page, or another place, does.
    #[error("after \"<!-- figures:begin {0} -->\" there is no line \"<!-- figures:end -->\"")]
    NoEnd(String),
}

/// The figures of a run as a Markdown table: a column for each variant, a row for each thing that is
/// asked, then the other indicators.
#[must_use]
pub fn figures(report: &Report) -> String {
    figures_of(&Summary::from(report))
}

/// [`figures`] of a run that was read again.
#[must_use]
pub fn figures_of(run: &Summary) -> String {
    let mut out = String::new();
    let engine = run.engine.as_deref().map(|at| format!(" on {}", words::engine(at)));
    let _ = writeln!(
        out,
        "Seed {}, {}{}, {}: **{}**, {}. Again: `{}`\n",
        run.seed,
        words::mode(run.mode),
        text(&engine.unwrap_or_default()),
        words::length(run.duration_s),
        run.verdict,
        text(&run.because),
        run.command.replace('`', "'"),
    );
    let mut row = |first: &str, cells: &mut dyn Iterator<Item = String>| {
        let _ = write!(out, "| {first} |");
        for cell in cells {
            let _ = write!(out, " {cell} |");
        }
        out.push('\n');
    };
    let variants = &run.variants;
    row("", &mut variants.iter().map(|variant| text(&variant.name)));
    row("---", &mut variants.iter().map(|_| "---".to_owned()));
    row(
        "protected",
        &mut variants.iter().map(|it| if it.protected { "yes" } else { "no" }.to_owned()),
    );
    row("verdict", &mut variants.iter().map(|variant| format!("**{}**", outcome(variant))));
    for (model, cells) in words::checks(variants.iter().map(|variant| &variant.checks)) {
        let cell = |cell: &Option<&CheckReport>| match cell {
            Some(check) => judged(&check.verdict.to_string(), check.verdict),
            None => String::new(),
        };
        row(&format!("history is `{model}`"), &mut cells.iter().map(cell));
    }
    let bounds = words::bounds(variants.iter().map(|variant| &variant.bounds));
    for bound in &bounds {
        let limit = words::limit(bound.at_least, bound.at_most);
        let cell = |(place, cell): (usize, &Option<&BoundReport>)| match cell {
            Some(asked) => judged(&shown(asked.value), asked.verdict),
            None => variants[place]
                .indicators
                .get(bound.indicator)
                .map(ToString::to_string)
                .unwrap_or_default(),
        };
        row(
            &format!("{} {limit}", code(bound.indicator)),
            &mut bound.cells.iter().enumerate().map(cell),
        );
    }
    for name in words::free_indicators(variants.iter().map(|it| &it.indicators), &bounds) {
        let value = |variant: &VariantSummary| {
            variant.indicators.get(name).map(ToString::to_string).unwrap_or_default()
        };
        row(&code(name), &mut variants.iter().map(value));
    }
    if let Some(campaign) = &run.campaign {
        let score = |variant: &VariantSummary| {
            let score = campaign.variants.iter().find(|score| score.name == variant.name);
            score.map_or_else(String::new, |score| {
                let wanted = if score.protected { score.holds } else { score.violated };
                let word = if score.protected { "held" } else { "caught" };
                format!("{word} {wanted} of {}", score.holds + score.violated + score.unknown)
            })
        };
        row(&format!("{} seeds", campaign.seeds), &mut variants.iter().map(score));
    }
    out
}

/// A page with the block between its markers replaced.
///
/// # Errors
/// When the page has no such place, or two.
pub fn update(page: &str, name: &str, block: &str) -> Result<String, Error> {
    let begin = format!("<!-- figures:begin {name} -->");
    let mut found = page.match_indices(&begin);
    let Some((at, _)) = found.next() else {
        return Err(Error::NoBegin(name.to_owned()));
    };
    if found.next().is_some() {
        return Err(Error::TwoBegins(name.to_owned()));
    }
    let from = at + begin.len();
    let rest = &page[from..];
    let end = rest.find(END).ok_or_else(|| Error::NoEnd(name.to_owned()))?;
    if rest[..end].contains("<!-- figures:begin ") {
        return Err(Error::NoEnd(name.to_owned()));
    }
    let block = block.trim_matches('\n');
    Ok(format!("{}\n{block}\n{}", &page[..from], &rest[end..]))
}

/// Writes the figures of a folder's runs into the documents (`*.md`) of another, wherever they have a
/// place for them: `fencing` is that experiment's last simulated run, `fencing-real-etcd` the last
/// one of that mode and engine, `fencing-real-etcd-seed7` just that one. A place whose run is not
/// there stays as it is. Returns the documents that have a place which was filled.
///
/// # Errors
/// When a folder cannot be read, a document is not as [`update`] wants it, or cannot be written.
pub fn write(runs: &Path, documents: &Path) -> Result<Vec<PathBuf>, crate::Error> {
    let (mut found, _) = save::read(runs)?;
    // The last of several is the newest; of two that are as old, the one with the higher name.
    found.sort_by(|a, b| (a.written, &a.stem).cmp(&(b.written, &b.stem)));
    let mut filled = Vec::new();
    for path in save::files(documents, "md")? {
        let failed = |source| crate::Error::File { path: path.clone(), source };
        let before = std::fs::read_to_string(&path).map_err(failed)?;
        let mut page = before.clone();
        let mut any = false;
        for name in places(&before) {
            let Some(run) = found.iter().rev().find(|run| is_called(run, name)) else { continue };
            page = update(&page, name, &figures_of(&run.summary))
                .map_err(|error| failed(std::io::Error::other(error)))?;
            any = true;
        }
        if page != before {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            save::whole(documents, &name, |file| file.write_all(page.as_bytes()))?;
        }
        if any {
            filled.push(path);
        }
    }
    Ok(filled)
}

/// The names of the places in a page.
fn places(page: &str) -> Vec<&str> {
    let after = page.split("<!-- figures:begin ").skip(1);
    after.filter_map(|rest| rest.split_once(" -->")).map(|(name, _)| name).collect()
}

fn is_called(run: &Found, name: &str) -> bool {
    let without_seed = run.stem.rsplit_once("-seed").map_or("", |(before, _)| before);
    name == run.stem
        || name == without_seed
        || (name == run.summary.experiment && run.summary.mode == Mode::Simulated)
}

fn outcome(variant: &VariantSummary) -> &'static str {
    words::outcome(variant.protected, variant.verdict, variant.left_out.is_some())
}

fn judged(what: &str, verdict: Verdict) -> String {
    format!("{what} {}", words::sign(verdict))
}

fn shown(value: Option<Quantity>) -> String {
    value.map_or_else(|| "not measured".to_owned(), |value| value.to_string())
}

fn code(name: &str) -> String {
    format!("`{}`", name.replace('`', "'").replace('|', "\\|"))
}

/// A text that is neither a column, nor a tag, nor emphasis.
fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_replaces_the_one_before_and_nothing_else() {
        let page = "# A\n<!-- figures:begin a -->\nold\n<!-- figures:end -->\nrest\n\
                    <!-- figures:begin b --><!-- figures:end -->\n";
        let once = update(page, "a", "new\n").unwrap();
        assert!(
            once.starts_with("# A\n<!-- figures:begin a -->\nnew\n<!-- figures:end -->\nrest\n")
        );
        assert_eq!(update(&once, "a", "new\n").unwrap(), once, "twice is once");
        let both = update(&once, "b", "of b").unwrap();
        assert!(both.ends_with("<!-- figures:begin b -->\nof b\n<!-- figures:end -->\n"));
    }

    #[test]
    fn a_page_without_a_place_is_refused() {
        let name = || "a".to_owned();
        assert_eq!(update("", "a", ""), Err(Error::NoBegin(name())));
        let begin = "<!-- figures:begin a -->\n";
        assert_eq!(update(begin, "a", ""), Err(Error::NoEnd(name())));
        let twice = format!("{begin}{END}{begin}{END}");
        assert_eq!(update(&twice, "a", ""), Err(Error::TwoBegins(name())));
        let other = format!("{begin}<!-- figures:begin b -->\n{END}");
        assert_eq!(update(&other, "a", ""), Err(Error::NoEnd(name())));
    }
}
