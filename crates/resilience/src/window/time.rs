//! The last seconds.

use std::collections::VecDeque;
use std::time::Duration;

use steadfast_time::Monotonic;

use super::{nanos, nanos_in};
use crate::limits::TIME_WINDOW_SLICES_MAX;

/// In how many slices a window is cut unless told otherwise: it slides in steps of a thousandth
/// of its length.
pub const SLICES: u32 = 1_000;

/// `N` counters over the last `length`, which slides in steps of one slice and is exact at each
/// step: what was added is counted from then on until it is `length` old, less the part of a
/// slice that had passed when it was added.
///
/// Only slices in which something happened are kept, oldest first. So a call pushes one at most
/// and each is popped once: O(1) amortised, and a silence longer than the window costs O(1) too.
#[derive(Clone, Debug)]
pub struct Time<const N: usize> {
    /// A slice's length, in nanoseconds.
    step: u64,
    slices: u64,
    /// Number of the newest slice, counted from the clock's start, and when it ends.
    newest: u64,
    newest_end: u64,
    totals: [u64; N],
    /// Slices in which something happened, and what.
    kept: VecDeque<(u64, [u64; N])>,
}

impl<const N: usize> Time<N> {
    /// An empty window over the last `length`, cut into `slices`.
    ///
    /// A slice lasts a whole number of nanoseconds, rounded up; so the window may be longer than
    /// `length` by less than a nanosecond a slice.
    ///
    /// # Panics
    /// `length` is zero, or `slices` is 0 or above [`TIME_WINDOW_SLICES_MAX`].
    #[must_use]
    pub fn new(length: Duration, slices: u32) -> Self {
        assert!(!length.is_zero(), "a window over no time at all");
        assert!(
            (1..=TIME_WINDOW_SLICES_MAX).contains(&slices),
            "a window of {slices} slices: must be 1 to {TIME_WINDOW_SLICES_MAX}"
        );
        let step = nanos_in(length).div_ceil(u64::from(slices));
        Self {
            step,
            slices: u64::from(slices),
            newest: 0,
            newest_end: step,
            totals: [0; N],
            kept: VecDeque::with_capacity(slices as usize),
        }
    }

    /// Adds to the counters. A moment before the newest one (another thread's clock reading came
    /// late) counts as the newest.
    pub fn add(&mut self, now: Monotonic, amounts: [u64; N]) {
        self.slide(nanos(now));
        for (total, amount) in self.totals.iter_mut().zip(amounts) {
            *total = total.wrapping_add(amount);
        }
        match self.kept.back_mut() {
            Some((slice, sums)) if *slice == self.newest => {
                for (sum, amount) in sums.iter_mut().zip(amounts) {
                    *sum = sum.wrapping_add(amount);
                }
            }
            _ => self.kept.push_back((self.newest, amounts)),
        }
    }

    /// The counters' sums over the window that ends now.
    pub fn totals(&mut self, now: Monotonic) -> [u64; N] {
        self.slide(nanos(now));
        self.totals
    }

    /// How far it slides at a time.
    #[must_use]
    pub const fn step(&self) -> Duration {
        Duration::from_nanos(self.step)
    }

    /// How far it looks back.
    #[must_use]
    pub const fn length(&self) -> Duration {
        Duration::from_nanos(self.step.saturating_mul(self.slices))
    }

    /// The counters' sums as of the newest moment that was seen.
    pub(crate) const fn sums(&self) -> [u64; N] {
        self.totals
    }

    /// When the newest slice ends, in nanoseconds since the clock's start. Until then, whatever is
    /// added joins the same slice.
    pub(crate) const fn newest_end(&self) -> u64 {
        self.newest_end
    }

    /// Forgets everything that was added.
    pub fn clear(&mut self) {
        self.totals = [0; N];
        self.kept.clear();
    }

