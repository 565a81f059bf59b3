//! What a policy has done, as numbers.

use std::collections::VecDeque;
use std::time::Duration;

use steadfast_time::Monotonic;

use crate::Share;
use crate::sync::{AtomicU64, Ordering};

/// How often each thing has happened since the start. Only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls made.
    pub calls: u64,
    /// Attempts that reached the other side: first ones, retries and hedges. Those that wait for a
    /// place in the bulkhead at this moment are among them already.
    pub attempts: u64,
    /// Attempts that the other side failed, timeouts included.
    pub failures: u64,
    /// Attempts that got no answer in time.
    pub timeouts: u64,
    /// Attempts that a policy did not let through.
    pub refusals: u64,
    /// Retries issued.
    pub retries: u64,
    /// Hedges issued.
    pub hedges: u64,
    /// Hedges that answered first.
    pub hedges_won: u64,
}

impl Counters {
    /// What has happened since an earlier reading.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            calls: self.calls.saturating_sub(earlier.calls),
            attempts: self.attempts.saturating_sub(earlier.attempts),
            failures: self.failures.saturating_sub(earlier.failures),
            timeouts: self.timeouts.saturating_sub(earlier.timeouts),
            refusals: self.refusals.saturating_sub(earlier.refusals),
            retries: self.retries.saturating_sub(earlier.retries),
            hedges: self.hedges.saturating_sub(earlier.hedges),
            hedges_won: self.hedges_won.saturating_sub(earlier.hedges_won),
        }
    }

    /// As the sources' indicators.
    #[must_use]
    pub fn indicators(&self) -> Indicators {
        Indicators {
            attempts: self.attempts,
            timeout_rate: Share::of(self.timeouts, self.attempts),
            retry_rate: Share::of(self.retries, self.attempts),
            hedged_share: Share::of(self.hedges, self.attempts),
        }
    }
}

/// The sources' indicators of a dependency.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Indicators {
    /// Attempts that they rest on.
    pub attempts: u64,
    /// `dep.timeout_rate`: attempts without an answer in time, of all that were sent. Objective:
    /// below 0.2 %.
    pub timeout_rate: Share,
    /// `dep.retry_rate`: retries, of all attempts that were sent. Objective: at most 5 %, the
    /// budget; its floor lets a quiet dependency have more.
    pub retry_rate: Share,
    /// `hedged_share`: hedges, of all attempts that were sent. Objective: at most 2 %.
    pub hedged_share: Share,
}

/// The counters, shared.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) calls: AtomicU64,
    /// Attempts after the first, whoever decided on them.
    pub(super) repeats: AtomicU64,
    /// Attempts that were given up while they waited for a place.
    pub(super) unsent: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) timeouts: AtomicU64,
    pub(super) refusals: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) hedges: AtomicU64,
    pub(super) hedges_won: AtomicU64,
}

/// One more. Counters are read for information only, so no order is needed.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Shared {
    pub(super) fn read(&self) -> Counters {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Whatever is counted before something else is read after it, so that no difference
        // below is negative by more than what is under way.
        let (refusals, unsent) = (of(&self.refusals), of(&self.unsent));
        let (hedges, repeats, calls) = (of(&self.hedges), of(&self.repeats), of(&self.calls));
        Counters {
            calls,
            // Each call, repetition and hedge is one attempt, unless it was refused or given up
            // before: this saves the good case a counter.
            attempts: (calls + repeats + hedges).saturating_sub(refusals + unsent),
            failures: of(&self.failures),
            timeouts: of(&self.timeouts),
            refusals,
            retries: of(&self.retries),
            hedges,
            hedges_won: of(&self.hedges_won),
        }
    }
}

/// Counters over a rolling window: readings taken now and then, and the difference between now and
/// the one that lies a window back. As exact as the readings are frequent.
#[derive(Debug)]
pub struct Rolling {
    window: Duration,
    every: Duration,
    /// One before the window, unless it has not been open for so long, and those within it.
    readings: VecDeque<(Monotonic, Counters)>,
}

impl Rolling {
    /// Over `window`, in `steps` steps (at least one).
    #[must_use]
    pub fn new(window: Duration, steps: u32) -> Self {
        let readings = VecDeque::from([(Monotonic::default(), Counters::default())]);
        Self { window, every: window / steps.max(1), readings }
    }

    /// Takes a reading, unless the last one is still fresh.
    pub fn sample(&mut self, now: Monotonic, counters: Counters) {
        let fresh = self.readings.back().is_some_and(|(at, _)| now - *at < self.every);
        if fresh {
            return;
        }
        self.readings.push_back((now, counters));
        // The oldest has served when the one after it is a window old.
        while self.readings.get(1).is_some_and(|(at, _)| now - *at >= self.window) {
            self.readings.pop_front();
        }
    }

    /// What has happened within the window: since the oldest reading kept, at the most one step
    /// more than the window.
    #[must_use]
    pub fn within(&self, counters: &Counters) -> Counters {
        self.readings.front().map_or(*counters, |(_, earlier)| counters.since(earlier))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(calls: u64, retries: u64) -> Counters {
        Counters { calls, attempts: calls + retries, retries, ..Counters::default() }
    }

    #[test]
    fn indicators_are_shares_of_what_was_sent() {
        let counters = Counters { timeouts: 2, hedges: 10, ..calls(950, 50) };
        let indicators = counters.indicators();
        assert_eq!(indicators.timeout_rate.get(), 0.002);
        assert_eq!(indicators.retry_rate, Share::of(50, 1_000));
        assert_eq!(indicators.hedged_share, Share::of(10, 1_000));
        assert_eq!(Counters::default().indicators(), Indicators::default());
    }

    #[test]
    fn a_rolling_window_forgets() {
        let at = |seconds| Monotonic::from_start(Duration::from_secs(seconds));
        let mut rolling = Rolling::new(Duration::from_secs(60), 6);
        // Ten calls a second, with retries in the first half minute only.
        for second in 0..=120 {
            let counters = calls(second * 10, second.min(30));
            rolling.sample(at(second), counters);
            let within = rolling.within(&counters);
            match second {
                30 => assert_eq!((within.calls, within.retries), (300, 30)),
                60 => assert_eq!((within.calls, within.retries), (600, 30)),
                120 => assert_eq!((within.calls, within.retries), (600, 0)),
                _ => assert!(within.calls <= 700),
            }
        }
    }
}
