//! Durable timers: what must happen later happens, also after a restart.
//!
//! A timer is a row that was committed with the decision to wait. [`Timers::run`] sleeps until the
//! first one is due and hands it to a [`Handler`], whose own write clears the timer (or moves it)
//! together with its effect. So there is nothing to acknowledge: a process that stops in between
//! fires the timer again, and a handler that had its effect finds the timer gone.
//!
//! New timers are noticed through the journal's batches. Under load that is many times a second,
//! so the table is looked at no more often than every [`TIMERS_PAUSE`]; at rest it is looked at
//! once every [`TIMERS_RESCAN`], since the wall clock may jump and other processes may set timers.
//!
//! A timer whose handler fails, or returns without clearing it, rests before it is fired again,
//! longer each time. The others go on meanwhile.
//!
//! # Limits
//! A timer fires up to [`TIMERS_PAUSE`] late, or up to [`TIMERS_RESCAN`] when another process set
//! it. It never fires early by this process's clock. Two processes that run timers over one
//! journal fire each of them twice; that is harmless and wasteful.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, select_biased};
use steadfast_journal::{Journal, StorageError, Store, Timer};
use steadfast_time::{Clock, Monotonic, Timestamp};
use tokio::sync::broadcast::error::RecvError;

use crate::limits::{
    TIMER_REST, TIMERS_CONCURRENT, TIMERS_PAGE, TIMERS_PAUSE, TIMERS_RESCAN, TIMERS_RESTING_MAX,
};
use crate::{Id, Input, Orchestrator, Participant};

/// Why a timer could not be handled; it is fired again.
pub type HandlerError = Box<dyn std::error::Error + Send + Sync>;

/// Whoever the timers are for. One that serves several owners looks at the timer's name.
pub trait Handler: Send + Sync {
    /// Has the effect of a timer that is due, and clears or moves it in the same write.
    fn fire(&self, timer: &Timer) -> impl Future<Output = Result<(), HandlerError>> + Send;
}

impl<H: Handler> Handler for &H {
    fn fire(&self, timer: &Timer) -> impl Future<Output = Result<(), HandlerError>> + Send {
        H::fire(self, timer)
    }
}

impl<H: Handler> Handler for std::sync::Arc<H> {
    fn fire(&self, timer: &Timer) -> impl Future<Output = Result<(), HandlerError>> + Send {
        H::fire(self, timer)
    }
}

/// A timer was handed to an orchestrator that it does not belong to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("timer {timer:?} is not for a saga of {definition:?}")]
pub struct NotMine {
    timer: String,
    definition: &'static str,
}

/// Sagas take their timers as [`Input::Due`]. A timer's payload is the name of the definition.
impl<P: Participant> Handler for Orchestrator<P> {
    async fn fire(&self, timer: &Timer) -> Result<(), HandlerError> {
        let definition = self.definition().name();
        match Id::from_timer(&timer.id) {
            Some(id) if timer.payload == definition.as_bytes() => {
                self.handle(id, Input::Due, None).await?;
                Ok(())
            }
            _ => Err(NotMine { timer: timer.id.clone(), definition }.into()),
        }
    }
}

/// Delivers the timers of a journal.
#[derive(Debug)]
pub struct Timers {
    journal: Journal,
    clock: Clock,
}

/// A timer at one due time. When it is moved, it is another one.
type Key = (String, Timestamp);

struct Rest {
    failures: u32,
    until: Monotonic,
}

/// What is due and what is being done about it.
struct Agenda {
    clock: Clock,
    /// Read and due, not yet started.
    ready: VecDeque<Timer>,
    /// Started.
    firing: HashSet<Key>,
    /// Failed lately.
    resting: HashMap<Key, Rest>,
    scanned: Monotonic,
    next_scan: Monotonic,
    /// No scan before this, whatever is written: too many have failed.
    paused_until: Monotonic,
}

impl Timers {
    /// Timers over a journal.
    #[must_use]
    pub const fn new(journal: Journal, clock: Clock) -> Self {
        Self { journal, clock }
    }