    fn slide(&mut self, now: u64) {
        if now < self.newest_end {
            return;
        }
        self.newest = now / self.step;
        self.newest_end = self.newest.saturating_add(1).saturating_mul(self.step);
        match self.kept.back() {
            None => return,
            Some((last, _)) if self.newest - last >= self.slices => return self.clear(),
            Some(_) => {}
        }
        while let Some((slice, sums)) = self.kept.front()
            && self.newest - slice >= self.slices
        {
            for (total, sum) in self.totals.iter_mut().zip(sums) {
                *total = total.wrapping_sub(*sum);
            }
            self.kept.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_nanos(nanos))
    }

    /// Everything that was ever added, with its moment.
    struct Log {
        step: u64,
        slices: u64,
        newest: u64,
        added: Vec<(u64, [u64; 2])>,
    }

    impl Log {
        fn slice(&mut self, now: u64) -> u64 {
            self.newest = self.newest.max(now);
            self.newest / self.step
        }

        fn add(&mut self, now: u64, amounts: [u64; 2]) {
            let slice = self.slice(now);
            self.added.push((slice, amounts));
        }

        fn totals(&mut self, now: u64) -> [u64; 2] {
            let newest = self.slice(now);
            self.added.retain(|(slice, _)| slice + self.slices > newest);
            self.added.iter().fold([0, 0], |[a, b], (_, [x, y])| [a + x, b + y])
        }
    }

    #[test]
    fn it_agrees_with_a_log_of_everything_also_when_the_clock_steps_back() {
        let mut rng = fastrand::Rng::with_seed(7);
        for (length, slices) in [(1_000, 10), (1_000, 1_000), (997, 10), (50, 1), (3, 1_000)] {
            let mut window = Time::<2>::new(Duration::from_nanos(length), slices);
            let step = length.div_ceil(u64::from(slices));
            let mut log = Log { step, slices: u64::from(slices), newest: 0, added: Vec::new() };
            let mut now = 0_u64;
            for _ in 0..20_000 {
                now = match rng.u8(..100) {
                    0 => now + rng.u64(..5_000),
                    1..20 => now.saturating_sub(rng.u64(..300)),
                    _ => now + rng.u64(..60),
                };
                if rng.u32(..2_000) == 0 {
                    window.clear();
                    log.added.clear();
                }
                if rng.bool() {
                    let amounts = [rng.u64(..3), rng.u64(..2)];
                    window.add(at(now), amounts);
                    log.add(now, amounts);
                }
                assert_eq!(window.totals(at(now)), log.totals(now), "at {now} of {length}");
                assert!(window.kept.len() <= slices as usize);
            }
        }
    }

    #[test]
    fn what_was_added_leaves_on_time_and_nothing_is_allocated_on_the_way() {
        let mut window = Time::<1>::new(Duration::from_secs(10), SLICES);
        assert_eq!(window.step(), Duration::from_millis(10));
        let capacity = window.kept.capacity();
        let ms = 1_000_000;
        for step in 0..5_000 {
            window.add(at(step * 10 * ms), [1]);
        }
        let last = 4_999 * 10 * ms;
        assert_eq!(window.totals(at(last)), [1_000]);
        assert_eq!(window.totals(at(last + 10 * ms)), [999]);
        assert_eq!(window.totals(at(last + 9_990 * ms)), [1]);
        assert_eq!(window.totals(at(last + 10_000 * ms)), [0]);
        assert_eq!(window.kept.capacity(), capacity);
    }

    #[test]
    fn a_clock_at_the_end_of_its_range_does_no_harm() {
        for length in [Duration::from_secs(10), Duration::from_nanos(1), Duration::MAX] {
            let mut window = Time::<1>::new(length, SLICES);
            window.add(Monotonic::from_start(Duration::MAX), [1]);
            assert_eq!(window.totals(Monotonic::from_start(Duration::MAX)), [1]);
            assert_eq!(window.totals(at(0)), [1]);
        }
    }
}
