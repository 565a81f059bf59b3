//! SQLite alone.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, params};
use steadfast_time::Clock;

use super::{ANSWER, Error, PLACED, RECORD, RESERVED, Sample, Samples, rate};

const SCHEMA: &str = "
CREATE TABLE events (position INTEGER PRIMARY KEY, stream BLOB NOT NULL, version INTEGER NOT NULL,
    kind INTEGER NOT NULL, at INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE UNIQUE INDEX events_stream ON events (stream, version);
CREATE TABLE outbox (seq INTEGER PRIMARY KEY, id BLOB NOT NULL, event INTEGER NOT NULL);
CREATE TABLE claims (tenant INTEGER NOT NULL, key TEXT NOT NULL, fingerprint BLOB NOT NULL,
    expires_at INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (tenant, key)) WITHOUT ROWID;
CREATE TABLE records (space INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (space, key)) WITHOUT ROWID;";

/// Orders per second, a transaction and a sync per batch.
pub(super) fn run(
    path: &Path,
    length: Duration,
    batch: usize,
    clock: &Clock,
) -> Result<f64, Error> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.execute_batch(SCHEMA)?;
    let samples = Samples::new(clock);
    let started = clock.monotonic();
    let mut orders = 0;
    while clock.monotonic() - started < length {
        let transaction = connection.unchecked_transaction()?;
        for _ in 0..batch {
            store(&transaction, &samples.next(), orders)?;
            orders += 1;
        }
        transaction.commit()?;
    }
    let took = clock.monotonic() - started;
    connection.close().map_err(|(_, error)| error)?;
    Ok(rate(orders, took))
}

fn store(connection: &Connection, sample: &Sample, number: u64) -> rusqlite::Result<()> {
    let Sample { id, key, at } = sample;
    let (stream, at) = (id.as_bytes().as_slice(), at.as_micros());
    let mut event = connection.prepare_cached(
        "INSERT INTO events (stream, version, kind, at, payload) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    event.execute(params![stream, 1, 1, at, PLACED])?;
    let position = connection.last_insert_rowid();
    event.execute(params![stream, 2, 2, at, RESERVED])?;
    connection
        .prepare_cached("INSERT INTO outbox (id, event) VALUES (?1, ?2)")?
        .execute(params![stream, position])?;
    connection
        .prepare_cached(
            "INSERT INTO claims (tenant, key, fingerprint, expires_at, body) \
             VALUES (1, ?1, ?2, ?3, ?4)",
        )?
        .execute(params![key, [0x5A_u8; 32].as_slice(), at, ANSWER])?;
    let mut name = number.to_be_bytes().to_vec();
    name.extend_from_slice(stream);
    connection
        .prepare_cached("INSERT INTO records (space, key, value) VALUES (1, ?1, ?2)")?
        .execute(params![name, RECORD])?;
    Ok(())
}
