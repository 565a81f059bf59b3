//! One lane of a consumer: the shell around [`Keys`] and the ledger.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, select_biased};
use steadfast_journal::{Error as JournalError, MessageRef, Processed, StorageError};
use steadfast_time::{Clock, Monotonic};

use super::handler::{Delivery, Failure, Handled, Handler};
use super::keys::{Keys, Offer, Slot, Start};
use super::ledger::{Entry, Flushed, Ledger, flush};
use super::stats::count;
use super::{Error, Shared, behind};
use crate::bus::{Incoming, Lane};
use crate::dead_letters::{Letter, Trouble};
use crate::limits::LEDGER_PARTS_MAX;
use crate::wait::{Alarm, earliest, finish, when};

/// One lane of a consumer. Lanes of one consumer run side by side, each on a task of its own.
pub struct Worker<H, L> {
    shared: Arc<Shared<H>>,
    lane: L,
    keys: Keys<Incoming>,
    ledger: Ledger,
    /// When the ledger is written, if it is not full before.
    next_flush: Option<Monotonic>,
    /// Writes of the ledger in a row that the journal did not take.
    refusals: u32,
    /// Attempts in a row that found something unavailable.
    unavailable: u32,
    scratch: String,
}

/// One attempt at a message.
struct Attempt {
    start: Start<Incoming>,
    outcome: Result<Handled, Failure>,
}

async fn attempt<H: Handler>(
    handler: Arc<H>,
    clock: Clock,
    limit: Duration,
    consumer: std::borrow::Cow<'static, str>,
    start: Start<Incoming>,
) -> Attempt {
    let envelope = start.item.envelope.clone();
    let (key, attempt) = (Arc::clone(&start.name), start.failures);
    let delivery = Delivery { envelope, consumer, key, attempt };
    let outcome = clock.timeout(limit, handler.handle(&delivery)).await;
    let outcome = outcome.unwrap_or_else(|late| Err(Failure::Transient(late.to_string())));
    Attempt { start, outcome }
}

impl<H: Handler, L: Lane> Worker<H, L> {
    pub(super) fn new(shared: Arc<Shared<H>>, lane: L) -> Self {
        let keys = Keys::new(shared.options.limits());
        Self {
            shared,
            lane,
            keys,
            ledger: Ledger::default(),
            next_flush: None,
            refusals: 0,
            unavailable: 0,
            scratch: String::new(),
        }
    }

    /// Consumes until the bus is closed and everything that can be finished is. Dropping the
    /// future gives back what was in hand.
    ///
    /// # Errors
    /// The journal is closed or has failed.
    pub async fn run(mut self) -> Result<(), Error> {
        let options = self.shared.options.clone();
        let mut running = FuturesUnordered::new();
        let mut flushing: Option<BoxFuture<'static, Flushed>> = None;
        let mut arrived: Vec<Incoming> = Vec::new();
        let mut alarm = Alarm::default();
        let mut open = true;
        loop {
            let now = self.shared.clock.monotonic();
            self.expire(now);
            while running.len() < options.concurrent.max(1) {
                let Some(start) = self.keys.start() else {
                    break;
                };
                running.push(attempt(
                    Arc::clone(&self.shared.handler),
                    self.shared.clock.clone(),
                    options.attempt_limit,
                    options.consumer.clone(),
                    start,
                ));
            }
            if flushing.is_none() && self.flush_due(now, !open) {
                flushing = Some(self.flush());
            }
            let in_hand = self.keys.len() + self.ledger.len();
            self.shared.counters.in_hand(in_hand, self.keys.held());
            let over = running.is_empty() && !self.keys.is_ready() && self.ledger.len() == 0;
            if !open && over {
                return Ok(());
            }
            let room = options.in_hand.max(1).saturating_sub(in_hand);
            let flush_at = if flushing.is_none() { self.next_flush } else { None };
            let wake = earliest([self.keys.next_alarm(), flush_at]);

            select_biased! {
                done = pin!(when(!running.is_empty(), running.next()).fuse()) => {
                    let mut next = done;
                    while let Some(done) = next {
                        self.attempted(done);
                        // All that are over, before anything new starts.
                        next = running.next().now_or_never().flatten();
                    }
                }
                flushed = pin!(finish(&mut flushing).fuse()) => self.flushed(flushed)?,
                more = pin!(when(open && room > 0, self.lane.receive(&mut arrived, room)).fuse()) => {
                    open = more;
                    for incoming in arrived.drain(..) {
                        self.received(now, incoming);
                    }
                }
                () = pin!(alarm.at(&self.shared.clock, wake).fuse()) => {}
            }
        }
    }

