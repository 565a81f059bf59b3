//! The bus inside one process.
//!
//! It has no memory of its own, so it takes responsibility only when the consumers have: a
//! parcel is answered once every group that wants its topic has acknowledged it. Until then the
//! outbox is the queue that survives a crash.
//!
//! Everyone subscribes first, then the bus is [opened](Embedded::open); parcels wait for that.
//! So no message slips past a consumer that is still starting, and a topic without a group is
//! known to interest nobody: its messages are taken and counted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, watch};

use super::{Ack, Bus, Error, Incoming, Parcel, Receipts, Settle, Subscription, lane_of};
use crate::limits::LANE_QUEUE_MAX;

/// How the bus is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Messages that wait in one lane; then publishing waits.
    pub lane_queue: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { lane_queue: LANE_QUEUE_MAX }
    }
}

/// What has passed through the bus since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Parcels published.
    pub published: u64,
    /// Parcels of topics that no group wants.
    pub unrouted: u64,
}

#[derive(Default)]
struct Counters {
    published: AtomicU64,
    unrouted: AtomicU64,
}

struct Group {
    name: String,
    lanes: Vec<mpsc::Sender<Incoming>>,
}

/// The groups of each topic.
type Routes = HashMap<String, Vec<Arc<Group>>>;

enum State {
    Subscribing,
    Open(Arc<Routes>),
    Closed,
}

struct Shared {
    options: Options,
    /// What has been subscribed so far; taken when the bus opens.
    draft: Mutex<Routes>,
    state: watch::Sender<State>,
    counters: Counters,
}

/// A bus inside one process. Clones are the same bus.
#[derive(Clone)]
pub struct Embedded {
    shared: Arc<Shared>,
}

impl Embedded {
    /// A bus without subscribers, not yet open.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let state = watch::Sender::new(State::Subscribing);
        let (draft, counters) = (Mutex::default(), Counters::default());
        Self { shared: Arc::new(Shared { options, draft, state, counters }) }
    }

    /// Says that everyone has subscribed. From now on messages flow.
    pub fn open(&self) {
        let mut draft = self.shared.draft.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.state.send_if_modified(|state| {
            let opens = matches!(state, State::Subscribing);
            if opens {
                *state = State::Open(Arc::new(std::mem::take(&mut *draft)));
            }
            opens
        });
    }

    /// Takes nothing more. Lanes end after what has been published so far.
    pub fn close(&self) {
        self.shared.state.send_replace(State::Closed);
        self.shared.draft.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What has passed through since the start.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let Counters { published, unrouted } = &self.shared.counters;
        Stats {
            published: published.load(Ordering::Relaxed),
            unrouted: unrouted.load(Ordering::Relaxed),
        }
    }

    /// The groups per topic, once the bus is open; nothing when it is closed.
    async fn routes(&self) -> Option<Arc<Routes>> {
        if let State::Open(routes) = &*self.shared.state.borrow() {
            return Some(Arc::clone(routes));
        }
        let mut state = self.shared.state.subscribe();
        let decided = state.wait_for(|state| !matches!(state, State::Subscribing)).await;
        match decided.as_deref() {
            Ok(State::Open(routes)) => Some(Arc::clone(routes)),
            _ => None,
        }
    }
}

impl Default for Embedded {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Bus for Embedded {
    type Lane = Lane;

