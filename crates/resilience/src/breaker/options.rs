//! How a breaker judges.

use std::time::Duration;

use crate::limits::{BREAKER_PROBES_MAX, COUNT_WINDOW_MAX};
use crate::{Invalid, Share};

/// Which calls are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The last so many calls.
    Count(u32),
    /// The calls that ended within the last so long.
    Time(Duration),
}

/// How a breaker judges. Rates count as reached when they are *at least* what is set here, as in
/// Resilience4j.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Options {
    /// Which calls are judged. The last 100.
    pub window: Window,
    /// It opens when at least this share of the window failed. 50 %.
    pub failure_rate: Share,
    /// What takes longer than this is slow, whether or not it failed. Not set: then no call is
    /// slow, and no clock is read for the calls that succeed in a count window.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length_or_off"))]
    pub slow_call: Option<Duration>,
    /// It opens when at least this share of the window was slow. 100 %.
    pub slow_call_rate: Share,
    /// No judgement on fewer calls than these. It takes effect from the first call on: with 20, a
    /// dependency that is down opens the circuit with the twentieth call, however long the window
    /// is. 20: something that fails one call in ten looks half broken in twenty calls once in
    /// 140,000 times (binomial, P\[≥ 10 of 20\] = 7·10⁻⁶), while waiting for a full window would
    /// lose a hundred calls on something that is plainly down.
    pub minimum_calls: u32,
    /// How long it stays open before it sends probes. 60 s.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length"))]
    pub open_for: Duration,
    /// How many calls are let through to see whether it may close again; it decides when all of
    /// them have answered, by the same two rates. 10, as in Resilience4j.
    pub probes: u32,
    /// When all probes are out for this long, those that have not answered count as failed, so
    /// that a lost answer cannot keep the circuit half-open. 60 s: more than any call is given.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length"))]
    pub probe_timeout: Duration,
    /// Whether it opens at once when it is told that the retry budget is spent, whatever the
    /// window says. No: then it is counted and shown. The sources name opening the circuit as what
    /// to look for when retries surge; the surge itself is ended by the budget, and with one call
    /// in five failing an open circuit would fail the other four as well. Yes where a spent budget
    /// means that the other side had better be left alone.
    pub open_when_budget_spent: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            window: Window::Count(100),
            failure_rate: Share::percent(50),
            slow_call: None,
            slow_call_rate: Share::ALL,
            minimum_calls: 20,
            open_for: Duration::from_secs(60),
            probes: 10,
            probe_timeout: Duration::from_secs(60),
            open_when_budget_spent: false,
        }
    }
}

impl Options {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// A rate or a length of time is zero, a count is zero or above its limit, or the window is
    /// too short to ever hold the minimum of calls.
    pub fn check(&self) -> Result<(), Invalid> {
        match self.window {
            Window::Count(calls) if !(1..=COUNT_WINDOW_MAX).contains(&calls) => {
                let allowed = format!("1 to {COUNT_WINDOW_MAX} calls");
                return Err(Invalid::new("breaker.window", calls, allowed));
            }
            Window::Count(calls) if self.minimum_calls > calls => {
                let allowed = format!("at most the window's {calls}, or it could never open");
                return Err(Invalid::new("breaker.minimum_calls", self.minimum_calls, allowed));
            }
            Window::Count(_) => {}
            Window::Time(length) => longer_than_nothing("breaker.window", length)?,
        }
        if self.minimum_calls == 0 {
            return Err(Invalid::new("breaker.minimum_calls", 0, "1 or more"));
        }
        more_than_nothing("breaker.failure_rate", self.failure_rate)?;
        more_than_nothing("breaker.slow_call_rate", self.slow_call_rate)?;
        if let Some(slow_call) = self.slow_call {
            longer_than_nothing("breaker.slow_call", slow_call)?;
        }
        longer_than_nothing("breaker.open_for", self.open_for)?;
        longer_than_nothing("breaker.probe_timeout", self.probe_timeout)?;
        if !(1..=BREAKER_PROBES_MAX).contains(&self.probes) {
            let allowed = format!("1 to {BREAKER_PROBES_MAX}");
            return Err(Invalid::new("breaker.probes", self.probes, allowed));
        }
        Ok(())
    }
}

fn more_than_nothing(key: &'static str, share: Share) -> Result<(), Invalid> {
    if share > Share::NONE {
        Ok(())
    } else {
        Err(Invalid::new(key, share, "more than 0 %, up to 100 %"))
    }
}

fn longer_than_nothing(key: &'static str, length: Duration) -> Result<(), Invalid> {
    if length.is_zero() { Err(Invalid::new(key, "0 s", "longer than 0 s")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_sources() {
        let options = Options::default();
        assert_eq!(options.check(), Ok(()));
        assert_eq!(options.window, Window::Count(100));
        assert_eq!(options.failure_rate, Share::percent(50));
        assert_eq!(options.open_for, Duration::from_secs(60));
    }

    #[test]
    fn a_mistake_is_named_with_what_is_allowed() {
        let good = Options::default();
        let zero = Duration::ZERO;
        let rows = [
            (Options { window: Window::Count(0), ..good }, "breaker.window = 0"),
            (Options { window: Window::Count(70_000), ..good }, "breaker.window = 70000"),
            (Options { window: Window::Time(zero), ..good }, "breaker.window = 0 s"),
            (Options { window: Window::Count(19), ..good }, "breaker.minimum_calls = 20"),
            (Options { minimum_calls: 0, ..good }, "breaker.minimum_calls = 0"),
            (Options { failure_rate: Share::NONE, ..good }, "breaker.failure_rate = 0 %"),
            (Options { slow_call_rate: Share::NONE, ..good }, "breaker.slow_call_rate = 0 %"),
            (Options { slow_call: Some(zero), ..good }, "breaker.slow_call = 0 s"),
            (Options { open_for: zero, ..good }, "breaker.open_for = 0 s"),
            (Options { probe_timeout: zero, ..good }, "breaker.probe_timeout = 0 s"),
            (Options { probes: 0, ..good }, "breaker.probes = 0"),
            (Options { probes: 1_001, ..good }, "breaker.probes = 1001: must be 1 to 1000"),
        ];
        for (options, start) in rows {
            let message = options.check().unwrap_err().to_string();
            assert!(message.starts_with(start), "{message}");
        }
        let whole = Options { window: Window::Count(20), ..good };
        assert_eq!(whole.check(), Ok(()));
    }
}
