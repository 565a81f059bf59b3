//! One key at a time, in order: dedupe and the reorder window.
//!
//! A pure state machine over the keys of one lane. Per key it knows up to which sequence number
//! everything is done, queues what comes next, and holds what comes too early until the gap
//! closes. It never lets a message run out of order and never drops one: what it cannot keep it
//! hands back. Numbers that are done *and durable* are duplicates; a second copy of a message
//! whose fate is still open is handed back too, since acknowledging it would speak for the first.
//!
//! Messages without a number (zero) run in the order of their arrival.

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

    fn hold(&mut self, now: Monotonic, at: usize, sequence: u64, item: T) -> Offer<T> {
        let (full, limits) = (self.held >= self.limits.held, self.limits);
        let Some(key) = self.slots[at].as_mut() else {
            return Offer::GiveBack(item);
        };
        if key.held.contains_key(&sequence) {
            self.len -= 1;
            return Offer::GiveBack(item);
        }
        let crowded = full || key.held.len() >= limits.held_per_key;
        let last = key.held.keys().next_back().copied();
        if crowded && last.is_none_or(|last| last < sequence) {
            self.len -= 1;
            return Offer::GiveBack(item);
        }
        key.held.insert(sequence, item);
        if key.gap.is_none() {
            let end = now + limits.held_for;
            key.gap = Some(end);
            self.alarms.insert((end, Slot(at), Alarm::Gap));
        }
        if crowded && let Some((_, last)) = key.held.pop_last() {
            // The earlier ones are the ones that will be needed first.
            self.len -= 1;
            return Offer::GiveBack(last);
        }
        self.held += 1;
        Offer::Held
    }

    /// Queues what is held and has become next.
    fn close_gap(&mut self, now: Monotonic, at: usize) {
        let Some(key) = self.slots[at].as_mut() else {
            return;
        };
        if key.held.is_empty() {
            return;
        }
        let before = key.held.len();
        while let Some(item) = key.held.remove(&key.next) {
            key.queue.push_back((key.next, item));
            key.next += 1;
        }
        self.held -= before - key.held.len();
        if before != key.held.len() || key.held.is_empty() {
            // What is still held waits for another gap, with time of its own.
            if let Some(end) = key.gap.take() {
                self.alarms.remove(&(end, Slot(at), Alarm::Gap));
                if !key.held.is_empty() {
                    let end = now + self.limits.held_for;
                    key.gap = Some(end);
                    self.alarms.insert((end, Slot(at), Alarm::Gap));
                }
            }
        }
        if key.phase == Phase::Idle && !key.queue.is_empty() {
            key.phase = Phase::Ready;
            self.ready.push_back(at);
        }
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

    /// Takes out everything that a key holds.
    pub(super) fn release(&mut self, slot: Slot) -> Vec<T> {
        let Some(key) = self.key(slot) else {
            return Vec::new();
        };
        let held = std::mem::take(&mut key.held);
        let gap = key.gap.take();
        if let Some(end) = gap {
            self.alarms.remove(&(end, slot, Alarm::Gap));
        }
        self.held -= held.len();
        self.len -= held.len();
        self.rest_if_idle(slot.0);
        held.into_values().collect()
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

    /// Somebody else has processed messages of this key up to `durable`. Returns what was held
    /// and has thereby become a duplicate.
    pub(super) fn overtaken(&mut self, now: Monotonic, slot: Slot, durable: u64) -> Vec<T> {
        self.refresh(slot.0, durable);
        let Some(key) = self.key(slot) else {
            return Vec::new();
        };
        let later = key.held.split_off(&key.next);
        let done = std::mem::replace(&mut key.held, later);
        self.held -= done.len();
        self.len -= done.len();
        self.close_gap(now, slot.0);
        self.rest_if_idle(slot.0);
        done.into_values().collect()
    }

    /// Whether nothing of the key is queued or being handled.
    pub(super) fn quiet(&mut self, slot: Slot) -> bool {
        self.key(slot).is_some_and(|key| key.phase == Phase::Idle)
    }

    fn refresh(&mut self, at: usize, durable: u64) {
        let Some(key) = self.slots[at].as_mut() else {
            return;
        };
        key.stale = false;
        if key.phase == Phase::Idle {
            key.durable = key.durable.max(durable);
            key.done = key.done.max(durable);
            // A key that was parked goes on after what is durable, not after what was queued.
            key.next = key.done + 1;
        }
    }

    fn insert(&mut self, name: &str, durable: u64, stale: bool) -> usize {
        let name: Arc<str> = name.into();
        let key = Key {
            name: Arc::clone(&name),
            done: durable,
            durable,
            next: durable + 1,
            phase: Phase::Idle,
            queue: VecDeque::new(),
            held: BTreeMap::new(),
            gap: None,
            failures: 0,
            failing_since: None,
            stale,
            turn: 0,
        };
        let at = self.free.pop().unwrap_or(self.slots.len());
        if at == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[at] = Some(key);
        self.index.insert(name, at);
        // A duplicate may be all that ever comes of this key, so it starts as an idle one.
        self.idle_count += 1;
        self.idle.push_back((at, 0));
        self.forget_some();
        at
    }

    fn wake_idle(&mut self, at: usize) {
        if let Some(key) = self.slots[at].as_mut().filter(|key| key.turn.is_multiple_of(2)) {
            key.turn += 1;
            self.idle_count -= 1;
        }
    }

    fn rest_if_idle(&mut self, at: usize) {
        let Some(key) = self.slots[at].as_mut() else {
            return;
        };
        if key.idle() && !key.turn.is_multiple_of(2) {
            key.turn += 1;
            key.queue = VecDeque::new();
            let turn = key.turn;
            self.idle_count += 1;
            self.idle.push_back((at, turn));
            self.forget_some();
        }
    }

    fn forget_some(&mut self) {
        while self.idle_count > self.limits.remembered.max(1) {
            let Some((at, turn)) = self.idle.pop_front() else {
                return;
            };
            if self.slots[at].as_ref().is_some_and(|key| key.turn == turn)
                && let Some(key) = self.slots[at].take()
            {
                self.index.remove(&key.name);
                self.free.push(at);
                self.idle_count -= 1;
            }
        }
        if self.idle.len() > 2 * self.limits.remembered.max(1) {
            let slots = &self.slots;
            self.idle.retain(|(at, turn)| slots[*at].as_ref().is_some_and(|key| key.turn == *turn));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits =
        Limits { held_per_key: 3, held: 5, held_for: Duration::from_millis(100), remembered: 4 };

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_millis(ms))
    }

    /// Offers a message whose content is its number.
    fn offer(keys: &mut Keys<u64>, ms: u64, name: &str, sequence: u64) -> Offer<u64> {
        keys.offer(at(ms), name, sequence, sequence, || Ok::<_, ()>(0)).unwrap()
    }

    fn run(keys: &mut Keys<u64>) -> Vec<u64> {
        let mut ran = Vec::new();
        while let Some(start) = keys.start() {
            ran.push(start.item);
            keys.finish(start.slot, start.sequence, true);
        }
        ran
    }

    #[test]
    fn what_comes_early_is_held_until_the_gap_closes() {
        let mut keys = Keys::new(LIMITS);
        assert_eq!(offer(&mut keys, 0, "a", 3), Offer::Held);
        assert_eq!(offer(&mut keys, 0, "a", 3), Offer::GiveBack(3), "a second copy");
        assert_eq!(offer(&mut keys, 0, "a", 1), Offer::Queued);
        assert_eq!(run(&mut keys), [1]);
        assert_eq!(offer(&mut keys, 0, "a", 2), Offer::Queued);
        assert_eq!(run(&mut keys), [2, 3]);
        assert_eq!(offer(&mut keys, 0, "a", 3), Offer::Duplicate(3));
        assert_eq!((keys.len(), keys.held(), keys.next_alarm()), (0, 0, None));
    }

    #[test]
    fn the_window_keeps_the_earliest_and_gives_back_the_rest() {
        let mut keys = Keys::new(LIMITS);
        for sequence in [5, 6, 7] {
            assert_eq!(offer(&mut keys, 0, "a", sequence), Offer::Held);
        }
        assert_eq!(offer(&mut keys, 0, "a", 8), Offer::GiveBack(8));
        assert_eq!(offer(&mut keys, 0, "a", 3), Offer::GiveBack(7));
        assert_eq!(offer(&mut keys, 0, "b", 2), Offer::Held);
        assert_eq!(offer(&mut keys, 0, "b", 3), Offer::Held);
        assert_eq!(offer(&mut keys, 0, "c", 9), Offer::GiveBack(9), "full, for all keys");
        assert_eq!((keys.len(), keys.held()), (5, 5));
        assert!(keys.due(at(99)).is_empty());
        let expired = keys.due(at(100));
        let mut released: Vec<_> =
            expired.into_iter().flat_map(|slot| keys.release(slot)).collect();
        released.sort_unstable();
        assert_eq!(released, [2, 3, 3, 5, 6]);
        assert_eq!((keys.len(), keys.held(), keys.next_alarm()), (0, 0, None));
    }

    #[test]
    fn a_second_copy_of_what_is_not_yet_durable_speaks_for_nothing() {
        let mut keys = Keys::new(LIMITS);
        assert_eq!(offer(&mut keys, 0, "a", 1), Offer::Queued);
        let start = keys.start().unwrap();
        assert_eq!(offer(&mut keys, 0, "a", 1), Offer::GiveBack(1), "it is being handled");
        keys.finish(start.slot, 1, false);
        assert_eq!(offer(&mut keys, 0, "a", 1), Offer::GiveBack(1), "its mark is being written");
        keys.settle(start.slot, &start.name, 1);
        assert_eq!(offer(&mut keys, 0, "a", 1), Offer::Duplicate(1));
    }

    #[test]
    fn a_key_that_waits_for_another_try_does_not_lose_its_turn_with_a_gap() {
        let mut keys = Keys::new(LIMITS);
        assert_eq!(offer(&mut keys, 0, "a", 1), Offer::Queued);
        assert_eq!(offer(&mut keys, 0, "a", 3), Offer::Held);
        // The pause and the gap end at the same moment.
        let start = keys.start().unwrap();
        keys.retry(start, at(0), at(100), true);
        assert!(keys.start().is_none());
        assert_eq!(offer(&mut keys, 50, "a", 2), Offer::Queued);
        assert!(keys.due(at(100)).is_empty());
        assert_eq!(run(&mut keys), [1, 2, 3]);
    }

    #[test]
    fn idle_keys_are_forgotten_and_read_again() {
        let mut keys = Keys::new(LIMITS);
        for key in 0..100 {
            assert_eq!(offer(&mut keys, 0, &format!("k{key}"), 1), Offer::Queued);
            assert_eq!(run(&mut keys), [1]);
        }
        assert_eq!(keys.known(), LIMITS.remembered);
        let forgotten = keys.offer(at(0), "k0", 1, 1, || Ok::<_, ()>(1)).unwrap();
        assert_eq!(forgotten, Offer::Duplicate(1));
        let remembered = keys.offer(at(0), "k99", 1, 1, || Err::<u64, _>("not asked")).unwrap();
        assert_eq!(remembered, Offer::Duplicate(1));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Offer(u8, u64),
        Finish(bool),
        Fail,
        Park,
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0..3_u8, 1..12_u64).prop_map(|(key, sequence)| Step::Offer(key, sequence)),
            5 => any::<bool>().prop_map(Step::Finish),
            1 => Just(Step::Fail),
            1 => Just(Step::Park),
            2 => (0..120_u64).prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// Whatever comes in whatever order: each key runs 1, 2, 3 … without a gap and one at a
        /// time, everything is either in hand or has been handed back, and the bounds hold.
        #[test]
        fn keys_run_in_order_and_nothing_vanishes(
            steps in prop::collection::vec(step(), 1..300),
        ) {
            let mut keys: Keys<u64> = Keys::new(LIMITS);
            let mut done: HashMap<String, u64> = HashMap::new();
            let mut running: Vec<Start<u64>> = Vec::new();
            let (mut now, mut inside) = (0, 0_usize);
            for step in steps {
                match step {
                    Step::Offer(key, sequence) => {
                        let name = key.to_string();
                        let known = done.get(&name).copied().unwrap_or(0);
                        match keys
                            .offer(at(now), &name, sequence, sequence, || Ok::<_, ()>(known))
                            .unwrap()
                        {
                            Offer::Queued | Offer::Held => inside += 1,
                            Offer::Duplicate(item) => prop_assert!(item <= known),
                            Offer::GiveBack(_) => {}
                        }
                    }
                    Step::Finish(durable) => {
                        let Some(start) = running.pop() else { continue };
                        *done.entry(start.name.to_string()).or_default() = start.sequence;
                        keys.finish(start.slot, start.sequence, durable);
                        if !durable {
                            keys.settle(start.slot, &start.name, start.sequence);
                        }
                        inside -= 1;
                    }
                    Step::Fail => {
                        let Some(start) = running.pop() else { continue };
                        keys.retry(start, at(now), at(now + 50), true);
                    }
                    Step::Park => {
                        let Some(start) = running.pop() else { continue };
                        let out = keys.evacuate(start.slot);
                        prop_assert!(out.is_sorted(), "{:?}", out);
                        inside -= out.len() + 1;
                    }
                    Step::Wait(ms) => {
                        now += ms;
                        for slot in keys.due(at(now)) {
                            inside -= keys.release(slot).len();
                        }
                    }
                }
                while let Some(start) = keys.start() {
                    let last = done.get(&*start.name).copied().unwrap_or(0);
                    prop_assert_eq!(start.sequence, last + 1);
                    prop_assert!(running.iter().all(|other| other.name != start.name));
                    running.push(start);
                }
                prop_assert_eq!(keys.len(), inside);
                prop_assert!(keys.held() <= LIMITS.held);
                prop_assert!(keys.known() <= LIMITS.remembered + 3);
            }
        }
    }
}
