//! The reorder window: what came too early waits here until the gap closes.
//!
//! A gap has one alarm per key. When it closes in part, what is still held waits for another gap
//! and has the whole time again. When the window is full, the latest number makes room, since the
//! earliest ones are needed first; that one is handed back and comes again.

use steadfast_time::Monotonic;

use super::{Alarm, Keys, Offer, Phase, Slot};

impl<T> Keys<T> {
    /// Holds a message that is not next, or hands back the one that there is no room for.
    pub(super) fn hold(&mut self, now: Monotonic, at: usize, sequence: u64, item: T) -> Offer<T> {
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
    pub(super) fn close_gap(&mut self, now: Monotonic, at: usize) {
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

    /// Takes out everything that a key holds.
    pub(in crate::consumer) fn release(&mut self, slot: Slot) -> Vec<T> {
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

    /// Somebody else has processed messages of this key up to `durable`. Returns what was held
    /// and has thereby become a duplicate.
    pub(in crate::consumer) fn overtaken(
        &mut self,
        now: Monotonic,
        slot: Slot,
        durable: u64,
    ) -> Vec<T> {
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
}
