//! When it is too much.

use std::time::Duration;

use steadfast_time::Monotonic;

/// Tells a burst, which a queue is for, from more work than can be done, which a queue makes worse.
///
/// It begins when for a whole interval there was always somebody who had waited for longer than
/// the target (CoDel's rule, applied to whoever has waited longest). It ends when a worker comes
/// and finds nobody waiting: there is capacity to spare again. That is Facebook's sign ("when was
/// the queue last empty?"), and unlike a short wait it does not appear merely because waiting work
/// is being thrown away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overload {
    target: Duration,
    interval: Duration,
    /// Since when somebody has always waited for longer than the target.
    above_since: Option<Monotonic>,
    begun: bool,
}

impl Overload {
    pub(super) const fn new(target: Duration, interval: Duration) -> Self {
        Self { target, interval, above_since: None, begun: false }
    }

    /// Looks at whoever has waited longest. To be called before and after each change to the queue.
    pub(super) fn observe(&mut self, now: Monotonic, oldest: Option<Monotonic>) {
        match oldest.map(|since| since + self.target) {
            Some(crossed) if crossed < now => {
                let above_since = *self.above_since.get_or_insert(crossed);
                self.begun |= now - above_since >= self.interval;
            }
            _ => self.above_since = None,
        }
    }

    /// A worker found nobody waiting.
    pub(super) const fn spare(&mut self) {
        self.begun = false;
    }

    pub(super) const fn has_begun(&self) -> bool {
        self.begun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_millis(millis))
    }

    fn overload() -> Overload {
        Overload::new(Duration::from_millis(5), Duration::from_millis(100))
    }

    #[test]
    fn it_begins_when_waits_have_been_long_for_an_interval_and_ends_with_spare_capacity() {
        let mut overload = overload();
        // Somebody else each time, but always somebody.
        for now in (6..105).step_by(3) {
            overload.observe(at(now), Some(at(now - 6)));
            assert!(!overload.has_begun(), "at {now} ms");
        }
        overload.observe(at(105), Some(at(90)));
        assert!(overload.has_begun());
        overload.observe(at(106), None);
        overload.observe(at(107), Some(at(107)));
        assert!(overload.has_begun(), "a short wait is no spare capacity");
        overload.spare();
        assert!(!overload.has_begun());
    }

    #[test]
    fn a_burst_that_is_worked_off_is_none() {
        let mut overload = overload();
        for burst in (0..1_000).step_by(100) {
            overload.observe(at(burst + 90), Some(at(burst)));
            assert!(!overload.has_begun());
            overload.observe(at(burst + 95), Some(at(burst + 90)));
        }
    }
}
