//! Durations of the last while: the machine.

use std::time::Duration;

use steadfast_time::Monotonic;

use super::{Histogram, Options, Reading, bucket};
use crate::window::{nanos, nanos_in};
use crate::{Invalid, Share};

/// Durations of the last while, as a ring of histograms: the newest is filled, and when its time
/// is over the oldest is emptied and becomes the newest.
#[derive(Clone, Debug)]
pub struct Window {
    /// Length of a slice in nanoseconds.
    slice: u64,
    /// Number of the newest slice since the clock's start; its place is this modulo the length.
    newest: u64,
    slices: Vec<Histogram>,
    total: Histogram,
}

impl Window {
    /// An empty window.
    ///
    /// # Errors
    /// An option makes no sense.
    pub fn new(options: Options) -> Result<Self, Invalid> {
        options.check()?;
        let slices = vec![Histogram::default(); options.ring()];
        Ok(Self { slice: options.slice(), newest: 0, slices, total: Histogram::default() })
    }

    /// Counts a duration. One that comes with an earlier time than the last is counted as the
    /// last's neighbour.
    pub fn record(&mut self, now: Monotonic, duration: Duration) {
        self.advance(now);
        let index = bucket::index(nanos_in(duration));
        let place = self.place(self.newest);
        self.slices[place].add(index, 1);
        self.total.add(index, 1);
    }

    /// The duration that `share` of the window's do not exceed: never below the true value, at
    /// most 1/32 (or 128 ns) above it. `None` when the window is empty.
    #[must_use]
    pub fn quantile(&mut self, now: Monotonic, share: Share) -> Option<Duration> {
        self.advance(now);
        self.total.quantile(share)
    }

    /// How many durations are in the window.
    #[must_use]
    pub fn count(&mut self, now: Monotonic) -> u64 {
        self.advance(now);
        self.total.count()
    }

    /// The mean deviation of the two newest slices: how unsteady it is at present.
    #[must_use]
    pub fn deviation(&mut self, now: Monotonic) -> Option<Duration> {
        self.read(now).recent.deviation()
    }

    /// All of the window, to take several figures from.
    #[must_use]
    pub fn read(&mut self, now: Monotonic) -> Reading {
        self.advance(now);
        let mut recent = self.slices[self.place(self.newest)].clone();
        if let Some(before) = self.newest.checked_sub(1) {
            recent.merge(&self.slices[self.place(before)]);
        }
        Reading { all: self.total.clone(), recent }
    }

    fn place(&self, number: u64) -> usize {
        super::place(number, self.slices.len())
    }

    /// Empties what has left the window.
    fn advance(&mut self, now: Monotonic) {
        let number = nanos(now) / self.slice;
        let steps = number.saturating_sub(self.newest).min(self.slices.len() as u64);
        for step in 1..=steps {
            let place = self.place(self.newest + step);
            self.total.remove(&self.slices[place]);
            self.slices[place].clear();
        }
        self.newest = self.newest.max(number);
    }
}
