//! `journal verify`

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use steadfast_journal::sqlite::{self, Report, Step};

use super::args::ConfigArgs;
use super::{Failure, Out};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check every byte: the database's pages, the chain of hashes through all events, the
    /// messages. Nothing may have the journal open; nothing is changed.
    #[command(after_help = "Example:\n  steadfast journal verify --data steadfast-data")]
    Verify(ConfigArgs),
}

/// What a directory that holds a journal has.
const DATABASE: &str = "journal.db";

impl Command {
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        let Self::Verify(args) = self;
        let data = args.load()?.config.data;
        let journals = journals(&data)?;
        let mut documents = Vec::new();
        let mut sound = true;
        for path in &journals {
            let report = verify(path)?;
            sound &= report.is_sound();
            if out.json() {
                documents.push(document(path, &report));
            } else {
                out.line(format!("{}: {report}", path.display()))?;
            }
        }
        if out.json() {
            out.document(&json!({ "sound": sound, "journals": documents }))?;
        }
        if sound { Ok(()) } else { Err(Failure::failed("the journal is not what was written")) }
    }
}

/// The journals in a data directory: itself, or those right below it.
fn journals(data: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::failed(format!("cannot read {}: {error}", data.display()));
    let holds = |path: &Path| path.join(DATABASE).is_file();
    let mut journals: Vec<PathBuf> = holds(data).then(|| data.to_owned()).into_iter().collect();
    for entry in fs::read_dir(data).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if holds(&path) {
            journals.push(path);
        }
    }
    journals.sort();
    if journals.is_empty() {
        return Err(Failure::failed(format!("{} holds no journal", data.display())));
    }
    Ok(journals)
}

fn verify(path: &Path) -> Result<Report, Failure> {
    let bar =
        if std::io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{msg:12} {wide_bar} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    let report = sqlite::verify(path, |step| match step {
        Step::Structure => bar.set_message("pages"),
        Step::Events(progress) => {
            bar.set_message("events");
            bar.set_length(progress.head.0);
            bar.set_position(progress.checked.0);
        }
        Step::Outbox => bar.set_message("messages"),
    });
    bar.finish_and_clear();
    report.map_err(|error| Failure::of(&error))
}

fn document(path: &Path, report: &Report) -> Value {
    let event = report.event.as_ref();
    json!({
        "path": path,
        "sound": report.is_sound(),
        "events": report.head.map(|head| head.position),
        "head": report.head.map(|head| head.hash.to_string()),
        "event": event.map(|event| json!({ "position": event.position, "what": event.what })),
        "structure": report.structure,
        "outbox": report.outbox,
    })
}
