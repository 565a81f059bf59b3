//! Who waits for what.

use std::collections::BTreeMap;

use steadfast_fencing::FencingToken;
use tokio::sync::oneshot;

use crate::engine::machine::Change;
use crate::port::Name;

/// Wakes one who waits, when sent or dropped.
pub(super) type Wake = oneshot::Sender<()>;

/// Completes, one way or the other, when the [`Wake`] is used.
pub(super) type Woken = oneshot::Receiver<()>;

/// What somebody waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Awaited {
    /// That an entry is gone.
    Gone(Name, FencingToken),
    /// That a queue changes.
    Change(Name),
}

/// All who wait, by what for and in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Waits {
    waiting: BTreeMap<(Awaited, u64), Wake>,
    next: u64,
}

impl Waits {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn add(&mut self, what: Awaited) -> ((Awaited, u64), Woken) {
        let (wake, woken) = oneshot::channel();
        let key = (what, self.next);
        self.next += 1;
        self.waiting.insert(key.clone(), wake);
        (key, woken)
    }

    pub(super) fn remove(&mut self, key: &(Awaited, u64)) -> Option<Wake> {
        self.waiting.remove(key)
    }

    /// Takes out those who waited for one of these changes, to be woken when no lock is held.
    pub(super) fn take(&mut self, changes: &mut Vec<Change>) -> Vec<Wake> {
        let mut woken = Vec::new();
        for Change { queue, gone } in changes.drain(..) {
            if self.waiting.is_empty() {
                continue;
            }
            if let Some(token) = gone {
                self.take_all(Awaited::Gone(queue.clone(), token), &mut woken);
            }
            self.take_all(Awaited::Change(queue), &mut woken);
        }
        woken
    }

    fn take_all(&mut self, what: Awaited, woken: &mut Vec<Wake>) {
        let range = (what.clone(), 0)..=(what, u64::MAX);
        let keys: Vec<_> = self.waiting.range(range).map(|(key, _)| key.clone()).collect();
        woken.extend(keys.iter().filter_map(|key| self.waiting.remove(key)));
    }

    /// Takes out everybody.
    pub(super) fn take_everybody(&mut self) -> Vec<Wake> {
        std::mem::take(&mut self.waiting).into_values().collect()
    }
}
