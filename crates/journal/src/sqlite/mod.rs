//! Storage in a SQLite file: the engine that needs nothing installed.
//!
//! SQLite gives transactions, crash recovery and a file that anyone can look into; what it does
//! not give by itself is many small commits per second. [`Engine`] gets them from six choices:
//!
//! - **One transaction and one sync per batch.** `synchronous = FULL`: a writer is answered when
//!   its bytes are on the disk, and a hundred writers share the wait.
//! - **Check first, write then.** Each write is checked completely before its first row is
//!   written, so a refused one needs no savepoint.
//! - **Know it by heart.** Versions, tokens, counters and inbox marks that were written lately
//!   are in memory, within bounds; a value that moves many times in a batch is written once.
//! - **Narrow rows, at the end.** Names are numbers, UUIDs are 16 bytes, keys grow with time; an
//!   outbox row that repeats an event refers to it; what the bus has taken is a range.
//! - **Few pages per commit.** A page that changes is written twice, to the log and to the
//!   database, whole. So there is no index over the events: an event points to the one before in
//!   its stream, and one row per stream says where it ends. Of what one order costs, a single row
//!   lands on a page that no other order touches: the digest of its idempotency key.
//! - **Checkpoints elsewhere.** A second thread copies the log into the database.
//!
//! For people there are views: `events_readable`, `event_outbox` with the usual columns of an
//! outbox, and `outbox` with those of Debezium's `EventRouter`.
//!
//! # Limits
//! One process at a time, one machine, local disks (SQLite's log needs shared memory, which
//! network file systems do not have). Memory: the caches of [`Options`], and for what the writer
//! knows by heart up to 25 MB when keys are UUIDs.
//!
//! ```
//! use steadfast_journal::{Journal, Position, Write, sqlite};
//! use steadfast_time::Clock;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let scratch = tempfile::tempdir()?;
//! # let directory = scratch.path().join("data");
//! let engine = sqlite::Engine::open(&directory, sqlite::Options::default())?;
//! let clock = Clock::system();
//! let (journal, writer) = Journal::new(engine, clock.clone());
//! let thread = writer.spawn("journal")?;
//! let committed = futures::executor::block_on(journal.commit(Write::at(clock.now())))?;
//! assert_eq!(committed.head, Position::START);
//! thread.stop()?;
//! # Ok(())
//! # }
//! ```

mod cache;
mod checkpoint;
mod claims;
mod commit;
mod connection;
mod directory;
pub mod disk;
mod fault;
mod names;
mod options;
mod prune;
mod ranges;
mod readers;
mod rows;
mod schema;
mod state;
mod statements;
mod store;
mod verify;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use steadfast_time::Timestamp;

use self::checkpoint::{Checkpointer, LogLength};
use self::directory::{Directory, foreign};
use self::fault::Fault;
use self::prune::Sweeps;
use self::schema::Found;
use self::state::State;
use self::store::Reading;
use crate::{Applied, Pruned, Refusal, StorageError, Store, Write};

pub use options::Options;
pub use verify::{EventFinding, Report, Step, verify};

/// A journal in a directory.
pub struct Engine {
    open: Option<Open>,
    reading: Arc<Reading>,
    /// Why nothing more can be committed, once that is so.
    failed: bool,
}

/// What an engine holds until it is closed. The lock goes last.
struct Open {
    checkpointer: Checkpointer,
    connection: Connection,
    state: State,
    sweeps: Sweeps,
    directory: Directory,
}

impl Engine {
    /// Opens the journal in a directory, and makes both if need be.
    ///
    /// # Errors
    /// [`StorageError::InUse`] when another process has it open, [`StorageError::Foreign`] when
    /// the directory holds something else (which is left as it is), [`StorageError::Newer`] when
    /// a newer version has written it, [`StorageError::Damaged`] when it cannot be trusted, or
    /// what the operating system reports.
    pub fn open(path: &Path, options: Options) -> Result<Self, StorageError> {
        let directory = Directory::create(path)?;
        let at = |fault: Fault| fault.at(path, "opening the journal");
        let mut connection =
            prepare(&directory, options.writer_cache_bytes).map_err(|refused| match refused {
                Unusable::Fault(fault) => at(fault),
                Unusable::Error(error) => error,
            })?;
        limit_size(&connection, &options).map_err(at)?;
        let state = State::load(&connection).map_err(at)?;
        let length = LogLength::of(&mut connection).map_err(at)?;
        let second = connection::writer(&directory.database(), options.reader_cache_bytes);
        let checkpointer = Checkpointer::start(second.map_err(at)?, length, &options)
            .map_err(|source| directory::io_error(path, "starting the checkpointer", source))?;
        let names = Arc::clone(&state.names);
        let reading = Reading::new(&directory, options.readers, options.reader_cache_bytes, names);
        let open = Open { checkpointer, connection, state, sweeps: Sweeps::default(), directory };
        Ok(Self { open: Some(open), reading: Arc::new(reading), failed: false })
    }

