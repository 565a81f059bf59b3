//! Moving the log into the database, off the path of commits.
//!
//! A commit appends pages to SQLite's write-ahead log and syncs it; later a *checkpoint* copies
//! the newest version of each page into the database. By default SQLite does that inside the
//! commit that makes the log too long, and that commit then waits for the copy and for two syncs.
//! Here a thread of its own does it ([`Options::checkpoint_bytes`]), while commits go on.
//!
//! One thing needs both sides. The log starts over at its beginning only when every page in it
//! has been copied and nobody appends meanwhile; under steady load there is always another page,
//! and the log would grow for ever. So when it has reached [`Options::log_bytes`] the thread
//! copies once more, and then the writer copies what has come in the meantime, between two
//! batches. For that moment it waits for the reads that are under way (new ones already use the
//! database instead of the log), but not for longer than [`READERS`]; then there is another
//! attempt after another stretch. Should the disk not keep up with the thread, commits wait for
//! it (seconds at most) once the log is [`FAR`] times as long as it should be.
//!
//! Measured with batches of 256 writes on a busy disk (sync p50 4 ms, p99 8 to 24 ms), the p99 of a
//! commit was the same 16 to 33 ms with no checkpoints at all, with 4 and 16 MiB, 8 and 32, and 16
//! and 64: whatever they cost is less than what the disk varies by. The defaults are the largest
//! of these, since a page that changes often is then copied least often, and still let a crash
//! leave no more than a log that is read in a fraction of a second.
//!
//! A log that starts over is overwritten in place, so its syncs need not make the file longer,
//! which is the slow part of a sync on most file systems. That is why it is not truncated.
//!
//! [`Options::checkpoint_bytes`]: super::Options::checkpoint_bytes
//! [`Options::log_bytes`]: super::Options::log_bytes

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;

use super::Options;
use super::connection::{PAGE_BYTES, PATIENCE};
use super::fault::Result;

/// A log that is long and could not be started over is tried again after this part of
/// [`Options::checkpoint_bytes`].
///
/// [`Options::checkpoint_bytes`]: super::Options::checkpoint_bytes
const REST: u64 = 4;

/// A log that is this many times as long as it should be: the disk does not keep up, and commits
/// have to wait for it.
const FAR: u64 = 4;

/// How long the writer waits for reads that are under way, all commits with it. Reads are bounded
/// and take milliseconds.
const READERS: Duration = Duration::from_millis(50);

/// Pages in the log, as of the last commit.
#[derive(Clone, Debug, Default)]
pub(super) struct LogLength(Arc<AtomicU64>);

impl LogLength {
    /// Lets the connection report the length after each of its commits.
    pub(super) fn of(connection: &mut Connection) -> Result<Self> {
        let length = Self::default();
        let reported = length.clone();
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            reported.0.store(u64::try_from(pages).unwrap_or(0), Relaxed);
            Ok(())
        }))?;
        Ok(length)
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

#[derive(Debug, Default)]
struct Desk {
    requested: bool,
    running: bool,
    stop: bool,
}

#[derive(Debug, Default)]
struct Shared {
    desk: Mutex<Desk>,
    changed: Condvar,
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next request; `false` when it is time to stop.
    fn next(&self) -> bool {
        let mut desk = self.desk();
        desk.running = false;
        self.changed.notify_all();
        let idle = |desk: &mut Desk| !desk.requested && !desk.stop;
        let mut desk = self.changed.wait_while(desk, idle).unwrap_or_else(PoisonError::into_inner);
        desk.running = !desk.stop;
        desk.requested = false;
        desk.running
    }
}

/// The thread that copies, and what the writer knows of its work.
#[derive(Debug)]
pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    length: LogLength,
    every: u64,
    restart: u64,
    /// Pages of the log that have been copied, or are being copied.
    copied: u64,
    /// The log is long, and the thread has been asked to copy once more.
    chased: bool,
}

impl Checkpointer {
    pub(super) fn start(
        connection: Connection,
        length: LogLength,
        options: &Options,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let desk = Arc::clone(&shared);
        let thread = thread::Builder::new().name("journal-checkpoint".into()).spawn(move || {
            while desk.next() {
                if let Err(error) = copy(&connection) {
                    // Nothing is lost: the pages are in the log, and the next try copies them.
                    tracing::warn!(%error, "a checkpoint failed");
                }
            }
        })?;
        Ok(Self {
            shared,
            thread: Some(thread),
            length,
            every: (options.checkpoint_bytes / u64::from(PAGE_BYTES)).max(1),
            restart: (options.log_bytes / u64::from(PAGE_BYTES)).max(2),
            copied: 0,
            chased: false,
        })
    }

    /// To be called by the writer between two batches.
    pub(super) fn after_commit(&mut self, writer: &Connection) {
        let length = self.length.get();
        if length < self.copied {
            // The log has started over.
            self.copied = 0;
            self.chased = false;
        }
        let fresh = length - self.copied;
        let long = length >= self.restart;
        let due = fresh >= if long { self.every / REST } else { self.every };
        if !(due || self.chased) {
            return;
        }
        let busy = |desk: &mut Desk| desk.running || desk.requested;
        let mut desk = self.shared.desk();
        if length >= self.restart.saturating_mul(FAR) {
            let changed = self.shared.changed.wait_timeout_while(desk, PATIENCE, busy);
            desk = changed.unwrap_or_else(PoisonError::into_inner).0;
        }
        if busy(&mut desk) {
            return;
        }
        if self.chased {
            drop(desk);
            if let Err(error) = start_over(writer) {
                tracing::warn!(%error, "the log could not be started over");
            }
            self.chased = false;
        } else {
            desk.requested = true;
            drop(desk);
            self.shared.changed.notify_all();
            self.chased = long;
        }
        self.copied = length;
    }

    /// Ends the thread once it has finished what it does.
    pub(super) fn stop(&mut self) {
        self.shared.desk().stop = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself and concerns nobody here.
            let _ = thread.join();
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Copies the rest, and lets the next commit begin at the beginning of the log.
fn start_over(writer: &Connection) -> rusqlite::Result<()> {
    writer.busy_timeout(READERS)?;
    let started = writer.query_row("PRAGMA wal_checkpoint(RESTART)", (), |_| Ok(()));
    writer.busy_timeout(PATIENCE)?;
    started
}

/// Copies what can be copied without waiting for anyone.
fn copy(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()))
}
