//! How much failure is still allowed: a service-level objective and its error budget.
//!
//! An objective of 99.9 % over thirty days says that one call in a thousand may fail. That
//! thousandth is a budget, and whoever wants to take a risk (a hedge that doubles a call, a
//! release, an experiment) first looks at what is left of it:
//!
//! > left = 1 − bad / (total · (1 − target)), and all of it while nothing has been observed
//!
//! The *burn rate* is the share of bad calls over a shorter window in units of what the objective
//! allows: at 1 the budget lasts exactly as long as its window, at 14.4 an hour spends 2 % of
//! thirty days' (Google, *The Site Reliability Workbook*, chapter 5).
//!
//! [`Objective`] is the machine, [`Shared`] the same for many threads. It lives in memory: after a
//! restart the budget is whole again, unless what a journal or Prometheus remembers is put back
//! with [`Objective::add`]. And it is strict about small numbers: if the first call fails, the
//! budget is spent until a thousand others have gone well; gates that read it should also ask for
//! a minimum of calls, as [`crate::hedge`] does.
//!
//! **When to use it:** to look before taking a risk, in the process that takes it. **When not:** as
//! the record of what was promised (that wants storage and an alarm), nor for something so rare
//! that one failure is the whole budget.
//!
//! **What it costs:** recording in [`Shared`] is one atomic addition and some loads: 6 ns, on two
//! threads 10 to 15 (`benches/timeout.rs`). 19 KiB: thirty days slide in steps of an hour, the hour
//! of the burn rate in steps of a minute.
//!
//! ```
//! use steadfast_resilience::{Share, objective};
//! use steadfast_time::Monotonic;
//!
//! let now = Monotonic::default();
//! let mut objective = objective::Objective::new(objective::Options::default())?;
//! assert_eq!(objective.left(now), Share::ALL);
//! for call in 0..10_000 {
//!     objective.record(now, call % 2_000 != 0); // 5 bad ones, and 10 are allowed
//! }
//! assert!((objective.left(now).get() - 0.5).abs() < 1e-9);
//! # Ok::<(), steadfast_resilience::Invalid>(())
//! ```

#[cfg(all(test, steadfast_loom))]
mod loom_tests;
mod shared;
#[cfg(test)]
#[cfg(not(steadfast_loom))]
mod tests;

use std::time::Duration;

use steadfast_time::Monotonic;

pub use shared::{REFRESH, Shared};

use crate::limits::OBJECTIVE_WINDOW_MAX;
use crate::window::Time;
use crate::{Invalid, Share};

/// In how many steps the objective's window slides: an hour each over thirty days.
const STEPS: u32 = 720;
/// In how many steps the burn rate's window slides: a minute each over an hour.
const BURN_STEPS: u32 = 60;

/// What is promised.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Options {
    /// The share of calls that go well.
    pub target: Share,
    /// Over how long.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length"))]
    pub window: Duration,
    /// Over how long the burn rate is taken.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length"))]
    pub burn_window: Duration,
}

/// 99.9 % (what chapter 5 of *The Site Reliability Workbook* works its examples with) over thirty
/// days (the sources: a rolling window of thirty days); the burn rate over an hour (the same
/// chapter).
impl Default for Options {
    fn default() -> Self {
        Self {
            target: Share::permille(999),
            window: Duration::from_secs(30 * 86_400),
            burn_window: Duration::from_secs(3_600),
        }
    }
}

impl Options {
    /// Whether they make sense.
    ///
    /// # Errors
    /// The target is 0 % or 100 % (nothing to keep, or nothing to spend), a window is below 1 s
    /// or above [`OBJECTIVE_WINDOW_MAX`], or the burn rate's is the longer one.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.target <= Share::NONE || self.target >= Share::ALL {
            return Err(Invalid::new("target", self.target, "above 0 % and below 100 %"));
        }
        let wrong = |key, window: Duration, allowed: String| {
            Err(Invalid::new(key, format!("{window:?}"), allowed))
        };
        let shortest = Duration::from_secs(1);
        if !(shortest..=OBJECTIVE_WINDOW_MAX).contains(&self.window) {
            let allowed = format!("from 1 s to {} days", OBJECTIVE_WINDOW_MAX.as_secs() / 86_400);
            return wrong("window", self.window, allowed);
        }
        if !(shortest..=self.window).contains(&self.burn_window) {
            let allowed = format!("from 1 s to the objective's window of {:?}", self.window);
            return wrong("burn_window", self.burn_window, allowed);
        }
        Ok(())
    }
}

/// Where an objective stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Calls within the window that went well.
    pub good: u64,
    /// Calls within the window that did not.
    pub bad: u64,
    /// What is left of the error budget.
    pub left: Share,
    /// How fast it is being spent; 1 is as fast as the objective allows.
    pub burn_rate: f64,
}

/// An error budget: the machine.
#[derive(Clone, Debug)]
pub struct Objective {
    allowed: f64,
    /// Good and bad calls.
    window: Time<2>,
    burn: Time<2>,
}

impl Objective {
    /// One with nothing observed.
    ///
    /// # Errors
    /// An option makes no sense.
    pub fn new(options: Options) -> Result<Self, Invalid> {
        options.check()?;
        Ok(Self {
            allowed: 1.0 - options.target.get(),
            window: Time::new(options.window, STEPS),
            burn: Time::new(options.burn_window, BURN_STEPS),
        })
    }

    /// Counts a call.
    pub fn record(&mut self, now: Monotonic, good: bool) {
        self.add(now, u64::from(good), u64::from(!good));
    }

    /// Counts calls that were counted elsewhere.
    pub fn add(&mut self, now: Monotonic, good: u64, bad: u64) {
        self.window.add(now, [good, bad]);
        self.burn.add(now, [good, bad]);
    }

    /// What is left of the error budget; all of it while nothing has been observed.
    #[must_use]
    pub fn left(&mut self, now: Monotonic) -> Share {
        let spent = rate(self.window.totals(now), self.allowed);
        Share::new(1.0 - spent.min(1.0)).unwrap_or(Share::NONE)
    }

    /// How fast it is being spent at present; 1 is as fast as the objective allows.
    #[must_use]
    pub fn burn_rate(&mut self, now: Monotonic) -> f64 {
        rate(self.burn.totals(now), self.allowed)
    }

    /// Where it stands.
    #[must_use]
    pub fn report(&mut self, now: Monotonic) -> Report {
        let [good, bad] = self.window.totals(now);
        Report { good, bad, left: self.left(now), burn_rate: self.burn_rate(now) }
    }
}

/// The share of bad calls in units of what is allowed.
fn rate([good, bad]: [u64; 2], allowed: f64) -> f64 {
    Share::of(bad, good.saturating_add(bad)).get() / allowed
}
