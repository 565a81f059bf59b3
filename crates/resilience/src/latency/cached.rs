//! Figures that many read and one computes anew now and then.

use crate::sync::{AtomicU64, Ordering};

/// What a figure says while nothing is known.
pub(crate) const UNKNOWN: u64 = u64::MAX;

/// `N` figures that are computed anew by whoever asks first after they have become too old; all
/// others meanwhile read the old ones. Nobody waits. The figures are independent estimates: a
/// reader may see some of them new and some old.
#[derive(Debug)]
pub(crate) struct Cached<const N: usize> {
    /// From when on they are too old, in nanoseconds since the clock's start.
    due: AtomicU64,
    figures: [AtomicU64; N],
}

impl<const N: usize> Cached<N> {
    pub(crate) fn new() -> Self {
        let figures = std::array::from_fn(|_| AtomicU64::new(UNKNOWN));
        Self { due: AtomicU64::new(0), figures }
    }

    /// The figures, at most `refresh` nanoseconds old and as long as one computation takes;
    /// [`UNKNOWN`] where the first one is still under way.
    pub(crate) fn get(
        &self,
        now: u64,
        refresh: u64,
        compute: impl FnOnce() -> [u64; N],
    ) -> [u64; N] {
        let due = self.due.load(Ordering::Relaxed);
        if now >= due && self.claim(due, now.saturating_add(refresh)) {
            return self.put(compute());
        }
        std::array::from_fn(|i| self.figures[i].load(Ordering::Relaxed))
    }

    /// One of several who find them too old wins.
    #[cold]
    fn claim(&self, due: u64, next: u64) -> bool {
        self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn put(&self, figures: [u64; N]) -> [u64; N] {
        for (place, figure) in self.figures.iter().zip(figures) {
            place.store(figure, Ordering::Relaxed);
        }
        figures
    }
}

#[cfg(test)]
#[cfg(not(steadfast_loom))]
mod tests {
    use super::*;

    #[test]
    fn they_are_computed_once_per_interval() {
        let cached = Cached::<1>::new();
        assert_eq!(cached.get(5, 100, || [1]), [1]);
        assert_eq!(cached.get(104, 100, || unreachable!("still fresh")), [1]);
        assert_eq!(cached.get(105, 100, || [2]), [2]);
    }
}
