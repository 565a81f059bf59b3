//! The arithmetic of a budget: whole millionths, so that any percentage comes out exact.

use super::Figures;

/// One call, and one extra attempt, in the unit of the arithmetic: a millionth.
pub(super) const UNIT: u64 = 1_000_000;

/// Bits that count extra attempts within a window; the others of 64 count calls.
///
/// 2³⁶ calls within the longest window of a minute would be one in 0.9 ns, which no processor can
/// count; extra attempts are refused before they outgrow their bits.
const EXTRA_BITS: u32 = 28;

/// Extra attempts within one window at most.
pub(super) const EXTRA_MAX: u64 = (1 << EXTRA_BITS) - 1;

/// Calls within one window at most.
const CALLS_MAX: u64 = u64::MAX >> EXTRA_BITS;

/// Calls and extra attempts within a window, both in one word: whoever compares and swaps it
/// checks and takes in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally(pub(super) u64);

impl Tally {
    /// One call.
    pub(super) const CALL: Self = Self(1 << EXTRA_BITS);

    /// One extra attempt.
    pub(super) const EXTRA: Self = Self(1);

    pub(super) const fn new([calls, extra]: [u64; 2]) -> Self {
        Self((calls & CALLS_MAX) << EXTRA_BITS | (extra & EXTRA_MAX))
    }

    pub(super) const fn calls(self) -> u64 {
        self.0 >> EXTRA_BITS
    }

    pub(super) const fn extra(self) -> u64 {
        self.0 & EXTRA_MAX
    }

    /// What has been counted here and not in `known`, which came before.
    pub(super) const fn beyond(self, known: Self) -> [u64; 2] {
        let both = Self(self.0.wrapping_sub(known.0));
        [both.calls(), both.extra()]
    }
}

/// What calls allow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Extra attempts for each call, in millionths.
    ratio: u64,
    /// Extra attempts in each window beyond that, in millionths.
    floor: u64,
}

impl Terms {
    /// From numbers that have been checked.
    pub(super) fn new(ratio: f64, floor: f64) -> Self {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked: from 0 to less than 2^40"
        )]
        let millionths = |number: f64| (number * UNIT as f64).round() as u64;
        Self { ratio: millionths(ratio), floor: millionths(floor) }
    }

    /// In millionths. At most 10 · 10⁶ · 2³⁶ and a little: it fits.
    const fn allowance(self, calls: u64) -> u64 {
        self.floor + self.ratio * calls
    }

    /// Whether there is room for one more extra attempt.
    pub(super) const fn permit(self, tally: Tally) -> bool {
        let extra = tally.extra();
        extra < EXTRA_MAX && (extra + 1) * UNIT <= self.allowance(tally.calls())
    }

    pub(super) fn figures(self, tally: Tally) -> Figures {
        let (calls, extra) = (tally.calls(), tally.extra());
        Figures { calls, extra, allowed: (self.allowance(calls) / UNIT).min(EXTRA_MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_counters_live_in_one_word() {
        let tally = Tally::new([7, 3]);
        assert_eq!((tally.calls(), tally.extra()), (7, 3));
        assert_eq!(Tally(tally.0 + Tally::CALL.0 + Tally::EXTRA.0), Tally::new([8, 4]));
        assert_eq!(Tally::new([8, 4]).beyond(tally), [1, 1]);
        let most = Tally::new([CALLS_MAX, EXTRA_MAX]);
        assert_eq!((most.calls(), most.extra()), (CALLS_MAX, EXTRA_MAX));
        // A call too many starts the calls anew and leaves the extra attempts alone.
        let wrapped = Tally(most.0.wrapping_add(Tally::CALL.0));
        assert_eq!((wrapped.calls(), wrapped.extra()), (0, EXTRA_MAX));
    }

    #[test]
    fn nothing_overflows_at_the_limits() {
        let terms = Terms::new(10.0, 10_000.0 * 60.0);
        let most = Tally::new([CALLS_MAX, EXTRA_MAX]);
        assert!(!terms.permit(most));
        assert!(terms.permit(Tally::new([CALLS_MAX, EXTRA_MAX - 1])));
        assert_eq!(terms.figures(most).allowed, EXTRA_MAX);
    }
}
