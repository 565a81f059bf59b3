//! What survives a crash, and who may touch it.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use steadfast_time::Timestamp;

use super::digest::{Tally, digest};
use super::state::State;
use super::trouble::{Sync, Trouble, Troubles};
use crate::{Hash, StorageError};

#[derive(Default)]
struct Inner {
    /// Which session owns the disk. Every start and every crash begins a new one.
    session: u64,
    /// When the session before ended.
    ended_at: Timestamp,
    /// What the process finds on the disk.
    durable: State,
    /// What will be left of it when the machine stops, since a sync was lost.
    kept: Option<Box<State>>,
    troubles: Troubles,
}

impl Inner {
    /// The machine stops: what was never synced is gone.
    fn end_session(&mut self) {
        self.session += 1;
        if let Some(kept) = self.kept.take() {
            self.durable = *kept;
        }
    }
}

/// The durable part of the memory engine. Cheap to clone; clones are the same disk.
#[derive(Clone, Default)]
pub struct Disk {
    inner: Arc<RwLock<Inner>>,
}

impl Disk {
    /// An empty disk. Costs next to nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops the process that uses the disk, between two commits. It and its readers answer
    /// [`StorageError::Crashed`] from now on.
    pub fn crash(&self, at: Timestamp) {
        let mut inner = self.write();
        inner.end_session();
        inner.ended_at = at;
    }

    /// From now on the disk has this trouble, or none; across restarts. The same seed goes wrong at
    /// the same syncs. What a lost sync has cost shows after the next crash or restart.
    pub fn trouble(&self, trouble: Trouble, seed: u64) {
        self.write().troubles.set(trouble, seed);
    }

    /// SHA-256 over everything durable, in a fixed order: equal digests mean equal contents. The
    /// events are in it by the head of their hash chain, so this costs the size of the tables,
    /// not of the history.
    #[must_use]
    pub fn digest(&self) -> Hash {
        digest(&self.read().durable)
    }

    /// How much is on the disk, to see at a glance where two runs differ.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally::of(&self.read().durable)
    }

    /// Starts a session and ends the one before.
    pub(super) fn open(self) -> Session {
        let number = {
            let mut inner = self.write();
            inner.end_session();
            inner.session
        };
        Session { disk: self, number }
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("tally", &self.tally()).finish()
    }
}

/// One process' hold on a disk; it ends with a crash or the next start.
#[derive(Clone, Debug)]
pub(super) struct Session {
    disk: Disk,
    number: u64,
}

impl Session {
    pub(super) fn disk(&self) -> Disk {
        self.disk.clone()
    }

    fn alive(&self, inner: &Inner) -> Result<(), StorageError> {
        if inner.session == self.number {
            Ok(())
        } else {
            Err(StorageError::Crashed { at: inner.ended_at })
        }
    }

    /// What happens to the sync that comes now.
    pub(super) fn sync(&self) -> Sync {
        let mut inner = self.disk.write();
        let sync = inner.troubles.sync();
        if sync == Sync::Lost && inner.kept.is_none() {
            inner.kept = Some(Box::new(inner.durable.clone()));
        }
        sync
    }

    /// Says whether the process still runs.
    pub(super) fn check(&self) -> Result<(), StorageError> {
        self.alive(&self.disk.read())
    }

    /// Looks at what is durable.
    pub(super) fn read<R>(&self, look: impl FnOnce(&State) -> R) -> Result<R, StorageError> {
        let inner = self.disk.read();
        self.alive(&inner)?;
        Ok(look(&inner.durable))
    }

    /// Changes what is durable, in one step.
    pub(super) fn write<R>(&self, change: impl FnOnce(&mut State) -> R) -> Result<R, StorageError> {
        let mut inner = self.disk.write();
        self.alive(&inner)?;
        Ok(change(&mut inner.durable))
    }
}
