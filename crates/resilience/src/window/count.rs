//! The last *n* calls.

use crate::breaker::Counts;
use crate::limits::COUNT_WINDOW_MAX;

/// The outcomes of the last *n* calls, exactly: a ring of two bits a call, and their sums.
#[derive(Clone, Debug)]
pub struct Count {
    size: u32,
    calls: u32,
    next: u32,
    failed: u32,
    slow: u32,
    /// Sixty-four calls a word: which of them failed, which were slow.
    ring: Box<[Word]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Word {
    failed: u64,
    slow: u64,
}

impl Count {
    /// An empty window over the last `size` calls.
    ///
    /// # Panics
    /// `size` is 0 or above [`COUNT_WINDOW_MAX`].
    #[must_use]
    pub fn new(size: u32) -> Self {
        assert!(
            (1..=COUNT_WINDOW_MAX).contains(&size),
            "a window over {size} calls: must be 1 to {COUNT_WINDOW_MAX}"
        );
        let ring = vec![Word::default(); size.div_ceil(64) as usize].into_boxed_slice();
        Self { size, calls: 0, next: 0, failed: 0, slow: 0, ring }
    }

    /// Adds a call, and forgets the oldest one when the window is full.
    pub fn record(&mut self, failed: bool, slow: bool) {
        let (word, bit) = ((self.next / 64) as usize, self.next % 64);
        let word = &mut self.ring[word];
        // Places that were never written hold no bits, so that nothing is subtracted for them.
        let (was_failed, was_slow) = (word.failed >> bit & 1, word.slow >> bit & 1);
        self.failed = self.failed + u32::from(failed) - u32::from(was_failed == 1);
        self.slow = self.slow + u32::from(slow) - u32::from(was_slow == 1);
        word.failed ^= (was_failed ^ u64::from(failed)) << bit;
        word.slow ^= (was_slow ^ u64::from(slow)) << bit;
        self.calls += u32::from(self.calls < self.size);
        self.next += 1;
        if self.next == self.size {
            self.next = 0;
        }
    }

    /// Adds this many calls that neither failed nor were slow, a word at a time.
    pub fn record_good(&mut self, calls: u32) {
        if calls >= self.size {
            self.ring.fill(Word::default());
            (self.calls, self.next, self.failed, self.slow) = (self.size, 0, 0, 0);
            return;
        }
        let mut left = calls;
        while left > 0 {
            let (index, bit) = ((self.next / 64) as usize, self.next % 64);
            let run = left.min(64 - bit).min(self.size - self.next);
            let mask = (u64::MAX >> (64 - run)) << bit;
            let word = &mut self.ring[index];
            self.failed -= (word.failed & mask).count_ones();
            self.slow -= (word.slow & mask).count_ones();
            word.failed &= !mask;
            word.slow &= !mask;
            self.next = (self.next + run) % self.size;
            left -= run;
        }
        self.calls = self.calls.saturating_add(calls).min(self.size);
    }

    /// What the last calls came to.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            calls: u64::from(self.calls),
            failed: u64::from(self.failed),
            slow: u64::from(self.slow),
        }
    }

    /// How many calls it looks back.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// Whether as many calls as it looks back have been recorded.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.calls == self.size
    }

    /// Whether it is full of calls that neither failed nor were slow: recording another such call
    /// would change nothing that anybody can see.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.is_full() && self.failed == 0 && self.slow == 0
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.ring.fill(Word::default());
        (self.calls, self.next, self.failed, self.slow) = (0, 0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    fn agree(size: u32, steps: u32, rng: &mut fastrand::Rng) {
        let mut window = Count::new(size);
        let mut model: VecDeque<(bool, bool)> = VecDeque::new();
        for _ in 0..steps {
            let (failed, slow) = (rng.u8(..) < 80, rng.u8(..) < 30);
            if rng.u32(..10_000) == 0 {
                window.clear();
                model.clear();
            }
            let good = if rng.u8(..) < 8 { rng.u32(..size * 3 / 2) } else { 0 };
            window.record_good(good);
            window.record(failed, slow);
            model.extend((0..good).map(|_| (false, false)));
            model.push_back((failed, slow));
            while model.len() > size as usize {
                model.pop_front();
            }
            let expected = Counts {
                calls: model.len() as u64,
                failed: model.iter().filter(|call| call.0).count() as u64,
                slow: model.iter().filter(|call| call.1).count() as u64,
            };
            assert_eq!(window.counts(), expected, "size {size}");
            assert_eq!(window.is_full(), model.len() == size as usize);
            let clean = window.is_full() && model.iter().all(|call| *call == (false, false));
            assert_eq!(window.is_clean(), clean);
        }
    }

    #[test]
    fn it_agrees_with_a_list_of_the_last_calls() {
        let mut rng = fastrand::Rng::with_seed(1);
        for size in [1, 2, 63, 64, 65, 100, 128, 200] {
            agree(size, 3_000, &mut rng);
        }
    }

    /// Resilience4j, `FixedSizeSlidingWindowMetricsTest`: two slow calls of five are 40 %.
    #[test]
    fn two_slow_of_five() {
        let mut window = Count::new(5);
        for slow in [false, true, false, true, false] {
            window.record(false, slow);
        }
        assert_eq!(window.counts(), Counts { calls: 5, failed: 0, slow: 2 });
        assert!(window.is_full());
    }

    #[test]
    #[should_panic(expected = "a window over 0 calls")]
    fn a_window_over_nothing_is_a_mistake() {
        let _ = Count::new(0);
    }
}
