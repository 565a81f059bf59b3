//! The settings of load shedding.

use std::time::Duration;

use crate::Invalid;
use crate::limits::{QUEUE_WAIT_MAX, WAITERS_MAX};

/// The settings of load shedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Options {
    /// How much waits at once, at most. 256: at a thousand a second, what comes in a quarter of a
    /// second. A safety net; under overload the time limits below act long before it is full.
    pub queue: u32,
    /// A wait that is no sign of overload, and the longest that ordinary work waits under overload.
    /// 5 ms (CoDel: Nichols and Jacobson, *Controlling Queue Delay*, ACM Queue 10(5), 2012).
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length"))]
    pub target: Duration,
    /// For so long somebody must always have waited for more than the target before it is called
    /// overload, and the longest that anything waits. 100 ms (CoDel's interval; Facebook uses the
    /// same two numbers: Maurer, *Fail at Scale*, ACM Queue 13(8), 2015). Make it longer than one
    /// piece of work takes.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length"))]
    pub interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let (target, interval) = (Duration::from_millis(5), Duration::from_millis(100));
        Self { queue: 256, target, interval }
    }
}

impl Options {
    /// Whether they make sense.
    ///
    /// # Errors
    /// No queue at all or one beyond [`WAITERS_MAX`], no target, an interval that is not longer
    /// than the target or beyond reason.
    pub fn check(&self) -> Result<(), Invalid> {
        let Self { queue, target, interval } = *self;
        if !(1..=WAITERS_MAX).contains(&queue) {
            return Err(Invalid::new("queue", queue, format!("from 1 to {WAITERS_MAX}")));
        }
        if target.is_zero() {
            return Err(Invalid::new("target", "0s", "more than 0"));
        }
        if interval <= target || interval > QUEUE_WAIT_MAX {
            let allowed = format!("more than target = {target:?}, at most {QUEUE_WAIT_MAX:?}");
            return Err(Invalid::new("interval", format!("{interval:?}"), allowed));
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
        let wrong = [
            (Options { queue: 0, ..sound }, "queue"),
            (Options { queue: WAITERS_MAX + 1, ..sound }, "queue"),
            (Options { target: Duration::ZERO, ..sound }, "target"),
            (Options { interval: sound.target, ..sound }, "interval"),
            (Options { interval: Duration::from_secs(61), ..sound }, "interval"),
        ];
        for (options, key) in wrong {
            assert_eq!(options.check().unwrap_err().key, key, "{options:?}");
        }
    }
}
