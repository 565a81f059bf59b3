//! Reading.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Params, Row, ToSql};
use steadfast_fencing::FencingToken;
use steadfast_time::Timestamp;

use super::claims;
use super::directory::Directory;
use super::fault::{Result, damaged};
use super::names::{Key, Name, Names};
use super::readers::Readers;
use super::rows::{self, unsigned};
use super::state::load_head;
use crate::limits::READ_ROWS_MAX;
use crate::{
    Claimed, Event, Head, MessageRef, OutboxRow, Position, Processed, StorageError, Store,
    StreamId, Timer, Version,
};

/// The reading side of the engine.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) readers: Readers,
    pub(super) names: Arc<RwLock<Names>>,
    pub(super) path: std::path::PathBuf,
}

impl Reading {
    pub(super) fn new(
        directory: &Directory,
        readers: usize,
        cache_bytes: usize,
        names: Arc<RwLock<Names>>,
    ) -> Self {
        let readers = Readers::new(directory.database(), readers, cache_bytes);
        Self { readers, names, path: directory.path().to_owned() }
    }

    fn names(&self) -> RwLockReadGuard<'_, Names> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T>,
    ) -> std::result::Result<T, StorageError> {
        self.readers.read(work).map_err(|fault| fault.at(&self.path, "reading the journal"))
    }

    /// One value of one row, or nothing.
    fn number(
        &self,
        sql: &str,
        parameters: impl Params,
    ) -> std::result::Result<Option<i64>, StorageError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            Ok(statement.query_row(parameters, |row| row.get(0)).optional()?)
        })
    }

    /// All rows. A row's names are looked up after it was read: it may be newer than this call.
    fn rows<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        mut convert: impl FnMut(&Row<'_>, &Names) -> Result<T>,
    ) -> std::result::Result<Vec<T>, StorageError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(parameters)?;
            let mut values = Vec::new();
            while let Some(row) = rows.next()? {
                values.push(convert(row, &self.names())?);
            }
            Ok(values)
        })
    }

    fn records_between(
        &self,
        space: &str,
        bounds: &str,
        parameters: [&dyn ToSql; 2],
        limit: usize,
    ) -> std::result::Result<Vec<(String, Bytes)>, StorageError> {
        let space = Name::of(space, &self.names());
        let sql = format!("SELECT key, value FROM records WHERE space = ?1 AND {bounds} LIMIT ?4");
        let [prefix, other] = parameters;
        self.rows(&sql, rusqlite::params![space, prefix, other, capped(limit)], |row, _| {
            Ok((row.get(0)?, Bytes::copy_from_slice(row.get_ref(1)?.as_blob()?)))
        })
    }
}

/// One event, and where its stream's event before is.
const EVENT_AT: &str = "SELECT position, stream, version, kind, schema, at, payload, hash, \
     previous FROM events WHERE position = ?1";

/// A limit as SQLite takes it.
fn capped(limit: usize) -> i64 {
    limit.min(READ_ROWS_MAX) as i64
}

