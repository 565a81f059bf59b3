//! One term of a relay: from the first read of the outbox until it is told to stop, or another one
//! has taken over.
//!
//! A term that is fenced *takes office* first: it commits its token, and publishes nothing before
//! that is done. So an earlier leader can mark nothing from then on, and one whose token is too low
//! finds out before it repeats everything.
//!
//! A term that has lost its lead hands nothing more to the bus. What the bus answers within a moment
//! is still marked, for what has been published has been published whoever leads; the storage
//! refuses the mark if the next leader has been there.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt, select_biased};
use steadfast_journal::{Batch, Fence as Office, Refusal, StorageError, Write};
use steadfast_time::Monotonic;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::fence::Fence;
use super::window::Window;
use super::{Ended, Error, Relay};
use crate::Envelope;
use crate::bus::{Bus, Parcel, Receipt, Receipts};
use crate::limits::{LAST_MARKS_MAX, MARKS_MAX, POLL_ROWS_MAX};
use crate::wait::{Alarm, earliest, finish, when};

type Marking = BoxFuture<'static, Result<(), steadfast_journal::Error>>;

/// See the module.
pub(super) struct Term<'a, B> {
    relay: &'a Relay<B>,
    /// What every mark proves; none where there is one relay only.
    office: Option<Office>,
    /// The storage has seen the proof.
    in_office: bool,
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
}

impl<'a, B: Bus> Term<'a, B> {
    pub(super) fn new(relay: &'a Relay<B>, office: Option<Office>) -> Self {
        Self {
            relay,
            in_office: office.is_none(),
            office,
            live: relay.journal.batches(),
            fence: Fence::new(),
            window: Window::new(relay.options.in_flight.max(1), relay.options.backoff),
            receipts: Receipts::new(),
            rest: None,
            out: Vec::new(),
            next_poll: relay.clock.monotonic(),
            next_mark: None,
            marks_rest_until: Monotonic::default(),
        }
    }

    pub(super) async fn run(
        mut self,
        lost: impl Future<Output = ()> + Send,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<Ended, Error> {
        let (mut stop, mut lost) = (pin!(stop.fuse()), pin!(lost.fuse()));
        let mut stopping = false;
        // Once the lead is lost: when to give up what is not answered.
        let mut over_at: Option<Monotonic> = None;
        let mut publishing: Option<BoxFuture<'static, ()>> = None;
        let mut marking: Option<Marking> = None;
        let mut alarm = Alarm::default();
        loop {
            let now = self.relay.clock.monotonic();
            if !stopping && self.in_office {
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
            self.relay.counters.in_flight(self.window.len());
            let idle = publishing.is_none() && marking.is_none();
            let done = idle && self.window.in_flight() == 0 && !self.window.has_news();
            match over_at {
                Some(end) if done || now >= end => return Ok(Ended::Deposed),
                None if stopping && done => return Ok(Ended::Stopped),
                _ => {}
            }
            let takes = !stopping && self.in_office;
            let roomy = takes && self.window.room() > 0 && self.rest.is_none();
            let listen = roomy && !self.fence.behind() && publishing.is_none();
            let poll = roomy.then_some(self.next_poll);
            let retry = if takes { self.window.next_retry() } else { None };
            let mark = if marking.is_none() { self.next_mark } else { None };
            let wake = earliest([poll, retry, mark, over_at]);

            select_biased! {
                () = lost => {
                    stopping = true;
                    over_at = Some(self.relay.clock.monotonic() + LAST_MARKS_MAX);
                    publishing = None;
                    self.out.clear();
                    if !self.in_office {
                        return Ok(Ended::Deposed);
                    }
                }
                receipts = pin!(self.receipts.take().fuse()) => self.settle(&receipts),
                () = pin!(finish(&mut publishing).fuse()) => {}
                outcome = pin!(finish(&mut marking).fuse()) => if !self.marked(outcome)? {
                    return Ok(Ended::Deposed);
                },
                batch = pin!(when(listen, self.live.recv()).fuse()) => self.heard(batch),
                () = stop => stopping = true,
                () = pin!(alarm.at(&self.relay.clock, wake).fuse()) => {}
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
        self.next_poll = self.relay.clock.monotonic();
        self.relay.counters.lagged();
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
            let rows = match self.relay.journal.store().unpublished(self.fence.cursor(), limit) {
                Ok(rows) => rows,
                Err(error) => return self.poll_failed(now, &error),
            };
            self.relay.counters.polled(rows.len());
            let all = rows.len() < limit;
            let batch = Arc::new(Batch { events: Vec::new(), outbox: rows });
            let end = self.take(&batch, 0);
            debug_assert_eq!(end, batch.outbox.len(), "no more was read than fits");
            if all {
                self.fence.caught_up();
                self.next_poll = now + self.relay.options.poll_every;
            }
        }
    }

    fn poll_failed(&mut self, now: Monotonic, error: &StorageError) {
        tracing::warn!(%error, "the relay could not read the outbox; it tries again");
        self.next_poll = now + self.relay.options.backoff.most;
    }

    fn publish(&mut self) -> BoxFuture<'static, ()> {
        let parcels = std::mem::take(&mut self.out);
        self.relay.counters.published(parcels.len());
        let (bus, receipts) = (Arc::clone(&self.relay.bus), self.receipts.clone());
        async move { bus.publish(parcels, &receipts).await }.boxed()
    }

    fn settle(&mut self, receipts: &[Receipt]) {
        let now = self.relay.clock.monotonic();
        for Receipt { ticket, outcome } in receipts {
            let awaited = self.window.settle(now, *ticket, outcome.is_ok());
            if awaited && let Err(error) = outcome {
                self.relay.counters.refused();
                tracing::debug!(%error, "the bus did not take a message; it is tried again");
            }
        }
        if self.window.has_news() && self.next_mark.is_none() {
            self.next_mark = Some(now + self.relay.options.mark_every);
        }
    }

    fn marks_due(&self, now: Monotonic, stopping: bool) -> bool {
        let full =
            self.window.unmarked() >= self.relay.options.mark_rows || self.window.room() == 0;
        let due = self.next_mark.is_some_and(|at| at <= now);
        let rested = now >= self.marks_rest_until;
        rested && (!self.in_office || self.window.has_news() && (due || full || stopping))
    }

    fn mark(&mut self) -> Marking {
        self.next_mark = None;
        let (outbox, fence) = (self.window.marks(MARKS_MAX), self.office.clone());
        let write = Write { outbox, fence, ..Write::at(self.relay.clock.now()) };
        let journal = self.relay.journal.clone();
        async move { journal.commit(write).await.map(drop) }.boxed()
    }

    /// Says whether the storage still takes marks of this term.
    fn marked(&mut self, outcome: Result<(), steadfast_journal::Error>) -> Result<bool, Error> {
        use steadfast_journal::Error::{Closed, Refused, Storage};
        let durable = match outcome {
            Ok(()) => true,
            Err(error @ (Closed | Storage(_))) => return Err(Error::Journal(error)),
            Err(Refused(refusal @ Refusal::Stale { .. })) => {
                tracing::warn!(%refusal, "another relay has taken over");
                return Ok(false);
            }
            Err(error) => {
                tracing::debug!(%error, "marks are written with the next ones");
                false
            }
        };
        self.in_office |= durable;
        self.window.marked(durable);
        let now = self.relay.clock.monotonic();
        if !durable {
            self.marks_rest_until = now + self.relay.options.backoff.first;
            self.next_mark = Some(self.marks_rest_until);
        } else if self.window.has_news() {
            self.next_mark = Some(now + self.relay.options.mark_every);
        }
        Ok(true)
    }
}
