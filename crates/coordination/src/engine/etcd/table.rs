//! Which watches there are, and what has to be said about them: the protocol of one stream.
//!
//! Every watch here waits for one event and is done. That makes resuming simple: a watch begins at
//! the revision after the one at which its caller last looked, so whatever happened while there
//! was no stream is told as soon as there is one again. If that revision has been compacted the
//! wait ends early, and the caller looks again.

use std::collections::{BTreeMap, VecDeque};

use super::keys::Range;
use super::proto::{Watch, WatchCancelRequest, WatchCreateRequest, WatchRequest, WatchResponse};

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) range: Range,
    /// The first revision that counts.
    pub(super) from: i64,
    /// Kinds of events that do not count, see [`filter`](super::proto::filter).
    pub(super) filters: Vec<i32>,
}

/// How a watch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Something has happened, or may have.
    Happened,
    /// The server does not watch this, in its words.
    Refused(String),
}

/// What an answer leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect<D> {
    /// Nothing.
    None,
    /// This watch is over.
    End(D, End),
    /// The server refuses a watch for the first time. That may be because the token of the stream
    /// is too old, so a stream with a new one is needed.
    Renew,
}

#[derive(Debug)]
struct Watcher<D> {
    wanted: Wanted,
    done: D,
    /// Whether the server of the present stream has been asked.
    sent: bool,
    /// Whether it was refused before, on an earlier stream.
    denied: bool,
}

/// The watches. `D` is how the one who waits is told.
#[derive(Debug)]
pub(super) struct Table<D> {
    last: i64,
    watchers: BTreeMap<i64, Watcher<D>>,
    /// Not asked for yet on this stream. May name watches that are gone.
    unsent: VecDeque<i64>,
    /// Asked for, and no longer wanted.
    cancels: VecDeque<i64>,
}

impl<D> Default for Table<D> {
    fn default() -> Self {
        Self {
            last: 0,
            watchers: BTreeMap::new(),
            unsent: VecDeque::new(),
            cancels: VecDeque::new(),
        }
    }
}

impl<D> Table<D> {
    pub(super) fn len(&self) -> usize {
        self.watchers.len()
    }

    /// Adds a watch; its number is never used again.
    pub(super) fn add(&mut self, wanted: Wanted, done: D) -> i64 {
        self.last += 1;
        let id = self.last;
        self.watchers.insert(id, Watcher { wanted, done, sent: false, denied: false });
        self.unsent.push_back(id);
        id
    }

    /// Nobody waits any more.
    pub(super) fn remove(&mut self, id: i64) -> Option<D> {
        let watcher = self.watchers.remove(&id)?;
        if watcher.sent {
            self.cancels.push_back(id);
        } else {
            self.unsent.retain(|unsent| *unsent != id);
        }
        Some(watcher.done)
    }

    /// Ends all.
    pub(super) fn drain(&mut self) -> Vec<D> {
        self.restart();
        self.unsent.clear();
        std::mem::take(&mut self.watchers).into_values().map(|watcher| watcher.done).collect()
    }

    /// A new stream begins, or the old one has ended: nothing has been asked.
    pub(super) fn restart(&mut self) {
        self.cancels.clear();
        self.unsent.clear();
        for (id, watcher) in &mut self.watchers {
            watcher.sent = false;
            self.unsent.push_back(*id);
        }
    }

    /// Ends the watches that begin before a revision: to tell them, the server would have to read
    /// all that has happened since.
    pub(super) fn expire(&mut self, before: i64) -> Vec<D> {
        let old: Vec<i64> = self
            .watchers
            .iter()
            .filter(|(_, watcher)| watcher.wanted.from < before)
            .map(|(id, _)| *id)
            .collect();
        old.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    /// What to say next.
    pub(super) fn next(&mut self) -> Option<WatchRequest> {
        if let Some(watch_id) = self.cancels.pop_front() {
            let cancel = Watch::Cancel(WatchCancelRequest { watch_id });
            return Some(WatchRequest { watch: Some(cancel) });
        }
        while let Some(id) = self.unsent.pop_front() {
            if let Some(watcher) = self.watchers.get_mut(&id) {
                watcher.sent = true;
                let Wanted { range, from, filters } = watcher.wanted.clone();
                let create = Watch::Create(WatchCreateRequest {
                    key: range.key,
                    range_end: range.end,
                    start_revision: from,
                    filters,
                    watch_id: id,
                });
                return Some(WatchRequest { watch: Some(create) });
            }
        }
        None
    }

    /// What an answer means.
    pub(super) fn receive(&mut self, answer: &WatchResponse) -> Effect<D> {
        let id = answer.watch_id;
        let Some(watcher) = self.watchers.get_mut(&id).filter(|watcher| watcher.sent) else {
            return Effect::None;
        };
        if !answer.canceled {
            if answer.events.is_empty() {
                return Effect::None;
            }
            return self.remove(id).map_or(Effect::None, |done| Effect::End(done, End::Happened));
        }
        // The server has forgotten it already, so there is nothing to cancel.
        watcher.sent = false;
        let denied = answer.cancel_reason.contains("permission denied");
        if denied && !watcher.denied {
            watcher.denied = true;
            self.unsent.push_back(id);
            return Effect::Renew;
        }
        let end = if answer.compact_revision != 0 || answer.cancel_reason.is_empty() {
            End::Happened
        } else {
            End::Refused(answer.cancel_reason.clone())
        };
        self.remove(id).map_or(Effect::None, |done| Effect::End(done, end))
    }
}

#[cfg(test)]
mod tests {
    use super::super::proto::Event;
    use super::*;

