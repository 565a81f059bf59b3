//! What timeouts are set to.

use std::time::Duration;

use crate::figures::Brief;
use crate::{Invalid, Share, latency};

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Options {
    /// One attempt.
    pub attempt: Attempt,
    /// All attempts and the pauses between them. `None`: the caller's deadline alone decides.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length_or_off"))]
    pub overall: Option<Duration>,
}

/// Attempts adapt below 100 ms, all together may take 350 ms (the sources: the order service has
/// 350 ms, and calls of at most 100 ms each).
impl Default for Options {
    fn default() -> Self {
        Self {
            attempt: Attempt::Adaptive(Adaptive::default()),
            overall: Some(Duration::from_millis(350)),
        }
    }
}

impl Options {
    /// Whether they make sense.
    ///
    /// # Errors
    /// A part of them does not, or one attempt may take longer than all of them.
    pub fn check(&self) -> Result<(), Invalid> {
        self.attempt.check().map_err(|invalid| invalid.within("attempt"))?;
        match self.overall {
            Some(overall) if overall < self.attempt.longest() => {
                let longest = Brief(self.attempt.longest());
                let allowed = format!("at least {longest}, the longest an attempt may take");
                Err(Invalid::new("overall", Brief(overall), allowed))
            }
            _ => Ok(()),
        }
    }
}

/// How long one attempt may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Attempt {
    /// Always as long.
    Fixed(Duration),
    /// As long as nearly all take at present.
    Adaptive(Adaptive),
}

impl Attempt {
    /// Whether it makes sense.
    ///
    /// # Errors
    /// It is no time at all, or the options of the adaptive one make no sense.
    pub fn check(&self) -> Result<(), Invalid> {
        match self {
            Self::Fixed(limit) if limit.is_zero() => {
                Err(Invalid::new("fixed", Brief(*limit), "above 0 s"))
            }
            Self::Fixed(_) => Ok(()),
            Self::Adaptive(options) => options.check(),
        }
    }

    /// The longest it can become.
    #[must_use]
    pub const fn longest(&self) -> Duration {
        match self {
            Self::Fixed(limit) => *limit,
            Self::Adaptive(options) => options.ceiling,
        }
    }
}

/// How a timeout adapts.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Adaptive {
    /// The share of calls that are answered in time, before the allowance for jitter.
    pub quantile: Share,
    /// What is added for jitter: this many mean deviations.
    pub jitter: f64,
    /// Never shorter than this.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length"))]
    pub floor: Duration,
    /// Never longer than this; as long as this until enough calls have been observed.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length"))]
    pub ceiling: Duration,
    /// So many calls have to be in the window before the timeout leaves its ceiling.
    pub samples_min: u64,
    /// Over which window calls are observed.
    pub lately: latency::Options,
}

/// 99.8 %, because fewer than 0.2 % of calls are to time out (the sources: `dep.timeout_rate <
/// 0.2 %`), and one mean deviation to stay below that; from 10 ms (a timer and a scheduler need
/// some of it) to 100 ms (the sources: an inner call). 500 calls, because of fewer the quantile is
/// nothing but the longest. Over five minutes: enough calls at two a second; a timeout that is too
/// long costs less than one that is too short, so it may shrink slowly.
impl Default for Adaptive {
    fn default() -> Self {
        Self {
            quantile: Share::permille(998),
            jitter: 1.0,
            floor: Duration::from_millis(10),
            ceiling: Duration::from_millis(100),
            samples_min: 500,
            lately: latency::Options { window: Duration::from_secs(300), slices: 10 },
        }
    }
}

impl Adaptive {
    /// Whether they make sense.
    ///
    /// # Errors
    /// A key that does not, its value, and what is allowed.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.quantile < Share::percent(50) || self.quantile >= Share::ALL {
            let allowed = "from 50 % to below 100 %";
            return Err(Invalid::new("quantile", self.quantile, allowed));
        }
        if !(0.0..=4.0).contains(&self.jitter) {
            let allowed = "from 0 to 4 mean deviations";
            return Err(Invalid::new("jitter", self.jitter, allowed));
        }
        if self.floor.is_zero() {
            return Err(Invalid::new("floor", Brief(self.floor), "above 0 s"));
        }
        if self.ceiling < self.floor {
            let allowed = format!("at least the floor of {}", Brief(self.floor));
            return Err(Invalid::new("ceiling", Brief(self.ceiling), allowed));
        }
        if self.samples_min == 0 {
            return Err(Invalid::new("samples_min", self.samples_min, "at least 1"));
        }
        self.lately.check().map_err(|invalid| invalid.within("lately"))
    }
}
