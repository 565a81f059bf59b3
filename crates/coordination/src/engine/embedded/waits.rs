//! Who waits for an entry to go or a queue to change.

use std::collections::{BTreeMap, HashMap};

use steadfast_fencing::FencingToken;

use super::ask::{Origin, ReplyTo};
use crate::limits::EMBEDDED_WAITS_MAX;
use crate::port::Name;

/// What somebody waits for.
#[derive(Clone, Debug)]
enum Target {
    Entry(FencingToken),
    Queue(Name),
}

/// All waits, found by what they wait for and by who waits.
#[derive(Debug, Default)]
pub(super) struct Waits {
    targets: BTreeMap<Origin, Target>,
    /// Tokens are unique in the engine, so the queue is not needed.
    entries: HashMap<FencingToken, BTreeMap<Origin, ReplyTo>>,
    queues: HashMap<Name, BTreeMap<Origin, (u64, ReplyTo)>>,
}

impl Waits {
    /// Whether there is no room for another.
    pub(super) fn is_full(&self) -> bool {
        self.targets.len() >= EMBEDDED_WAITS_MAX
    }

    pub(super) fn for_entry(&mut self, token: FencingToken, origin: Origin, to: ReplyTo) {
        self.cancel(origin);
        self.targets.insert(origin, Target::Entry(token));
        self.entries.entry(token).or_default().insert(origin, to);
    }

    pub(super) fn for_queue(&mut self, queue: Name, since: u64, origin: Origin, to: ReplyTo) {
        self.cancel(origin);
        self.targets.insert(origin, Target::Queue(queue.clone()));
        self.queues.entry(queue).or_default().insert(origin, (since, to));
    }

    /// Those who wait for an entry.
    pub(super) fn gone(&mut self, token: FencingToken) -> impl Iterator<Item = (Origin, ReplyTo)> {
        let woken = self.entries.remove(&token).unwrap_or_default();
        for origin in woken.keys() {
            self.targets.remove(origin);
        }
        woken.into_iter()
    }

    pub(super) fn has_queue(&self, queue: &Name) -> bool {
        self.queues.contains_key(queue)
    }

    /// Those who wait for another version of a queue than this one.
    pub(super) fn changed(&mut self, queue: &Name, version: u64) -> Vec<(Origin, ReplyTo)> {
        let Some(waiting) = self.queues.get_mut(queue) else { return Vec::new() };
        let (stay, woken): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(waiting).into_iter().partition(|(_, (since, _))| *since == version);
        if stay.is_empty() {
            self.queues.remove(queue);
        } else {
            *waiting = stay;
        }
        let woken: Vec<_> = woken.into_iter().map(|(origin, (_, to))| (origin, to)).collect();
        for (origin, _) in &woken {
            self.targets.remove(origin);
        }
        woken
    }

    /// Forgets a wait; that it is over already is fine.
    pub(super) fn cancel(&mut self, origin: Origin) {
        match self.targets.remove(&origin) {
            Some(Target::Entry(token)) => {
                if let Some(waiting) = self.entries.get_mut(&token) {
                    waiting.remove(&origin);
                    if waiting.is_empty() {
                        self.entries.remove(&token);
                    }
                }
            }
            Some(Target::Queue(queue)) => {
                if let Some(waiting) = self.queues.get_mut(&queue) {
                    waiting.remove(&origin);
                    if waiting.is_empty() {
                        self.queues.remove(&queue);
                    }
                }
            }
            None => {}
        }
    }

    /// Forgets all waits of a peer.
    pub(super) fn cancel_all(&mut self, peer: u64) {
        let all = Origin { peer, request: 0 }..=Origin { peer, request: u64::MAX };
        let origins: Vec<Origin> = self.targets.range(all).map(|(origin, _)| *origin).collect();
        for origin in origins {
            self.cancel(origin);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.targets.len()
    }

    /// Everybody, when nothing will happen any more.
    pub(super) fn drain(&mut self) -> Vec<(Origin, ReplyTo)> {
        self.targets.clear();
        let entries = std::mem::take(&mut self.entries).into_values().flatten();
        let queues = std::mem::take(&mut self.queues).into_values().flatten();
        entries.chain(queues.map(|(origin, (_, to))| (origin, to))).collect()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    fn origin(peer: u64, request: u64) -> Origin {
        Origin { peer, request }
    }

    fn to() -> ReplyTo {
        ReplyTo::Task(oneshot::channel().0)
    }

    #[test]
    fn only_those_concerned_are_woken_and_nothing_is_left_behind() {
        let (first, second) = (FencingToken::FIRST, FencingToken::FIRST.next());
        let queue = Name::new("q").unwrap();
        let mut waits = Waits::default();
        waits.for_entry(first, origin(1, 1), to());
        waits.for_entry(first, origin(1, 2), to());
        waits.for_entry(second, origin(2, 1), to());
        waits.for_queue(queue.clone(), 5, origin(2, 2), to());
        waits.for_queue(queue.clone(), 6, origin(2, 3), to());
        waits.cancel(origin(1, 2));
        waits.cancel(origin(1, 2));
        let woken: Vec<Origin> = waits.gone(first).map(|(origin, _)| origin).collect();
        assert_eq!(woken, [origin(1, 1)]);
        let woken = waits.changed(&queue, 6);
        assert_eq!(woken.iter().map(|(origin, _)| *origin).collect::<Vec<_>>(), [origin(2, 2)]);
        assert_eq!(waits.len(), 2);
        waits.cancel_all(2);
        assert_eq!(waits.len(), 0);
        assert!(waits.entries.is_empty() && waits.queues.is_empty());
    }
}
