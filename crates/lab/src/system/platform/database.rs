//! A database server: the journal's memory engine as a process on a host of its own.
//!
//! The host's disk survives it. When the host is killed, whatever was not synced is gone and every
//! handle on the journal is dead; when it starts again, it recovers from the disk and those who
//! used it have to open it anew. Beside it stands a witness, which looks at every write that was let
//! in and counts those that carry a token lower than one that was seen before. It looks from
//! outside: it counts the same whether the engine checks tokens or not.
//!
//! # Limits
//! Whoever has the journal reads it without a network in between: a link to this host cannot be
//! given faults. Commits take [`Options::sync`], and longer on a slow disk.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use steadfast_fencing::FencingToken;
use steadfast_journal::memory::{self, Disk, Protections, Trouble};
use steadfast_journal::{
    Applied, Engine, Journal, Pruned, Refusal, StorageError, Store, Write, Writer,
};
use steadfast_time::Timestamp;
use tokio::sync::Notify;

use crate::fault;
use crate::sim::{Host, Stage};

/// How long the server takes to start again after its storage has failed.
const RESTART: Duration = Duration::from_millis(500);

/// How a database is set up.
#[derive(Clone, Copy, Debug)]
pub(in crate::system) struct Options {
    /// What the engine checks.
    pub(in crate::system) protections: Protections,
    /// How long a commit takes on a disk that is well; what comes meanwhile shares the next one.
    pub(in crate::system) sync: Duration,
}

/// A database server. Clones are the same one.
#[derive(Clone)]
pub(in crate::system) struct Database {
    inner: Rc<Inner>,
}

struct Inner {
    host: Host,
    disk: Disk,
    options: Options,
    /// Added to each commit by a fault.
    slow: Cell<Duration>,
    /// While it runs.
    journal: RefCell<Option<Journal>>,
    /// Writes wait, and the server has been told.
    rung: Cell<bool>,
    bell: Notify,
    seen: Arc<Mutex<Seen>>,
    starts: Cell<u64>,
}

/// What the witness has seen.
#[derive(Clone, Debug, Default)]
pub(in crate::system) struct Seen {
    highest: BTreeMap<String, FencingToken>,
    /// Writes that were let in with a token lower than one that was let in before.
    pub(in crate::system) stale: u64,
    /// Writes that were refused because of their token.
    pub(in crate::system) refused: u64,
    /// How often another token came to a resource that had one.
    pub(in crate::system) takeovers: u64,
}

impl Database {
    /// Starts a database on a host of a stage.
    pub(in crate::system) fn start(stage: &mut Stage, host: Host, options: Options) -> Self {
        let inner = Rc::new(Inner {
            host,
            disk: Disk::new(),
            options,
            slow: Cell::default(),
            journal: RefCell::default(),
            rung: Cell::default(),
            bell: Notify::new(),
            seen: Arc::default(),
            starts: Cell::default(),
        });
        let served = Rc::clone(&inner);
        inner.host.boot(move || Rc::clone(&served).serve().boxed_local());
        let watched = Rc::clone(&inner);
        stage.simulation().on_idle(move || watched.ring());
        Self { inner }
    }

    /// The journal, while the server runs.
    pub(in crate::system) fn journal(&self) -> Option<Journal> {
        self.inner.journal.borrow().clone()
    }

    /// What survives.
    pub(in crate::system) fn disk(&self) -> &Disk {
        &self.inner.disk
    }

    /// What the witness has seen so far.
    pub(in crate::system) fn seen(&self) -> Seen {
        seen(&self.inner.seen).clone()
    }

    /// How often it was started.
    pub(in crate::system) fn starts(&self) -> u64 {
        self.inner.starts.get()
    }

    /// Gives its disk a fault, or takes it away.
    pub(in crate::system) fn disturb(&self, fault: Option<fault::Disk>, seed: u64) {
        let fault = fault.unwrap_or_default();
        self.inner.slow.set(fault.delay);
        let fault::Disk { full, failed_syncs, lost_syncs, .. } = fault;
        self.inner.disk.trouble(Trouble { full, failed_syncs, lost_syncs }, seed);
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("starts", &self.starts()).finish_non_exhaustive()
    }
}

impl Inner {
    /// One life of the server's process after the other, until the host ends them.
    async fn serve(self: Rc<Self>) {
        let clock = self.host.clock();
        loop {
            let engine = memory::Engine::recover(self.disk.clone())
                .with_protections(self.options.protections);
            let engine = Witness { engine, seen: Arc::clone(&self.seen) };
            let (journal, writer) = Journal::new(engine, clock.clone());
            self.starts.set(self.starts.get() + 1);
            self.rung.set(false);
            *self.journal.borrow_mut() = Some(journal);
            let running = Running { inner: &self };
            self.write(writer).await;
            drop(running);
            clock.sleep(RESTART).await;
        }
    }

    /// Commits what waits, until the storage fails.
    async fn write(&self, mut writer: Writer) {
        let clock = self.host.clock();
        loop {
            self.bell.notified().await;
            let takes = self.options.sync + self.slow.get();
            if !takes.is_zero() {
                clock.sleep(takes).await;
            }
            self.rung.set(false);
            if writer.run_once().is_err() {
                return;
            }
        }
    }

    /// Wakes the server when writes wait; says whether it did.
    fn ring(&self) -> bool {
        let waits = || self.journal.borrow().as_ref().is_some_and(|it| it.stats().queued > 0);
        if self.rung.get() || !waits() {
            return false;
        }
        self.rung.set(true);
        self.bell.notify_one();
        true
    }
}

/// One life of the process: whatever ends it, the disk loses what was not synced.
struct Running<'a> {
    inner: &'a Inner,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let journal = self.inner.journal.borrow_mut().take();
        drop(journal);
        self.inner.disk.crash(self.inner.host.clock().now());
    }
}

fn seen(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at every write and its outcome.
struct Witness {
    engine: memory::Engine,
    seen: Arc<Mutex<Seen>>,
}

impl Engine for Witness {
    fn commit(&mut self, batch: &[Write]) -> Result<Vec<Result<Applied, Refusal>>, StorageError> {
        let outcomes = self.engine.commit(batch)?;
        let mut seen = seen(&self.seen);
        for (write, outcome) in batch.iter().zip(&outcomes) {
            let Some(fence) = &write.fence else { continue };
            match outcome {
                Err(Refusal::Stale { .. }) => seen.refused += 1,
                Err(_) => {}
                Ok(_) => match seen.highest.get(&fence.resource).copied() {
                    Some(highest) if fence.token < highest => seen.stale += 1,
                    Some(highest) if fence.token == highest => {}
                    before => {
                        seen.takeovers += u64::from(before.is_some());
                        seen.highest.insert(fence.resource.clone(), fence.token);
                    }
                },
            }
        }
        drop(seen);
        Ok(outcomes)
    }

    fn prune(&mut self, now: Timestamp, limit: usize) -> Result<Pruned, StorageError> {
        self.engine.prune(now, limit)
    }

    fn store(&self) -> Arc<dyn Store> {
        self.engine.store()
    }

    fn close(&mut self) -> Result<(), StorageError> {
        self.engine.close()
    }
}
