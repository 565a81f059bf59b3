//! One key at a time, in order: dedupe and the reorder window.
//!
//! A pure state machine over the keys of one lane. Per key it knows up to which sequence number
//! everything is done, queues what comes next, and holds what comes too early until the gap
//! closes. It never lets a message run out of order and never drops one: what it cannot keep it
//! hands back. Numbers that are done *and durable* are duplicates; a second copy of a message
//! whose fate is still open is handed back too, since acknowledging it would speak for the first.
//!
//! Messages without a number (zero) run in the order of their arrival.
//!
//! | module | what |
//! |---|---|
//! | this one | the states of a key: queued, running, waiting for another try |
//! | [`memory`] | which keys are known, and which idle ones are forgotten first |
//! | [`window`] | what came too early |

mod memory;
#[cfg(test)]
mod tests;
mod window;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use steadfast_time::Monotonic;

/// The bounds of the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Messages that one key may hold.
    pub(super) held_per_key: usize,
    /// Messages that all keys together may hold.
    pub(super) held: usize,
    /// How long a message is held.
    pub(super) held_for: Duration,
    /// Idle keys that are remembered.
    pub(super) remembered: usize,
}

/// Where a key is kept. Good until the key is idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing is queued.
    Idle,
    /// The first in the queue may start.
    Ready,
    /// One is being handled.
    Running,
    /// The first in the queue has failed and may start again at this moment.
    Waiting(Monotonic),
}

/// What a moment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    Retry,
    Gap,
}

struct Key<T> {
    name: Arc<str>,
    /// Everything up to here is done.
    done: u64,
    /// Everything up to here is durably so.
    durable: u64,
    /// The number that may be queued next.
    next: u64,
    phase: Phase,
    queue: VecDeque<(u64, T)>,
    held: BTreeMap<u64, T>,
    /// When what is held is given up.
    gap: Option<Monotonic>,
    failures: u32,
    failing_since: Option<Monotonic>,
    /// Somebody else may have moved on: the marks must be read again.
    stale: bool,
    /// Counts changes between idle and busy.
    turn: u64,
}

impl<T> Key<T> {
    fn idle(&self) -> bool {
        self.phase == Phase::Idle && self.held.is_empty() && self.durable >= self.done
    }
}

/// What became of a message that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offer<T> {
    /// It will run in its turn.
    Queued,
    /// It waits for an earlier one.
    Held,
    /// It has had its effect, durably.
    Duplicate(T),
    /// This message (or a later one of the key, to make room) must come again later.
    GiveBack(T),
}

/// A message that may be handled now.
#[derive(Debug)]
pub(super) struct Start<T> {
    pub(super) slot: Slot,
    pub(super) name: Arc<str>,
    pub(super) sequence: u64,
    pub(super) item: T,
    /// How often it has failed.
    pub(super) failures: u32,
    /// Since when.
    pub(super) failing_since: Option<Monotonic>,
}

/// See the module.
pub(super) struct Keys<T> {
    limits: Limits,
    index: HashMap<Arc<str>, usize>,
    slots: Vec<Option<Key<T>>>,
    free: Vec<usize>,
    ready: VecDeque<usize>,
    /// Moments at which keys in [`Phase::Waiting`] go on, or gaps are given up.
    alarms: BTreeSet<(Monotonic, Slot, Alarm)>,
    /// Idle keys, longest first; entries of an earlier turn are void.
    idle: VecDeque<(usize, u64)>,
    idle_count: usize,
    held: usize,
    /// Messages queued, running or held.
    len: usize,
}

