//! The one writer: many writes, one commit.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use steadfast_time::{Clock, Monotonic};

use crate::feed::{Batch, Feeds};
use crate::journal::Shared;
use crate::limits::{BATCH_WRITES_MAX, PRUNE_ROWS_MAX};
use crate::queue::Pending;
use crate::{Engine, Error, Refusal, StorageError};

/// How long the writer rests when nothing is to be done before it looks for expired rows.
const IDLE: Duration = Duration::from_millis(100);

/// Pruning runs at most this often, so that it takes little from commits.
const PRUNE_EVERY: Duration = Duration::from_millis(50);

/// Drives an [`Engine`]: takes what waits, commits it as one batch, answers, tells the feeds.
///
/// [`Writer::spawn`] gives it a thread. A simulation calls [`Writer::run_once`] instead.
pub struct Writer {
    engine: Box<dyn Engine>,
    shared: Arc<Shared>,
    clock: Clock,
    next_prune: Monotonic,
}

impl Writer {
    pub(crate) fn new(engine: Box<dyn Engine>, shared: Arc<Shared>, clock: Clock) -> Self {
        Self { engine, shared, clock, next_prune: Monotonic::default() }
    }

    /// Commits one batch of what waits. Returns the number of writes, zero when none waited.
    ///
    /// # Errors
    /// The storage failed; everyone who waited has been told, and the journal is closed.
    pub fn run_once(&mut self) -> Result<usize, Arc<StorageError>> {
        let pending = self.shared.queue.take(BATCH_WRITES_MAX);
        if pending.is_empty() {
            return Ok(0);
        }
        let (writes, replies): (Vec<_>, Vec<_>) =
            pending.into_iter().map(|Pending { write, reply }| (write, reply)).unzip();
        let outcomes = match self.engine.commit(&writes) {
            Ok(outcomes) => outcomes,
            Err(error) => {
                tracing::error!(%error, "the storage of a journal has failed; nothing more is taken");
                let error = Arc::new(error);
                for reply in replies {
                    let _ = reply.send(Err(Error::Storage(Arc::clone(&error))));
                }
                self.end();
                return Err(error);
            }
        };
        let count = writes.len();
        let is_stale = |outcome: &&Result<_, _>| matches!(outcome, Err(Refusal::Stale { .. }));
        self.shared.stats.committed(count, outcomes.iter().filter(is_stale).count());
        let mut batch = Batch::default();
        let mut answers = Vec::with_capacity(count);
        for outcome in outcomes {
            answers.push(match outcome {
                Ok(applied) => {
                    batch.events.extend(applied.events);
                    batch.outbox.extend(applied.outbox);
                    Ok(applied.committed)
                }
                Err(refusal) => Err(Error::Refused(refusal)),
            });
        }
        // The feeds hear of a batch before its writers do, so that whoever was answered finds
        // the effect in every feed.
        self.feeds().publish(batch);
        for (reply, answer) in replies.into_iter().zip(answers) {
            let _ = reply.send(answer);
        }
        Ok(count)
    }

    /// Removes a bounded number of expired rows, if it is time to.
    ///
    /// # Errors
    /// The storage failed.
    pub fn prune_if_due(&mut self) -> Result<usize, StorageError> {
        let now = self.clock.monotonic();
        if now < self.next_prune {
            return Ok(0);
        }
        let pruned = self.engine.prune(self.clock.now(), PRUNE_ROWS_MAX)?;
        // Nothing found: look again in a while. Something found: go on soon.
        let rest = if pruned.total() == 0 { PRUNE_EVERY * 20 } else { PRUNE_EVERY };
        self.next_prune = now + rest;
        Ok(pruned.total())
    }

    /// Gives the writer a thread of its own, which ends when the journal is closed or its
    /// storage fails.
    ///
    /// # Errors
    /// The operating system gave no thread.
    pub fn spawn(mut self, name: &str) -> std::io::Result<WriterThread> {
        let shared = Arc::clone(&self.shared);
        let handle = thread::Builder::new().name(name.to_owned()).spawn(move || self.run())?;
        Ok(WriterThread { shared, handle: Some(handle) })
    }

    fn run(&mut self) -> Result<(), Arc<StorageError>> {
        while self.shared.queue.wait(IDLE) {
            self.run_once()?;
            if let Err(error) = self.prune_if_due() {
                // Nothing is lost when old rows stay; the next commit will tell if it is worse.
                tracing::warn!(%error, "could not remove expired rows");
            }
        }
        self.engine.close().map_err(Arc::new)
    }

    /// Nothing more will be committed: everyone who waits is told so, and the feeds end.
    fn end(&self) {
        self.shared.queue.close();
        for pending in self.shared.queue.take(usize::MAX) {
            let _ = pending.reply.send(Err(Error::Closed));
        }
        self.feeds().close();
    }

    fn feeds(&self) -> &Feeds {
        &self.shared.feeds
    }
}

impl Drop for Writer {
    /// A journal without its writer is closed; nobody waits for an answer that cannot come.
    fn drop(&mut self) {
        self.end();
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

/// A running writer. Dropping it closes the journal and waits until what was queued is durable.
#[derive(Debug)]
pub struct WriterThread {
    shared: Arc<Shared>,
    handle: Option<thread::JoinHandle<Result<(), Arc<StorageError>>>>,
}

impl WriterThread {
    /// Closes the journal, waits until what was queued is durable, and says how the writer ended.
    ///
    /// # Errors
    /// The storage failed, now or before.
    pub fn stop(mut self) -> Result<(), Arc<StorageError>> {
        self.join()
    }

    fn join(&mut self) -> Result<(), Arc<StorageError>> {
        self.shared.queue.close();
        match self.handle.take().map(thread::JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        if thread::panicking() {
            self.shared.queue.close();
        } else {
            let _ = self.join();
        }
    }
}
