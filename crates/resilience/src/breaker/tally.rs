//! Where threads write down good calls, side by side.
//!
//! Two threads that count in the same place wait for each other's cache line, which costs more
//! than all else that a breaker does. So there are a few places, each on a line of its own, and
//! a thread always uses the same.
//!
//! ```text
//! 63            32      24 23            0
//! [    period    ][    ][o][    calls     ]
//! ```
//!
//! `o`, open: calls may be added. Whoever holds the breaker's lock closes all places before it
//! collects what they hold; adding is a compare and swap, so it fails on a place that has been
//! closed, or belongs to another period.

use crate::sync::{AtomicU64, Ordering};

const CALLS: u64 = (1 << 24) - 1;
const OPEN: u64 = 1 << 24;
const PERIOD_SHIFT: u32 = 32;

/// Calls that fit into one place.
pub(super) const CALLS_MAX: u32 = CALLS as u32;

/// Enough that few threads share one, few enough that collecting them stays cheap. (Each more
/// would make the search of all interleavings longer, so that there are two of them there.)
const PLACES: usize = if cfg!(steadfast_loom) { 2 } else { 4 };

/// Twice a cache line: processors fetch lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Place(AtomicU64);

#[derive(Debug)]
pub(super) struct Tally {
    places: [Place; PLACES],
}

impl Tally {
    /// All places closed.
    pub(super) fn new() -> Self {
        Self { places: std::array::from_fn(|_| Place(AtomicU64::new(0))) }
    }

    /// Adds a good call of this period, unless the thread's place is closed, holds `max` calls
    /// already but for one, or `may` says no. `blindly` (tests only) without looking twice.
    #[inline]
    pub(super) fn add(&self, period: u32, max: u32, may: impl Fn() -> bool, blindly: bool) -> bool {
        let place = &self.places[own_place() % PLACES].0;
        let mut seen = place.load(Ordering::Acquire);
        loop {
            let open = seen >> 24 == u64::from(period) << 8 | 1;
            if !open || (seen & CALLS) + 1 >= u64::from(max) || !may() {
                return false;
            }
            if blindly {
                place.store(seen + 1, Ordering::Release);
                return true;
            }
            let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
            match place.compare_exchange_weak(seen, seen + 1, done, failed) {
                Ok(_) => return true,
                Err(other) => seen = other,
            }
        }
    }

    /// Closes all places (but for tests that leave them open) and takes what they hold.
    pub(super) fn collect(&self, leave_open: bool) -> u32 {
        let kept = if leave_open { !CALLS } else { !(CALLS | OPEN) };
        let calls = self.places.iter().map(|place| place.0.fetch_and(kept, Ordering::AcqRel));
        calls.map(|seen| (seen & CALLS) as u32).sum()
    }

    /// Opens all places for this period, with nothing in them.
    pub(super) fn open(&self, period: u32) {
        for place in &self.places {
            place.0.store(u64::from(period) << PERIOD_SHIFT | OPEN, Ordering::Release);
        }
    }
}

/// Threads take turns in choosing a place when they first need one.
#[cfg(not(steadfast_loom))]
#[inline]
fn own_place() -> usize {
    use std::cell::Cell;
    use std::sync::atomic::AtomicUsize;

    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    let own = OWN.get();
    if own != usize::MAX {
        return own;
    }
    let own = NEXT.fetch_add(1, Ordering::Relaxed) % PLACES;
    OWN.set(own);
    own
}

/// `loom`'s threads are no threads, but have names.
#[cfg(steadfast_loom)]
fn own_place() -> usize {
    format!("{:?}", loom::thread::current().id()).bytes().map(usize::from).sum()
}

#[cfg(test)]
#[cfg(not(steadfast_loom))]
mod tests {
    use super::*;

    #[test]
    fn only_what_belongs_to_the_open_period_is_added() {
        let tally = Tally::new();
        assert!(!tally.add(0, 10, || true, false), "closed");
        for period in [0, 7, u32::MAX] {
            tally.open(period);
            assert!(tally.add(period, 10, || true, false));
            assert!(!tally.add(period.wrapping_add(1), 10, || true, false), "another period");
            assert!(!tally.add(period, 10, || false, false), "it may not");
            assert!(!tally.add(period, 2, || true, false), "full");
            assert!(tally.add(period, 3, || true, false));
            assert_eq!(tally.collect(false), 2);
            assert!(!tally.add(period, 10, || true, false), "closed");
            assert_eq!(tally.collect(false), 0);
        }
    }

    #[test]
    fn what_all_threads_have_added_is_collected() {
        let tally = Tally::new();
        tally.open(1);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    (0..1_000).for_each(|_| assert!(tally.add(1, CALLS_MAX, || true, false)))
                });
            }
        });
        assert_eq!(tally.collect(false), 8_000);
    }
}