impl<T> Keys<T> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            index: HashMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            ready: VecDeque::new(),
            alarms: BTreeSet::new(),
            idle: VecDeque::new(),
            idle_count: 0,
            held: 0,
            len: 0,
        }
    }

    /// Messages queued, running or held.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Messages held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Keys known, idle ones included.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.index.len()
    }

    fn key(&mut self, slot: Slot) -> Option<&mut Key<T>> {
        self.slots.get_mut(slot.0)?.as_mut()
    }

    /// The name of the key in a slot.
    pub(super) fn name(&self, slot: Slot) -> Option<Arc<str>> {
        Some(Arc::clone(&self.slots.get(slot.0)?.as_ref()?.name))
    }

    /// Whether a message may start now.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// A message has come. `load` reads up to which number the key is durably done; it is called
    /// when that is not known.
    pub(super) fn offer<E>(
        &mut self,
        now: Monotonic,
        name: &str,
        sequence: u64,
        item: T,
        load: impl FnOnce() -> Result<u64, E>,
    ) -> Result<Offer<T>, (E, T)> {
        let at = match self.index.get(name) {
            Some(&at) => {
                if self.slots[at].as_ref().is_some_and(|key| key.stale) {
                    match load() {
                        Ok(durable) => self.refresh(at, durable),
                        Err(error) => return Err((error, item)),
                    }
                }
                at
            }
            None => match if sequence == 0 { Ok(0) } else { load() } {
                Ok(durable) => self.insert(name, durable, sequence == 0),
                Err(error) => return Err((error, item)),
            },
        };
        let Some(key) = self.slots[at].as_mut() else {
            return Ok(Offer::GiveBack(item));
        };
        if sequence != 0 && sequence <= key.durable {
            return Ok(Offer::Duplicate(item));
        }
        if sequence != 0 && sequence < key.next {
            return Ok(Offer::GiveBack(item));
        }
        self.wake_idle(at);
        self.len += 1;
        if sequence != 0 && self.slots[at].as_ref().is_some_and(|key| key.next != sequence) {
            let offer = self.hold(now, at, sequence, item);
            self.rest_if_idle(at);
            return Ok(offer);
        }
        if let Some(key) = self.slots[at].as_mut() {
            if sequence != 0 {
                key.next += 1;
            }
            key.queue.push_back((sequence, item));
            if key.phase == Phase::Idle {
                key.phase = Phase::Ready;
                self.ready.push_back(at);
            }
        }
        if sequence != 0 {
            self.close_gap(now, at);
        }
        Ok(Offer::Queued)
    }

    /// The next message that may be handled.
    pub(super) fn start(&mut self) -> Option<Start<T>> {
        loop {
            let at = self.ready.pop_front()?;
            let Some(key) = self.slots[at].as_mut() else {
                continue;
            };
            if key.phase != Phase::Ready {
                continue;
            }
            let Some((sequence, item)) = key.queue.pop_front() else {
                continue;
            };
            key.phase = Phase::Running;
            let (name, failures) = (Arc::clone(&key.name), key.failures);
            let failing_since = key.failing_since;
            return Some(Start { slot: Slot(at), name, sequence, item, failures, failing_since });
        }
    }

    /// The running message of a key is done, durably or soon so.
    pub(super) fn finish(&mut self, slot: Slot, sequence: u64, durable: bool) {
        self.len -= 1;
        let Some(key) = self.key(slot) else { return };
        (key.failures, key.failing_since) = (0, None);
        key.done = key.done.max(sequence);
        if durable {
            key.durable = key.durable.max(sequence);
        }
        key.phase = if key.queue.is_empty() { Phase::Idle } else { Phase::Ready };
        if key.phase == Phase::Ready {
            self.ready.push_back(slot.0);
        }
        self.rest_if_idle(slot.0);
    }

    /// What was done before is now durable. The name tells whether the slot still has the key.
    pub(super) fn settle(&mut self, slot: Slot, name: &Arc<str>, sequence: u64) {
        let Some(key) = self.key(slot).filter(|key| Arc::ptr_eq(&key.name, name)) else {
            return;
        };
        let was_idle = key.idle();
        key.durable = key.durable.max(sequence);
        if !was_idle {
            self.rest_if_idle(slot.0);
        }
    }

    /// The running message of a key has failed at `now` and is tried again at `until`. It
    /// `counts` when the failure is the message's.
    pub(super) fn retry(
        &mut self,
        start: Start<T>,
        now: Monotonic,
        until: Monotonic,
        counts: bool,
    ) {
        let Start { slot, sequence, item, .. } = start;
        let Some(key) = self.key(slot) else { return };
        key.queue.push_front((sequence, item));
        if counts {
            key.failures = key.failures.saturating_add(1);
            key.failing_since.get_or_insert(now);
        }
        key.phase = Phase::Waiting(until);
        self.alarms.insert((until, slot, Alarm::Retry));
    }

    /// The running message of a key is taken out (to be parked), and with it all others of the
    /// key, in order.
    pub(super) fn evacuate(&mut self, slot: Slot) -> Vec<T> {
        self.len -= 1;
        let Some(key) = self.key(slot) else {
            return Vec::new();
        };
        let queue: Vec<_> = key.queue.drain(..).map(|(_, item)| item).collect();
        (key.phase, key.failures, key.failing_since) = (Phase::Idle, 0, None);
        key.stale = true;
        self.len -= queue.len();
        let held = self.release(slot);
        queue.into_iter().chain(held).collect()
    }

    /// When [`Keys::due`] has something to do.
    pub(super) fn next_alarm(&self) -> Option<Monotonic> {
        self.alarms.first().map(|(at, ..)| *at)
    }

    /// Lets keys go on whose pause is over; returns those that have held messages for too long.
    pub(super) fn due(&mut self, now: Monotonic) -> Vec<Slot> {
        let mut expired = Vec::new();
        while let Some(&(at, slot, alarm)) = self.alarms.first().filter(|(at, ..)| *at <= now) {
            self.alarms.pop_first();
            let Some(key) = self.slots.get_mut(slot.0).and_then(Option::as_mut) else {
                continue;
            };
            match alarm {
                Alarm::Retry if key.phase == Phase::Waiting(at) => {
                    key.phase = Phase::Ready;
                    self.ready.push_back(slot.0);
                }
                Alarm::Gap if key.gap == Some(at) => {
                    key.gap = None;
                    expired.push(slot);
                }
                _ => {}
            }
        }
        expired
    }

    /// Whether nothing of the key is queued or being handled.
    pub(super) fn quiet(&mut self, slot: Slot) -> bool {
        self.key(slot).is_some_and(|key| key.phase == Phase::Idle)
    }
}
