//! A map whose rows can also be found by a time.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use steadfast_time::Timestamp;

/// Rows by key, each with a time, and an index from times to keys.
#[derive(Clone, Debug)]
pub(super) struct Dated<K, V> {
    rows: BTreeMap<K, (Timestamp, V)>,
    by_time: BTreeSet<(Timestamp, K)>,
}

impl<K, V> Default for Dated<K, V> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), by_time: BTreeSet::new() }
    }
}

impl<K: Ord + Clone, V> Dated<K, V> {
    pub(super) fn put(&mut self, key: K, at: Timestamp, value: V) {
        if let Some((before, _)) = self.rows.insert(key.clone(), (at, value)) {
            self.by_time.remove(&(before, key.clone()));
        }
        self.by_time.insert((at, key));
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some((at, _)) = self.rows.remove(key) {
            self.by_time.remove(&(at, key.clone()));
        }
    }

    pub(super) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&(Timestamp, V)>
    where
        K: Borrow<Q>,
    {
        self.rows.get(key)
    }

    /// All rows in key order.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&K, Timestamp, &V)> {
        self.rows.iter().map(|(key, (at, value))| (key, *at, value))
    }

    /// Rows with a time up to and including `by`, by time and then by key.
    pub(super) fn up_to(&self, by: Timestamp) -> impl Iterator<Item = (&K, &V)> {
        self.by_time
            .iter()
            .take_while(move |(at, _)| *at <= by)
            .filter_map(|(_, key)| self.rows.get(key).map(|(_, value)| (key, value)))
    }

    /// Removes at most `limit` rows with a time up to and including `by`, oldest first.
    pub(super) fn remove_up_to(&mut self, by: Timestamp, limit: usize) -> Vec<K> {
        let mut removed = Vec::new();
        while removed.len() < limit {
            match self.by_time.pop_first() {
                Some((at, key)) if at <= by => {
                    self.rows.remove(&key);
                    removed.push(key);
                }
                Some(later) => {
                    self.by_time.insert(later);
                    break;
                }
                None => break,
            }
        }
        removed
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}
