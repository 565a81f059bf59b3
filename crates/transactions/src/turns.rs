//! One input at a time per saga, within this process.
//!
//! Safety does not rest on it: two processes may handle one saga at the same time, and the
//! version of its stream and the idempotency keys sort them out. It saves the calls that one of
//! the two would make for nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::Id;

type Key = Arc<tokio::sync::Mutex<()>>;

#[derive(Debug, Default)]
pub(crate) struct Turns {
    keys: Mutex<HashMap<Id, Key>>,
}

/// Whoever holds it is the only one at work on its saga.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    id: Id,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Key>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for its turn; first come, first served. Waiting can be given up by dropping.
    pub(crate) async fn take(&self, id: Id) -> Turn<'_> {
        let key = Arc::clone(self.lock().entry(id).or_default());
        // From here on the entry is removed when the last one interested in it is gone.
        let mut turn = Turn { turns: self, id, guard: None };
        turn.guard = Some(key.lock_owned().await);
        turn
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.guard = None;
        let mut keys = self.turns.lock();
        // The map's own handle is the last one when nobody else holds or waits. A waiter that is
        // being dropped may hold its handle for a moment longer, and then removes the entry
        // itself or leaves it to whoever comes next.
        if keys.get(&self.id).is_some_and(|key| Arc::strong_count(key) == 1) {
            keys.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use steadfast_time::Uuid;

    use super::*;

    #[test]
    fn one_at_a_time_per_saga_and_nothing_is_left_behind() {
        let turns = Turns::default();
        let (a, b) = (Id(Uuid::from_u128(1)), Id(Uuid::from_u128(2)));
        let first = turns.take(a).now_or_never().unwrap();
        let other = turns.take(b).now_or_never().unwrap();
        let mut second = Box::pin(turns.take(a));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        drop(second.as_mut().now_or_never().unwrap());
        drop((second, other));
        assert!(turns.lock().is_empty());
    }

    #[test]
    fn giving_up_waiting_leaves_the_turn_to_the_next() {
        let turns = Turns::default();
        let id = Id(Uuid::from_u128(1));
        let first = turns.take(id).now_or_never().unwrap();
        let mut gives_up = Box::pin(turns.take(id));
        let mut waits = Box::pin(turns.take(id));
        assert!(gives_up.as_mut().now_or_never().is_none());
        assert!(waits.as_mut().now_or_never().is_none());
        drop(first);
        // It was its turn, and it never learns.
        drop(gives_up);
        drop(waits.as_mut().now_or_never().unwrap());
        drop(waits);
        assert!(turns.lock().is_empty());
    }
}
