//! What the server still has to confirm: the list from which the keeper works.
//!
//! A guard is dropped without waiting, an answer is lost, a caller goes away while its request is on
//! the way. Whatever the server may have of ours and nobody needs any more is put here, and tried
//! until the server has confirmed its end, or its session is over and it with it.
//!
//! # Requests that arrive late
//! A request for an entry whose answer was not waited for may arrive at any time, and on another
//! connection also after the entry has left its queue: then it is made anew, and stands there for as
//! long as its session lives. So an entry of which that can be so is looked for again when it has
//! left, after pauses that double, until no network delivers any more
//! ([`LATE_MAX`](crate::limits::LATE_MAX)). Such doubts are many where callers give up in the middle
//! of a request, and nearly all are groundless: beyond [`DOUBTS_MAX`], those that were looked into
//! the most often are dropped, and every release goes first.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use steadfast_time::Monotonic;

use super::entry::Entry;
use crate::limits::{DEBTS_MAX, DOUBTS_MAX};
use crate::port::SessionId;

/// What is to be ended.
#[derive(Clone, Debug)]
pub(super) enum Debt {
    /// An entry is to leave its queue: `again` when it has left, but may have been made anew by an
    /// earlier request that was still on the way; with the pause after which it is looked for.
    Leave { entry: Arc<Entry>, again: Option<Duration> },
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

impl Owed {
    /// The pause after which an entry that has left is looked for.
    fn doubt(&self) -> Option<Duration> {
        match self.debt {
            Debt::Leave { again, .. } => again,
            Debt::Close { .. } => None,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Debts {
    waiting: VecDeque<Owed>,
    doubts: VecDeque<Owed>,
    /// Those that are being tried.
    tried: usize,
    /// By when all sessions are over that were to be closed.
    closed_by: Monotonic,
}

impl Debts {
    /// Adds one. Says whether there are more than are allowed.
    #[must_use]
    pub(super) fn add(&mut self, owed: Owed) -> bool {
        if let Debt::Close { until, .. } = owed.debt {
            self.closed_by = self.closed_by.max(until);
        }
        if owed.doubt().is_none() {
            self.waiting.push_back(owed);
            return self.waiting.len() + self.tried > DEBTS_MAX;
        }
        self.doubts.push_back(owed);
        if self.doubts.len() > DOUBTS_MAX {
            let doubts = self.doubts.iter().enumerate();
            // The first of those that are the same.
            let oldest = doubts.rev().max_by_key(|(_, owed)| owed.doubt()).map(|(at, _)| at);
            self.doubts.remove(oldest.unwrap_or(0));
        }
        false
    }

    /// Takes one that can be tried now; [`Debts::tried`] is to follow.
    pub(super) fn take(&mut self, now: Monotonic) -> Option<Owed> {
        for owed in [&mut self.waiting, &mut self.doubts] {
            if let Some(at) = owed.iter().position(|owed| owed.not_before <= now) {
                self.tried += 1;
                return owed.remove(at);
            }
        }
        None
    }

    /// One that was taken has been tried.
    pub(super) fn tried(&mut self) {
        self.tried = self.tried.saturating_sub(1);
    }

    /// When the next one can be tried.
    pub(super) fn next(&self) -> Option<Monotonic> {
        self.waiting.iter().chain(&self.doubts).map(|owed| owed.not_before).min()
    }

    /// Entries end with their session.
    pub(super) fn forget(&mut self, session: SessionId) {
        for owed in [&mut self.waiting, &mut self.doubts] {
            owed.retain(|owed| match &owed.debt {
                Debt::Leave { entry, .. } => entry.lease.session != session,
                Debt::Close { .. } => true,
            });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.doubts.is_empty() && self.tried == 0
    }

    /// By when the server has ended all sessions that were to be closed, whether it has heard or
    /// not.
    pub(super) fn closed_by(&self) -> Monotonic {
        self.closed_by
    }
}
