//! What everybody may know about a breaker without taking its lock, in one word.
//!
//! ```text
//! 63            32  29 28 27 26  24 23            0
//! [    period    ][ ][e][s][c][state][    good     ]
//! ```
//!
//! - `good`: good calls that the machine has not been told of yet;
//! - `c`, clean: another good call would change nothing at all;
//! - `s`, steady: it would change no decision, and may simply be added to `good`;
//! - `e`, exhausted: half-open, and all probes are taken.
//!
//! Whoever takes the lock first takes `good` away and clears the three flags, in one step; so
//! nobody can add to a count that has been collected, and all who come meanwhile take the lock
//! too.

use super::State;

const GOOD: u64 = (1 << 24) - 1;
const STATE_SHIFT: u32 = 24;
const STATE: u64 = 0b111 << STATE_SHIFT;
const CLEAN: u64 = 1 << 27;
const STEADY: u64 = 1 << 28;
const EXHAUSTED: u64 = 1 << 29;
const PERIOD_SHIFT: u32 = 32;

/// Good calls that fit into a word.
pub(super) const GOOD_MAX: u32 = GOOD as u32;

/// What stays when the lock is taken.
pub(super) const LOCKED: u64 = !(GOOD | CLEAN | STEADY | EXHAUSTED);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(pub(super) u64);

impl Word {
    pub(super) fn new(state: State, period: u32) -> Self {
        let code: u64 = match state {
            State::Closed => 0,
            State::ForcedClosed => 1,
            State::Open => 2,
            State::HalfOpen => 3,
            State::ForcedOpen => 4,
        };
        Self(u64::from(period) << PERIOD_SHIFT | code << STATE_SHIFT)
    }

    pub(super) const fn flagged(self, clean: bool, steady: bool, exhausted: bool) -> Self {
        let mut bits = self.0;
        if clean {
            bits |= CLEAN;
        }
        if steady {
            bits |= STEADY;
        }
        if exhausted {
            bits |= EXHAUSTED;
        }
        Self(bits)
    }

    pub(super) const fn state(self) -> State {
        match (self.0 & STATE) >> STATE_SHIFT {
            0 => State::Closed,
            1 => State::ForcedClosed,
            2 => State::Open,
            3 => State::HalfOpen,
            _ => State::ForcedOpen,
        }
    }

    /// Whether every call goes through.
    pub(super) const fn is_closed(self) -> bool {
        self.0 & STATE <= 1 << STATE_SHIFT
    }

    pub(super) const fn period(self) -> u32 {
        (self.0 >> PERIOD_SHIFT) as u32
    }

    pub(super) const fn good(self) -> u32 {
        (self.0 & GOOD) as u32
    }

    pub(super) const fn is_clean(self) -> bool {
        self.0 & CLEAN != 0
    }

    pub(super) const fn is_steady(self) -> bool {
        self.0 & STEADY != 0
    }

    pub(super) const fn is_exhausted(self) -> bool {
        self.0 & EXHAUSTED != 0
    }

    /// With one more good call; there must be room.
    pub(super) const fn one_more(self) -> Self {
        Self(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_do_not_touch_each_other() {
        let states =
            [State::Closed, State::ForcedClosed, State::Open, State::HalfOpen, State::ForcedOpen];
        for state in states {
            for period in [0, 1, u32::MAX] {
                let word = Word::new(state, period).flagged(true, true, true);
                let full = Word(word.0 | u64::from(GOOD_MAX));
                assert_eq!((full.state(), full.period(), full.good()), (state, period, GOOD_MAX));
                assert_eq!(word.one_more().good(), 1);
                assert_eq!(Word(full.0 & LOCKED), Word::new(state, period));
                assert!(full.is_clean() && full.is_steady() && full.is_exhausted());
                let bare = Word::new(state, period);
                assert!(!bare.is_clean() && !bare.is_steady() && !bare.is_exhausted());
                let closed = matches!(state, State::Closed | State::ForcedClosed);
                assert_eq!(full.is_closed(), closed);
            }
        }
    }
}
