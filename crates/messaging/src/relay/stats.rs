//! What a relay counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a relay has done since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages handed to the bus, repetitions included.
    pub published: u64,
    /// Refusals of the bus.
    pub refused: u64,
    /// Reads of the outbox.
    pub polls: u64,
    /// Rows that those reads found.
    pub polled_rows: u64,
    /// How often the immediate path had missed something.
    pub lagged: u64,
    /// Messages under way now, marks included.
    pub in_flight: u64,
    /// The most that were under way at once.
    pub in_flight_highest: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    published: AtomicU64,
    refused: AtomicU64,
    polls: AtomicU64,
    polled_rows: AtomicU64,
    lagged: AtomicU64,
    in_flight: AtomicU64,
    in_flight_highest: AtomicU64,
}

impl Counters {
    pub(super) fn published(&self, messages: usize) {
        self.published.fetch_add(messages as u64, Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(super) fn polled(&self, rows: usize) {
        self.polls.fetch_add(1, Relaxed);
        self.polled_rows.fetch_add(rows as u64, Relaxed);
    }

    pub(super) fn lagged(&self) {
        self.lagged.fetch_add(1, Relaxed);
    }

    pub(super) fn in_flight(&self, messages: usize) {
        self.in_flight.store(messages as u64, Relaxed);
        self.in_flight_highest.fetch_max(messages as u64, Relaxed);
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            published: self.published.load(Relaxed),
            refused: self.refused.load(Relaxed),
            polls: self.polls.load(Relaxed),
            polled_rows: self.polled_rows.load(Relaxed),
            lagged: self.lagged.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            in_flight_highest: self.in_flight_highest.load(Relaxed),
        }
    }
}
