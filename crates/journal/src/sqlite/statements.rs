//! The statements of the writer, each prepared once in the life of the engine.
//!
//! The connection keeps prepared statements by their text. A batch takes those that it needs out
//! of there once and returns them at its end, so that a row costs no look-up.

use rusqlite::{CachedStatement, Connection};

use super::claims;

macro_rules! statements {
    ($($name:ident: $text:expr,)*) => {
        /// A statement of the writer.
        #[derive(Clone, Copy)]
        pub(super) enum Sql { $($name,)* }

        /// Their texts, in the same order.
        const TEXTS: &[&str] = &[$($text,)*];
    };
}

statements! {
    Begin: "BEGIN IMMEDIATE",
    Commit: "COMMIT",
    PutName: "INSERT INTO names (code, byte, name) VALUES (?1, ?2, ?3)",
    PutHead: "UPDATE head SET position = ?1, hash = ?2, outbox_seq = ?3, published_up_to = ?4 \
        WHERE id = 1",
    GetStream: "SELECT version, position FROM streams WHERE stream = ?1",
    AddStream: "INSERT INTO streams (stream, version, position) VALUES (?1, ?2, ?3)",
    MoveStream: "UPDATE streams SET version = ?2, position = ?3 \
        WHERE stream = ?1 AND version = ?4",
    PutMark: "INSERT INTO stream_marks (stream, version, position) VALUES (?1, ?2, ?3)",
    PutEvent: "INSERT INTO events (position, stream, version, kind, schema, at, payload, hash, \
        previous) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    PutMessage: "INSERT INTO outbox_messages (seq, id, topic, created_at, aggregate_type, \
        aggregate_id, event_type, sequence, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    PutReference: "INSERT INTO outbox_messages (seq, id, topic, event) VALUES (?1, ?2, ?3, ?4)",
    PutPublished: "INSERT INTO outbox_published (first, last, at) VALUES (?1, ?2, ?3)",
    HasMessage: "SELECT 1 FROM outbox_messages WHERE seq = ?1",
    Refuse: "INSERT INTO outbox_refused (seq, retry_count) VALUES (?1, 1) \
        ON CONFLICT DO UPDATE SET retry_count = min(retry_count + 1, 4294967295)",
    FindClaim: claims::FIND,
    DropClaim: "DELETE FROM claims WHERE id = ?1",
    PutClaim: "INSERT INTO claims (digest, tenant, key, fingerprint, expires_at, status, location, \
        version, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    GetSequence: "SELECT sequence FROM inbox_sequences WHERE consumer = ?1 AND key = ?2",
    PutSequence: "REPLACE INTO inbox_sequences (consumer, key, sequence, at) \
        VALUES (?1, ?2, ?3, ?4)",
    HasId: "SELECT 1 FROM inbox_ids WHERE message = ?1 AND consumer = ?2",
    PutId: "INSERT INTO inbox_ids (consumer, message, at) VALUES (?1, ?2, ?3)",
    GetFence: "SELECT token FROM fences WHERE resource = ?1",
    PutFence: "REPLACE INTO fences (resource, token) VALUES (?1, ?2)",
    GetCounter: "SELECT value FROM counters WHERE name = ?1",
    PutCounter: "REPLACE INTO counters (name, value) VALUES (?1, ?2)",
    SetTimer: "INSERT INTO timers (id, due, payload) VALUES (?1, ?2, ?3) \
        ON CONFLICT DO UPDATE SET due = excluded.due, payload = excluded.payload",
    ClearTimer: "DELETE FROM timers WHERE id = ?1",
    PutRecord: "REPLACE INTO records (space, key, value) VALUES (?1, ?2, ?3)",
    DropRecord: "DELETE FROM records WHERE space = ?1 AND key = ?2",
}

/// How many there are; the connection must be able to keep them all.
pub(super) const COUNT: usize = TEXTS.len();

/// The statements of one batch.
pub(super) struct Statements<'c> {
    connection: &'c Connection,
    prepared: [Option<CachedStatement<'c>>; COUNT],
}

impl<'c> Statements<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self { connection, prepared: [const { None }; COUNT] }
    }

    /// The statement, ready for its parameters.
    pub(super) fn get(&mut self, sql: Sql) -> rusqlite::Result<&mut CachedStatement<'c>> {
        let slot = &mut self.prepared[sql as usize];
        match slot {
            Some(statement) => Ok(statement),
            None => Ok(slot.insert(self.connection.prepare_cached(TEXTS[sql as usize])?)),
        }
    }
}