    fn count(&self, counter: impl FnOnce(&super::stats::Counters) -> &AtomicU64) {
        count(counter(&self.shared.counters));
    }

    fn received(&mut self, now: Monotonic, incoming: Incoming) {
        self.count(|counters| &counters.received);
        if let Err((error, incoming)) = self.sort(now, incoming) {
            tracing::warn!(%error, message = ?incoming.envelope, "given back: the journal cannot be read");
            self.give_back(incoming);
        }
    }

    /// Finds out what to do with a message.
    fn sort(&mut self, now: Monotonic, incoming: Incoming) -> Result<(), (StorageError, Incoming)> {
        let sequence = incoming.envelope.sequence;
        incoming.envelope.key_into(&mut self.scratch);
        if self.shared.parking.has(&self.scratch) {
            let name = Arc::from(self.scratch.as_str());
            return self.join_parked(&name, incoming);
        }
        let store = self.shared.journal.store();
        if sequence == 0 {
            let message = MessageRef::Id(incoming.envelope.id);
            let mark = Processed { consumer: self.shared.options.consumer.clone(), message };
            match store.processed(&mark) {
                Ok(false) => {}
                Ok(true) => {
                    return {
                        self.duplicate(incoming);
                        Ok(())
                    };
                }
                Err(error) => return Err((error, incoming)),
            }
        }
        let (consumer, name) = (&self.shared.options.consumer, &self.scratch);
        let load = || store.processed_up_to(consumer, name);
        match self.keys.offer(now, name, sequence, incoming, load)? {
            Offer::Queued => {}
            Offer::Held => self.count(|counters| &counters.held),
            Offer::Duplicate(incoming) => self.duplicate(incoming),
            Offer::GiveBack(incoming) => self.give_back(incoming),
        }
        Ok(())
    }

    fn duplicate(&self, incoming: Incoming) {
        self.count(|counters| &counters.duplicates);
        incoming.ack.accept();
    }

    fn give_back(&self, incoming: Incoming) {
        self.count(|counters| &counters.given_back);
        incoming.ack.give_back();
    }

    fn attempted(&mut self, attempt: Attempt) {
        let Attempt { start, outcome } = attempt;
        if !matches!(outcome, Err(Failure::Unavailable(_))) {
            self.unavailable = 0;
        }
        match outcome {
            Ok(Handled::Ignored) => self.ignored(start),
            Ok(handled) => {
                self.count(|counters| match handled {
                    Handled::Committed => &counters.committed,
                    Handled::Duplicate | Handled::Ignored => &counters.duplicates,
                });
                self.keys.finish(start.slot, start.sequence, true);
                start.item.ack.accept();
            }
            Err(failure) => self.failed(start, failure),
        }
    }

    fn ignored(&mut self, start: Start<Incoming>) {
        self.count(|counters| &counters.ignored);
        let Start { slot, name, sequence, item: incoming, .. } = start;
        let message = match sequence {
            0 => MessageRef::Id(incoming.envelope.id),
            _ => MessageRef::UpTo { key: name.as_ref().to_owned(), sequence },
        };
        let processed = Processed { consumer: self.shared.options.consumer.clone(), message };
        self.keys.finish(slot, sequence, false);
        self.write(Entry::Mark { processed, slot, name, incoming });
    }

