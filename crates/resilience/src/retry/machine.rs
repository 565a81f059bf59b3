//! One call, attempt by attempt.

use std::time::Duration;

use fastrand::Rng;
use steadfast_time::Monotonic;

use super::{Options, Repeatable, Retrying, Withheld};
use crate::Class;
use crate::deadline::Context;

/// One call: which attempt it is at, and whether it gets another.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    options: Options,
    repeatable: bool,
    context: Context,
    /// The attempt under way; the first is 1.
    attempt: u32,
    /// The last pause that chance gave.
    previous: Option<Duration>,
}

impl Machine {
    /// A call whose first attempt begins.
    ///
    /// `context` is that of the call: its deadline bounds all attempts together, and whether the
    /// caller is repeating itself decides what [`Options::nested`] means.
    #[must_use]
    pub const fn new(options: Options, repeatable: Repeatable<'_>, context: Context) -> Self {
        let repeatable = repeatable.is_allowed();
        Self { options, repeatable, context, attempt: 1, previous: None }
    }

    /// The attempt under way; the first is 1.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// What the attempt under way is made in: the context of the call, and whether anybody, here
    /// or further up, repeats himself with it.
    #[must_use]
    pub const fn context(&self) -> Context {
        Context { repeated: self.context.repeated || self.attempt > 1, ..self.context }
    }

    /// Whether there could be another attempt at all, should this one fail. Where not, no copy of
    /// the request need be kept.
    #[must_use]
    pub const fn may_repeat(&self) -> bool {
        self.standing_reason().is_none()
    }

    /// What forbids another attempt, however this one fails.
    const fn standing_reason(&self) -> Option<Withheld> {
        if self.attempt >= self.options.attempts {
            Some(Withheld::Attempts { made: self.attempt })
        } else if !self.repeatable {
            Some(Withheld::NotIdempotent)
        } else if self.context.repeated && !self.options.nested {
            Some(Withheld::Nested)
        } else {
            None
        }
    }

    /// The attempt under way has failed. Is there another, and when?
    ///
    /// The reasons against it are looked at in the order in which [`Withheld`] lists them; `take`
    /// takes one extra attempt from the budget, and is asked last.
    ///
    /// - The pause is the backoff's, with jitter. Where the other side asked for at least that
    ///   (`Retry-After`), it is what was asked for, and on top of it the pause that chance gave, so
    ///   that those who were told the same do not come back at the same instant. (Without jitter,
    ///   exactly what was asked for.)
    /// - `expected` is how long an attempt takes as far as anybody knows; [`Options::attempt_least`]
    ///   counts if it is longer. Pause and attempt must fit before the deadline.
    ///
    /// # Errors
    /// There is none, and why. [`Class::Success`] and [`Class::Refusal`] are answers and not
    /// failures; asked about them it says [`Withheld::Permanent`].
    pub fn decide<W: Into<Withheld>>(
        &mut self,
        now: Monotonic,
        class: Class,
        expected: Duration,
        rng: &mut Rng,
        take: impl FnOnce() -> Result<(), W>,
    ) -> Result<Retrying, Withheld> {
        let Class::Transient { retry_after } = class else {
            return Err(Withheld::Permanent);
        };
        if let Some(reason) = self.standing_reason() {
            return Err(reason);
        }
        let Options { backoff, jitter, attempt_least, retry_after_max: max, .. } = self.options;
        if let Some(asked) = retry_after.filter(|asked| *asked > max) {
            return Err(Withheld::RetryAfter { asked, max });
        }
        let pause = jitter.pause(&backoff, self.attempt, self.previous, rng);
        let asked = retry_after.filter(|asked| !asked.is_zero() && *asked >= pause);
        let after = match asked {
            Some(asked) if matches!(jitter, super::Jitter::None) => asked,
            Some(asked) => asked.saturating_add(pause),
            None => pause,
        };
        if let Some(deadline) = self.context.deadline {
            let needed = after.saturating_add(expected.max(attempt_least));
            if deadline.check(now, needed).is_err() {
                let (left, told) = (deadline.left(now), asked.is_some());
                return Err(Withheld::Deadline { left, needed, told });
            }
        }
        take().map_err(Into::into)?;
        self.attempt += 1;
        self.previous = Some(pause);
        Ok(Retrying { attempt: self.attempt, after, told: asked.is_some() })
    }
}