    fn wanted(key: &str) -> Wanted {
        Wanted { range: Range::one(key.into()), from: 5, filters: vec![0] }
    }

    fn created(table: &mut Table<&'static str>) -> (i64, i64) {
        match table.next().and_then(|request| request.watch) {
            Some(Watch::Create(create)) => (create.watch_id, create.start_revision),
            other => panic!("{other:?}"),
        }
    }

    fn cancelled(table: &mut Table<&'static str>) -> i64 {
        match table.next().and_then(|request| request.watch) {
            Some(Watch::Cancel(cancel)) => cancel.watch_id,
            other => panic!("{other:?}"),
        }
    }

    fn event(watch_id: i64) -> WatchResponse {
        WatchResponse { watch_id, events: vec![Event { kind: 1 }], ..WatchResponse::default() }
    }

    fn refusal(watch_id: i64, compact_revision: i64, reason: &str) -> WatchResponse {
        let cancel_reason = reason.to_owned();
        WatchResponse { watch_id, canceled: true, compact_revision, cancel_reason, ..event(0) }
    }

    #[test]
    fn a_watch_ends_with_its_first_event_and_is_cancelled() {
        let mut table = Table::default();
        let (a, b) = (table.add(wanted("a"), "a"), table.add(wanted("b"), "b"));
        assert_eq!((created(&mut table), created(&mut table)), ((a, 5), (b, 5)));
        assert_eq!(table.next(), None);
        let confirmed = WatchResponse { watch_id: a, created: true, ..WatchResponse::default() };
        assert_eq!(table.receive(&confirmed), Effect::None);
        let progress = WatchResponse { watch_id: a, ..WatchResponse::default() };
        assert_eq!(table.receive(&progress), Effect::None);
        assert_eq!(table.receive(&event(b)), Effect::End("b", End::Happened));
        assert_eq!(cancelled(&mut table), b);
        assert_eq!(table.receive(&event(b)), Effect::None);
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn a_dropped_watch_is_cancelled_once_and_only_if_it_was_asked_for() {
        let mut table = Table::default();
        let a = table.add(wanted("a"), "a");
        assert_eq!(table.remove(a), Some("a"));
        assert_eq!(table.next(), None);
        let b = table.add(wanted("b"), "b");
        assert_ne!(a, b);
        created(&mut table);
        assert_eq!((table.remove(b), table.remove(b)), (Some("b"), None));
        assert_eq!(cancelled(&mut table), b);
        assert_eq!(table.next(), None);
    }

    /// A stream is lost: what was waited for is asked for again from the same revision, so nothing
    /// is missed; what is no longer wanted is forgotten with it.
    #[test]
    fn a_new_stream_takes_up_every_watch_from_where_it_began() {
        let mut table = Table::default();
        let (a, b) = (table.add(wanted("a"), "a"), table.add(wanted("b"), "b"));
        created(&mut table);
        created(&mut table);
        table.remove(b);
        table.restart();
        assert_eq!(created(&mut table), (a, 5));
        assert_eq!(table.next(), None);
        // Late words of the old stream about a watch that has not been asked for.
        table.restart();
        assert_eq!(table.receive(&event(a)), Effect::None);
    }

    #[test]
    fn a_compacted_revision_ends_the_wait_early() {
        let mut table = Table::default();
        let a = table.add(wanted("a"), "a");
        created(&mut table);
        let compacted = refusal(a, 9, "required revision has been compacted");
        assert_eq!(table.receive(&compacted), Effect::End("a", End::Happened));
        assert_eq!(table.next(), None);
    }

    #[test]
    fn a_refusal_is_believed_the_second_time() {
        let denied = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
        let mut table = Table::default();
        let a = table.add(wanted("a"), "a");
        created(&mut table);
        assert_eq!(table.receive(&refusal(a, 0, denied)), Effect::Renew);
        table.restart();
        created(&mut table);
        let end = End::Refused(denied.to_owned());
        assert_eq!(table.receive(&refusal(a, 0, denied)), Effect::End("a", end));
        assert_eq!((table.len(), table.next()), (0, None));
    }

    #[test]
    fn a_wait_that_began_long_ago_ends_early_instead_of_reading_history() {
        let mut table = Table::default();
        let a = table.add(wanted("a"), "a");
        let new = Wanted { from: 9, ..wanted("b") };
        let b = table.add(new, "b");
        assert!(table.expire(5).is_empty());
        assert_eq!(table.expire(6), ["a"]);
        assert_eq!(table.remove(a), None);
        assert_eq!(created(&mut table), (b, 9));
    }

    #[test]
    fn all_can_be_ended_at_once() {
        let mut table = Table::default();
        table.add(wanted("a"), "a");
        created(&mut table);
        table.add(wanted("b"), "b");
        assert_eq!(table.drain(), ["a", "b"]);
        assert_eq!((table.len(), table.next()), (0, None));
    }
}
