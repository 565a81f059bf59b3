//! Removing what has expired, a little at a time.
//!
//! Claims, outbox rows and single inbox marks are added in the order of time, so those that
//! expire first are the first in their tables, and no index on the time is needed: it would cost
//! every commit an entry. A look at the first row tells whether anything is due. Rows whose
//! lifetime differs, and the marks by sequence, which are in the order of their keys, are found
//! by a sweep that looks at a bounded number of rows per step and comes round again.
//!
//! A removal that is lost in a power failure is repeated, so it is not worth a sync of its own:
//! the transaction is made durable by the next commit, which syncs the log that both are in.

use rusqlite::types::Value;
use rusqlite::{Connection, ToSql};
use steadfast_time::Timestamp;

use super::fault::{Result, damaged};
use super::names::{Key, Name};
use super::rows::unsigned;
use super::state::State;
use crate::Pruned;
use crate::limits::{INBOX_RETENTION, OUTBOX_RETENTION};

/// Rows that a step looks at in each table, whether they are due or not.
const LOOK: usize = 256;

/// Where the sweeps are.
#[derive(Debug)]
pub(super) struct Sweeps {
    claims: i64,
    ids: i64,
    sequences: (Value, Value),
}

impl Default for Sweeps {
    fn default() -> Self {
        Self { claims: 0, ids: 0, sequences: START }
    }
}

/// Before every consumer and key.
const START: (Value, Value) = (Value::Null, Value::Null);

/// Removes at most `limit` rows.
pub(super) fn prune(
    connection: &Connection,
    state: &mut State,
    sweeps: &mut Sweeps,
    now: Timestamp,
    limit: usize,
) -> Result<Pruned> {
    connection.pragma_update(None, "synchronous", "normal")?;
    let pruned = step(connection, state, sweeps, now, limit);
    if pruned.is_err() && !connection.is_autocommit() {
        let _ = connection.execute_batch("ROLLBACK");
    }
    connection.pragma_update(None, "synchronous", "full")?;
    pruned
}

fn step(
    connection: &Connection,
    state: &mut State,
    sweeps: &mut Sweeps,
    now: Timestamp,
    limit: usize,
) -> Result<Pruned> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute(())?;
    let claims = by_age(connection, &CLAIMS, &mut sweeps.claims, now, limit)?;
    let left = limit - claims;
    let outbox = published(connection, state, now - OUTBOX_RETENTION, left)?;
    let left = left - outbox;
    let old = now - INBOX_RETENTION;
    let sequences = sequences(connection, state, &mut sweeps.sequences, old, left)?;
    let ids = by_age(connection, &IDS, &mut sweeps.ids, old, left - sequences)?;
    connection.prepare_cached("COMMIT")?.execute(())?;
    Ok(Pruned { claims, outbox, inbox: sequences + ids })
}

/// A table in the order of time.
struct ByAge {
    oldest: &'static str,
    look: &'static str,
    remove: &'static str,
}

const CLAIMS: ByAge = ByAge {
    oldest: "SELECT expires_at FROM claims ORDER BY id LIMIT 1",
    look: "SELECT id, expires_at FROM claims WHERE id > ?1 ORDER BY id LIMIT ?2",
    remove: "DELETE FROM claims WHERE id = ?1",
};

const IDS: ByAge = ByAge {
    oldest: "SELECT at FROM inbox_ids ORDER BY id LIMIT 1",
    look: "SELECT id, at FROM inbox_ids WHERE id > ?1 ORDER BY id LIMIT ?2",
    remove: "DELETE FROM inbox_ids WHERE id = ?1",
};

