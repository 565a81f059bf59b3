//! A lease lock in front of a document, and workers that trust it.
//!
//! A lease says who *should* write; a process that was stopped in the middle of its step writes all
//! the same when it goes on, and so does one whose lease ended early because a server's clock jumped.
//! Here workers update one document under a lock: read, wait, write what was read and one operation
//! of their own. Each update is right only if nobody else wrote between its read and its write. What
//! the storage does about a late write is the `fence`:
//!
//! | `fence` | |
//! |---|---|
//! | `none` | every write is taken |
//! | `writes` | a write below the highest token of all writes is refused. The late write is kept out once the next holder has *written*; when that one has only *read* yet, it is taken, acknowledged, and overwritten |
//! | `full` | the read of an update presents its token, too: whoever has read in order to write has shut the door behind the one before |
//!
//! The workers are naive on purpose: they look at their guard when they have it, and not again.
//!
//! # What runs
//! On simulated hosts, each worker has the coordination crate's own client and keeper and reaches,
//! over the stage's network, the crate's engine for simulations on a host `coordinator` (`engine =
//! "memory"`), or five simulated Redis servers `coordinator-1` to `-5` with the crate's own Redlock
//! (`engine = "redlock"`; their keys expire by the servers' wall clocks unless `expiry =
//! "monotonic"`). The document is behind the fencing crate's check, on a host `storage`.
//!
//! # Settings
//! `engine`, `fence`, `expiry`; `lease`, how long a lease or a key lasts without a word; `work =
//! ["100ms", "1s"]`, how long a holder waits between its read and its write. Workers are the load's
//! `clients`.
//!
//! # History
//! `read` with the last operation (`null` when there is none), `cas` with `[from, to]`: an update
//! under a lock claims to be a compare-and-set from what it read to what it wrote.

mod journal;
mod observer;
#[cfg(feature = "real")]
pub mod real;
mod redis;
mod settings;
mod simulated;
mod storage;
#[cfg(test)]
mod tests;
mod worker;

use crate::check::Model;
use crate::fault;
use crate::quantity::Unit;
use crate::scenario::{Load, Reader};
use crate::system::{Indicator, Real, System, Trial};
use crate::{Error, Observed};

use self::settings::Settings;

/// The host of the one server that grants the lock, and the beginning of the names of several.
const COORDINATOR: &str = "coordinator";

/// The host of the document.
const STORAGE: &str = "storage";

/// What a message takes on a link with a bandwidth: a small request with its headers.
const MESSAGE_BYTES: usize = 256;

/// Workers behind a lease lock.
#[derive(Clone, Copy, Debug)]
pub struct Lock;

const INDICATORS: &[Indicator] = &[
    Indicator {
        name: "stale_leader_write.count",
        unit: Unit::Count,
        about: "Writes that the storage let in though a later holder had read or written there.",
    },
    Indicator {
        name: "lost.count",
        unit: Unit::Count,
        about: "Updates that were acknowledged and are not in the document in the end.",
    },
    Indicator {
        name: "lost.share",
        unit: Unit::Share,
        about: "Of the acknowledged updates, those that are lost.",
    },
    Indicator {
        name: "refused.count",
        unit: Unit::Count,
        about: "Reads and writes that the storage refused, for a later holder had been there.",
    },
    Indicator {
        name: "acknowledged",
        unit: Unit::Count,
        about: "Updates whose writer was told that they are written.",
    },
    Indicator {
        name: "second_holder.count",
        unit: Unit::Count,
        about: "Times that a worker got the lock while another one had it, as far as that one knew.",
    },
    Indicator {
        name: "lock.acquire_time_ms.p95",
        unit: Unit::Time,
        about: "From asking for the lock to having it, the wait for those ahead included; 95th \
                percentile.",
    },
    Indicator {
        name: "consensus.leader_election_ms",
        unit: Unit::Time,
        about: "When a holder fell silent: from its last word (its last renewal that the server \
                took; without renewals, its turn's beginning) to the next holder's having the lock; \
                99th percentile. The rest of the lease is in it. Not set when every holder let go.",
    },
    Indicator {
        name: "seconds_to_detect",
        unit: Unit::Time,
        about: "From the beginning to the first stale write that was let in. Not set without one.",
    },
];

impl System for Lock {
    fn name(&self) -> &'static str {
        "lock"
    }

    fn about(&self) -> &'static str {
        "Workers that update one document under a lease lock, with and without fencing tokens."
    }

    fn faults(&self) -> &'static [fault::Kind] {
        use fault::Kind::{Clock, Kill, Link, Partition, Pause};
        &[Link, Partition, Pause, Kill, Clock]
    }

    fn indicators(&self) -> &'static [Indicator] {
        INDICATORS
    }

    fn models(&self) -> &'static [Model] {
        &[Model::CasRegister]
    }

    fn real(&self) -> Real {
        Real::Coordinated
    }

    fn prepare(&self, load: Load, settings: &Reader<'_>) -> Vec<String> {
        Settings::read(load, settings).hosts()
    }

    fn simulate(&self, trial: &Trial<'_>) -> Result<Observed, Error> {
        simulated::run(trial)
    }

    #[cfg(feature = "real")]
    fn perform<'a>(
        &'a self,
        trial: &'a Trial<'a>,
        stage: &'a crate::real::Stage,
    ) -> futures::future::BoxFuture<'a, Result<Observed, Error>> {
        real::perform(trial, stage)
    }
}
