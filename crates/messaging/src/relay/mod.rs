//! From the outbox to the bus.
//!
//! A message that is committed with its event must reach the bus, however often the process
//! stops in between, and those of one key in order. The relay has two paths to the outbox: what
//! was just committed comes from memory, without a read (the immediate path); what it has missed
//! (at the start, or when it fell behind) it reads (the polling path). One fence (see
//! `relay/fence.rs`) guards both, so that nothing is skipped and nothing overtakes.
//!
//! What the bus has taken responsibility for is marked as published, in ranges and lazily: a
//! mark that is lost in a crash means a delivery that the consumer recognises, never a loss. After
//! a restart everything unpublished is published again, in order.
//!
//! One relay serves one journal. On an engine with several writing processes, run it in the one
//! that holds a lease for it.

mod fence;
mod stats;
mod window;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, select_biased};
use steadfast_journal::{Batch, Journal, StorageError, Write};
use steadfast_time::{Clock, Monotonic};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::bus::{Bus, Parcel, Receipt, Receipts};
use crate::limits::{IN_FLIGHT_MAX, MARKS_MAX, POLL_ROWS_MAX};
use crate::wait::{Alarm, earliest, finish, when};
use crate::{Backoff, Envelope};
use fence::Fence;
use stats::Counters;
pub use stats::Stats;
use window::Window;

/// How a relay works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Messages that may be under way, marks included.
    pub in_flight: usize,
    /// How long the first message that is done waits for others to share its mark.
    pub mark_every: Duration,
    /// So many messages that are done are marked at once.
    pub mark_rows: usize,
    /// How often the outbox is read although nothing is known to be missing.
    pub poll_every: Duration,
    /// The pause of a key after a refusal of the bus, and of the relay after one of the journal.
    pub backoff: Backoff,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            in_flight: IN_FLIGHT_MAX,
            mark_every: Duration::from_millis(20),
            mark_rows: IN_FLIGHT_MAX / 4,
            poll_every: Duration::from_secs(1),
            backoff: Backoff { first: Duration::from_millis(50), most: Duration::from_secs(5) },
        }
    }
}

/// Why a relay ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal can no longer be written to. What is unpublished is published after a restart.
    #[error("the relay cannot mark what it has published: {0}")]
    Journal(#[from] steadfast_journal::Error),
}

type Marking = BoxFuture<'static, Result<(), steadfast_journal::Error>>;

/// Brings messages from a journal's outbox to a bus.
pub struct Relay<B> {
    journal: Journal,
    bus: Arc<B>,
    clock: Clock,
    options: Options,
    live: Receiver<Arc<Batch>>,
    fence: Fence,
    window: Window,
    receipts: Receipts,
    /// A batch of the immediate path of which only a part has been taken yet.
    rest: Option<(Arc<Batch>, usize)>,
    /// Parcels for the next call of the bus.
    out: Vec<Parcel>,
    next_poll: Monotonic,
    next_mark: Option<Monotonic>,
    /// After a refusal of the journal, no marks are written before this.
    marks_rest_until: Monotonic,
    counters: Arc<Counters>,
}

impl<B: Bus> Relay<B> {
    /// A relay between a journal and a bus. It follows the journal from here on and does nothing
    /// until [`Relay::run`] is polled.
    #[must_use]
    pub fn new(journal: Journal, bus: Arc<B>, clock: Clock, options: Options) -> Self {
        let live = journal.batches();
        Self {
            live,
            journal,
            bus,
            fence: Fence::new(),
            window: Window::new(options.in_flight.max(1), options.backoff),
            receipts: Receipts::new(),
            rest: None,
            out: Vec::new(),
            next_poll: clock.monotonic(),
            next_mark: None,
            marks_rest_until: Monotonic::default(),
            counters: Arc::default(),
            clock,
            options,
        }
    }

