//! Storage in memory, with crash semantics.
//!
//! What a machine forgets when it stops is the hard part of every storage protocol, and a real
//! disk shows it once in a thousand pulled plugs. Here the durable part is a value of its own:
//! a [`Disk`] holds exactly what has been synced, an [`Engine`] is the process that uses it, and
//! [`Faults`] decide at every step of a commit whether that process is still alive afterwards.
//! So a simulation can stop the machine at each instruction that matters, start it again with
//! [`Engine::recover`], and do so thousands of times a second.
//!
//! ```text
//!  commit ──► Begin ──► check and stage ──► Staged ──► sync ──► Synced ──► answer
//!               │                             │                   │
//!        crash: nothing happened      crash: batch lost    crash: durable, never told
//! ```
//!
//! ```
//! use steadfast_journal::memory::{self, Faults};
//! use steadfast_journal::{Engine, RecordChange, StorageError, Write};
//!
//! let mut write = Write::default();
//! let (space, key) = ("notes".into(), "a".to_owned());
//! write.records.push(RecordChange { space, key, value: Some("kept".into()) });
//!
//! // Steps are numbered from 0: a commit begins, stages, and has synced.
//! for (step, durable) in [(0, false), (1, false), (2, true)] {
//!     let disk = memory::Disk::new();
//!     let mut engine = memory::Engine::recover(disk.clone()).with_faults(Faults::at(step));
//!     let answer = engine.commit(std::slice::from_ref(&write));
//!     assert!(matches!(answer, Err(StorageError::Crashed { .. })));
//!
//!     let store = memory::Engine::recover(disk).store();
//!     assert_eq!(store.record("notes", "a")?.is_some(), durable);
//! }
//! # Ok::<(), StorageError>(())
//! ```
//!
//! # Limits
//! Everything stays in memory for as long as the disk lives; events are never removed. There is
//! no torn write: a batch is synced whole or not at all, which is what the SQL engines' own logs
//! promise. A disk that does not just stop has a [`Trouble`]. Bit rot is not simulated; [`crate::verify`] is tested against it separately.

mod dated;
mod digest;
mod disk;
mod faults;
mod protections;
mod staging;
mod state;
mod store;
mod trouble;

use std::sync::Arc;

use steadfast_time::Timestamp;

pub use self::digest::Tally;
pub use self::disk::Disk;
pub use self::faults::{Decision, Faults, Moment, Step};
#[cfg(feature = "broken-twins")]
pub use self::protections::Protections;
#[cfg(not(feature = "broken-twins"))]
use self::protections::Protections;

pub use self::trouble::Trouble;

use self::disk::Session;
use self::staging::Staging;
use self::trouble::Sync;
use crate::{Applied, Pruned, Refusal, StorageError, Store, Write};

/// What a simulated disk is called in errors.
const DISK: &str = "the simulated disk";

/// The process that uses a [`Disk`]. There is one at a time: opening another one takes the disk
/// away from the one before, as a restart does.
#[derive(Debug)]
pub struct Engine {
    session: Session,
    faults: Faults,
    protections: Protections,
    /// The latest time that a caller mentioned, to say when a crash happened.
    now: Timestamp,
}

impl Engine {
    /// An engine over a new, empty disk, for whoever needs no crashes.
    #[must_use]
    pub fn new() -> Self {
        Self::recover(Disk::new())
    }

    /// Starts with exactly what is durable on `disk`. An engine that was open on it is cut off:
    /// it and its readers answer [`StorageError::Crashed`] from now on.
    #[must_use]
    pub fn recover(disk: Disk) -> Self {
        Self {
            session: disk.open(),
            faults: Faults::none(),
            protections: Protections::default(),
            now: Timestamp::default(),
        }
    }

    /// Decides when this process stops.
    #[must_use]
    pub fn with_faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Removes protections, to prove that a check notices. See [`Protections`].
    #[cfg(feature = "broken-twins")]
    #[must_use]
    pub fn with_protections(mut self, protections: Protections) -> Self {
        self.protections = protections;
        self
    }

    /// The disk under this engine.
    #[must_use]
    pub fn disk(&self) -> Disk {
        self.session.disk()
    }

    /// Goes on, or stops the machine here.
    fn reach(&mut self, step: Step) -> Result<(), StorageError> {
        match self.faults.decide(step) {
            Decision::Continue => Ok(()),
            Decision::Crash => {
                self.session.disk().crash(self.now);
                Err(StorageError::Crashed { at: self.now })
            }
        }
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl crate::Engine for Engine {
    fn commit(&mut self, batch: &[Write]) -> Result<Vec<Result<Applied, Refusal>>, StorageError> {
        self.session.check()?;
        if let Some(latest) = batch.iter().map(|write| write.at).max() {
            self.now = self.now.max(latest);
        }
        self.reach(Step::Begin)?;
        let protections = self.protections;
        let (outcomes, changes) = self.session.read(|state| {
            let mut staging = Staging::new(state, protections);
            let outcomes = batch.iter().map(|write| staging.apply(write)).collect();
            (outcomes, staging.into_changes())
        })?;
        self.reach(Step::Staged)?;
        match self.session.sync() {
            Sync::Done | Sync::Lost => self.session.write(|state| state.absorb(changes))?,
            Sync::Full => return Err(StorageError::DiskFull { path: DISK.into() }),
            Sync::Failed { durable } => {
                if durable {
                    self.session.write(|state| state.absorb(changes))?;
                }
                self.session.disk().crash(self.now);
                let source = std::io::Error::other("the sync failed on purpose");
                return Err(StorageError::Other { context: DISK, source: source.into() });
            }
        }
        self.reach(Step::Synced)?;
        Ok(outcomes)
    }

    fn prune(&mut self, now: Timestamp, limit: usize) -> Result<Pruned, StorageError> {
        self.session.check()?;
        self.now = self.now.max(now);
        self.reach(Step::PruneBegin)?;
        let pruned = self.session.write(|state| state.prune(now, limit))?;
        self.reach(Step::PruneSynced)?;
        Ok(pruned)
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.session.clone())
    }

    /// Does nothing but report a crash: every answered write has been synced already.
    fn close(&mut self) -> Result<(), StorageError> {
        self.session.check()
    }
}

#[cfg(test)]
mod tests;
