//! Durations of the last while, recorded by many threads: the shell.

use std::sync::Arc;
use std::time::Duration;

use steadfast_time::Monotonic;

use super::bucket::{self, BUCKETS};
use super::cached::{Cached, UNKNOWN};
use super::{Histogram, Options, Reading};
use crate::sync::{AtomicU32, AtomicU64, Mutex, Ordering, lock};
use crate::window::{nanos, nanos_in};
use crate::{Invalid, Share};

/// [`super::Window`] for many threads: recording is two loads and one atomic addition, and never
/// waits.
///
/// What is given up for that: a thread that is stopped between choosing a slice and counting in it
/// counts its one duration where the ring has meanwhile moved to, or loses it to the emptying.
/// Estimates over hundreds of durations do not notice.
#[derive(Debug)]
pub struct Shared {
    slice: u64,
    /// When the newest slice ends, in nanoseconds since the clock's start.
    end: AtomicU64,
    /// The newest slice's place in the ring.
    newest: AtomicU64,
    ring: Box<[Slice]>,
    /// Held by whoever moves the ring on.
    moving: Mutex<()>,
}

/// Begins on a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
struct Slice([AtomicU32; BUCKETS]);

impl Slice {
    fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU32::new(0)))
    }

    fn add_to(&self, histogram: &mut Histogram) {
        for (index, count) in self.0.iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                histogram.add(index, count);
            }
        }
    }

    fn clear(&self) {
        for count in &self.0 {
            count.store(0, Ordering::Relaxed);
        }
    }
}

impl Shared {
    /// An empty window.
    ///
    /// # Errors
    /// An option makes no sense.
    pub fn new(options: Options) -> Result<Self, Invalid> {
        options.check()?;
        Ok(Self {
            slice: options.slice(),
            end: AtomicU64::new(options.slice()),
            newest: AtomicU64::new(0),
            ring: (0..options.ring()).map(|_| Slice::new()).collect(),
            moving: Mutex::new(()),
        })
    }

    /// Counts a duration.
    pub fn record(&self, now: Monotonic, duration: Duration) {
        self.advance(nanos(now));
        let slice = &self.ring[self.newest()];
        slice.0[bucket::index(nanos_in(duration))].fetch_add(1, Ordering::Relaxed);
    }

    /// The duration that `share` of the window's do not exceed, computed now (some microseconds);
    /// where it is asked for with every call, use a [`Watch`]. Never below the true value, at most
    /// 1/32 (or 128 ns) above it. `None` when the window is empty.
    #[must_use]
    pub fn quantile(&self, now: Monotonic, share: Share) -> Option<Duration> {
        self.read(now).all.quantile(share)
    }

    /// How many durations are in the window, counted now (some microseconds).
    #[must_use]
    pub fn count(&self, now: Monotonic) -> u64 {
        self.read(now).all.count()
    }

    /// The mean deviation of the two newest slices: how unsteady it is at present.
    #[must_use]
    pub fn deviation(&self, now: Monotonic) -> Option<Duration> {
        self.read(now).recent.deviation()
    }

    /// All of the window, to take several figures from.
    #[must_use]
    pub fn read(&self, now: Monotonic) -> Reading {
        self.advance(nanos(now));
        let newest = self.newest();
        // The one before the first is the ring's last, and still empty.
        let before = (newest + self.ring.len() - 1) % self.ring.len();
        let (mut all, mut recent) = (Histogram::default(), Histogram::default());
        for (place, slice) in self.ring.iter().enumerate() {
            if place == newest || place == before {
                slice.add_to(&mut recent);
            } else {
                slice.add_to(&mut all);
            }
        }
        all.merge(&recent);
        Reading { all, recent }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a place in the ring")]
    fn newest(&self) -> usize {
        self.newest.load(Ordering::Relaxed) as usize
    }

    /// Moves the ring on when the newest slice is over.
    fn advance(&self, now: u64) {
        // Acquire: whoever sees the new end also sees the new slice, emptied.
        if now >= self.end.load(Ordering::Acquire) {
            self.move_on(now);
        }
    }

    #[cold]
    fn move_on(&self, now: u64) {
        let _moving = lock(&self.moving);
        let end = self.end.load(Ordering::Relaxed);
        let Some(late) = now.checked_sub(end) else { return };
        let steps = late / self.slice + 1;
        let (ring, newest) = (self.ring.len(), self.newest());
        for step in 1..=steps.min(ring as u64) {
            self.ring[super::place(newest as u64 + step, ring)].clear();
        }
        // Only now may anybody count there.
        let place = super::place(newest as u64 + steps % ring as u64, ring);
        self.newest.store(place as u64, Ordering::Relaxed);
        self.end.store(end.saturating_add(steps.saturating_mul(self.slice)), Ordering::Release);
    }
}

/// One quantile of a [`Shared`], kept at hand: asking costs two loads.
///
/// It is as old as `refresh` at most, and computed anew (some microseconds) by whoever asks first
/// after that; the others take the old one meanwhile.
#[derive(Debug)]
pub struct Watch {
    of: Arc<Shared>,
    share: Share,
    refresh: u64,
    cached: Cached<1>,
}

impl Watch {
    /// Of these durations, the one that `share` of them do not exceed.
    #[must_use]
    pub fn new(of: Arc<Shared>, share: Share, refresh: Duration) -> Self {
        Self { of, share, refresh: nanos_in(refresh), cached: Cached::new() }
    }

    /// The quantile. `None` while nothing has been observed.
    #[must_use]
    pub fn get(&self, now: Monotonic) -> Option<Duration> {
        let compute = || [self.of.quantile(now, self.share).map_or(UNKNOWN, nanos_in)];
        let [figure] = self.cached.get(nanos(now), self.refresh, compute);
        (figure != UNKNOWN).then(|| Duration::from_nanos(figure))
    }
}
