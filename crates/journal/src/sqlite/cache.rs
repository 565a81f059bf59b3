//! What the writer keeps in memory so that it need not look it up.
//!
//! A commit must know the version of a stream, the highest token of a resource, the value of a
//! counter. Most of them were written a moment ago. [`WriteBack`] remembers them, stages what a
//! write would change, takes it back when the write is refused, and writes each value that
//! changed once per batch, however often it moved.
//!
//! Memory is bounded by [`Recent`]: two generations of at most `limit` entries each. When the
//! young one is full it becomes the old one, and what was in the old one and was not used since
//! is forgotten. That costs one more look-up than a list in order of use, needs no links between
//! entries, and forgets nothing that was used within the last `limit` insertions.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// A bounded map of what was used recently.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    limit: usize,
}

impl<K: Hash + Eq + Clone, V: Copy> Recent<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), limit }
    }

    pub(super) fn get<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if let Some(value) = self.young.get(key) {
            return Some(*value);
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.put(key, value);
        Some(value)
    }

    pub(super) fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.limit {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(key, value);
    }

    pub(super) fn remove<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.young.remove(key);
        self.old.remove(key);
    }
}

/// Values as the batch sees them: what it changed, else what is remembered.
#[derive(Debug)]
pub(super) struct WriteBack<K, V> {
    known: Recent<K, V>,
    /// What the batch has changed so far.
    changed: HashMap<K, V>,
    /// What `changed` held before the write at hand, newest last.
    undo: Vec<(K, Option<V>)>,
}

impl<K: Hash + Eq + Clone, V: Copy> WriteBack<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Self { known: Recent::new(limit), changed: HashMap::new(), undo: Vec::new() }
    }

    /// The value, when it is in memory.
    pub(super) fn get<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.changed.get(key).copied().or_else(|| self.known.get(key))
    }

    /// Remembers what was read from the database.
    pub(super) fn learn(&mut self, key: K, value: V) {
        self.known.put(key, value);
    }

    /// Changes a value on behalf of the write at hand.
    pub(super) fn set(&mut self, key: K, value: V) {
        let before = self.changed.insert(key.clone(), value);
        self.undo.push((key, before));
    }

    /// The write at hand is accepted.
    pub(super) fn accept(&mut self) {
        self.undo.clear();
    }

    /// The write at hand is refused.
    pub(super) fn refuse(&mut self) {
        while let Some((key, before)) = self.undo.pop() {
            match before {
                Some(value) => self.changed.insert(key, value),
                None => self.changed.remove(&key),
            };
        }
    }

    /// Ends the batch: hands out every value that changed, and remembers what comes back.
    pub(super) fn settle<E>(
        &mut self,
        mut store: impl FnMut(&K, V) -> Result<V, E>,
    ) -> Result<(), E> {
        for (key, value) in self.changed.drain() {
            let value = store(&key, value)?;
            self.known.put(key, value);
        }
        Ok(())
    }

    /// Forgets a value that is gone from the database.
    pub(super) fn forget<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.known.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let mut recent = Recent::new(10);
        recent.put(0, 0);
        for key in 1..1_000 {
            recent.put(key, key);
            assert_eq!(recent.get(&0), Some(0), "used all the time");
            assert_eq!(recent.get(&key), Some(key), "just put");
            assert!(recent.young.len() + recent.old.len() <= 20);
        }
        assert_eq!(recent.get(&1), None);
    }

    #[test]
    fn a_newer_value_is_not_shadowed_by_an_older_generation() {
        let mut recent = Recent::new(2);
        recent.put('a', 1);
        recent.put('b', 1);
        recent.put('c', 1); // 'a' and 'b' are old now
        recent.put('a', 2);
        recent.put('d', 1); // 'a' -> 2 is old now, in place of 'a' -> 1
        assert_eq!(recent.get(&'a'), Some(2));
    }

    #[test]
    fn a_refused_write_leaves_what_the_batch_had() {
        let mut values = WriteBack::new(10);
        values.learn("a", 1);
        values.set("a", 2);
        values.accept();
        values.set("a", 3);
        values.set("a", 4);
        values.set("b", 9);
        values.refuse();
        assert_eq!((values.get("a"), values.get("b")), (Some(2), None));
        let mut stored = Vec::new();
        let done: Result<(), ()> = values.settle(|key, value| {
            stored.push((*key, value));
            Ok(value)
        });
        assert_eq!((done, stored), (Ok(()), vec![("a", 2)]));
        assert_eq!(values.get("a"), Some(2));
    }
}
