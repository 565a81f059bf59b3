//! What everybody may know about a breaker without taking its lock, in one word.
//!
//! ```text
//! 63            32     5 4 3  2    0
//! [    period    ][   ][e][s][c][state]
//! ```
//!
//! - `c`, clean: another good call would change nothing at all;
//! - `s`, steady: it would change no decision, and may be written down elsewhere;
//! - `e`, exhausted: half-open, and all probes are taken.
//!
//! Written by whoever holds the lock, when something has changed.

use super::State;

const STATE: u64 = 0b111;
const CLEAN: u64 = 1 << 3;
const STEADY: u64 = 1 << 4;
const EXHAUSTED: u64 = 1 << 5;
const PERIOD_SHIFT: u32 = 32;

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
        Self(u64::from(period) << PERIOD_SHIFT | code)
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
        match self.0 & STATE {
            0 => State::Closed,
            1 => State::ForcedClosed,
            2 => State::Open,
            3 => State::HalfOpen,
            _ => State::ForcedOpen,
        }
    }

    /// Whether every call goes through.
    pub(super) const fn is_closed(self) -> bool {
        self.0 & STATE <= 1
    }

    pub(super) const fn period(self) -> u32 {
        (self.0 >> PERIOD_SHIFT) as u32
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
                let bare = Word::new(state, period);
                let word = bare.flagged(true, true, true);
                assert_eq!((word.state(), word.period()), (state, period));
                assert!(word.is_clean() && word.is_steady() && word.is_exhausted());
                assert!(!bare.is_clean() && !bare.is_steady() && !bare.is_exhausted());
                let closed = matches!(state, State::Closed | State::ForcedClosed);
                assert_eq!(word.is_closed(), closed);
            }
        }
    }
}
