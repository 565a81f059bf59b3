//! Time-ordered identifiers.

use std::sync::Mutex;

use fastrand::Rng;
use uuid::Uuid;

use crate::Timestamp;

/// Makes UUIDs of version 7 (RFC 9562, section 5.7): a millisecond timestamp, then a counter,
/// then random bits. Those of one source sort in the order in which they were made, also when
/// the wall clock steps back, which keeps the pages of an index that holds them close together.
pub struct Ids {
    state: Mutex<State>,
}

struct State {
    rng: Rng,
    /// Milliseconds (48 bits) and counter (12 bits) of the last identifier, as one number.
    last: u64,
}

impl Ids {
    /// A source whose random bits come from the operating system's generator.
    #[must_use]
    pub fn from_entropy() -> Self {
        let (high, low) = Uuid::new_v4().as_u64_pair();
        Self::seeded(high ^ low.rotate_left(32))
    }

    /// A source that repeats itself, for simulation.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { state: Mutex::new(State { rng: Rng::with_seed(seed), last: 0 }) }
    }

    /// The next identifier; `now` should be the current time.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Uuid {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let millis = u64::try_from(now.as_millis()).unwrap_or(0) & 0xFFFF_FFFF_FFFF;
        state.last = (millis << 12).max(state.last + 1);
        let last = state.last;
        let random = state.rng.u64(..) >> 2;
        let high = ((last >> 12) << 16) | 0x7000 | (last & 0xFFF);
        Uuid::from_u64_pair(high, (1 << 63) | random)
    }
}

impl std::fmt::Debug for Ids {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ids").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_version_7_and_sorted_even_when_the_clock_steps_back() {
        let ids = Ids::seeded(1);
        let mut last = Uuid::nil();
        for step in 0..20_000_i64 {
            let now = Timestamp::from_millis(1_790_000_000_000 - step % 7);
            let id = ids.next(now);
            assert_eq!(id.get_version_num(), 7);
            assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
            assert!(id > last, "{id} after {last}");
            last = id;
        }
    }

    #[test]
    fn a_seed_repeats_itself() {
        let now = Timestamp::from_millis(5);
        assert_eq!(Ids::seeded(9).next(now), Ids::seeded(9).next(now));
        assert_ne!(Ids::seeded(9).next(now), Ids::seeded(8).next(now));
    }
}