    async fn publish(&self, parcels: Vec<Parcel>, receipts: &Receipts) {
        let Some(routes) = self.routes().await else {
            for parcel in parcels {
                receipts.file(parcel.ticket, Err(Error::Closed));
            }
            return;
        };
        let groups = |parcel: &Parcel| match routes.get(&*parcel.envelope.topic) {
            Some(groups) => groups.as_slice(),
            None => &[],
        };
        let answers = parcels.iter().map(|parcel| Answer::new(parcel.ticket, groups(parcel).len()));
        let answers = answers.collect();
        let flight: Arc<dyn Settle> = Arc::new(Flight { receipts: receipts.clone(), answers });
        self.shared.counters.published.fetch_add(parcels.len() as u64, Ordering::Relaxed);
        // Every duty to answer exists before the first wait, so dropping this future answers too.
        let mut duties = Vec::with_capacity(parcels.len());
        for (index, parcel) in (0_u32..).zip(&parcels) {
            for group in groups(parcel) {
                duties.push((parcel, group, Ack::new(Arc::clone(&flight), index)));
            }
        }
        for parcel in &parcels {
            if groups(parcel).is_empty() {
                self.shared.counters.unrouted.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(topic = %parcel.envelope.topic, "nobody wants this topic");
                receipts.file(parcel.ticket, Ok(()));
            }
        }
        for (Parcel { envelope, .. }, group, ack) in duties {
            let lane = lane_of(&envelope.topic, &envelope.aggregate_id, group.lanes.len());
            let lane = &group.lanes[lane];
            let incoming = Incoming { envelope: envelope.clone(), ack };
            match lane.try_send(incoming) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(incoming)) => {
                    // When the lane is gone, dropping the message answers for it.
                    let _ = lane.send(incoming).await;
                }
                Err(mpsc::error::TrySendError::Closed(_)) => {
                    tracing::debug!(group = group.name, "a lane has stopped");
                }
            }
        }
    }

    fn subscribe(&self, subscription: &Subscription) -> Result<Vec<Lane>, Error> {
        subscription.check()?;
        let Subscription { group, topics, lanes } = subscription;
        let mut draft = self.shared.draft.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(&*self.shared.state.borrow(), State::Subscribing) {
            return Err(Error::Late { group: group.clone() });
        }
        if draft.values().flatten().any(|known| known.name == *group) {
            return Err(Error::Again { group: group.clone() });
        }
        let queue = self.shared.options.lane_queue.max(1);
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..*lanes).map(|_| mpsc::channel(queue)).unzip();
        let member = Arc::new(Group { name: group.clone(), lanes: senders });
        for topic in topics {
            let members = draft.entry(topic.clone()).or_default();
            if !members.iter().any(|known| Arc::ptr_eq(known, &member)) {
                members.push(Arc::clone(&member));
            }
        }
        Ok(receivers.into_iter().map(|receiver| Lane { receiver }).collect())
    }
}

/// A lane of a group on the embedded bus.
#[derive(Debug)]
pub struct Lane {
    receiver: mpsc::Receiver<Incoming>,
}

impl super::Lane for Lane {
    async fn receive(&mut self, into: &mut Vec<Incoming>, limit: usize) -> bool {
        limit == 0 || self.receiver.recv_many(into, limit).await > 0
    }
}

const ACCEPTED: u8 = 0;
const RETURNED: u8 = 1;
const ABANDONED: u8 = 2;

/// What is still to be said about one parcel.
struct Answer {
    ticket: u64,
    /// Groups that have not answered.
    open: AtomicU32,
    /// The worst answer so far.
    worst: AtomicU8,
}

impl Answer {
    fn new(ticket: u64, groups: usize) -> Self {
        let groups = u32::try_from(groups).unwrap_or(u32::MAX);
        Self { ticket, open: AtomicU32::new(groups), worst: AtomicU8::new(ACCEPTED) }
    }
}

/// The parcels of one call, shared by all their deliveries: one allocation for all of them.
struct Flight {
    receipts: Receipts,
    answers: Box<[Answer]>,
}

impl Settle for Flight {
    fn settle(&self, index: u32, outcome: Result<(), Error>) {
        let Some(answer) = self.answers.get(index as usize) else {
            return;
        };
        let code = match outcome {
            Ok(()) => ACCEPTED,
            Err(Error::Returned) => RETURNED,
            Err(_) => ABANDONED,
        };
        if code != ACCEPTED {
            answer.worst.fetch_max(code, Ordering::Relaxed);
        }
        // Release what this group has said; acquire what the others have.
        if answer.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            let outcome = match answer.worst.load(Ordering::Relaxed) {
                ACCEPTED => Ok(()),
                RETURNED => Err(Error::Returned),
                _ => Err(Error::Abandoned),
            };
            self.receipts.file(answer.ticket, outcome);
        }
    }
}
