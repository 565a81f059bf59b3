//! One queue.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use steadfast_fencing::FencingToken;

use crate::limits::LIST_MAX;
use crate::port::{Entry, EntryId, Listing, Mode, Place, SessionId};

/// An entry, with the name under which its owner repeats it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Standing {
    pub(super) id: EntryId,
    pub(super) entry: Entry,
}

/// Entries in the order of their tokens, which is the order of arrival.
///
/// An entry waits for all that are ahead of it, or only for the exclusive ones among them; so the
/// tokens of the exclusive ones are kept a second time, and either way its place is one binary
/// search. Entries mostly go at the front, which costs nothing; one that gives up in the middle of
/// the longest queue moves some hundred kilobytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    pub(super) version: u64,
    standing: VecDeque<Standing>,
    exclusive: VecDeque<FencingToken>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.standing.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.standing.is_empty()
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Standing> {
        self.standing.iter()
    }

    fn find(&self, token: FencingToken) -> Option<usize> {
        self.standing.binary_search_by_key(&token, |standing| standing.entry.token).ok()
    }

    /// The nearest entry that a new one would have to wait for.
    pub(super) fn blocker(&self, mode: Mode) -> Option<FencingToken> {
        match mode {
            Mode::Exclusive => self.standing.back().map(|last| last.entry.token),
            Mode::Shared => self.exclusive.back().copied(),
        }
    }

    /// Adds an entry at the end. Its token must be above all others.
    pub(super) fn push(&mut self, standing: Standing) -> Place {
        let Entry { token, mode, .. } = standing.entry;
        debug_assert!(self.standing.back().is_none_or(|last| last.entry.token < token));
        let ahead = self.blocker(mode);
        let depth = match mode {
            Mode::Exclusive => self.standing.len(),
            Mode::Shared => self.exclusive.len(),
        };
        if mode == Mode::Exclusive {
            self.exclusive.push_back(token);
        }
        self.standing.push_back(standing);
        Place { token, ahead, depth: count(depth) }
    }

    pub(super) fn place(&self, token: FencingToken) -> Option<Place> {
        let at = self.find(token)?;
        let (ahead, depth) = match self.standing.get(at)?.entry.mode {
            Mode::Exclusive => {
                let before = at.checked_sub(1).and_then(|before| self.standing.get(before));
                (before.map(|before| before.entry.token), at)
            }
            Mode::Shared => {
                let depth = self.exclusive.partition_point(|exclusive| *exclusive < token);
                let before = depth.checked_sub(1).and_then(|before| self.exclusive.get(before));
                (before.copied(), depth)
            }
        };
        Some(Place { token, ahead, depth: count(depth) })
    }

    pub(super) fn value_mut(&mut self, token: FencingToken) -> Option<&mut Vec<u8>> {
        let at = self.find(token)?;
        self.standing.get_mut(at).map(|standing| &mut standing.entry.value)
    }

    pub(super) fn remove(&mut self, token: FencingToken) -> Option<Standing> {
        let at = self.find(token)?;
        if let Ok(at) = self.exclusive.binary_search(&token) {
            self.exclusive.remove(at);
        }
        self.standing.remove(at)
    }

    /// Takes out all entries of a session, in one pass.
    pub(super) fn remove_session(&mut self, session: SessionId) {
        self.standing.retain(|standing| standing.entry.session != session);
        self.exclusive.clear();
        let exclusive = self.standing.iter().filter(|s| s.entry.mode == Mode::Exclusive);
        self.exclusive.extend(exclusive.map(|standing| standing.entry.token));
    }

    pub(super) fn list(&self) -> Listing {
        let entries = self.standing.iter().take(LIST_MAX).map(|s| s.entry.clone()).collect();
        Listing { version: self.version, entries }
    }
}

fn count(entries: usize) -> u32 {
    u32::try_from(entries).unwrap_or(u32::MAX)
}
