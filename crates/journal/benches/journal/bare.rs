//! SQLite alone, with the settings that the engine uses.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use steadfast_time::{Clock, Ids};

use crate::Outcome;

/// Rows of about this many bytes, as an order's are.
const ROW_BYTES: usize = 220;

pub(crate) fn run(directory: &Path, batch: usize, length: Duration, clock: &Clock) -> Outcome {
    let path = directory.join(format!("bare-{batch}.db"));
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = wal; PRAGMA synchronous = full; PRAGMA cache_size = -49152;
             CREATE TABLE orders (id BLOB PRIMARY KEY, body BLOB) WITHOUT ROWID;
             CREATE TABLE events (seq INTEGER PRIMARY KEY, aggregate BLOB, version INTEGER,
               body BLOB, UNIQUE (aggregate, version));
             CREATE TABLE outbox (seq INTEGER PRIMARY KEY, aggregate BLOB, body BLOB);
             CREATE TABLE idempotency (key BLOB PRIMARY KEY, body BLOB) WITHOUT ROWID;",
        )
        .unwrap();
    let ids = Ids::seeded(1);
    let mut random = fastrand::Rng::with_seed(2);
    let body = vec![b'x'; ROW_BYTES];
    let mut latencies = Vec::new();
    let mut orders = 0;
    let start = clock.monotonic();
    {
        let prepare = |sql| connection.prepare(sql).unwrap();
        let (mut begin, mut commit) = (prepare("BEGIN IMMEDIATE"), prepare("COMMIT"));
        let mut order = prepare("INSERT INTO orders VALUES (?1, ?2)");
        let mut event =
            prepare("INSERT INTO events (aggregate, version, body) VALUES (?1, ?2, ?3)");
        let mut message = prepare("INSERT INTO outbox (aggregate, body) VALUES (?1, ?2)");
        let mut key = prepare("INSERT INTO idempotency VALUES (?1, ?2)");
        while clock.monotonic() - start < length {
            let began = clock.monotonic();
            begin.execute(()).unwrap();
            for _ in 0..batch {
                let id = ids.next(clock.now());
                let id = id.as_bytes();
                order.execute((id, &body)).unwrap();
                event.execute((id, 1, &body)).unwrap();
                event.execute((id, 2, &body)).unwrap();
                message.execute((id, &body)).unwrap();
                key.execute((random.u128(..).to_le_bytes(), &body)).unwrap();
                orders += 1;
            }
            commit.execute(()).unwrap();
            latencies.push(clock.monotonic() - began);
        }
    }
    let elapsed = clock.monotonic() - start;
    Outcome { orders, elapsed, latencies, batch_mean: batch as f64 }
}
