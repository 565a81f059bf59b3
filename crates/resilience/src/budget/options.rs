//! What a budget is made of.

use std::time::Duration;

use super::terms::{Terms, UNIT};
use crate::Invalid;
use crate::limits::{
    BUDGET_FLOOR_PER_SECOND_MAX, BUDGET_RATIO_MAX, BUDGET_WINDOW_MAX, BUDGET_WINDOW_MIN,
};

/// How many extra attempts calls allow.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Options {
    /// Extra attempts for each call. 0.05, the sources' 5 %, unless told otherwise; from 0 to
    /// [`BUDGET_RATIO_MAX`], in steps of a millionth (a finer number is rounded to the nearest
    /// one).
    pub ratio: f64,
    /// Extra attempts a second beyond that, on average over the window, so that a quiet service
    /// may retry at all: at one call a second the ratio alone comes to half an attempt in ten
    /// seconds, that is to none, ever. 1 unless told otherwise, which is Google's limit of 60
    /// retries a minute for each process (*Site Reliability Engineering*, chapter 22).
    ///
    /// It bends the ratio where traffic is low: with the defaults extra attempts are at most 5.1 %
    /// of 1,000 calls a second, 6 % of 100, 15 % of 10. What a dependency can feel is the sum over
    /// all processes, one a second from each.
    pub floor_per_second: f64,
    /// How far back calls and extra attempts count. 10 s unless told otherwise (Finagle's and
    /// tower's); from [`BUDGET_WINDOW_MIN`] to [`BUDGET_WINDOW_MAX`].
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length"))]
    pub window: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { ratio: 0.05, floor_per_second: 1.0, window: Duration::from_secs(10) }
    }
}

impl Options {
    /// Whether the settings make sense.
    ///
    /// # Errors
    /// The first that does not, with what is allowed.
    pub fn check(&self) -> Result<(), Invalid> {
        let Self { ratio, floor_per_second, window } = *self;
        #[expect(clippy::cast_precision_loss, reason = "a million is exact")]
        let smallest = 1.0 / UNIT as f64;
        if ratio != 0.0 && !(smallest..=BUDGET_RATIO_MAX).contains(&ratio) {
            let allowed = format!("0, or from {smallest} to {BUDGET_RATIO_MAX}");
            return Err(Invalid::new("ratio", ratio, allowed));
        }
        if !(0.0..=BUDGET_FLOOR_PER_SECOND_MAX).contains(&floor_per_second) {
            let allowed = format!("from 0 to {BUDGET_FLOOR_PER_SECOND_MAX}");
            return Err(Invalid::new("floor_per_second", floor_per_second, allowed));
        }
        if !(BUDGET_WINDOW_MIN..=BUDGET_WINDOW_MAX).contains(&window) {
            let allowed = format!("from {BUDGET_WINDOW_MIN:?} to {BUDGET_WINDOW_MAX:?}");
            return Err(Invalid::new("window", format!("{window:?}"), allowed));
        }
        Ok(())
    }

    pub(super) fn terms(&self) -> Result<Terms, Invalid> {
        self.check()?;
        Ok(Terms::new(self.ratio, self.floor_per_second * self.window.as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finagle's `RetryBudgetTest` refuses the same: a window of nothing or of 61 s, a negative
    /// floor, a negative ratio.
    #[test]
    fn what_makes_no_sense_is_refused_with_its_name() {
        let good = Options::default();
        assert_eq!(good.check(), Ok(()));
        let rows = [
            (Options { ratio: -1.0, ..good }, "ratio"),
            (Options { ratio: 10.1, ..good }, "ratio"),
            (Options { ratio: f64::NAN, ..good }, "ratio"),
            (Options { ratio: 1e-7, ..good }, "ratio"),
            (Options { floor_per_second: -1.0, ..good }, "floor_per_second"),
            (Options { floor_per_second: f64::INFINITY, ..good }, "floor_per_second"),
            (Options { window: Duration::ZERO, ..good }, "window"),
            (Options { window: Duration::from_secs(61), ..good }, "window"),
        ];
        for (options, key) in rows {
            assert_eq!(options.check().unwrap_err().key, key, "{options:?}");
        }
        let error = Options { ratio: 12.0, ..good }.check().unwrap_err().within("retry.budget");
        let expected = "retry.budget.ratio = 12: must be 0, or from 0.000001 to 10";
        assert_eq!(error.to_string(), expected);
    }
}
