//! Which keys are known: the slots they are in, and the idle ones that are forgotten first.
//!
//! A key that is busy is never forgotten. Idle ones stand in a queue, the longest idle first; a
//! key that wakes and rests again stands in it twice, and its turn number tells which entry
//! counts. Void entries are swept out once the queue is more than twice as long as idle keys are
//! remembered, which keeps the queue bounded and the sweep cheap per entry.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::{Key, Keys, Phase};

impl<T> Keys<T> {
    /// What is durably done has been read again: a quiet key goes on after it.
    pub(super) fn refresh(&mut self, at: usize, durable: u64) {
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

    /// A key that was not known, durably done up to `durable`. Returns where it is.
    pub(super) fn insert(&mut self, name: &str, durable: u64, stale: bool) -> usize {
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

    /// Counts a key as busy.
    pub(super) fn wake_idle(&mut self, at: usize) {
        if let Some(key) = self.slots[at].as_mut().filter(|key| key.turn.is_multiple_of(2)) {
            key.turn += 1;
            self.idle_count -= 1;
        }
    }

    /// Counts a key as idle if it is.
    pub(super) fn rest_if_idle(&mut self, at: usize) {
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

    /// Forgets those that have been idle for longest, while there are too many.
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
