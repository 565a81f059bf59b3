//! Three counts and a mark in one word, so that one instruction decides.

/// How wide each count is.
const BITS: u32 = 20;

/// The largest count.
pub(crate) const COUNT_MAX: u32 = (1 << BITS) - 1;

/// One who is at work.
pub(super) const AT_WORK: u64 = 1;

/// One who waits.
pub(super) const WAITS: u64 = 1 << BITS;

/// A place was free while nobody waited, since somebody last began to wait.
pub(super) const SPARE: u64 = 1 << 63;

/// Who is at work, who waits, how many may be at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(pub(super) u64);

impl Word {
    pub(super) fn idle(limit: u32) -> Self {
        Self(0).with_limit(limit)
    }

    pub(super) fn with_limit(self, limit: u32) -> Self {
        let cleared = self.0 & !(u64::from(COUNT_MAX) << (2 * BITS));
        Self(cleared | u64::from(limit.min(COUNT_MAX)) << (2 * BITS))
    }

    const fn count(self, position: u32) -> u32 {
        // Masked to 20 bits, so nothing is cut off.
        ((self.0 >> (position * BITS)) & COUNT_MAX as u64) as u32
    }

    pub(crate) const fn at_work(self) -> u32 {
        self.count(0)
    }

    pub(crate) const fn waiting(self) -> u32 {
        self.count(1)
    }

    pub(crate) const fn limit(self) -> u32 {
        self.count(2)
    }

    pub(super) const fn had_spare(self) -> bool {
        self.0 & SPARE != 0
    }

    /// Whether somebody who comes now may go straight in: past nobody who waits.
    pub(super) const fn is_free(self) -> bool {
        self.waiting() == 0 && self.at_work() < self.limit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_do_not_touch_each_other() {
        let word = Word::idle(COUNT_MAX);
        let full = Word(word.0 + u64::from(COUNT_MAX) * (AT_WORK + WAITS) + SPARE);
        for word in [full, full.with_limit(3).with_limit(COUNT_MAX)] {
            assert_eq!([word.at_work(), word.waiting(), word.limit()], [COUNT_MAX; 3]);
            assert!(word.had_spare());
        }
        assert!(!full.with_limit(0).is_free());
        assert_eq!(Word(full.0 - WAITS).waiting(), COUNT_MAX - 1);
        const { assert!(crate::limits::PLACES_MAX <= COUNT_MAX) };
        // One more than may wait is counted while it is turned away.
        const { assert!(crate::limits::WAITERS_MAX < COUNT_MAX) };
    }
}