    /// A handle on the counters.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { counters: Arc::clone(&self.counters) }
    }

    /// Relays until `stop` completes, then takes nothing more, waits for the answers to what is
    /// under way, writes the last marks, and returns.
    ///
    /// # Errors
    /// The journal is closed or has failed.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let mut stop = pin!(stop.fuse());
        let mut stopping = false;
        let mut publishing: Option<BoxFuture<'static, ()>> = None;
        let mut marking: Option<Marking> = None;
        let mut alarm = Alarm::default();
        loop {
            let now = self.clock.monotonic();
            if !stopping {
                self.window.retry(now, &mut self.out);
                self.take_rest();
                self.poll_if_due(now);
            }
            if publishing.is_none() && !self.out.is_empty() {
                publishing = Some(self.publish());
            }
            if marking.is_none() && self.marks_due(now, stopping) {
                marking = Some(self.mark());
            }
            self.counters.in_flight(self.window.len());
            let idle = publishing.is_none() && marking.is_none();
            if stopping && idle && self.window.in_flight() == 0 && !self.window.has_news() {
                return Ok(());
            }
            let roomy = self.window.room() > 0 && self.rest.is_none();
            let listen = roomy && !stopping && !self.fence.behind() && publishing.is_none();
            let poll = (roomy && !stopping).then_some(self.next_poll);
            let retry = if stopping { None } else { self.window.next_retry() };
            let mark = if marking.is_none() { self.next_mark } else { None };
            let wake = earliest([poll, retry, mark]);

            select_biased! {
                receipts = pin!(self.receipts.take().fuse()) => self.settle(&receipts),
                () = pin!(finish(&mut publishing).fuse()) => {}
                outcome = pin!(finish(&mut marking).fuse()) => self.marked(outcome)?,
                batch = pin!(when(listen, self.live.recv()).fuse()) => self.heard(batch),
                () = stop => stopping = true,
                () = pin!(alarm.at(&self.clock, wake).fuse()) => {}
            }
        }
    }

    /// The immediate path.
    fn heard(&mut self, batch: Result<Arc<Batch>, RecvError>) {
        let mut batch = match batch {
            Ok(batch) => batch,
            Err(missed) => return self.missed(&missed),
        };
        // One call of the bus for all that has come meanwhile.
        loop {
            if !batch.outbox.is_empty() {
                self.rest = Some((batch, 0));
                self.take_rest();
            }
            if self.rest.is_some() || self.out.len() >= POLL_ROWS_MAX {
                return;
            }
            batch = match self.live.try_recv() {
                Ok(batch) => batch,
                Err(TryRecvError::Lagged(rows)) => return self.missed(&RecvError::Lagged(rows)),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            };
        }
    }

    fn missed(&mut self, why: &RecvError) {
        tracing::debug!(%why, "the relay reads what it has missed from the outbox");
        self.fence.missed();
        self.next_poll = self.clock.monotonic();
        self.counters.lagged();
    }

    /// Takes what fits of a batch of the immediate path.
    fn take_rest(&mut self) {
        let Some((batch, from)) = self.rest.take() else {
            return;
        };
        let end = self.take(&batch, from);
        if end < batch.outbox.len() {
            self.rest = Some((batch, end));
        }
    }

    /// Takes rows as long as they fit; says where it stopped.
    fn take(&mut self, batch: &Arc<Batch>, from: usize) -> usize {
        for index in from..batch.outbox.len() {
            if self.window.room() == 0 {
                return index;
            }
            let Some(envelope) = Envelope::of(batch, index) else {
                return index;
            };
            if self.fence.take(envelope.row()) {
                self.out.extend(self.window.take(envelope));
            }
        }
        batch.outbox.len()
    }

    /// The polling path.
    fn poll_if_due(&mut self, now: Monotonic) {
        // A part of a batch that is still to be taken comes before everything in the outbox that
        // lies behind it.
        while self.rest.is_none() && self.window.room() > 0 && now >= self.next_poll {
            let limit = self.window.room().min(POLL_ROWS_MAX);
            let rows = match self.journal.store().unpublished(self.fence.cursor(), limit) {
                Ok(rows) => rows,
                Err(error) => return self.poll_failed(now, &error),
            };
            self.counters.polled(rows.len());
            let all = rows.len() < limit;
            let batch = Arc::new(Batch { events: Vec::new(), outbox: rows });
            let end = self.take(&batch, 0);
            debug_assert_eq!(end, batch.outbox.len(), "no more was read than fits");
            if all {
                self.fence.caught_up();
                self.next_poll = now + self.options.poll_every;
            }
        }
    }

    fn poll_failed(&mut self, now: Monotonic, error: &StorageError) {
        tracing::warn!(%error, "the relay could not read the outbox; it tries again");
        self.next_poll = now + self.options.backoff.most;
    }

    fn publish(&mut self) -> BoxFuture<'static, ()> {
        let parcels = std::mem::take(&mut self.out);
        self.counters.published(parcels.len());
        let (bus, receipts) = (Arc::clone(&self.bus), self.receipts.clone());
        async move { bus.publish(parcels, &receipts).await }.boxed()
    }

    fn settle(&mut self, receipts: &[Receipt]) {
        let now = self.clock.monotonic();
        for Receipt { ticket, outcome } in receipts {
            let awaited = self.window.settle(now, *ticket, outcome.is_ok());
            if awaited && let Err(error) = outcome {
                self.counters.refused();
                tracing::debug!(%error, "the bus did not take a message; it is tried again");
            }
        }
        if self.window.has_news() && self.next_mark.is_none() {
            self.next_mark = Some(now + self.options.mark_every);
        }
    }

    fn marks_due(&self, now: Monotonic, stopping: bool) -> bool {
        let full = self.window.unmarked() >= self.options.mark_rows || self.window.room() == 0;
        let due = self.next_mark.is_some_and(|at| at <= now);
        let rested = now >= self.marks_rest_until;
        rested && self.window.has_news() && (due || full || stopping)
    }

    fn mark(&mut self) -> Marking {
        self.next_mark = None;
        let outbox = self.window.marks(MARKS_MAX);
        let write = Write { outbox, ..Write::at(self.clock.now()) };
        let journal = self.journal.clone();
        async move { journal.commit(write).await.map(drop) }.boxed()
    }

    fn marked(&mut self, outcome: Result<(), steadfast_journal::Error>) -> Result<(), Error> {
        use steadfast_journal::Error::{Closed, Storage};
        let durable = match outcome {
            Ok(()) => true,
            Err(error @ (Closed | Storage(_))) => return Err(Error::Journal(error)),
            Err(error) => {
                tracing::debug!(%error, "marks are written with the next ones");
                false
            }
        };
        self.window.marked(durable);
        let now = self.clock.monotonic();
        if !durable {
            self.marks_rest_until = now + self.options.backoff.first;
            self.next_mark = Some(self.marks_rest_until);
        } else if self.window.has_news() {
            self.next_mark = Some(now + self.options.mark_every);
        }
        Ok(())
    }
}

impl<B> std::fmt::Debug for Relay<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("in_flight", &self.window.len()).finish_non_exhaustive()
    }
}

/// A handle on a relay that runs.
#[derive(Clone, Debug)]
pub struct Handle {
    counters: Arc<Counters>,
}

impl Handle {
    /// What it has done since its start.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.counters.stats()
    }
}
