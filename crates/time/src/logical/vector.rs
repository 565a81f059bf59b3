//! Vector clocks (Fidge 1988, Mattern 1989): one counter per node, compared as a whole.
//!
//! A vector tells what no single number can: that two events did *not* know of each other
//! ([`Causality::Concurrent`]), which is when two versions of a value are a conflict.
//!
//! The price is an entry per node that ever wrote. The number of nodes is bounded, and a node too
//! many is refused ([`Error::Full`]). Entries are never pruned: a vector that has forgotten a node may
//! compare as concurrent with its own descendant (a conflict out of nothing), or as older than
//! something it has not seen, and the newer value is lost.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::limits::VECTOR_NODES_MAX;

/// How two events stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Causality {
    /// The left one may have caused the right one.
    Before,
    /// The right one may have caused the left one.
    After,
    /// They are the same.
    Equal,
    /// Neither knew of the other.
    Concurrent,
}

/// A vector has an entry for as many nodes as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another node would be one too many.
    #[error("a vector clock holds {VECTOR_NODES_MAX} nodes at most; none can be dropped safely")]
    Full,
    /// A node's counter cannot go on.
    #[error("a node's counter has come to its end")]
    Exhausted,
}

/// What a node, or a version of a value, has seen. A node that is missing stands at zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Vector<N: Ord> {
    seen: BTreeMap<N, u64>,
}

impl<N: Ord> Default for Vector<N> {
    fn default() -> Self {
        Self { seen: BTreeMap::new() }
    }
}

impl<N: Ord> Vector<N> {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many events of `node` have been seen.
    pub fn get(&self, node: &N) -> u64 {
        self.seen.get(node).copied().unwrap_or(0)
    }

    /// The nodes with their counters, in order of nodes.
    pub fn iter(&self) -> impl Iterator<Item = (&N, u64)> {
        self.seen.iter().map(|(node, count)| (node, *count))
    }

    /// An event of `node`; answers its number.
    ///
    /// # Errors
    /// [`Error::Full`] for a new node too many; nothing is changed.
    pub fn increment(&mut self, node: N) -> Result<u64, Error> {
        let nodes = self.seen.len();
        match self.seen.entry(node) {
            Entry::Occupied(mut entry) => {
                let next = entry.get().checked_add(1).ok_or(Error::Exhausted)?;
                entry.insert(next);
                Ok(next)
            }
            Entry::Vacant(_) if nodes >= VECTOR_NODES_MAX => Err(Error::Full),
            Entry::Vacant(entry) => {
                entry.insert(1);
                Ok(1)
            }
        }
    }

    /// Everything that either has seen. A receiver merges, then increments its own.
    ///
    /// # Errors
    /// [`Error::Full`] when together there are too many nodes; nothing is changed.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error>
    where
        N: Clone,
    {
        let new = other.seen.keys().filter(|node| !self.seen.contains_key(node)).count();
        if self.seen.len() + new > VECTOR_NODES_MAX {
            return Err(Error::Full);
        }
        for (node, count) in &other.seen {
            let mine = self.seen.entry(node.clone()).or_insert(0);
            *mine = (*mine).max(*count);
        }
        Ok(())
    }

    /// How this stands to `other`.
    pub fn compare(&self, other: &Self) -> Causality {
        let behind = self.seen.iter().any(|(node, count)| *count < other.get(node))
            || other.seen.iter().any(|(node, count)| self.get(node) < *count);
        let ahead = self.seen.iter().any(|(node, count)| *count > other.get(node));
        match (behind, ahead) {
            (false, false) => Causality::Equal,
            (true, false) => Causality::Before,
            (false, true) => Causality::After,
            (true, true) => Causality::Concurrent,
        }
    }
}

/// The partial order; `None` for [`Causality::Concurrent`].
impl<N: Ord> PartialOrd for Vector<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.compare(other) {
            Causality::Before => Some(Ordering::Less),
            Causality::After => Some(Ordering::Greater),
            Causality::Equal => Some(Ordering::Equal),
            Causality::Concurrent => None,
        }
    }
}

