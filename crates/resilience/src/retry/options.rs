//! What a retry policy is made of.

use std::time::Duration;

use super::{Backoff, Jitter};
use crate::Invalid;
use crate::limits::{ATTEMPTS_MAX, PAUSE_MAX};

/// How often, and after which pauses, a failed call is made again.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Options {
    /// Attempts, the first included. 4 unless told otherwise: the first, and one after each of the
    /// sources' pauses of 100, 200 and 400 ms; from 1 (no retries) to [`ATTEMPTS_MAX`].
    pub attempts: u32,
    /// The pauses between them.
    pub backoff: Backoff,
    /// How chance is mixed into the pauses. Full unless told otherwise: the sources want jitter, and
    /// this one spreads best (see [`Jitter`]).
    pub jitter: Jitter,
    /// Whether to retry although the caller is on a second or later attempt itself
    /// ([`crate::deadline::Context::repeated`]). No unless told otherwise: three layers of three
    /// attempts are 27 calls with it and 7 without, of four attempts 64 and 10.
    pub nested: bool,
    /// What an attempt takes at least. A retry with less than its pause and this until the
    /// deadline is not issued. 1 ms unless told otherwise, about what a request to the next
    /// machine takes that finds nothing to do.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length"))]
    pub attempt_least: Duration,
    /// How long a pause the other side may ask for (`Retry-After`). Beyond it nothing is retried.
    /// 60 s unless told otherwise, the time that a breaker stays open; at most [`PAUSE_MAX`].
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length"))]
    pub retry_after_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            attempts: 4,
            backoff: Backoff::default(),
            jitter: Jitter::default(),
            nested: false,
            attempt_least: Duration::from_millis(1),
            retry_after_max: Duration::from_secs(60),
        }
    }
}

impl Options {
    /// Whether the settings make sense.
    ///
    /// # Errors
    /// The first that does not, with what is allowed.
    pub fn check(&self) -> Result<(), Invalid> {
        if !(1..=ATTEMPTS_MAX).contains(&self.attempts) {
            let allowed = format!("from 1 to {ATTEMPTS_MAX}");
            return Err(Invalid::new("attempts", self.attempts, allowed));
        }
        self.backoff.check().map_err(|invalid| invalid.within("backoff"))?;
        for (key, length) in
            [("attempt_least", self.attempt_least), ("retry_after_max", self.retry_after_max)]
        {
            if length > PAUSE_MAX {
                let allowed = format!("at most {PAUSE_MAX:?}");
                return Err(Invalid::new(key, format!("{length:?}"), allowed));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused_with_its_name() {
        let good = Options::default();
        assert_eq!(good.check(), Ok(()));
        let constant = Backoff::constant(Duration::ZERO);
        let rows = [
            (Options { attempts: 0, ..good }, "attempts"),
            (Options { attempts: 11, ..good }, "attempts"),
            (Options { backoff: constant, ..good }, "backoff.base"),
            (Options { attempt_least: Duration::MAX, ..good }, "attempt_least"),
            (Options { retry_after_max: Duration::MAX, ..good }, "retry_after_max"),
        ];
        for (options, key) in rows {
            assert_eq!(options.check().unwrap_err().key, key, "{options:?}");
        }
        let invalid = Options { attempts: 99, ..good }.check().unwrap_err();
        assert_eq!(invalid.to_string(), "attempts = 99: must be from 1 to 10");
    }
}