fn by_age(
    connection: &Connection,
    table: &ByAge,
    cursor: &mut i64,
    until: Timestamp,
    limit: usize,
) -> Result<usize> {
    if limit == 0 {
        return Ok(0);
    }
    let mut oldest = connection.prepare_cached(table.oldest)?;
    if let Some(row) = oldest.query(())?.next()? {
        if row.get::<_, i64>(0)? <= until.as_micros() {
            *cursor = 0;
        }
    } else {
        *cursor = 0;
        return Ok(0);
    }
    let mut due = Vec::new();
    let mut left = LOOK.max(limit);
    let mut look = connection.prepare_cached(table.look)?;
    let mut rows = look.query((*cursor, left as i64))?;
    while let Some(row) = rows.next()? {
        left -= 1;
        *cursor = row.get(0)?;
        if row.get::<_, i64>(1)? <= until.as_micros() {
            due.push(*cursor);
            if due.len() == limit {
                left = 0;
                break;
            }
        }
    }
    if left > 0 {
        // That was the end of the table; the sweep comes round again.
        *cursor = 0;
    }
    let mut remove = connection.prepare_cached(table.remove)?;
    for id in &due {
        remove.execute([id])?;
    }
    Ok(due.len())
}

/// Removes published rows, oldest first.
fn published(
    connection: &Connection,
    state: &State,
    until: Timestamp,
    limit: usize,
) -> Result<usize> {
    let mut removed = 0;
    while removed < limit {
        let mut oldest = connection.prepare_cached(
            "SELECT first, last FROM (SELECT first, last, at FROM outbox_published \
             ORDER BY first LIMIT ?2) WHERE at <= ?1 LIMIT 1",
        )?;
        let mut rows = oldest.query((until.as_micros(), LOOK as i64))?;
        let Some(row) = rows.next()? else { break };
        let (first, last) = (unsigned(row, 0)?, unsigned(row, 1)?);
        drop(rows);
        let end = last.min(first.saturating_add((limit - removed) as u64 - 1));
        removed += remove_rows(connection, state, first, end, last)?;
    }
    Ok(removed)
}

/// Removes the rows `first..=end` of the range `first..=last`.
fn remove_rows(
    connection: &Connection,
    state: &State,
    first: u64,
    end: u64,
    last: u64,
) -> Result<usize> {
    let ends = (first.cast_signed(), end.cast_signed());
    let run = |sql: &str, ends: (i64, i64)| connection.prepare_cached(sql)?.execute(ends);
    let removed = run("DELETE FROM outbox_messages WHERE seq BETWEEN ?1 AND ?2", ends)?;
    run("DELETE FROM outbox_refused WHERE seq BETWEEN ?1 AND ?2", ends)?;
    if end < last {
        let rest = "INSERT INTO outbox_published (first, last, at) \
             SELECT ?2 + 1, last, at FROM outbox_published WHERE first = ?1";
        run(rest, ends)?;
    }
    if end <= state.published.low_water() {
        run("DELETE FROM outbox_published WHERE first = ?1 AND ?2 >= ?1", ends)?;
        // So may be what was kept of earlier ones.
        connection
            .prepare_cached("DELETE FROM outbox_published WHERE first < ?1 AND at IS NULL")?
            .execute([ends.0])?;
    } else {
        // An older row still waits. The next start must know that these have been published.
        run("UPDATE outbox_published SET last = ?2, at = NULL WHERE first = ?1", ends)?;
        let merged = run(
            "UPDATE outbox_published SET last = ?2 WHERE last = ?1 - 1 AND at IS NULL \
             AND first = (SELECT max(first) FROM outbox_published WHERE first < ?1)",
            ends,
        )?;
        if merged > 0 {
            run("DELETE FROM outbox_published WHERE first = ?1 AND ?2 >= ?1", ends)?;
        }
    }
    Ok(removed)
}

