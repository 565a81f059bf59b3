//! Connections and their settings.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::fault::Result;
use super::statements;

/// Bytes per page. Set when the file is made.
pub(super) const PAGE_BYTES: u32 = 4_096;

/// How long to wait when another connection of this process is in the way. That is a matter of
/// microseconds; of seconds only when somebody works on the file with another tool.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A connection is used by one thread at a time, so it needs no lock of its own.
const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_NO_MUTEX;

fn cache(connection: &Connection, bytes: usize) -> rusqlite::Result<()> {
    // Negative: in KiB, whatever the size of a page.
    let kib = i64::try_from(bytes / 1_024).unwrap_or(i64::MAX);
    connection.pragma_update(None, "cache_size", -kib.max(64))
}

/// A connection that may write. It syncs on every commit and leaves checkpoints to others.
pub(super) fn writer(path: &Path, cache_bytes: usize) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, FLAGS | OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    cache(&connection, cache_bytes)?;
    connection.set_prepared_statement_cache_capacity(statements::COUNT + 16);
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn reader(path: &Path, cache_bytes: usize) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, FLAGS | OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    cache(&connection, cache_bytes)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Whether the connection syncs on every commit.
pub(super) fn is_durable(connection: &Connection) -> bool {
    const FULL: i64 = 2;
    let level = connection.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0));
    level.is_ok_and(|level| level >= FULL)
}
