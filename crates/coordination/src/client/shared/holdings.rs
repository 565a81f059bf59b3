//! What is held, and what is owed: entries that have their turn, and those that are to be taken out.

use std::sync::Arc;
use std::time::Duration;

use steadfast_fencing::FencingToken;
use steadfast_time::Monotonic;

use super::{Shared, State};
use crate::client::debts::{Debt, Owed};
use crate::client::entry::Entry;
use crate::event::{Event, LossCause};
use crate::limits::LATE_MAX;

impl Shared {
    /// It is an entry's turn, if its session can be relied on at this moment: the answer that said
    /// so may be old.
    pub(in crate::client) fn hold(&self, entry: &Arc<Entry>, token: FencingToken) -> bool {
        self.with(|state, now| {
            let live = entry.lease.loss().is_none();
            #[cfg(test)]
            let live = live || self.trusting.load(std::sync::atomic::Ordering::Relaxed);
            if live {
                entry.hold(now);
                state.held.insert(token, Arc::clone(entry));
            }
            live
        })
    }

    /// Its owner gives an entry back. Says whether it was still held.
    pub(in crate::client) fn give_back(&self, entry: &Entry) -> bool {
        self.with(|state, now| state.give_back(entry, now))
    }

    /// Its owner is gone, and the server may still have the entry.
    pub(in crate::client) fn owe(&self, entry: &Arc<Entry>) {
        self.with(|state, now| {
            state.give_back(entry, now);
            self.leave_later(state, now, entry, None);
        });
    }

    /// An entry has left, but an earlier request for it may still be on the way: one that arrives
    /// after the leaving makes it anew, so it is looked for again. `before` is the pause after which
    /// it was looked for last; when that was so long that nothing can still be on the way, the doubt
    /// is at its end.
    pub(in crate::client) fn doubt(&self, entry: &Arc<Entry>, before: Option<Duration>) {
        let again = match before {
            None => self.options.call_limit(),
            // The pauses before this one were as long together.
            Some(before) if before >= LATE_MAX / 2 => return,
            Some(before) => before * 2,
        };
        self.with(|state, now| self.leave_later(state, now, entry, Some(again)));
    }

    fn leave_later(
        &self,
        state: &mut State,
        now: Monotonic,
        entry: &Arc<Entry>,
        again: Option<Duration>,
    ) {
        let gone = entry.is_evicted() && !entry.is_doubtful();
        if !gone && entry.lease.loss().is_none() {
            let not_before = again.map_or(now, |pause| now + pause);
            let debt = Debt::Leave { entry: Arc::clone(entry), again };
            if state.debts.add(Owed { debt, failures: 0, not_before }) {
                let session = entry.lease.session;
                let change = state.machine.lose(session, now, Some(LossCause::Releases));
                self.apply(state, now, change);
            }
            state.later.wake = true;
        }
    }

    /// Somebody else has taken an entry out of its queue.
    pub(in crate::client) fn evict(&self, entry: &Entry) {
        self.with(|state, now| {
            if entry.lease.loss().is_some() {
                return;
            }
            if let Some(token) = entry.token()
                && state.held.remove(&token).is_some()
            {
                let held = entry.held(now);
                state.later.report(entry, Event::Lost { name: entry.name.clone(), token, held });
            }
            entry.evict();
            state.later.leases.push(Arc::clone(&entry.lease));
            // Or the server has ended the session, which is worth knowing soon.
            state.machine.doubt(now, entry.lease.session);
            state.later.wake = true;
        });
    }

    /// Some of the entries that are held and were not looked at since `before`; whoever asks looks
    /// at them now.
    pub(in crate::client) fn unseen(&self, before: Monotonic, limit: usize) -> Vec<Arc<Entry>> {
        self.with(|state, now| {
            let unseen = state.held.values().filter(|entry| entry.looked() <= before);
            let unseen: Vec<_> = unseen.take(limit).cloned().collect();
            unseen.iter().for_each(|entry| entry.look(now));
            unseen
        })
    }

    /// Whether an entry is held.
    pub(in crate::client) fn is_held(&self, token: FencingToken) -> bool {
        self.with(|state, _| state.held.contains_key(&token))
    }

    /// Something that was owed has been tried; this is what remains of it.
    pub(in crate::client) fn tried(&self, owed: Option<Owed>) {
        self.with(|state, _| {
            state.debts.tried();
            let owed = owed.filter(|owed| match &owed.debt {
                Debt::Leave { entry, .. } => entry.lease.loss().is_none(),
                Debt::Close { .. } => true,
            });
            if let Some(owed) = owed {
                // There was room for it before.
                let _ = state.debts.add(owed);
            }
        });
    }
}
