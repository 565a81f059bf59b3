//! Which node has which of a fixed set of keys, with a bound on each node's load.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Bound, Error, KeyHash, Order, Ring};

/// All zones, each with a live dispatcher: a pure function of the two lists.
///
/// Every process that knows the same members and the same zones comes to the same assignment,
/// without a word between them. Zones are placed in the order of their hashes; each goes to the
/// first node in its [order](Ring::order) that has room. A node has at most ⌈c · its share⌉ of
/// them, so with as many nodes as zones nobody has three.
///
/// It says who *should* take a zone. The zone's lease says who has it: while members come and go,
/// two processes may read different lists.
///
/// ```
/// use steadfast_coordination::ring::{Assignment, Bound, Ring};
///
/// let zones = ["gangnam", "jongno", "mapo", "songpa"];
/// let both = Assignment::new(&Ring::of(["a".into(), "b".into()])?, zones, Bound::default())?;
/// assert!(both.keys_of("a").count() <= 3);
/// let one = Assignment::new(&Ring::of(["a".into()])?, zones, Bound::default())?;
/// assert_eq!(one.keys_of("a").count(), 4);
/// assert!(one.moves_from(&both).iter().all(|moved| moved.from.as_deref() == Some("b")));
/// # Ok::<(), steadfast_coordination::ring::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    by_key: BTreeMap<Arc<str>, Arc<str>>,
    by_node: BTreeMap<Arc<str>, Vec<Arc<str>>>,
}

/// A key that has another node than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Which.
    pub key: Arc<str>,
    /// Whose it was; `None` when the key is new.
    pub from: Option<Arc<str>>,
    /// Whose it is; `None` when the key is gone.
    pub to: Option<Arc<str>>,
}

impl Assignment {
    /// Assigns keys to the nodes of a ring. A key that is named twice is one key.
    ///
    /// # Errors
    /// [`Error::NoNodes`]. With none, nobody takes the zones; that must not look like an answer.
    pub fn new<K: Into<Arc<str>>>(
        ring: &Ring,
        keys: impl IntoIterator<Item = K>,
        bound: Bound,
    ) -> Result<Self, Error> {
        if ring.nodes().is_empty() {
            return Err(Error::NoNodes);
        }
        let placed = |key: Arc<str>| (KeyHash::of(key.as_bytes()), key);
        let keys: BTreeSet<_> = keys.into_iter().map(|key| placed(key.into())).collect();
        let (count, weights) = (keys.len() as u64, ring.weights());
        let room = ring.nodes().iter();
        let room = room.map(|node| bound.capacity(count, node.weight_percent().into(), weights));
        let mut room: Vec<u64> = room.collect();
        let mut by_key = BTreeMap::new();
        let mut by_node: BTreeMap<Arc<str>, Vec<Arc<str>>> = BTreeMap::new();
        for node in ring.nodes() {
            by_node.insert(Arc::clone(node.shared_name()), Vec::new());
        }
        for (hash, key) in keys {
            let full = Error::AllFull { percent: bound.as_percent() };
            let mut order = Order::new(ring, hash);
            let mut ranks = std::iter::from_fn(|| order.next_rank());
            let rank = ranks.find(|rank| room[*rank] > 0).ok_or(full)?;
            room[rank] -= 1;
            let node = ring.nodes()[rank].shared_name();
            by_node.entry(Arc::clone(node)).or_default().push(Arc::clone(&key));
            by_key.insert(key, Arc::clone(node));
        }
        by_node.values_mut().for_each(|keys| keys.sort_unstable());
        Ok(Self { by_key, by_node })
    }

    /// The node that has a key; `None` when the key was not among those assigned.
    #[must_use]
    pub fn node_of(&self, key: &str) -> Option<&str> {
        self.by_key.get(key).map(AsRef::as_ref)
    }

    /// The keys of a node, in order.
    pub fn keys_of(&self, node: &str) -> impl Iterator<Item = &str> {
        self.by_node.get(node).into_iter().flatten().map(AsRef::as_ref)
    }

    /// All nodes, by name, with their keys; those without keys too.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &[Arc<str>])> {
        self.by_node.iter().map(|(node, keys)| (node.as_ref(), keys.as_slice()))
    }

    /// What is different from an earlier assignment, by key.
    #[must_use]
    pub fn moves_from(&self, before: &Self) -> Vec<Move> {
        let keys: BTreeSet<&Arc<str>> = self.by_key.keys().chain(before.by_key.keys()).collect();
        let moves = keys.into_iter().filter_map(|key| {
            let (from, to) = (before.by_key.get(key), self.by_key.get(key));
            let moved = Move { key: Arc::clone(key), from: from.cloned(), to: to.cloned() };
            (from != to).then_some(moved)
        });
        moves.collect()
    }
}
