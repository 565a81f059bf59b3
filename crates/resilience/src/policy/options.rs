//! One policy, from one set of options.

use crate::{Invalid, breaker, budget, bulkhead, hedge, limit, objective, retry, timeout};

/// What a policy is made of. A part that is `None` is not there, and costs nothing.
///
/// The default is what the sources say about a call from one service to another, for calls that
/// may be repeated: 100 ms for an attempt and 350 ms for all of them, up to four attempts paid
/// from a budget of 5 %, a breaker that opens at 50 % of the last 100. No bulkhead, no concurrency
/// limit and no hedging: how many calls are too many, and which calls are worth two, only the
/// user knows.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Options {
    /// How long an attempt, and all of them, may take.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::part"))]
    pub timeout: Option<timeout::Options>,
    /// Which failures are tried again, and when.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::part"))]
    pub retry: Option<retry::Options>,
    /// What retries and hedges are paid from. Without one they are not bounded, which is for
    /// experiments only.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::part"))]
    pub budget: Option<budget::Options>,
    /// When to stop asking.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::part"))]
    pub breaker: Option<breaker::Options>,
    /// How many attempts at once.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::part"))]
    pub bulkhead: Option<bulkhead::Options>,
    /// The same, found out by watching.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::part"))]
    pub limit: Option<limit::Options>,
    /// When a slow attempt gets a second one beside it.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::part"))]
    pub hedge: Option<hedge::Options>,
    /// What counts as good enough: the error budget that hedging looks at.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::part"))]
    pub objective: Option<objective::Options>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Some(timeout::Options::default()),
            retry: Some(retry::Options::default()),
            budget: Some(budget::Options::default()),
            breaker: Some(breaker::Options::default()),
            bulkhead: None,
            limit: None,
            hedge: None,
            objective: None,
        }
    }
}

impl Options {
    /// No part at all: to add what is wanted.
    pub const NONE: Self = Self {
        timeout: None,
        retry: None,
        budget: None,
        breaker: None,
        bulkhead: None,
        limit: None,
        hedge: None,
        objective: None,
    };

    /// Refuses what makes no sense, in a part or between parts.
    ///
    /// # Errors
    /// The first mistake: which setting, what it says, and what is allowed.
    pub fn check(&self) -> Result<(), Invalid> {
        fn part<T>(
            part: &Option<T>,
            name: &str,
            check: impl Fn(&T) -> Result<(), Invalid>,
        ) -> Result<(), Invalid> {
            match part {
                // Some parts name themselves.
                Some(options) => check(options).map_err(|invalid| {
                    let named = invalid.key.strip_prefix(name).is_some_and(|k| k.starts_with('.'));
                    if named { invalid } else { invalid.within(name) }
                }),
                None => Ok(()),
            }
        }
        part(&self.timeout, "timeout", timeout::Options::check)?;
        part(&self.retry, "retry", retry::Options::check)?;
        part(&self.budget, "budget", budget::Options::check)?;
        part(&self.breaker, "breaker", breaker::Options::check)?;
        part(&self.bulkhead, "bulkhead", bulkhead::Options::check)?;
        part(&self.limit, "limit", limit::Options::check)?;
        part(&self.hedge, "hedge", hedge::Options::check)?;
        part(&self.objective, "objective", objective::Options::check)?;
        if self.hedge.is_some() {
            // Both are what hedging looks at before it spends anything.
            for (key, there) in
                [("objective", self.objective.is_some()), ("budget", self.budget.is_some())]
            {
                if !there {
                    let allowed = "set where there is hedging, which looks at it first";
                    return Err(Invalid::new(key, "none", allowed));
                }
            }
        }
        Ok(())
    }
}
