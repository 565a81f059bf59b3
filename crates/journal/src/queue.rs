//! The bounded queue between many callers and one writer.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::{Committed, Error, Write};

/// A write and who waits for it.
pub(crate) struct Pending {
    pub(crate) write: Write,
    pub(crate) reply: oneshot::Sender<Result<Committed, Error>>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Pending>,
    closed: bool,
}

pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    limit: usize,
}

impl Queue {
    pub(crate) fn new(limit: usize) -> Self {
        Self { state: Mutex::default(), filled: Condvar::new(), limit }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a write, or refuses it when the queue is full or closed.
    pub(crate) fn push(&self, pending: Pending) -> Result<(), Error> {
        let mut state = self.state();
        if state.closed {
            return Err(Error::Closed);
        }
        if state.waiting.len() >= self.limit {
            return Err(Error::Overloaded { queued: state.waiting.len() });
        }
        let was_empty = state.waiting.is_empty();
        state.waiting.push_back(pending);
        drop(state);
        if was_empty {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Takes up to `limit` writes without waiting.
    pub(crate) fn take(&self, limit: usize) -> Vec<Pending> {
        let mut state = self.state();
        let count = state.waiting.len().min(limit);
        state.waiting.drain(..count).collect()
    }

    /// Waits until there is something to take, or `idle` has passed. Says whether the queue is
    /// still of use: not closed, or not yet empty.
    pub(crate) fn wait(&self, idle: std::time::Duration) -> bool {
        let state = self.state();
        let (state, _) = self
            .filled
            .wait_timeout_while(state, idle, |state| state.waiting.is_empty() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        !(state.closed && state.waiting.is_empty())
    }

    /// Accepts nothing more; what waits is still served.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_all();
    }

    pub(crate) fn len(&self) -> usize {
        self.state().waiting.len()
    }
}
