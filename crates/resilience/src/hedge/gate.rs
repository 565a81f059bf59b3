//! Whether a second attempt is worth it: the machine.

use std::time::Duration;

use steadfast_time::Monotonic;

use super::{Delay, Options, Withheld};
use crate::window::Time;
use crate::{Invalid, Share, budget};

/// What is known of a call when it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Doing it twice is the same as doing it once.
    pub repeatable: bool,
    /// The caller is repeating itself already.
    pub repeated: bool,
    /// How much time is left until the answer is needed; `None` when nobody says.
    pub left: Option<Duration>,
}

/// What has been observed of calls lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// How many were answered.
    pub observed: u64,
    /// What half of them took at most: the least that a second attempt should have.
    pub median: Option<Duration>,
    /// What 95 % of them took at most.
    pub p95: Option<Duration>,
    /// What the share that [`Delay::Quantile`] names took at most.
    pub delay: Option<Duration>,
}

/// The gates that a hedge has to pass, and the count of those that did.
#[derive(Clone, Debug)]
pub struct Gate {
    options: Options,
    /// Calls and hedges.
    window: Time<2>,
}

impl Gate {
    /// One that has let nothing through.
    ///
    /// # Errors
    /// An option makes no sense.
    pub fn new(options: Options) -> Result<Self, Invalid> {
        options.check()?;
        let window = Time::new(options.lately.window, options.lately.slices);
        Ok(Self { options, window })
    }

    /// Counts calls that began.
    pub fn called(&mut self, now: Monotonic, calls: u64) {
        self.window.add(now, [calls, 0]);
    }

    /// Of the calls lately, how many were hedged.
    #[must_use]
    pub fn share(&mut self, now: Monotonic) -> Share {
        let [calls, hedged] = self.window.totals(now);
        Share::of(hedged, calls)
    }

    /// After how long a call that begins now may be hedged, as far as can be known when it begins.
    /// Most calls end here: for them no timer is made and no request is copied.
    ///
    /// # Errors
    /// It may not, and why.
    pub fn plan(options: &Options, figures: &Figures, call: Call) -> Result<Duration, Withheld> {
        let Figures { observed, median, p95, delay } = *figures;
        if !call.repeatable {
            return Err(Withheld::NotIdempotent);
        }
        if call.repeated {
            return Err(Withheld::Nested);
        }
        let unknown = Withheld::Unknown { observed, needed: options.observed_min };
        if observed < options.observed_min {
            return Err(unknown);
        }
        let (Some(median), Some(p95), Some(quantile)) = (median, p95, delay) else {
            return Err(unknown);
        };
        if p95 <= options.p95_above {
            return Err(Withheld::Fast { p95, threshold: options.p95_above });
        }
        let delay = match options.delay {
            Delay::Quantile(_) => quantile,
            Delay::Fixed(delay) => delay,
        };
        match call.left {
            Some(left) if left < delay.saturating_add(median) => Err(Withheld::Deadline { left }),
            _ => Ok(delay),
        }
    }

    /// Whether a call whose delay is over gets its second attempt now; if so, it is counted.
    /// `take` takes it from the budget that it shares with retries, and is asked last.
    ///
    /// # Errors
    /// It does not, and why. Nothing is counted.
    pub fn issue(
        &mut self,
        now: Monotonic,
        figures: &Figures,
        call: Call,
        error_budget: Share,
        take: impl FnOnce() -> Result<(), budget::Spent>,
    ) -> Result<(), Withheld> {
        let options = Options { delay: Delay::Fixed(Duration::ZERO), ..self.options };
        Self::plan(&options, figures, call)?;
        let needed = options.error_budget_above;
        if error_budget <= needed {
            return Err(Withheld::ErrorBudget { left: error_budget, needed });
        }
        let [calls, hedged] = self.window.totals(now);
        if !within(hedged + 1, calls, options.share_max) {
            let share = Share::of(hedged, calls);
            return Err(Withheld::Share { share, max: options.share_max });
        }
        take().map_err(Withheld::Budget)?;
        self.window.add(now, [0, 1]);
        Ok(())
    }
}

/// Whether so many hedges are no more than the share of so many calls.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53 calls")]
fn within(hedged: u64, calls: u64, max: Share) -> bool {
    // 2 % of 50 calls is one hedge, whatever the last bit of the product says.
    hedged as f64 <= max.get() * calls as f64 + 1e-9
}
