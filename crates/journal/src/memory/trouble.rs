//! What is wrong with a disk that does not just stop.
//!
//! A crash is the honest failure. The others are worse, for the process goes on: the disk has no
//! room, it cannot say whether what was written is there, or it says so and it is not. Each is a
//! property of the disk, not of the process that happens to use it, so it is set on the
//! [`Disk`](super::Disk) and outlives restarts.
//!
//! | trouble | what the writer hears | what is on the disk |
//! |---|---|---|
//! | full | [`DiskFull`](crate::StorageError::DiskFull) | nothing of the batch |
//! | failed sync | [`Other`](crate::StorageError::Other); the engine takes nothing more | the whole batch or nothing of it, by the dice |
//! | lost sync | success | the batch, until the machine stops; then it is gone, with all that came after it |
//!
//! After a failed sync the engine ends, as PostgreSQL does: what the system kept in memory may be
//! marked clean although it never reached the disk, so a second sync that succeeds proves nothing
//! (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). A lost sync
//! leaves a hole in the log, and recovery reads a log up to its first hole. A slow disk is the
//! writer's business: whoever drives it waits before [`Writer::run_once`](crate::Writer::run_once).

use fastrand::Rng;

/// What goes wrong with a disk's syncs; nothing by default. Shares are 0 to 1, per batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Trouble {
    /// There is no room for anything more.
    pub full: bool,
    /// Syncs that fail: nobody knows whether the batch is durable.
    pub failed_syncs: f64,
    /// Syncs that are acknowledged although nothing is durable.
    pub lost_syncs: f64,
}

/// What happens to one sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sync {
    Done,
    Full,
    /// Whether the batch is durable all the same.
    Failed {
        durable: bool,
    },
    Lost,
}

/// The troubles of a disk, and the dice.
#[derive(Debug)]
pub(super) struct Troubles {
    now: Trouble,
    rng: Rng,
}

impl Default for Troubles {
    fn default() -> Self {
        Self { now: Trouble::default(), rng: Rng::with_seed(0) }
    }
}

impl Troubles {
    pub(super) fn set(&mut self, trouble: Trouble, seed: u64) {
        *self = Self { now: trouble, rng: Rng::with_seed(seed) };
    }

    pub(super) fn sync(&mut self) -> Sync {
        let Trouble { full, failed_syncs, lost_syncs } = self.now;
        if full {
            Sync::Full
        } else if failed_syncs > 0.0 && self.rng.f64() < failed_syncs {
            Sync::Failed { durable: self.rng.bool() }
        } else if lost_syncs > 0.0 && self.rng.f64() < lost_syncs {
            Sync::Lost
        } else {
            Sync::Done
        }
    }
}
