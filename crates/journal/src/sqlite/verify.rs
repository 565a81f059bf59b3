//! Is every byte of this journal what was written?
//!
//! Opening a journal looks at its end only, so that it takes milliseconds. [`verify`] looks at
//! everything: SQLite's own check of its pages and indexes, every event against the chain of
//! hashes, and every message that refers to an event. It goes on after a finding where it can,
//! so that the report shows the whole extent.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, RwLock};

use super::directory::{Directory, foreign};
use super::fault::{Fault, Result};
use super::schema::{self, Found};
use super::state::load_names;
use super::store::Reading;
use super::{connection, names::Names};
use crate::verify::{self as chain, Progress};
use crate::{Head, Position, StorageError, Store};

/// Findings of SQLite's own check that a report lists; there may be thousands of the same cause.
const FINDINGS_MAX: usize = 20;

/// Memory for pages while everything is read once.
const CACHE_BYTES: usize = 8 << 20;

/// What [`verify`] is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// SQLite checks its pages and indexes; no more is known of how far it is.
    Structure,
    /// Walking the chain of hashes.
    Events(Progress),
    /// Comparing messages with the events that they refer to.
    Outbox,
}

/// What [`verify`] found.
#[derive(Debug)]
pub struct Report {
    /// The end of the journal as it says itself, if that can be read.
    pub head: Option<Head>,
    /// What SQLite says of its own pages and indexes; empty when all is well.
    pub structure: Vec<String>,
    /// The first event that cannot be trusted, and why; everything before it is sound.
    pub event: Option<EventFinding>,
    /// Messages that do not fit their events.
    pub outbox: Vec<String>,
}

/// An event that cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFinding {
    /// Where it stands.
    pub position: Position,
    /// What does not fit.
    pub what: String,
}

impl Report {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.structure.is_empty() && self.event.is_none() && self.outbox.is_empty()
    }
}

impl fmt::Display for Report {
    /// One line per finding, or one that says that there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_sound() {
            let events = self.head.unwrap_or_default().position;
            return write!(f, "{events} events, none damaged");
        }
        let event = self.event.iter().map(|finding| format!("event {finding}"));
        let structure = self.structure.iter().map(|finding| format!("database: {finding}"));
        let outbox = self.outbox.iter().map(|finding| format!("outbox: {finding}"));
        let findings: Vec<String> = event.chain(structure).chain(outbox).collect();
        f.write_str(&findings.join("\n"))
    }
}

impl fmt::Display for EventFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.position, self.what)
    }
}

/// Checks the whole journal in a directory, which nobody may have open, and changes nothing.
///
/// # Errors
/// The journal could not be looked at: it is in use, foreign, of a newer format, or cannot be
/// read at all. Damage that can be told apart is in the [`Report`].
pub fn verify(
    path: &Path,
    mut progress: impl FnMut(Step),
) -> std::result::Result<Report, StorageError> {
    let at = |fault: Fault| fault.at(path, "verifying the journal");
    let directory = Directory::existing(path)?;
    let connection = connection::reader(&directory.database(), CACHE_BYTES).map_err(at)?;
    match schema::inspect(&connection).map_err(at)? {
        Found::Journal(found) if found > schema::CURRENT => {
            let (path, supported) = (path.to_owned(), schema::CURRENT);
            return Err(StorageError::Newer { path, found, supported });
        }
        Found::Journal(_) => {}
        Found::Empty => return Err(foreign(path, "it is empty")),
        Found::Foreign => return Err(foreign(path, "its journal.db belongs to another program")),
    }
    progress(Step::Structure);
    let mut structure = structure(&connection).unwrap_or_else(|fault| vec![fault.to_string()]);
    if let Err(fault) = schema::check(&connection) {
        structure.push(fault.to_string());
    }
    let names = load_names(&connection).unwrap_or_else(|fault| {
        structure.push(fault.to_string());
        Names::default()
    });
    let store = Reading::new(&directory, 1, CACHE_BYTES, Arc::new(RwLock::new(names)));
    structure.extend(streams(&connection).unwrap_or_else(|fault| vec![fault.to_string()]));
    let event = events(&store, |step| progress(Step::Events(step)));
    progress(Step::Outbox);
    let outbox = outbox(&connection).unwrap_or_else(|fault| vec![fault.to_string()]);
    Ok(Report { head: store.head().ok(), structure, event, outbox })
}

