//! A bus that loses, repeats and delays, on purpose.
//!
//! [`Chaos`] wraps any bus and breaks nothing that the port promises: every parcel is answered
//! once, only late, wrongly negative, or for a message that was brought twice. What survives it
//! survives a network. With a seed and a simulated clock the same run comes out each time.

use std::collections::BTreeMap;
use std::future::pending;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use futures::{FutureExt, select_biased};
use steadfast_time::{Clock, Monotonic};
use tokio::sync::Notify;

use crate::bus::{Bus, Error, Parcel, Receipts, Subscription};

/// How often what goes wrong. Probabilities are between 0 and 1, per message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Faults {
    /// The message is lost; the publisher hears so.
    pub drop: f64,
    /// The message arrives, its acknowledgement does not; the publisher hears that it was lost.
    pub lose_answer: f64,
    /// The message is brought a second time.
    pub duplicate: f64,
    /// The message is late, so that others overtake it.
    pub delay: f64,
    /// The longest delay, of late messages, second copies and bad news.
    pub delay_max: Duration,
}

impl Faults {
    /// Nothing goes wrong.
    pub const NONE: Self =
        Self { drop: 0.0, lose_answer: 0.0, duplicate: 0.0, delay: 0.0, delay_max: Duration::ZERO };

    /// Everything goes wrong now and then.
    pub const ROUGH: Self = Self {
        drop: 0.05,
        lose_answer: 0.05,
        duplicate: 0.1,
        delay: 0.2,
        delay_max: Duration::from_millis(200),
    };
}

/// What has gone wrong so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages lost.
    pub dropped: u64,
    /// Acknowledgements lost.
    pub answers_lost: u64,
    /// Messages brought a second time.
    pub duplicated: u64,
    /// Messages delayed.
    pub delayed: u64,
}

/// Something that happens later.
enum Later {
    Bring(Parcel, Receipts),
    Answer(u64, Receipts),
}

struct State {
    rng: Rng,
    faults: Faults,
    stats: Stats,
    later: BTreeMap<(Monotonic, u64), Later>,
    next: u64,
}

impl State {
    fn happens(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.rng.f64() < probability
    }

    fn postpone(&mut self, now: Monotonic, what: Later) {
        let delay = self.faults.delay_max.mul_f64(self.rng.f64());
        self.later.insert((now + delay, self.next), what);
        self.next += 1;
    }
}

/// A bus on which things go wrong. [`Chaos::run`] must run beside it.
pub struct Chaos<B> {
    inner: Arc<B>,
    clock: Clock,
    state: Mutex<State>,
    postponed: Notify,
}

impl<B: Bus> Chaos<B> {
    /// Wraps a bus.
    #[must_use]
    pub fn new(inner: Arc<B>, clock: Clock, seed: u64, faults: Faults) -> Self {
        let (rng, stats) = (Rng::with_seed(seed), Stats::default());
        let state = Mutex::new(State { rng, faults, stats, later: BTreeMap::new(), next: 0 });
        Self { inner, clock, state, postponed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on other things go wrong, or nothing. What is on its way still comes late.
    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// What has gone wrong so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.state().stats
    }

    /// Lets happen what was postponed; never ends.
    pub async fn run(&self) {
        loop {
            let now = self.clock.monotonic();
            let mut due = Vec::new();
            let next = {
                let mut state = self.state();
                while let Some(entry) = state.later.first_entry().filter(|e| e.key().0 <= now) {
                    due.push(entry.remove());
                }
                state.later.keys().next().map(|(at, _)| *at)
            };
            for later in due {
                match later {
                    Later::Bring(parcel, receipts) => {
                        self.inner.publish(vec![parcel], &receipts).await;
                    }
                    Later::Answer(ticket, receipts) => receipts.file(ticket, Err(Error::Lost)),
                }
            }
            let sleep = async {
                match next {
                    Some(at) => self.clock.sleep_until(at).await,
                    None => pending().await,
                }
            };
            select_biased! {
                () = pin!(self.postponed.notified().fuse()) => {}
                () = pin!(sleep.fuse()) => {}
            }
        }
    }
}

impl<B: Bus> Bus for Chaos<B> {
    type Lane = B::Lane;

    async fn publish(&self, parcels: Vec<Parcel>, receipts: &Receipts) {
        let mut through = Vec::with_capacity(parcels.len());
        let mut unanswered = Vec::new();
        {
            let now = self.clock.monotonic();
            let mut state = self.state();
            let faults = state.faults;
            for parcel in parcels {
                if state.happens(faults.drop) {
                    state.stats.dropped += 1;
                    state.postpone(now, Later::Answer(parcel.ticket, receipts.clone()));
                    continue;
                }
                if state.happens(faults.duplicate) {
                    state.stats.duplicated += 1;
                    // Nobody reads what is said of the copy.
                    state.postpone(now, Later::Bring(parcel.clone(), Receipts::new()));
                }
                if state.happens(faults.lose_answer) {
                    state.stats.answers_lost += 1;
                    state.postpone(now, Later::Answer(parcel.ticket, receipts.clone()));
                    unanswered.push(parcel);
                } else if state.happens(faults.delay) {
                    state.stats.delayed += 1;
                    state.postpone(now, Later::Bring(parcel, receipts.clone()));
                } else {
                    through.push(parcel);
                }
            }
        }
        self.postponed.notify_one();
        if !unanswered.is_empty() {
            self.inner.publish(unanswered, &Receipts::new()).await;
        }
        self.inner.publish(through, receipts).await;
    }

    fn subscribe(&self, subscription: &Subscription) -> Result<Vec<B::Lane>, Error> {
        self.inner.subscribe(subscription)
    }
}

impl<B> std::fmt::Debug for Chaos<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Chaos").field("stats", &state.stats).finish_non_exhaustive()
    }
}
