//! At-least-once delivery, made harmless.
//!
//! A bus brings messages twice, late, and after a crash again. A consumer makes of that: every
//! message's effect once, and those of one key in order.
//!
//! - **Dedupe.** A handler commits its effect together with an inbox mark
//!   ([`Delivery::commit`]); the journal refuses a second one. What is known to be done is
//!   acknowledged without calling the handler.
//! - **Order.** One key, `<topic>/<aggregate_id>`, is handled strictly serially; different keys
//!   run side by side. A message that comes before its predecessor is held until that has come,
//!   within bounds of number and time, and else given back to be brought again.
//! - **Poison.** A message that keeps failing parks *its key*: it and the later ones of the key
//!   become [dead letters](crate::dead_letters), durably, and the others go on.
//! - **Overload.** A full journal or a handler that says [`Failure::Unavailable`] makes messages
//!   wait; it is never held against them.
//!
//! A message is acknowledged when its effect, its mark, or its dead letter is durable, not before.
//!
//! The handler must commit the mark with the effect. An effect outside the journal (a call to a
//! payment provider) needs an idempotency key of its own: [`Delivery::message`]'s identifier.

mod handler;
mod keys;
mod lane;
mod ledger;
pub(crate) mod parking;
mod stats;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use steadfast_journal::{Journal, StreamId};
use steadfast_time::Clock;

pub use handler::{Delivery, Failure, Handled, Handler};
pub use lane::Worker;
pub use stats::Stats;

use crate::Backoff;
use crate::bus::{Bus, Lane, Subscription, check_name};
use crate::dead_letters::{AUDIT, DeadLetters, Letters};
use crate::limits::{
    CONCURRENT_MAX, HELD_FOR_MAX, HELD_MAX, HELD_PER_KEY_MAX, IN_HAND_MAX, KEYS_REMEMBERED_MAX,
};
use parking::Parking;
use stats::Counters;

/// How a consumer works. Numbers are per lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The consumer's name: its group on the bus, its inbox, its dead letters. It must not
    /// change while the journal lives, or everything is handled again.
    pub consumer: Cow<'static, str>,
    /// Handlers that run at once.
    pub concurrent: usize,
    /// Messages in hand; then no more are received.
    pub in_hand: usize,
    /// How often a message is tried before its key is parked.
    pub attempts: u32,
    /// How long one attempt may take; then it counts as a transient failure.
    pub attempt_limit: Duration,
    /// The pause after failures.
    pub backoff: Backoff,
    /// Messages of one key held for an earlier one.
    pub held_per_key: usize,
    /// Messages of all keys held for earlier ones.
    pub held: usize,
    /// How long a message is held.
    pub held_for: Duration,
    /// Idle keys whose marks are remembered.
    pub remembered: usize,
    /// How long the mark of an ignored message waits for others to be written with.
    pub linger: Duration,
}

impl Options {
    /// The defaults for a consumer of this name.
    #[must_use]
    pub fn new(consumer: impl Into<Cow<'static, str>>) -> Self {
        Self {
            consumer: consumer.into(),
            concurrent: CONCURRENT_MAX,
            in_hand: IN_HAND_MAX,
            attempts: 5,
            attempt_limit: Duration::from_secs(30),
            backoff: Backoff { first: Duration::from_millis(100), most: Duration::from_secs(10) },
            held_per_key: HELD_PER_KEY_MAX,
            held: HELD_MAX,
            held_for: HELD_FOR_MAX,
            remembered: KEYS_REMEMBERED_MAX,
            linger: Duration::from_millis(2),
        }
    }

    fn limits(&self) -> keys::Limits {
        keys::Limits {
            held_per_key: self.held_per_key,
            // Room must be left for the message that closes a gap.
            held: self.held.min(self.in_hand / 2),
            held_for: self.held_for,
            remembered: self.remembered,
        }
    }
}

/// Why a consumer could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The consumer's name cannot be used.
    #[error("{name:?} cannot name a consumer: {what}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        what: String,
    },
    /// The dead letters cannot be read.
    #[error(transparent)]
    DeadLetters(#[from] crate::dead_letters::Error),
    /// The journal can no longer be written to. What was in hand is brought again after a
    /// restart.
    #[error("the consumer cannot write to the journal: {0}")]
    Journal(#[source] steadfast_journal::Error),
}

/// What the lanes of a consumer share.
pub(crate) struct Shared<H> {
    journal: Journal,
    clock: Clock,
    handler: Arc<H>,
    options: Options,
    letters: Letters,
    parking: Arc<Parking>,
    counters: Counters,
}

/// A consumer. Clones are the same one.
pub struct Consumer<H> {
    shared: Arc<Shared<H>>,
}

impl<H> Clone for Consumer<H> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<H: Handler> Consumer<H> {
    /// A consumer whose inbox and dead letters are in `journal`. Reads which keys are parked.
    ///
    /// # Errors
    /// The name cannot be used, or the dead letters cannot be read.
    pub fn open(
        journal: Journal,
        clock: Clock,
        handler: H,
        options: Options,
    ) -> Result<Self, Error> {
        let name = |what: String| Error::Name { name: options.consumer.to_string(), what };
        check_name(&options.consumer).map_err(|error| name(error.to_string()))?;
        StreamId::new(AUDIT, &options.consumer).map_err(|error| name(error.to_string()))?;
        let letters = Letters::new(&options.consumer);
        let parking = Arc::new(Parking::open(journal.store(), &letters)?);
        let (handler, counters) = (Arc::new(handler), Counters::default());
        let shared = Shared { journal, clock, handler, options, letters, parking, counters };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Subscribes to topics, as the group of the consumer's name, and gives every lane a worker
    /// to [run](Worker::run).
    ///
    /// # Errors
    /// The bus refuses the subscription.
    pub fn subscribe<B: Bus>(
        &self,
        bus: &B,
        topics: &[&str],
        lanes: usize,
    ) -> Result<Vec<Worker<H, B::Lane>>, crate::bus::Error> {
        let topics = topics.iter().map(|&topic| topic.to_owned()).collect();
        let group = self.shared.options.consumer.to_string();
        let lanes = bus.subscribe(&Subscription { group, topics, lanes })?;
        Ok(lanes.into_iter().map(|lane| self.worker(lane)).collect())
    }

    /// A worker for a lane.
    #[must_use]
    pub fn worker<L: Lane>(&self, lane: L) -> Worker<H, L> {
        Worker::new(Arc::clone(&self.shared), lane)
    }

    /// The hand on this consumer's dead letters.
    #[must_use]
    pub fn dead_letters(&self) -> DeadLetters {
        let Shared { journal, clock, handler, options, parking, .. } = &*self.shared;
        DeadLetters::new(
            journal.clone(),
            clock.clone(),
            options,
            Arc::clone(handler),
            Arc::clone(parking),
        )
    }

    /// What it has done since its start, in all lanes.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counters.stats(self.shared.parking.len())
    }
}

impl<H> std::fmt::Debug for Consumer<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = &self.shared.options.consumer;
        f.debug_struct("Consumer").field("name", name).finish_non_exhaustive()
    }
}

/// The reason kept with messages that were in hand when an earlier one of their key failed.
fn behind(sequence: u64) -> String {
    match sequence {
        0 => "behind an earlier message of its key, which failed".to_owned(),
        sequence => format!("behind message {sequence} of its key, which failed"),
    }
}
