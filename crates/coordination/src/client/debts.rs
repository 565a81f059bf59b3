//! What the server still has to confirm: the list from which the keeper works.
//!
//! A guard is dropped without waiting, an answer is lost, a caller goes away while its request is on
//! the way. Whatever the server may have of ours and nobody needs any more is put here, and tried
//! until the server has confirmed its end, or its session is over and it with it.

use std::collections::VecDeque;
use std::sync::Arc;

use steadfast_time::Monotonic;

use super::entry::Entry;
use crate::limits::DEBTS_MAX;
use crate::port::SessionId;

/// What is to be ended.
#[derive(Clone, Debug)]
pub(super) enum Debt {
    /// An entry is to leave its queue: `again` when it has left, but may have been made anew by an
    /// earlier request that was still on the way.
    Leave { entry: Arc<Entry>, again: bool },
    /// A session is to be closed, unless it is over by then anyway.
    Close { session: SessionId, until: Monotonic },
}

/// A debt with the history of its tries.
#[derive(Clone, Debug)]
pub(super) struct Owed {
    pub(super) debt: Debt,
    pub(super) failures: u32,
    pub(super) not_before: Monotonic,
}

#[derive(Debug, Default)]
pub(super) struct Debts {
    waiting: VecDeque<Owed>,
    /// Those that are being tried.
    tried: usize,
}

impl Debts {
    /// Adds one. Says whether there are more than are allowed.
    #[must_use]
    pub(super) fn add(&mut self, owed: Owed) -> bool {
        self.waiting.push_back(owed);
        self.waiting.len() + self.tried > DEBTS_MAX
    }

    /// Takes one that can be tried now; [`Debts::tried`] is to follow.
    pub(super) fn take(&mut self, now: Monotonic) -> Option<Owed> {
        let at = self.waiting.iter().position(|owed| owed.not_before <= now)?;
        self.tried += 1;
        self.waiting.remove(at)
    }

    /// One that was taken has been tried.
    pub(super) fn tried(&mut self) {
        self.tried = self.tried.saturating_sub(1);
    }

    /// When the next one can be tried.
    pub(super) fn next(&self) -> Option<Monotonic> {
        self.waiting.iter().map(|owed| owed.not_before).min()
    }

    /// Entries end with their session.
    pub(super) fn forget(&mut self, session: SessionId) {
        self.waiting.retain(
            |owed| !matches!(&owed.debt, Debt::Leave { entry, .. } if entry.lease.session == session),
        );
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.tried == 0
    }
}
