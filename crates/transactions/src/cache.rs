//! Sagas that were seen lately, so that the next input need not read their stream.
//!
//! What is kept is only ever a guess: every record is appended under the version that it was
//! decided on, so a guess that has become wrong is refused by the journal and read again. An
//! entry is taken out while its saga is handled and put back only after the commit; a handling
//! that stops in between leaves nothing half-changed behind.
//!
//! Two generations bound the size: when the young one is full, it becomes the old one and the
//! old one is forgotten. That keeps what is used, costs no list to maintain, and takes one look
//! at most in each.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use steadfast_journal::{StreamId, Version};

use crate::{Id, State};

/// A saga with the version of its stream that it was built from.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) state: State,
    pub(crate) version: Version,
    pub(crate) stream: StreamId,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Id, Kept>,
    old: HashMap<Id, Kept>,
}

#[derive(Debug)]
pub(crate) struct Cache {
    generations: Mutex<Generations>,
    per_generation: usize,
}

impl Cache {
    pub(crate) fn new(limit: usize) -> Self {
        Self { generations: Mutex::default(), per_generation: (limit / 2).max(1) }
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self, id: Id) -> Option<Kept> {
        let mut generations = self.lock();
        generations.young.remove(&id).or_else(|| generations.old.remove(&id))
    }

    pub(crate) fn put(&self, kept: Kept) {
        let forgotten = {
            let mut generations = self.lock();
            let full = generations.young.len() >= self.per_generation;
            let forgotten = full.then(|| {
                let young = std::mem::take(&mut generations.young);
                std::mem::replace(&mut generations.old, young)
            });
            generations.young.insert(kept.state.id(), kept);
            forgotten
        };
        // Thousands of states are freed without holding anybody up.
        drop(forgotten);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use steadfast_time::{Timestamp, Uuid};

    use super::*;
    use crate::{Definition, Json, Step};

    #[test]
    fn what_is_used_stays_and_the_size_is_bounded() {
        let definition = Arc::new(Definition::new("s", vec![Step::call("a")]).unwrap());
        let cache = Cache::new(100);
        let kept = |n: u128| {
            let id = Id(Uuid::from_u128(n));
            let (state, _) = State::start(&definition, id, Timestamp::EPOCH, Json::null());
            Kept { state, version: Version(1), stream: id.stream() }
        };
        let favourite = Id(Uuid::from_u128(0));
        cache.put(kept(0));
        for n in 1..1_000 {
            cache.put(kept(n));
            let favourite = cache.take(favourite).unwrap();
            cache.put(favourite);
            let generations = cache.lock();
            assert!(generations.young.len() + generations.old.len() <= 100);
        }
        assert!(cache.take(Id(Uuid::from_u128(1))).is_none());
        assert!(cache.take(Id(Uuid::from_u128(999))).is_some());
        assert!(cache.take(Id(Uuid::from_u128(999))).is_none(), "taken out");
    }
}