fn sequences(
    connection: &Connection,
    state: &mut State,
    cursor: &mut (Value, Value),
    until: Timestamp,
    limit: usize,
) -> Result<usize> {
    if limit == 0 {
        return Ok(0);
    }
    let mut left = LOOK.max(limit);
    let mut due = Vec::new();
    {
        let start = matches!(cursor.0, Value::Null);
        let mut statement = connection.prepare_cached(if start {
            "SELECT consumer, key, at FROM inbox_sequences ORDER BY consumer, key LIMIT ?1"
        } else {
            "SELECT consumer, key, at FROM inbox_sequences WHERE (consumer, key) > (?2, ?3) \
             ORDER BY consumer, key LIMIT ?1"
        })?;
        let look = left as i64;
        let all: [&dyn ToSql; 3] = [&look, &cursor.0, &cursor.1];
        let mut rows = statement.query(if start { &all[..1] } else { &all[..] })?;
        let mut last = START;
        while let Some(row) = rows.next()? {
            left -= 1;
            last = (row.get(0)?, row.get(1)?);
            if row.get::<_, i64>(2)? <= until.as_micros() {
                due.push(last.clone());
                if due.len() == limit {
                    left = 0;
                    break;
                }
            }
        }
        *cursor = if left > 0 { START } else { last };
    }
    let mut remove = connection
        .prepare_cached("DELETE FROM inbox_sequences WHERE consumer = ?1 AND key = ?2")?;
    for (consumer, key) in &due {
        remove.execute((consumer, key))?;
        state.sequences.forget(&mark(consumer, key)?);
    }
    Ok(due.len())
}

fn mark(consumer: &Value, key: &Value) -> Result<(Name, Key)> {
    let consumer = match consumer {
        Value::Integer(code) => u8::try_from(*code).ok().map(Name::Code),
        Value::Text(text) => Some(Name::Text(text.as_str().into())),
        _ => None,
    };
    let key = match key {
        Value::Blob(bytes) => bytes.as_slice().try_into().ok().map(Key::Id),
        Value::Text(text) => Some(Key::Text(text.as_str().into())),
        _ => None,
    };
    match (consumer, key) {
        (Some(consumer), Some(key)) => Ok((consumer, key)),
        _ => damaged("a mark of the inbox has an unknown form"),
    }
}

#[cfg(test)]
mod tests {
    use crate::Engine as _;
    use crate::sqlite::{Engine, Options, connection};

    use super::*;

    #[test]
    fn commits_are_synced_before_and_after_pruning() {
        let scratch = tempfile::tempdir().unwrap();
        let mut engine = Engine::open(scratch.path(), Options::default()).unwrap();
        for _ in 0..3 {
            let open = engine.open.as_ref().unwrap();
            assert!(connection::is_durable(&open.connection));
            engine.prune(Timestamp::EPOCH, 10).unwrap();
        }
    }

    #[test]
    fn a_journal_that_would_no_longer_sync_stops() {
        let scratch = tempfile::tempdir().unwrap();
        let mut engine = Engine::open(scratch.path(), Options::default()).unwrap();
        // Within a transaction, neither can pruning begin nor the mode of syncing be changed.
        let connection = &engine.open.as_ref().unwrap().connection;
        connection.pragma_update(None, "synchronous", "normal").unwrap();
        connection.execute_batch("BEGIN").unwrap();
        assert!(engine.prune(Timestamp::EPOCH, 10).is_err());
        assert!(engine.commit(&[]).is_err());
    }

    #[test]
    fn a_failed_removal_does_not_stop_commits() {
        let scratch = tempfile::tempdir().unwrap();
        let mut engine = Engine::open(scratch.path(), Options::default()).unwrap();
        let connection = &engine.open.as_ref().unwrap().connection;
        connection.execute_batch("ALTER TABLE inbox_ids RENAME TO elsewhere").unwrap();
        assert!(engine.prune(Timestamp::EPOCH, 10).is_err());
        let connection = &engine.open.as_ref().unwrap().connection;
        connection.execute_batch("ALTER TABLE elsewhere RENAME TO inbox_ids").unwrap();
        engine.commit(&[]).unwrap();
        engine.prune(Timestamp::EPOCH, 10).unwrap();
    }
}