fn structure(connection: &rusqlite::Connection) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    let mut check = connection.prepare(&format!("PRAGMA integrity_check({FINDINGS_MAX})"))?;
    let mut rows = check.query(())?;
    while let Some(row) = rows.next()? {
        // A finding can span lines, the first of which only names the database.
        let finding: String = row.get(0)?;
        findings.extend(finding.lines().filter(|line| !line.starts_with("***")).map(str::to_owned));
    }
    findings.retain(|finding| finding != "ok");
    findings.truncate(FINDINGS_MAX);
    Ok(findings)
}

/// Compares the ends of the streams, their marks, and the links between their events with the
/// events themselves. That every stream counts its events is what leaves no event out.
fn streams(connection: &rusqlite::Connection) -> Result<Vec<String>> {
    const CHECKS: [&str; 4] = [
        "SELECT 'event ' || e.position || ' is not linked to the one before in its stream' \
         FROM events e LEFT JOIN events p ON p.position = e.previous \
         WHERE (e.version = 1) <> (e.previous = 0) OR (e.version > 1 AND \
         (p.stream IS NOT e.stream OR p.version IS NOT e.version - 1)) LIMIT ?1",
        "SELECT 'a stream does not end at event ' || s.position FROM streams s \
         LEFT JOIN events e ON e.position = s.position \
         WHERE e.stream IS NOT s.stream OR e.version IS NOT s.version LIMIT ?1",
        "SELECT 'a mark does not fit event ' || m.position FROM stream_marks m \
         LEFT JOIN events e ON e.position = m.position \
         WHERE e.stream IS NOT m.stream OR e.version IS NOT m.version LIMIT ?1",
        "SELECT 'the streams have ' || total || ' events, the journal has ' || position \
         FROM head, (SELECT coalesce(sum(version), 0) AS total FROM streams) \
         WHERE total <> position LIMIT ?1",
    ];
    let mut findings = Vec::new();
    for check in CHECKS {
        let mut check = connection.prepare(check)?;
        let rows = check.query_map([FINDINGS_MAX as i64], |row| row.get::<_, String>(0))?;
        for finding in rows {
            findings.push(finding?);
        }
    }
    Ok(findings)
}

fn events(store: &Reading, progress: impl FnMut(Progress)) -> Option<EventFinding> {
    let (position, what) = match chain::verify(store, Head::default(), progress) {
        Ok(_) => return None,
        Err(chain::Error::Broken(broken)) => (broken.position, broken.to_string()),
        Err(chain::Error::Storage { after, source }) => first_unreadable(store, after, &source),
        Err(error @ chain::Error::Truncated { found, .. }) => (found.next(), error.to_string()),
        Err(error @ chain::Error::OtherHistory { position }) => (position, error.to_string()),
        Err(error @ chain::Error::Beyond { found, .. }) => (found, error.to_string()),
    };
    Some(EventFinding { position, what })
}

/// Finds the one event in a page of them that cannot be read.
fn first_unreadable(store: &Reading, after: Position, page: &StorageError) -> (Position, String) {
    let mut at = after;
    loop {
        match store.events(at, 1) {
            Ok(events) => match events.first() {
                Some(event) if event.position == at.next() => at = event.position,
                _ => return (at.next(), page.to_string()),
            },
            Err(error) => return (at.next(), error.to_string()),
        }
    }
}

fn outbox(connection: &rusqlite::Connection) -> Result<Vec<String>> {
    let mut check = connection.prepare(
        "SELECT m.seq, m.event FROM outbox_messages m WHERE m.event IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM events e WHERE e.position = m.event) LIMIT ?1",
    )?;
    let rows = check.query_map([FINDINGS_MAX as i64], |row| {
        let (seq, event): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok(format!("row {seq} refers to event {event}, which is missing"))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