    fn release(&mut self) -> Result<(), StorageError> {
        let Some(mut open) = self.open.take() else {
            return Ok(());
        };
        open.checkpointer.stop();
        self.reading.readers.close();
        let path = open.directory.path().to_owned();
        // The last connection to close copies what is left of the log and removes it.
        let closed = open.connection.close().map_err(|(_, error)| error);
        closed.map_err(|error| Fault::from(error).at(&path, "closing the journal"))
    }
}

enum Unusable {
    Fault(Fault),
    Error(StorageError),
}

impl<F: Into<Fault>> From<F> for Unusable {
    fn from(fault: F) -> Self {
        Self::Fault(fault.into())
    }
}

/// Opens the database, makes sure that it is ours, and brings it to the current format.
fn prepare(directory: &Directory, cache_bytes: usize) -> Result<Connection, Unusable> {
    let path = directory.path();
    // Look before anything is changed, the mode of the log included.
    let format = match schema::inspect(&connection::reader(&directory.database(), cache_bytes)?)? {
        Found::Empty => 0,
        Found::Journal(found) if found > schema::CURRENT => {
            let (path, supported) = (path.to_owned(), schema::CURRENT);
            return Err(Unusable::Error(StorageError::Newer { path, found, supported }));
        }
        Found::Journal(found) => found,
        Found::Foreign => {
            let what = "its journal.db belongs to another program";
            return Err(Unusable::Error(foreign(path, what)));
        }
    };
    let mut connection = connection::writer(&directory.database(), cache_bytes)?;
    schema::migrate(&mut connection, format)?;
    schema::check(&connection)?;
    Ok(connection)
}

fn limit_size(connection: &Connection, options: &Options) -> fault::Result<()> {
    if let Some(bytes) = options.size_bytes_max {
        let pages = i64::try_from(bytes / u64::from(connection::PAGE_BYTES)).unwrap_or(i64::MAX);
        connection.pragma_update(None, "max_page_count", pages.max(1))?;
    }
    Ok(())
}

impl crate::Engine for Engine {
    fn commit(&mut self, batch: &[Write]) -> Result<Vec<Result<Applied, Refusal>>, StorageError> {
        let failed = self.failed;
        let at = |fault: Fault| fault.at(&self.reading.path, "committing to the journal");
        let open = match &mut self.open {
            Some(open) if !failed => open,
            Some(_) => return Err(at(Fault::Closed("an earlier commit has failed; restart"))),
            None => return Err(at(Fault::Closed("the journal is closed"))),
        };
        match commit::commit(&open.connection, &mut open.state, batch) {
            Ok(outcomes) => {
                open.checkpointer.after_commit(&open.connection);
                Ok(outcomes)
            }
            Err(fault) => {
                self.failed = true;
                Err(at(fault))
            }
        }
    }

    fn prune(&mut self, now: Timestamp, limit: usize) -> Result<Pruned, StorageError> {
        let at = |fault: Fault| fault.at(&self.reading.path, "removing expired rows");
        let open = match &mut self.open {
            Some(open) if !self.failed => open,
            _ => return Err(at(Fault::Closed("the journal is closed"))),
        };
        let Open { connection, state, sweeps, .. } = open;
        prune::prune(connection, state, sweeps, now, limit).map_err(|fault| {
            // Old rows may stay, but no answer may be given before its bytes are durable.
            self.failed = !connection::is_durable(connection);
            at(fault)
        })
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.reading) as Arc<dyn Store>
    }

    /// Reads fail from now on, and the directory is free.
    fn close(&mut self) -> Result<(), StorageError> {
        self.release()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Err(error) = self.release() {
            tracing::warn!(%error, "the journal could not be closed properly; nothing is lost");
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("path", &self.reading.path).finish_non_exhaustive()
    }
}
