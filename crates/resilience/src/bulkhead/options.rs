//! The settings of a bulkhead.

use std::time::Duration;

use crate::Invalid;
use crate::limits::{PLACES_MAX, QUEUE_WAIT_MAX, WAITERS_MAX};

/// The settings of a bulkhead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Options {
    /// Calls at work at once. 10, as each pool in the sources has. By Little's law a place carries
    /// `1 / duration` calls a second: ten of them, for a dependency that answers in 20 ms, 500 a
    /// second.
    pub limit: u32,
    /// Calls that wait at once, at most. As many as the limit: the last one in such a queue waits
    /// for about as long as one call takes. A longer queue is no more throughput, only more calls
    /// that are late.
    pub queue: u32,
    /// How long a call waits, at most. 50 ms: half of what the sources give one hop (100 ms), so
    /// that the call itself still has the other half.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length"))]
    pub wait: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { limit: 10, queue: 10, wait: Duration::from_millis(50) }
    }
}

impl Options {
    /// Whether they make sense.
    ///
    /// # Errors
    /// No place at all, more places or waiters than [`crate::limits`] allow, a queue in which
    /// nobody may wait, or a wait beyond reason.
    pub fn check(&self) -> Result<(), Invalid> {
        let Self { limit, queue, wait } = *self;
        if !(1..=PLACES_MAX).contains(&limit) {
            return Err(Invalid::new("limit", limit, format!("from 1 to {PLACES_MAX}")));
        }
        if queue > WAITERS_MAX {
            return Err(Invalid::new("queue", queue, format!("at most {WAITERS_MAX}")));
        }
        if wait > QUEUE_WAIT_MAX || (queue > 0 && wait.is_zero()) {
            let allowed = format!("more than 0 where there is a queue, at most {QUEUE_WAIT_MAX:?}");
            return Err(Invalid::new("wait", format!("{wait:?}"), allowed));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let sound = Options::default();
        assert_eq!(sound.check(), Ok(()));
        assert_eq!(Options { queue: 0, wait: Duration::ZERO, ..sound }.check(), Ok(()));
        let wrong = [
            (Options { limit: 0, ..sound }, "limit"),
            (Options { limit: PLACES_MAX + 1, ..sound }, "limit"),
            (Options { queue: WAITERS_MAX + 1, ..sound }, "queue"),
            (Options { wait: Duration::ZERO, ..sound }, "wait"),
            (Options { wait: Duration::from_secs(61), ..sound }, "wait"),
        ];
        for (options, key) in wrong {
            assert_eq!(options.check().unwrap_err().key, key, "{options:?}");
        }
    }
}