    fn failed(&mut self, start: Start<Incoming>, failure: Failure) {
        let options = &self.shared.options;
        let now = self.shared.clock.monotonic();
        let tries = start.failures.saturating_add(1);
        match failure {
            Failure::Unavailable(reason) => {
                self.count(|counters| &counters.unavailable);
                self.unavailable = self.unavailable.saturating_add(1);
                tracing::debug!(message = ?start.item.envelope, reason, "waits");
                let until = now + options.backoff.after(self.unavailable);
                self.keys.retry(start, now, until, false);
            }
            Failure::Transient(reason) if tries < options.attempts.max(1) => {
                self.count(|counters| &counters.failures);
                tracing::debug!(message = ?start.item.envelope, reason, tries, "tried again");
                let until = now + options.backoff.after(tries);
                self.keys.retry(start, now, until, true);
            }
            Failure::Transient(reason) | Failure::Poison(reason) => {
                self.count(|counters| &counters.failures);
                self.park(now, start, reason);
            }
        }
    }

    /// Parks a key, with everything of it that is in hand.
    fn park(&mut self, now: Monotonic, start: Start<Incoming>, reason: String) {
        let Some(claim) = self.shared.parking.begin(&start.name) else {
            tracing::error!(key = %start.name, reason, "too many keys are parked; this one waits");
            let until = now + self.shared.options.backoff.most;
            return self.keys.retry(start, now, until, false);
        };
        tracing::warn!(
            consumer = %self.shared.options.consumer,
            key = %start.name,
            sequence = start.sequence,
            reason,
            "parked; the key's messages go to the dead letters until an operator replays them"
        );
        let followers = self.keys.evacuate(start.slot);
        let last = self.shared.clock.now();
        let first = start.failing_since.map_or(last, |since| last - (now - since));
        let attempts = start.failures.saturating_add(1);
        let why_behind = behind(start.sequence);
        let name = start.name;
        self.letter(&name, start.item, Trouble { attempts, reason, first, last });
        // Every letter has a claim of its own now.
        drop(claim);
        for follower in followers {
            let reason = why_behind.clone();
            self.letter(&name, follower, Trouble { attempts: 0, reason, first: last, last });
        }
    }

    /// Writes a dead letter.
    fn letter(&mut self, name: &Arc<str>, incoming: Incoming, trouble: Trouble) {
        let Some(writing) = self.shared.parking.begin(name) else {
            return self.give_back(incoming);
        };
        let (consumer, now) = (&*self.shared.options.consumer, self.shared.clock.now());
        let message = &*incoming.envelope;
        let arrival = if message.sequence == 0 { self.shared.parking.arrival(now) } else { 0 };
        let letter = Letter::new(message, arrival, trouble);
        if self.ledger.has_letter(&letter.place) {
            // Its other copy is being parked; speaking for it would be too early.
            return self.give_back(incoming);
        }
        let record = match letter.put(consumer) {
            Ok(record) => record,
            Err(error) => {
                tracing::error!(%error, "a dead letter cannot be written down");
                return self.give_back(incoming);
            }
        };
        let payload = letter.put_payload(consumer, message.payload.clone());
        self.count(|counters| &counters.parked);
        self.write(Entry::Letter { record, payload, writing, incoming });
    }

