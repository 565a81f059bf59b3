//! The settings of a pool of threads.

use crate::Invalid;
use crate::limits::{POOL_THREADS_MAX, WAITERS_MAX};

/// The settings of a pool of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Options {
    /// Threads, and so jobs at work at once. 4: blocking work is mostly waiting for one disk or one
    /// library's lock, which more threads do not make faster.
    pub threads: u32,
    /// Jobs that wait at once, at most. 64: sixteen per thread, which at 1 ms a job is a wait of
    /// 16 ms.
    pub queue: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { threads: 4, queue: 64 }
    }
}

impl Options {
    /// Whether they make sense.
    ///
    /// # Errors
    /// No thread at all, or more threads or waiting jobs than [`crate::limits`] allow.
    pub fn check(&self) -> Result<(), Invalid> {
        let Self { threads, queue } = *self;
        if !(1..=POOL_THREADS_MAX).contains(&threads) {
            return Err(Invalid::new("threads", threads, format!("from 1 to {POOL_THREADS_MAX}")));
        }
        if !(1..=WAITERS_MAX).contains(&queue) {
            return Err(Invalid::new("queue", queue, format!("from 1 to {WAITERS_MAX}")));
        }
        Ok(())
    }
}
