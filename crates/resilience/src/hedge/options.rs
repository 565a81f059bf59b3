//! When a second attempt is worth it.

use std::time::Duration;

use crate::figures::Brief;
use crate::limits::PAUSE_MAX;
use crate::{Invalid, Share, latency};

/// When a slow call gets a second attempt beside it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Options {
    /// Only while 5 % of calls take longer than this.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length"))]
    pub p95_above: Duration,
    /// Only while more than this is left of the error budget.
    pub error_budget_above: Share,
    /// At most this share of the calls within the window.
    pub share_max: Share,
    /// Only when so many answers have been observed within the window.
    pub observed_min: u64,
    /// How long the first attempt is left alone.
    pub delay: Delay,
    /// Over which window answers and hedges are counted.
    pub lately: latency::Options,
}

/// How long the first attempt is left alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Delay {
    /// As long as this share of calls takes.
    Quantile(Share),
    /// This long.
    Fixed(Duration),
}

/// p95 > 300 ms, more than half of the error budget left, share ≤ 2 % (the sources); after as long
/// as 95 % of calls take (Dean and Barroso, *The Tail at Scale*, CACM 2013); a hundred answers, so
/// that five of them are above the p95; over a minute.
impl Default for Options {
    fn default() -> Self {
        Self {
            p95_above: Duration::from_millis(300),
            error_budget_above: Share::percent(50),
            share_max: Share::percent(2),
            observed_min: 100,
            delay: Delay::Quantile(Share::percent(95)),
            lately: latency::Options::default(),
        }
    }
}

impl Options {
    /// Whether they make sense.
    ///
    /// # Errors
    /// A key that does not, its value, and what is allowed.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.error_budget_above >= Share::ALL {
            let allowed = "below 100 %, which is never exceeded";
            return Err(Invalid::new("error_budget_above", self.error_budget_above, allowed));
        }
        if self.share_max <= Share::NONE {
            let allowed = "above 0 %; to hedge nothing, leave hedging out";
            return Err(Invalid::new("share_max", self.share_max, allowed));
        }
        if self.observed_min < 20 {
            let allowed = "at least 20, of which one is above the 95th percentile";
            return Err(Invalid::new("observed_min", self.observed_min, allowed));
        }
        match self.delay {
            Delay::Quantile(share) if share < Share::percent(50) || share >= Share::ALL => {
                return Err(Invalid::new("delay", share, "from 50 % to below 100 % of calls"));
            }
            Delay::Fixed(delay) if delay.is_zero() => {
                let allowed = "above 0 s: a hedge without delay doubles every call";
                return Err(Invalid::new("delay", Brief(delay), allowed));
            }
            Delay::Fixed(delay) if delay > PAUSE_MAX => {
                let allowed = format!("at most {PAUSE_MAX:?}");
                return Err(Invalid::new("delay", Brief(delay), allowed));
            }
            Delay::Quantile(_) | Delay::Fixed(_) => {}
        }
        self.lately.check().map_err(|invalid| invalid.within("lately"))
    }
}