    /// A message has come whose key is parked.
    fn join_parked(
        &mut self,
        name: &Arc<str>,
        incoming: Incoming,
    ) -> Result<(), (StorageError, Incoming)> {
        let (store, letters) = (self.shared.journal.store(), &self.shared.letters);
        let sequence = incoming.envelope.sequence;
        if sequence != 0 {
            // In this order: a letter is removed only after its effect is durable.
            let known = letters.has(store, name, sequence).and_then(|has| {
                let done = store.processed_up_to(&self.shared.options.consumer, name)?;
                Ok(has || sequence <= done)
            });
            match known {
                Ok(true) => {
                    return {
                        self.duplicate(incoming);
                        Ok(())
                    };
                }
                Ok(false) => {}
                Err(error) => return Err((error, incoming)),
            }
        }
        let now = self.shared.clock.now();
        let reason = "came while its key was parked".to_owned();
        self.letter(name, incoming, Trouble { attempts: 0, reason, first: now, last: now });
        Ok(())
    }

    /// Keys that have held messages for too long.
    fn expire(&mut self, now: Monotonic) {
        for slot in self.keys.due(now) {
            if self.keys.quiet(slot)
                && let Err(error) = self.look_again(now, slot)
            {
                tracing::warn!(%error, "the journal cannot be read");
            }
            for incoming in self.keys.release(slot) {
                self.give_back(incoming);
            }
        }
    }

    /// The gap before what a key holds may have closed where this lane could not see it: another
    /// process went on, or the missing message is a dead letter.
    fn look_again(&mut self, now: Monotonic, slot: Slot) -> Result<(), crate::dead_letters::Error> {
        let Some(name) = self.keys.name(slot) else {
            return Ok(());
        };
        let store = self.shared.journal.store();
        let done = store.processed_up_to(&self.shared.options.consumer, &name)?;
        for incoming in self.keys.overtaken(now, slot, done) {
            self.duplicate(incoming);
        }
        if self.shared.letters.first(store, &name)?.is_some() {
            self.shared.parking.adopt(&name);
            for incoming in self.keys.release(slot) {
                if let Err((error, incoming)) = self.join_parked(&name, incoming) {
                    self.give_back(incoming);
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, entry: Entry) {
        self.ledger.push(entry);
        if self.next_flush.is_none() {
            let linger = self.shared.options.linger;
            self.next_flush = Some(self.shared.clock.monotonic() + linger);
        }
    }

    fn flush_due(&self, now: Monotonic, last: bool) -> bool {
        let full = self.refusals == 0 && self.ledger.waiting() >= LEDGER_PARTS_MAX;
        let due = self.next_flush.is_some_and(|at| at <= now);
        self.ledger.waiting() > 0 && (due || full || (last && self.refusals == 0))
    }

    fn flush(&mut self) -> BoxFuture<'static, Flushed> {
        self.next_flush = None;
        let (journal, at) = (self.shared.journal.clone(), self.shared.clock.now());
        flush(journal, at, self.ledger.take()).boxed()
    }

    fn flushed(&mut self, flushed: Flushed) -> Result<(), Error> {
        let Flushed { entries, outcome } = flushed;
        match outcome {
            Ok(()) => {
                self.refusals = 0;
                self.ledger.done(&entries);
                for entry in entries {
                    let incoming = match entry {
                        Entry::Mark { slot, name, incoming, .. } => {
                            self.keys.settle(slot, &name, incoming.envelope.sequence);
                            incoming
                        }
                        Entry::Letter { writing, incoming, .. } => {
                            writing.written();
                            incoming
                        }
                    };
                    incoming.ack.accept();
                }
                if self.ledger.waiting() > 0 && self.next_flush.is_none() {
                    self.next_flush = Some(self.shared.clock.monotonic());
                }
                Ok(())
            }
            Err(JournalError::Overloaded { .. }) => {
                self.refusals = self.refusals.saturating_add(1);
                self.ledger.again(entries);
                let pause = self.shared.options.backoff.after(self.refusals);
                self.next_flush = Some(self.shared.clock.monotonic() + pause);
                Ok(())
            }
            Err(error) => Err(Error::Journal(error)),
        }
    }
}

impl<H, L> std::fmt::Debug for Worker<H, L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let received = self.shared.counters.received.load(Relaxed);
        f.debug_struct("Worker").field("received", &received).finish_non_exhaustive()
    }
}
