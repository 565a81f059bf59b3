//! How far clocks were apart lately.

use std::collections::VecDeque;
use std::time::Duration;

use crate::limits::SKEWS_MAX;

/// The last 1,024 skews.
#[derive(Clone, Debug, Default)]
pub struct Skews {
    window: VecDeque<Duration>,
}

impl Skews {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one; the oldest falls out.
    pub fn record(&mut self, skew: Duration) {
        if self.window.len() == SKEWS_MAX {
            self.window.pop_front();
        }
        self.window.push_back(skew);
    }

    /// What 99 of 100 stayed within (nearest rank).
    #[must_use]
    pub fn p99(&self) -> Option<Duration> {
        let mut sorted: Vec<Duration> = self.window.iter().copied().collect();
        sorted.sort_unstable();
        let rank = (sorted.len() * 99).div_ceil(100);
        sorted.get(rank.checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_p99_slides() {
        let mut skews = Skews::new();
        assert_eq!(skews.p99(), None);
        (1..=100).for_each(|ms| skews.record(Duration::from_millis(ms)));
        assert_eq!(skews.p99(), Some(Duration::from_millis(99)));
        (0..SKEWS_MAX).for_each(|_| skews.record(Duration::from_millis(1)));
        assert_eq!(skews.p99(), Some(Duration::from_millis(1)), "the old ones are gone");
    }
}
