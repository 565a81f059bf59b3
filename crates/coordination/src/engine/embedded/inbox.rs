//! What waits for the commit thread: a bounded queue that many fill and one empties.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::ask::Job;
use crate::limits::EMBEDDED_REQUESTS_MAX;

/// Why a job was not taken.
#[derive(Debug)]
pub(super) enum Rejected {
    /// There are too many already.
    Full(Job),
    /// The thread has ended, for this reason.
    Ended(Job, Arc<str>),
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Whether the thread waits, so that somebody has to wake it.
    is_idle: bool,
    is_closing: bool,
    ended: Option<Arc<str>>,
}

/// The queue. Its bound does not count cancellations: there is at most one for each wait, and
/// those are bounded.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    filled: Condvar,
}

impl Inbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds jobs with one lock and at most one wake-up. Those that are not taken go to `rejected`.
    pub(super) fn push(
        &self,
        jobs: impl IntoIterator<Item = Job>,
        mut rejected: impl FnMut(Rejected),
    ) {
        let mut refused = Vec::new();
        let mut state = self.state();
        for job in jobs {
            if let Some(reason) = &state.ended {
                refused.push(Rejected::Ended(job, Arc::clone(reason)));
            } else if matches!(job, Job::Ask { .. }) && state.jobs.len() >= EMBEDDED_REQUESTS_MAX {
                refused.push(Rejected::Full(job));
            } else {
                state.jobs.push_back(job);
            }
        }
        let wake = state.is_idle && !state.jobs.is_empty();
        if wake {
            state.is_idle = false;
        }
        drop(state);
        if wake {
            self.filled.notify_one();
        }
        // Outside the lock: an answer may wake a task that asks again.
        refused.into_iter().for_each(&mut rejected);
    }

    /// Takes everything that is there. Waits, at most for `patience`, when there is nothing.
    /// `false` when nothing more will come.
    ///
    /// The wait is one of the operating system, not of a `Clock`: this is the engine that real
    /// processes share, and its thread has nobody but the kernel to wake it.
    pub(super) fn take(&self, into: &mut VecDeque<Job>, patience: Option<Duration>) -> bool {
        debug_assert!(into.is_empty(), "what was taken before is done");
        let mut state = self.state();
        if state.jobs.is_empty() && !state.is_closing {
            state.is_idle = true;
            state = match patience {
                Some(patience) => {
                    let waited = self.filled.wait_timeout(state, patience);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.filled.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
            state.is_idle = false;
        }
        std::mem::swap(&mut state.jobs, into);
        !(state.is_closing && into.is_empty())
    }

    /// Lets the thread end when it has done everything.
    pub(super) fn close(&self) {
        self.state().is_closing = true;
        self.filled.notify_one();
    }

    /// Takes nothing any more; what is still there is handed back.
    pub(super) fn end(&self, reason: &Arc<str>) -> VecDeque<Job> {
        let mut state = self.state();
        state.ended.get_or_insert_with(|| Arc::clone(reason));
        std::mem::take(&mut state.jobs)
    }
}
