//! When to try again.
//!
//! Pauses double from a base up to a cap, so that whoever is struggling is asked less and less.
//! Each is drawn from its upper half ("equal jitter"; Brooker, "Exponential Backoff and Jitter",
//! AWS Architecture Blog, 2015), so that sagas that failed together do not come back together.
//! The draw is a hash of the saga, the step and the attempt: the same history always has the same
//! pauses, and no generator has to be carried around.

use std::time::Duration;

use crate::Id;
use crate::limits::RETRY_CAP_MAX;

/// Exponential backoff, and how many attempts until somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The pause after the first attempt, before jitter.
    pub base: Duration,
    /// The longest pause, before jitter.
    pub cap: Duration,
    /// After this many attempts that surely had no effect, a step before the pivot is given up,
    /// and a step after it or a compensation is listed as stuck and goes on at the slowest pace.
    /// A step whose outcome is unknown is never given up.
    pub attempts: u32,
}

/// What is wrong with a retry policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetryError {
    /// The pauses do not fit.
    #[error(
        "pauses from {base:?} to {cap:?} are not possible: 0 < base <= cap <= {RETRY_CAP_MAX:?}"
    )]
    Pauses {
        /// The first.
        base: Duration,
        /// The longest.
        cap: Duration,
    },
    /// Not even one attempt.
    #[error("at least 1 attempt is needed")]
    Attempts,
}

impl Retry {
    /// 100 ms, doubling up to 60 s, and 7 attempts: about 5 s of patience with somebody who is
    /// away, and one attempt a minute for as long as it takes where giving up is not possible.
    pub const DEFAULT: Self =
        Self { base: Duration::from_millis(100), cap: Duration::from_secs(60), attempts: 7 };

    pub(crate) fn check(&self) -> Result<(), RetryError> {
        let Self { base, cap, attempts } = *self;
        if base.is_zero() || base > cap || cap > RETRY_CAP_MAX {
            return Err(RetryError::Pauses { base, cap });
        }
        if attempts == 0 { Err(RetryError::Attempts) } else { Ok(()) }
    }

    /// The pause after the `attempt`-th attempt (the first is 1) at a step of a saga.
    #[must_use]
    pub fn pause(&self, saga: Id, step: usize, attempt: u32) -> Duration {
        let pause = if attempt >= self.attempts {
            self.cap
        } else {
            let doubled = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
            self.base.saturating_mul(doubled).min(self.cap)
        };
        let half = pause / 2;
        let (high, low) = saga.0.as_u64_pair();
        let seed = high ^ low.rotate_left(17) ^ ((step as u64) << 32 | u64::from(attempt));
        // 32 random bits as a fraction of the upper half.
        let fraction = u128::from(mix(seed) >> 32);
        let jitter = u64::try_from((half.as_micros() * fraction) >> 32).unwrap_or(u64::MAX);
        pause - half + Duration::from_micros(jitter)
    }

    /// The same, but at least as long as the other side has asked to be left alone, up to the
    /// cap. Those who were all told the same time still come back one by one.
    #[must_use]
    pub fn pause_for(
        &self,
        saga: Id,
        step: usize,
        attempt: u32,
        asked: Option<Duration>,
    ) -> Duration {
        let pause = self.pause(saga, step, attempt);
        match asked.map(|asked| asked.min(self.cap)) {
            Some(asked) if asked > pause => asked + pause.min(asked),
            _ => pause,
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The output function of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
const fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use steadfast_time::Uuid;

    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_stay_within_their_upper_half() {
        let id = Id(Uuid::from_u128(7));
        let policy = Retry { attempts: 20, ..Retry::DEFAULT };
        for attempt in 1..=40 {
            let full =
                (policy.base * 2_u32.saturating_pow(attempt - 1).min(1 << 20)).min(policy.cap);
            let pause = policy.pause(id, 3, attempt);
            assert!(pause >= full / 2 && pause <= full, "attempt {attempt}: {pause:?} of {full:?}");
        }
    }

    #[test]
    fn past_its_patience_a_step_goes_at_the_slowest_pace() {
        let policy = Retry { attempts: 1, ..Retry::DEFAULT };
        assert!(policy.pause(Id(Uuid::from_u128(7)), 0, 2) >= policy.cap / 2);
    }

    #[test]
    fn sagas_that_failed_together_spread_out_and_each_repeats_itself() {
        let pause = |n: u128| Retry::DEFAULT.pause(Id(Uuid::from_u128(n)), 0, 5);
        let mut pauses: Vec<Duration> = (0..1_000).map(pause).collect();
        assert_eq!(pauses[9], pause(9));
        pauses.sort();
        let full = Retry::DEFAULT.base * 16;
        // The quartiles of a uniform draw from [full / 2, full].
        for (place, share) in [(250, 5), (500, 6), (750, 7)] {
            let expected = full / 8 * share;
            let error = pauses[place].abs_diff(expected);
            assert!(error < full / 40, "{place}: {:?} instead of {expected:?}", pauses[place]);
        }
        pauses.dedup();
        assert!(pauses.len() > 990);
    }

    #[test]
    fn who_is_asked_to_wait_waits_and_does_not_come_back_with_all_the_others() {
        let policy = Retry::DEFAULT;
        let pause = |n: u128, asked| {
            policy.pause_for(Id(Uuid::from_u128(n)), 0, 2, Some(Duration::from_secs(asked)))
        };
        let mut pauses: Vec<Duration> = (0..100).map(|n| pause(n, 30)).collect();
        assert!(pauses.iter().all(|pause| *pause > Duration::from_secs(30)));
        pauses.sort();
        pauses.dedup();
        assert!(pauses.len() > 90);
        // Nobody is kept waiting for longer than the cap and its own pause.
        assert!(pause(1, 86_400) <= policy.cap * 2);
        assert_eq!(pause(1, 0), policy.pause(Id(Uuid::from_u128(1)), 0, 2));
    }

    #[test]
    fn a_policy_must_make_sense() {
        let second = Duration::from_secs(1);
        for (base, cap) in
            [(Duration::ZERO, second), (second * 2, second), (second, RETRY_CAP_MAX * 2)]
        {
            let policy = Retry { base, cap, attempts: 1 };
            assert_eq!(policy.check(), Err(RetryError::Pauses { base, cap }));
        }
    }
}
