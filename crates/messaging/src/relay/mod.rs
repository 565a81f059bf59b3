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
//! One relay serves one journal. Where several processes could, they elect one: each leader's
//! [term](Relay::run_as) puts its fencing token into every mark, so that one that has been replaced
//! without noticing can change nothing. What it has published meanwhile is published twice.

mod fence;
mod stats;
mod term;
mod window;

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use steadfast_journal::{Fence, Journal};
use steadfast_time::Clock;

use crate::Backoff;
use crate::bus::Bus;
use crate::limits::IN_FLIGHT_MAX;
use stats::Counters;
pub use stats::Stats;
use term::Term;

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

/// How a term ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop, and nothing is left under way.
    Stopped,
    /// It leads no longer. What was under way may be published again by the next leader.
    Deposed,
}

/// Brings messages from a journal's outbox to a bus.
pub struct Relay<B> {
    journal: Journal,
    bus: Arc<B>,
    clock: Clock,
    options: Options,
    counters: Arc<Counters>,
}

impl<B: Bus> Relay<B> {
    /// A relay between a journal and a bus. It does nothing until it is run.
    #[must_use]
    pub fn new(journal: Journal, bus: Arc<B>, clock: Clock, options: Options) -> Self {
        Self { journal, bus, clock, options, counters: Arc::default() }
    }

    /// A handle on the counters, which go on from term to term.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { counters: Arc::clone(&self.counters) }
    }

    /// Relays as the only one until `stop` completes, then takes nothing more, waits for the answers
    /// to what is under way, writes the last marks, and returns.
    ///
    /// # Errors
    /// The journal is closed or has failed.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> Result<(), Error> {
        Term::new(&self, None).run(pending(), stop).await.map(drop)
    }

    /// Relays as the one that leads now: `office` goes into every mark. Until `stop` completes, as
    /// [`Relay::run`]; or until `lost` does or the storage has seen a later leader: then it publishes
    /// nothing more and returns, within [`LAST_MARKS_MAX`](crate::limits::LAST_MARKS_MAX).
    ///
    /// # Errors
    /// The journal is closed or has failed.
    pub async fn run_as(
        &self,
        office: Fence,
        lost: impl Future<Output = ()> + Send,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<Ended, Error> {
        let ended = Term::new(self, Some(office)).run(lost, stop).await;
        self.counters.in_flight(0);
        ended
    }
}

impl<B> std::fmt::Debug for Relay<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("stats", &self.counters.stats()).finish_non_exhaustive()
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
