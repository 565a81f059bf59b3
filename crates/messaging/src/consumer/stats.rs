//! What a consumer counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a consumer has done since its start, in all of its lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages that came, repetitions included.
    pub received: u64,
    /// Messages whose effect was committed.
    pub committed: u64,
    /// Messages that needed no effect.
    pub ignored: u64,
    /// Messages recognised as handled before.
    pub duplicates: u64,
    /// Messages that had to wait for an earlier one.
    pub held: u64,
    /// Messages given back to be brought again.
    pub given_back: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Attempts that found the handler or the journal unavailable.
    pub unavailable: u64,
    /// Messages parked.
    pub parked: u64,
    /// Keys parked now.
    pub parked_keys: u64,
    /// The most messages that one lane had in its hands.
    pub in_hand_highest: u64,
    /// The most messages that one lane held for earlier ones.
    pub held_highest: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(super) received: AtomicU64,
    pub(super) committed: AtomicU64,
    pub(super) ignored: AtomicU64,
    pub(super) duplicates: AtomicU64,
    pub(super) held: AtomicU64,
    pub(super) given_back: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) unavailable: AtomicU64,
    pub(super) parked: AtomicU64,
    in_hand_highest: AtomicU64,
    held_highest: AtomicU64,
}

/// Counts one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl Counters {
    pub(super) fn in_hand(&self, in_hand: usize, held: usize) {
        self.in_hand_highest.fetch_max(in_hand as u64, Relaxed);
        self.held_highest.fetch_max(held as u64, Relaxed);
    }

    pub(super) fn stats(&self, parked_keys: usize) -> Stats {
        Stats {
            received: self.received.load(Relaxed),
            committed: self.committed.load(Relaxed),
            ignored: self.ignored.load(Relaxed),
            duplicates: self.duplicates.load(Relaxed),
            held: self.held.load(Relaxed),
            given_back: self.given_back.load(Relaxed),
            failures: self.failures.load(Relaxed),
            unavailable: self.unavailable.load(Relaxed),
            parked: self.parked.load(Relaxed),
            parked_keys: parked_keys as u64,
            in_hand_highest: self.in_hand_highest.load(Relaxed),
            held_highest: self.held_highest.load(Relaxed),
        }
    }
}