    /// Delivers what is due, at most [`TIMERS_CONCURRENT`] at a time, until the journal closes.
    /// Dropping the future stops it at once; what was under way fires again next time.
    ///
    /// # Errors
    /// The timers cannot be read. What was under way is dropped; call again to go on.
    pub async fn run(&self, handler: impl Handler) -> Result<(), StorageError> {
        let mut batches = self.journal.batches();
        let mut agenda = Agenda::new(self.clock.clone());
        let mut firing = FuturesUnordered::new();
        loop {
            if agenda.is_scan_due() {
                agenda.scan(self.journal.store())?;
            }
            while let Some((key, timer)) = agenda.start() {
                let handler = &handler;
                firing.push(async move { (key, handler.fire(&timer).await) });
            }
            let mut slept = self.clock.sleep_until(agenda.wakes_at()).fuse();
            let mut written = std::pin::pin!(batches.recv().fuse());
            // In this order, so that a run is the same each time.
            select_biased! {
                (key, result) = firing.select_next_some() => {
                    let result = result.and_then(|()| self.check_gone(&key));
                    agenda.finish(key, result);
                }
                batch = written => match batch {
                    Ok(_) | Err(RecvError::Lagged(_)) => agenda.scan_soon(),
                    Err(RecvError::Closed) => return Ok(()),
                },
                () = slept => {}
            }
        }
    }

    /// A handler that leaves its timer as it is would be called for it again and again.
    fn check_gone(&self, (id, due): &Key) -> Result<(), HandlerError> {
        match self.journal.store().timer(id)? {
            Some(timer) if timer.due == *due => {
                Err("its handler neither cleared nor moved it".into())
            }
            _ => Ok(()),
        }
    }
}

impl Agenda {
    fn new(clock: Clock) -> Self {
        let now = clock.monotonic();
        Self {
            clock,
            ready: VecDeque::new(),
            firing: HashSet::new(),
            resting: HashMap::new(),
            scanned: now,
            next_scan: now,
            paused_until: now,
        }
    }

    fn is_scan_due(&self) -> bool {
        self.ready.is_empty()
            && self.firing.len() < TIMERS_CONCURRENT
            && self.clock.monotonic() >= self.next_scan.max(self.paused_until)
    }

    /// When to look again, if nothing happens before. What is ready waits for a place only.
    fn wakes_at(&self) -> Monotonic {
        if self.ready.is_empty() && self.firing.len() < TIMERS_CONCURRENT {
            self.next_scan.max(self.paused_until)
        } else {
            self.clock.monotonic() + TIMERS_RESCAN
        }
    }

    /// Something was written, perhaps a timer.
    fn scan_soon(&mut self) {
        self.next_scan = self.next_scan.min(self.scanned + TIMERS_PAUSE);
    }

    /// Reads what is due, and when the first of the others will be.
    fn scan(&mut self, store: &dyn Store) -> Result<(), StorageError> {
        let known = self.firing.len() + self.resting.len();
        let end = Timestamp::from_micros(i64::MAX);
        let timers = store.timers(end, known + TIMERS_PAGE)?;
        let (today, now) = (self.clock.now(), self.clock.monotonic());
        self.scanned = now;
        self.next_scan = now + TIMERS_RESCAN;
        let is_full = timers.len() == known + TIMERS_PAGE;
        let mut rested = std::mem::take(&mut self.resting);
        let mut all_due = is_full;
        for timer in timers {
            if timer.due > today {
                self.next_scan = self.next_scan.min(now + timer.due.since(today));
                all_due = false;
                break;
            }
            let key = (timer.id.clone(), timer.due);
            let is_resting = rested.remove(&key).is_some_and(|rest| {
                let until = rest.until;
                self.resting.insert(key.clone(), rest);
                if until > now {
                    self.next_scan = self.next_scan.min(until);
                }
                until > now
            });
            if !is_resting && !self.firing.contains(&key) {
                self.ready.push_back(timer);
            }
        }
        if all_due {
            // There is more where these came from.
            self.next_scan = now;
        }
        Ok(())
    }

    /// The next one to be fired, if there is a place for it.
    fn start(&mut self) -> Option<(Key, Timer)> {
        if self.firing.len() >= TIMERS_CONCURRENT {
            return None;
        }
        let timer = self.ready.pop_front()?;
        let key = (timer.id.clone(), timer.due);
        self.firing.insert(key.clone());
        Some((key, timer))
    }

    fn finish(&mut self, key: Key, result: Result<(), HandlerError>) {
        self.firing.remove(&key);
        let Err(error) = result else {
            self.resting.remove(&key);
            return;
        };
        let failures = self.resting.get(&key).map_or(0, |rest| rest.failures);
        let (first, longest) = TIMER_REST;
        let pause = first.saturating_mul(2_u32.saturating_pow(failures)).min(longest);
        let until = self.clock.monotonic() + pause;
        tracing::warn!(timer = %key.0, %error, failures = failures + 1, "a timer rests after a failure");
        if self.resting.len() < TIMERS_RESTING_MAX || self.resting.contains_key(&key) {
            self.resting.insert(key, Rest { failures: failures + 1, until });
            self.next_scan = self.next_scan.min(until);
        } else {
            // Whatever is broken is common to all of them.
            self.ready.clear();
            self.next_scan = until;
            self.paused_until = until;
        }
    }
}
