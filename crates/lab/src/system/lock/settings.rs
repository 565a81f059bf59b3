//! What a scenario can set.

use std::time::Duration;

use steadfast_coordination::Options;

use super::storage::Fence;
use crate::limits::LOCK_WORKERS_MAX;
use crate::scenario::{Load, Reader};

/// Workers, unless the load says otherwise.
const WORKERS: u32 = 5;

/// Servers that Redlock votes over: what its author recommends.
pub(super) const REDLOCK_SERVERS: usize = 5;

/// A way there and back between hosts of one data centre, at worst; what clients reckon with.
pub(super) const ROUND_TRIP: Duration = Duration::from_millis(10);

/// How long a lease lasts, unless the scenario says otherwise.
const LEASE: Duration = Duration::from_secs(2);

/// How long a holder works between its read and its write, unless the scenario says otherwise.
const WORK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// Who grants the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    /// The coordination crate's engine for simulations, on a disk that survives its server.
    Memory,
    /// Redlock over five servers.
    Redlock(Expiry),
}

/// By which clock a simulated Redis counts the life of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// By the date, as Redis does.
    Wall,
    /// By a clock that does not jump.
    Monotonic,
}

/// A variant's settings.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub engine: Engine,
    pub fence: Fence,
    pub lease: Duration,
    /// The shortest and the longest wait between read and write.
    pub work: (Duration, Duration),
    pub workers: u32,
}

impl Settings {
    /// Reads them, and notes what is wrong.
    pub fn read(load: Load, reader: &Reader<'_>) -> Self {
        let expiry = match reader.choice("expiry", &["wall", "monotonic"], "wall") {
            "monotonic" => Expiry::Monotonic,
            _ => Expiry::Wall,
        };
        let engine = match reader.choice("engine", &["memory", "redlock"], "memory") {
            "redlock" => Engine::Redlock(expiry),
            _ => Engine::Memory,
        };
        let fence = match reader.choice("fence", &["none", "writes", "full"], "none") {
            "writes" => Fence::Writes,
            "full" => Fence::Full,
            _ => Fence::None,
        };
        let lease = reader.duration("lease", LEASE);
        let work = reader.durations("work", WORK);
        let workers = load.clients.unwrap_or(WORKERS);
        if workers > LOCK_WORKERS_MAX {
            reader.problem("clients", format!("at most {LOCK_WORKERS_MAX} workers share a lock"));
        }
        if load.rate.is_some() {
            reader
                .problem("rate", "workers of a lock take turns as fast as they can; leave it out");
        }
        if engine != Engine::Memory && fence != Fence::None {
            reader.problem("fence", "redlock gives no token, so there is nothing to check");
        }
        if let Err(error) = options(lease).check() {
            reader.problem("lease", error);
        }
        Self { engine, fence, lease, work, workers }
    }

    /// The hosts: workers, those who grant the lock, and the storage.
    pub fn hosts(&self) -> Vec<String> {
        let workers = (1..=self.workers).map(worker);
        let storage = std::iter::once(super::STORAGE.to_owned());
        workers.chain(self.coordinators()).chain(storage).collect()
    }

    /// The hosts that grant the lock.
    pub fn coordinators(&self) -> Vec<String> {
        match self.engine {
            Engine::Memory => vec![super::COORDINATOR.to_owned()],
            Engine::Redlock(_) => {
                (1..=REDLOCK_SERVERS).map(|it| format!("{}-{it}", super::COORDINATOR)).collect()
            }
        }
    }
}

/// A worker's host.
pub(super) fn worker(number: u32) -> String {
    format!("worker-{number}")
}

/// A client's options for a lease.
pub(super) fn options(lease: Duration) -> Options {
    Options { length: lease, round_trip: ROUND_TRIP, ..Options::default() }
}