impl<'de, N: Ord + Deserialize<'de>> Deserialize<'de> for Vector<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut seen = BTreeMap::deserialize(deserializer)?;
        // A zero says nothing, and would make equal vectors differ.
        seen.retain(|_, count| *count > 0);
        if seen.len() > VECTOR_NODES_MAX {
            return Err(de::Error::custom(Error::Full));
        }
        Ok(Self { seen })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vector(counts: &[(&'static str, u64)]) -> Vector<&'static str> {
        Vector { seen: counts.iter().copied().collect() }
    }

    #[test]
    fn the_four_ways() {
        let (a, b) = (vector(&[("a", 2), ("b", 1)]), vector(&[("a", 2), ("b", 2)]));
        assert_eq!(a.compare(&b), Causality::Before);
        assert_eq!(b.compare(&a), Causality::After);
        assert_eq!(a.compare(&a.clone()), Causality::Equal);
        assert_eq!(vector(&[("c", 1)]).compare(&a), Causality::Concurrent);
        assert_eq!(Vector::new().compare(&a), Causality::Before);
    }

    #[test]
    fn a_node_too_many_is_refused_and_changes_nothing() {
        let mut full = Vector::new();
        (0..VECTOR_NODES_MAX).for_each(|node| assert_eq!(full.increment(node), Ok(1)));
        let before = full.clone();
        assert_eq!(full.increment(VECTOR_NODES_MAX), Err(Error::Full));
        let mut other = Vector::new();
        other.increment(VECTOR_NODES_MAX).unwrap();
        assert_eq!(full.merge(&other), Err(Error::Full));
        assert_eq!(full, before);
        assert_eq!(full.increment(0), Ok(2), "those that are in go on");
    }

    #[test]
    fn pruning_would_lose_the_newer_value() {
        let old = vector(&[("a", 1), ("b", 5)]);
        let new = vector(&[("a", 2), ("b", 5)]);
        let pruned = vector(&[("a", 2)]);
        assert_eq!(new.compare(&old), Causality::After);
        assert_eq!(pruned.compare(&old), Causality::Concurrent, "a conflict out of nothing");
    }

    #[test]
    fn json_is_a_map_and_zeros_are_dropped() {
        let vector: Vector<String> = serde_json::from_str(r#"{"a":2,"b":0}"#).unwrap();
        assert_eq!(serde_json::to_string(&vector).unwrap(), r#"{"a":2}"#);
    }

    proptest! {
        /// Nodes that exchange messages, against the sets of events that each really knows of.
        #[test]
        fn as_the_sets_of_known_events_say(
            steps in prop::collection::vec((0_usize..4, prop::option::of(0_usize..40)), 1..40),
        ) {
            let mut clocks = vec![Vector::<usize>::new(); 4];
            let mut knows = vec![std::collections::BTreeSet::<usize>::new(); 4];
            let mut events = Vec::new();
            for (event, (node, from)) in steps.into_iter().enumerate() {
                if let Some(from) = from.filter(|from| *from < event) {
                    let (clock, known): &(Vector<usize>, _) = &events[from];
                    clocks[node].merge(clock).unwrap();
                    knows[node].extend::<&std::collections::BTreeSet<usize>>(known);
                }
                clocks[node].increment(node).unwrap();
                knows[node].insert(event);
                events.push((clocks[node].clone(), knows[node].clone()));
            }
            for (a, known_a) in &events {
                for (b, known_b) in &events {
                    let expected = match (known_a.is_subset(known_b), known_b.is_subset(known_a)) {
                        (true, true) => Causality::Equal,
                        (true, false) => Causality::Before,
                        (false, true) => Causality::After,
                        (false, false) => Causality::Concurrent,
                    };
                    prop_assert_eq!(a.compare(b), expected);
                }
            }
        }
    }
}