/// A number as SQLite stores it. What is beyond comes after everything.
fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Store for Reading {
    fn head(&self) -> std::result::Result<Head, StorageError> {
        self.read(|connection| Ok(load_head(connection)?.0))
    }

    /// Goes back from the stream's end, or from the mark that is nearest to what is wanted.
    fn stream(
        &self,
        stream: &StreamId,
        after: Version,
        limit: usize,
    ) -> std::result::Result<Vec<Event>, StorageError> {
        let key = Key::of(stream.as_str(), &self.names());
        self.read(|connection| {
            let place = |row: &Row<'_>| Ok((unsigned(row, 0)?, unsigned(row, 1)?));
            let mut end = connection
                .prepare_cached("SELECT version, position FROM streams WHERE stream = ?1")?;
            let Some(end) = end.query_row([&key], place).optional()? else {
                return Ok(Vec::new());
            };
            let limit = limit.min(READ_ROWS_MAX) as u64;
            let last = after.0.saturating_add(limit).min(end.0);
            let mut mark = connection.prepare_cached(
                "SELECT version, position FROM stream_marks WHERE stream = ?1 AND version >= ?2 \
                 ORDER BY version LIMIT 1",
            )?;
            let mark = mark.query_row((&key, stored(last)), place).optional()?;
            let (mut version, mut position) = mark.filter(|_| last < end.0).unwrap_or(end);
            let mut row = connection.prepare_cached(EVENT_AT)?;
            let mut events = Vec::new();
            while version > after.0 {
                let mut rows = row.query([stored(position)])?;
                let Some(row) = rows.next()? else {
                    return damaged(format!("{stream} lacks the event at position {position}"));
                };
                let event = rows::event(row, 0, &self.names())?;
                if event.stream != *stream || event.version.0 != version {
                    return damaged(format!(
                        "event {position} is not version {version} of {stream}"
                    ));
                }
                if version <= last {
                    events.push(event);
                }
                position = unsigned(row, 8)?;
                version -= 1;
            }
            events.reverse();
            Ok(events)
        })
    }

    fn version(&self, stream: &StreamId) -> std::result::Result<Version, StorageError> {
        let key = Key::of(stream.as_str(), &self.names());
        let sql = "SELECT version FROM streams WHERE stream = ?1";
        Ok(Version(self.number(sql, [key])?.map_or(0, i64::cast_unsigned)))
    }

    fn events(
        &self,
        after: Position,
        limit: usize,
    ) -> std::result::Result<Vec<Event>, StorageError> {
        let sql = select_events("FROM events WHERE position > ?1 ORDER BY position LIMIT ?2");
        self.rows(&sql, (stored(after.0), capped(limit)), |row, names| rows::event(row, 0, names))
    }

    fn claimed(
        &self,
        tenant: &str,
        key: &str,
        now: Timestamp,
    ) -> std::result::Result<Option<Claimed>, StorageError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(claims::FIND)?;
            let mut rows = statement.query([claims::digest(tenant, key)])?;
            while let Some(row) = rows.next()? {
                if claims::is_for(row, tenant, key)? {
                    let (_, claimed) = claims::read(row)?;
                    return Ok(Some(claimed).filter(|claimed| claimed.expires_at > now));
                }
            }
            Ok(None)
        })
    }

    fn processed(&self, processed: &Processed) -> std::result::Result<bool, StorageError> {
        match &processed.message {
            MessageRef::Sequence { key, sequence } | MessageRef::UpTo { key, sequence } => {
                Ok(*sequence <= self.processed_up_to(&processed.consumer, key)?)
            }
            MessageRef::Id(id) => {
                let consumer = Name::of(&processed.consumer, &self.names());
                let sql = "SELECT 1 FROM inbox_ids WHERE message = ?1 AND consumer = ?2";
                Ok(self.number(sql, (id.as_bytes(), consumer))?.is_some())
            }
        }
    }

    fn processed_up_to(&self, consumer: &str, key: &str) -> std::result::Result<u64, StorageError> {
        let mark = {
            let names = self.names();
            (Name::of(consumer, &names), Key::of(key, &names))
        };
        let sql = "SELECT sequence FROM inbox_sequences WHERE consumer = ?1 AND key = ?2";
        Ok(self.number(sql, mark)?.map_or(0, i64::cast_unsigned))
    }

    fn fence(&self, resource: &str) -> std::result::Result<Option<FencingToken>, StorageError> {
        let token = self.number("SELECT token FROM fences WHERE resource = ?1", [resource])?;
        Ok(token.and_then(|token| FencingToken::new(token.cast_unsigned())))
    }

    fn counter(&self, counter: &str) -> std::result::Result<i64, StorageError> {
        Ok(self.number("SELECT value FROM counters WHERE name = ?1", [counter])?.unwrap_or(0))
    }

    /// Goes from one gap between the published ranges to the next, and does not look at what is
    /// published.
    fn unpublished(
        &self,
        after: u64,
        limit: usize,
    ) -> std::result::Result<Vec<OutboxRow>, StorageError> {
        self.read(|connection| {
            let snapshot = connection.unchecked_transaction()?;
            let (_, last_row, published_up_to) = load_head(&snapshot)?;
            let mut next = after.max(published_up_to).saturating_add(1);
            let mut found = Vec::new();
            let sql =
                format!("{}WHERE m.seq BETWEEN ?1 AND ?2 ORDER BY m.seq LIMIT ?3", rows::OUTBOX);
            let mut messages = snapshot.prepare_cached(&sql)?;
            let mut before = snapshot.prepare_cached(
                "SELECT last FROM outbox_published WHERE first <= ?1 ORDER BY first DESC LIMIT 1",
            )?;
            let mut behind = snapshot.prepare_cached(
                "SELECT first FROM outbox_published WHERE first > ?1 ORDER BY first LIMIT 1",
            )?;
            let limit = limit.min(READ_ROWS_MAX);
            while next <= last_row && found.len() < limit {
                let taken = before.query_row([stored(next)], |row| unsigned(row, 0)).optional()?;
                if let Some(last) = taken.filter(|last| *last >= next) {
                    next = last + 1;
                    continue;
                }
                let stop = behind.query_row([stored(next)], |row| unsigned(row, 0)).optional()?;
                let end = stop.map_or(last_row, |first| first - 1);
                let room = capped(limit - found.len());
                let mut rows = messages.query((stored(next), stored(end), room))?;
                while let Some(row) = rows.next()? {
                    found.push(rows::outbox_row(row, &self.names())?);
                }
                next = end + 1;
            }
            Ok(found)
        })
    }

    fn outbox(
        &self,
        after: u64,
        limit: usize,
    ) -> std::result::Result<Vec<OutboxRow>, StorageError> {
        let sql = format!("{}WHERE m.seq > ?1 ORDER BY m.seq LIMIT ?2", rows::OUTBOX);
        self.rows(&sql, (stored(after), capped(limit)), rows::outbox_row)
    }

    fn timers(&self, by: Timestamp, limit: usize) -> std::result::Result<Vec<Timer>, StorageError> {
        let sql = "SELECT id, due, payload FROM timers WHERE due <= ?1 ORDER BY due, id LIMIT ?2";
        self.rows(sql, (by.as_micros(), capped(limit)), |row, _| timer(row))
    }

    fn timer(&self, id: &str) -> std::result::Result<Option<Timer>, StorageError> {
        let sql = "SELECT id, due, payload FROM timers WHERE id = ?1";
        Ok(self.rows(sql, [id], |row, _| timer(row))?.pop())
    }

    fn record(&self, space: &str, key: &str) -> std::result::Result<Option<Bytes>, StorageError> {
        let space = Name::of(space, &self.names());
        let sql = "SELECT value FROM records WHERE space = ?1 AND key = ?2";
        let mut values = self.rows(sql, (space, key), |row, _| {
            Ok(Bytes::copy_from_slice(row.get_ref(0)?.as_blob()?))
        })?;
        Ok(values.pop())
    }

    fn records(
        &self,
        space: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> std::result::Result<Vec<(String, Bytes)>, StorageError> {
        let from = match after {
            Some(_) => "key > ?3",
            None => "?3 IS NULL",
        };
        let bounds = format!("key >= ?2 AND key < {BEHIND} AND {from} ORDER BY key");
        self.records_between(space, &bounds, [&prefix, &after], limit)
    }

    fn records_reverse(
        &self,
        space: &str,
        prefix: &str,
        before: Option<&str>,
        limit: usize,
    ) -> std::result::Result<Vec<(String, Bytes)>, StorageError> {
        let until = match before {
            Some(_) => "key < ?3",
            None => "?3 IS NULL",
        };
        let bounds = format!("key >= ?2 AND key < {BEHIND} AND {until} ORDER BY key DESC");
        self.records_between(space, &bounds, [&prefix, &before], limit)
    }
}

/// Comes after every text that starts with the second parameter: the byte does not occur in UTF-8.
const BEHIND: &str = "?2 || CAST(x'ff' AS TEXT)";

fn select_events(rest: &str) -> String {
    format!("SELECT {} {rest}", rows::EVENT)
}

fn timer(row: &Row<'_>) -> Result<Timer> {
    Ok(Timer {
        id: row.get(0)?,
        due: Timestamp::from_micros(row.get(1)?),
        payload: Bytes::copy_from_slice(row.get_ref(2)?.as_blob()?),
    })
}
