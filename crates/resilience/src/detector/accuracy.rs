//! How often a detector is wrong.

use std::time::Duration;

use steadfast_time::Monotonic;

use crate::window::Time;

/// The sources' objective for `fd.false_suspect_rate`: below 0.1 % per hour, that is, fewer than
/// one false suspicion in a thousand peer-hours.
pub const FALSE_SUSPECT_RATE_MAX: f64 = 0.001;

/// How far back the rate looks, and in how many steps (of five minutes).
const LOOKS_BACK: Duration = Duration::from_secs(24 * 3_600);
const STEPS: u32 = 288;

/// What a [`super::Monitor`] has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Peers watched now, the suspected ones included.
    pub watched: usize,
    /// Peers suspected now.
    pub suspected: usize,
    /// How often a peer has become suspected.
    pub suspicions: u64,
    /// How often a suspected peer turned out to have been alive all the time.
    pub false_suspicions: u64,
    /// The time that peers were watched and trusted, added up over all of them: one peer for two
    /// hours is as much as two peers for one. This process's own stalls are left out.
    pub peer_time: Duration,
    /// How often this process stood still.
    pub stalls: u64,
    /// For how long, in all.
    pub stalled: Duration,
}

/// Keeps the books of a monitor.
#[derive(Clone, Debug)]
pub(super) struct Accuracy {
    counts: Counts,
    /// Up to when peer time has been counted.
    until: Monotonic,
    /// False suspicions, and peer time in milliseconds, lately.
    lately: Time<2>,
}

impl Accuracy {
    pub(super) fn new() -> Self {
        let until = Monotonic::default();
        Self { counts: Counts::default(), until, lately: Time::new(LOOKS_BACK, STEPS) }
    }

    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    /// Counts the time until now. To be called before the number of trusted peers changes.
    pub(super) fn settle(&mut self, now: Monotonic) {
        let trusted = self.counts.watched - self.counts.suspected;
        // Whole milliseconds, so that nothing is lost between the two sums.
        let millis = (now - self.until).as_millis();
        let passed = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
        self.until = self.until + passed;
        let trusted = u32::try_from(trusted).unwrap_or(u32::MAX);
        let peer_time = passed.saturating_mul(trusted);
        self.counts.peer_time = self.counts.peer_time.saturating_add(peer_time);
        self.lately.add(now, [0, u64::try_from(peer_time.as_millis()).unwrap_or(u64::MAX)]);
    }

    /// This process stood still for `length` until now: nobody was watched.
    pub(super) fn stalled(&mut self, now: Monotonic, length: Duration) {
        let began = Monotonic::from_start(now.since_start().saturating_sub(length));
        self.settle(began);
        self.until = self.until.max(now);
        self.counts.stalls += 1;
        self.counts.stalled = self.counts.stalled.saturating_add(length);
    }

    pub(super) fn watched(&mut self, now: Monotonic) {
        self.settle(now);
        self.counts.watched += 1;
    }

    pub(super) fn forgotten(&mut self, now: Monotonic, was_suspected: bool) {
        self.settle(now);
        self.counts.watched -= 1;
        self.counts.suspected -= usize::from(was_suspected);
    }

    pub(super) fn suspected(&mut self, now: Monotonic) {
        self.settle(now);
        self.counts.suspected += 1;
        self.counts.suspicions += 1;
    }

    pub(super) fn trusted(&mut self, now: Monotonic, was_false: bool) {
        self.settle(now);
        self.counts.suspected -= 1;
        if was_false {
            self.counts.false_suspicions += 1;
            self.lately.add(now, [1, 0]);
        }
    }

    /// False suspicions per peer-hour, over the last day.
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
    pub(super) fn false_suspect_rate(&mut self, now: Monotonic) -> f64 {
        self.settle(now);
        let [false_suspicions, peer_ms] = self.lately.totals(now);
        if peer_ms == 0 { 0.0 } else { false_suspicions as f64 / (peer_ms as f64 / 3.6e6) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn the_rate_is_per_peer_and_hour() {
        let mut books = Accuracy::new();
        (0..100).for_each(|_| books.watched(at(0)));
        books.suspected(at(3_600));
        books.trusted(at(3_600), true);
        // One in a hundred peer-hours is ten times what the sources allow.
        let rate = books.false_suspect_rate(at(3_600));
        assert!((rate - 0.01).abs() < 1e-9, "{rate}");
        assert!(rate > FALSE_SUSPECT_RATE_MAX);
        // A thousand peer-hours are reached after ten hours.
        let rate = books.false_suspect_rate(at(36_000));
        assert!((rate - 0.001).abs() < 1e-9, "{rate}");
        // After a day it is history, but it stays counted.
        assert_eq!(books.false_suspect_rate(at(30 * 3_600)), 0.0);
        assert_eq!(books.counts().false_suspicions, 1);
    }

    #[test]
    fn time_counts_only_while_a_peer_is_trusted_and_this_process_runs() {
        let mut books = Accuracy::new();
        books.watched(at(0));
        books.watched(at(0));
        books.suspected(at(100));
        // One is suspected for 50 s, all the world stands still for 40 s of the next 90.
        books.trusted(at(150), false);
        books.stalled(at(240), Duration::from_secs(40));
        books.forgotten(at(250), false);
        books.settle(at(260));
        let expected = 2 * 100 + 50 + 2 * (90 - 40) + 2 * 10 + 10;
        assert_eq!(books.counts().peer_time, Duration::from_secs(expected));
        assert_eq!(books.counts().false_suspicions, 0);
        assert_eq!(books.counts().stalled, Duration::from_secs(40));
    }

    #[test]
    fn nothing_watched_has_no_rate() {
        assert_eq!(Accuracy::new().false_suspect_rate(at(1_000)), 0.0);
    }
}
