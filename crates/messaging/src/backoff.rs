//! Waiting longer after each failure.

use std::time::Duration;

/// Doubles from `first` up to `most`.
///
/// There is no jitter: each wait belongs to one key or one relay, which compete with nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
}

impl Backoff {
    /// The wait after so many failures in a row; none after zero.
    #[must_use]
    pub fn after(self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else {
            return Duration::ZERO;
        };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_stay_below_the_cap() {
        let backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(1) };
        let waits: Vec<_> = (0..7).map(|n| backoff.after(n).as_millis()).collect();
        assert_eq!(waits, [0, 100, 200, 400, 800, 1_000, 1_000]);
        assert_eq!(backoff.after(u32::MAX), Duration::from_secs(1));
    }
}
