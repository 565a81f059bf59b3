//! Which key an entry has.
//!
//! The port names entries by token, etcd finds things by key. Whoever waits has just been told who
//! is ahead, and whoever leaves has entered, so the key is nearly always at hand; where it is not,
//! one more request finds it.

use std::collections::{HashMap, VecDeque};

use steadfast_fencing::FencingToken;

/// A key, and the last revision at which it was known to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sighting {
    pub(super) key: Vec<u8>,
    pub(super) revision: i64,
}

/// The latest sightings; the oldest are forgotten first.
#[derive(Debug)]
pub(super) struct Seen {
    limit: usize,
    by_token: HashMap<FencingToken, Sighting>,
    /// In the order of arrival. Names tokens that have been forgotten, at most as many as there
    /// is room for.
    arrivals: VecDeque<FencingToken>,
}

impl Seen {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, by_token: HashMap::new(), arrivals: VecDeque::new() }
    }

    /// Keeps a sighting, unless a later one is known.
    pub(super) fn note(&mut self, token: FencingToken, key: &[u8], revision: i64) {
        if let Some(known) = self.by_token.get_mut(&token) {
            known.revision = known.revision.max(revision);
            return;
        }
        if self.arrivals.len() >= 2 * self.limit {
            let by_token = &self.by_token;
            self.arrivals.retain(|token| by_token.contains_key(token));
        }
        while self.by_token.len() >= self.limit {
            let Some(oldest) = self.arrivals.pop_front() else { break };
            self.by_token.remove(&oldest);
        }
        self.by_token.insert(token, Sighting { key: key.to_vec(), revision });
        self.arrivals.push_back(token);
    }

    pub(super) fn get(&self, token: FencingToken) -> Option<&Sighting> {
        self.by_token.get(&token)
    }

    pub(super) fn forget(&mut self, token: FencingToken) {
        self.by_token.remove(&token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: u64) -> FencingToken {
        FencingToken::new(number).unwrap()
    }

    #[test]
    fn the_latest_are_kept() {
        let mut seen = Seen::new(2);
        for number in 1..=3 {
            seen.note(token(number), b"key", 10);
        }
        assert_eq!(seen.get(token(1)), None);
        seen.note(token(3), b"key", 12);
        seen.note(token(3), b"key", 11);
        assert_eq!(seen.get(token(3)).unwrap().revision, 12);
        seen.forget(token(2));
        assert_eq!(seen.get(token(2)), None);
    }

    #[test]
    fn coming_and_going_takes_no_room() {
        let mut seen = Seen::new(4);
        seen.note(token(1), b"stays", 1);
        for number in 2..=1_000 {
            seen.note(token(number), b"goes", 1);
            seen.forget(token(number));
        }
        assert!(seen.get(token(1)).is_some());
        assert!(seen.arrivals.len() <= 8, "{}", seen.arrivals.len());
        // Forgotten and noted again: the old arrival must not take the new sighting with it early.
        let mut seen = Seen::new(2);
        for number in [1, 2, 3, 4] {
            seen.note(token(number), b"k", 1);
        }
        assert!(seen.get(token(4)).is_some() && seen.get(token(3)).is_some());
    }
}
