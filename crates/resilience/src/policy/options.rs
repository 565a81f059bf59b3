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
        self.problems().into_iter().next().map_or(Ok(()), Err)
    }

    /// The first mistake of each part, and those between parts.
    #[must_use]
    pub fn problems(&self) -> Vec<Invalid> {
        fn part<T>(
            name: &str,
            part: Option<&T>,
            check: impl Fn(&T) -> Result<(), Invalid>,
        ) -> Option<Invalid> {
            let invalid = part.and_then(|options| check(options).err())?;
            // Some parts name themselves.
            let named = invalid.key.strip_prefix(name).is_some_and(|key| key.starts_with('.'));
            Some(if named { invalid } else { invalid.within(name) })
        }
        let parts = [
            part("timeout", self.timeout.as_ref(), timeout::Options::check),
            part("retry", self.retry.as_ref(), retry::Options::check),
            part("budget", self.budget.as_ref(), budget::Options::check),
            part("breaker", self.breaker.as_ref(), breaker::Options::check),
            part("bulkhead", self.bulkhead.as_ref(), bulkhead::Options::check),
            part("limit", self.limit.as_ref(), limit::Options::check),
            part("hedge", self.hedge.as_ref(), hedge::Options::check),
            part("objective", self.objective.as_ref(), objective::Options::check),
        ];
        let mut problems: Vec<Invalid> = parts.into_iter().flatten().collect();
        // Hedging looks at both before it spends anything.
        let looked_at =
            [("objective", self.objective.is_some()), ("budget", self.budget.is_some())];
        for (key, there) in looked_at {
            if self.hedge.is_some() && !there {
                let allowed = "set where there is hedging, which looks at it first";
                problems.push(Invalid::new(key, "none", allowed));
            }
        }
        problems
    }
}
