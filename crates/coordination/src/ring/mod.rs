//! Which node has which key, without asking anybody: a consistent-hash ring.
//!
//! # Why
//! Keys spread over nodes by `hash % n` nearly all move when `n` changes. On a ring (Karger et
//! al., *Consistent Hashing and Random Trees*, 1997) a node that comes takes its share from the
//! others and nothing moves between those; one that goes leaves its share to them. Every process
//! that knows the same members finds the same node, and nobody has to be asked.
//!
//! A ring is a **preference, not an exclusion**. Two processes may know different members for a
//! while, so whatever must be done by one alone is still guarded by a lease and its token.
//!
//! # How
//! Each node has [`virtual_nodes`](Options::virtual_nodes) points on a circle of 2⁴⁸ positions, and
//! each key a few [`probes`](Options::probes) (Appleton and O'Reilly, *Multi-Probe Consistent
//! Hashing*, 2015). The key belongs to the node whose point is the nearest after one of its probes.
//! Where everything lies is fixed ([`KeyHash`] says how): it depends on no process, platform,
//! version, or order of insertion. Equal positions belong to the node whose name sorts first.
//!
//! # What it costs
//! | | |
//! |---|---|
//! | memory | 12 to 16 bytes per virtual node: 160 KiB for 100 nodes × 128 |
//! | [`locate`](Ring::locate) | tens of nanoseconds; no allocation |
//! | [`replicas`](Ring::replicas) | some hundred nanoseconds to microseconds; allocates |
//! | [`insert`](Ring::insert), [`remove`](Ring::remove) | one pass over all points: some tens of microseconds |
//!
//! # When not
//! - **A dozen nodes or fewer**: rank the nodes by `hash(key, node)` and take the highest
//!   (rendezvous hashing). It is perfectly even, needs no ring, and moves as little.
//! - **Numbered shards that only ever grow at the end**: jump consistent hashing needs no memory.
//! - **A few keys per node**: even a perfect hash then gives one node many times the keys of
//!   another, as dice do. Use [`Assignment`], which bounds the load.
//!
//! ```
//! use steadfast_coordination::ring::{Node, Ring};
//!
//! let mut ring = Ring::of(["ada", "bob", "eve"].map(Node::from))?;
//! let before = ring.locate("zone/7")?.name().to_owned();
//! ring.insert("kim".into())?;
//! let after = ring.locate("zone/7")?.name();
//! assert!(after == before || after == "kim");
//! assert_eq!(ring.replicas("zone/7", 3)?.len(), 3);
//! # Ok::<(), steadfast_coordination::ring::Error>(())
//! ```

mod assignment;
mod bound;
mod error;
mod hash;
mod node;
mod options;
mod order;
mod points;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub use assignment::{Assignment, Move};
pub use bound::Bound;
pub use error::Error;
pub use hash::KeyHash;
pub use node::{Node, ORDINARY_PERCENT};
pub use options::Options;
pub use order::Order;

use crate::limits::{RING_NODES_MAX, RING_POINTS_MAX};
use points::{Points, owner, point};

/// Nodes on a ring. See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    options: Options,
    /// By name; a node's number is its place here.
    nodes: Vec<Node>,
    points: Points,
}

impl Ring {
    /// A ring without nodes.
    ///
    /// # Errors
    /// What [`Options::check`] says.
    pub fn new(options: Options) -> Result<Self, Error> {
        Self::build(options, [])
    }

    /// A ring of these nodes, with the default options.
    ///
    /// # Errors
    /// What [`Ring::build`] says.
    pub fn of(nodes: impl IntoIterator<Item = Node>) -> Result<Self, Error> {
        Self::build(Options::default(), nodes)
    }

    /// A ring of these nodes, which may be none.
    ///
    /// # Errors
    /// Those of [`Options::check`]; [`Error::Duplicate`], [`Error::Weightless`],
    /// [`Error::TooLarge`].
    pub fn build(options: Options, nodes: impl IntoIterator<Item = Node>) -> Result<Self, Error> {
        options.check()?;
        let mut nodes: Vec<Node> = nodes.into_iter().collect();
        nodes.sort_unstable();
        for pair in nodes.windows(2) {
            if let [one, other] = pair
                && one.name() == other.name()
            {
                return Err(Error::Duplicate { name: one.shared_name().clone() });
            }
        }
        let mut points = 0_usize;
        for node in &nodes {
            points = points.saturating_add(check(node, options)?);
        }
        fits(nodes.len(), points)?;
        let numbered = (0_u16..).zip(&nodes);
        let points = numbered.flat_map(|(rank, node)| points_of(node, rank, options)).collect();
        Ok(Self { options, nodes, points: Points::new(points) })
    }

    /// Adds a node. Keys move to it, and between no others.
    ///
    /// # Errors
    /// [`Error::Duplicate`], [`Error::Weightless`], [`Error::TooLarge`]; the ring is unchanged.
    pub fn insert(&mut self, node: Node) -> Result<(), Error> {
        let added = check(&node, self.options)?;
        let Err(at) = self.find(node.name()) else {
            return Err(Error::Duplicate { name: node.shared_name().clone() });
        };
        fits(self.nodes.len() + 1, self.points.as_slice().len().saturating_add(added))?;
        let rank = u16::try_from(at).unwrap_or(u16::MAX);
        let added = points_of(&node, rank, self.options).collect();
        self.points = self.points.with(rank, added);
        self.nodes.insert(at, node);
        Ok(())
    }

    /// Takes a node out. Its keys move, and no others.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn remove(&mut self, name: &str) -> Result<Node, Error> {
        let at = self.find(name).map_err(|_| Error::Unknown { name: name.into() })?;
        self.points = self.points.without(u16::try_from(at).unwrap_or(u16::MAX));
        Ok(self.nodes.remove(at))
    }

    /// The node to which a key belongs.
    ///
    /// # Errors
    /// [`Error::NoNodes`].
    #[inline]
    pub fn locate(&self, key: impl AsRef<[u8]>) -> Result<&Node, Error> {
        self.locate_hashed(KeyHash::of(key.as_ref()))
    }

    /// The node to which a key belongs that has been hashed.
    ///
    /// # Errors
    /// [`Error::NoNodes`].
    #[inline]
    pub fn locate_hashed(&self, key: KeyHash) -> Result<&Node, Error> {
        if self.nodes.is_empty() {
            return Err(Error::NoNodes);
        }
        let mut nearest = self.points.nearest(key.probe(0));
        for probe in 1..self.options.probes {
            nearest = nearest.min(self.points.nearest(key.probe(probe)));
        }
        Ok(&self.nodes[owner(nearest)])
    }

    /// All nodes, from the one to which a key belongs to the one that it prefers least: who takes
    /// over when the first ones are down, or full.
    #[must_use]
    pub fn order(&self, key: impl AsRef<[u8]>) -> Order<'_> {
        Order::new(self, KeyHash::of(key.as_ref()))
    }

    /// The first `n` nodes in a key's order, all different.
    ///
    /// # Errors
    /// [`Error::NoNodes`]; [`Error::TooFewNodes`] rather than fewer replicas than were asked for.
    pub fn replicas(&self, key: impl AsRef<[u8]>, n: usize) -> Result<Vec<&Node>, Error> {
        let nodes = self.nodes.len();
        if nodes == 0 {
            return Err(Error::NoNodes);
        }
        if n > nodes {
            return Err(Error::TooFewNodes { asked: n, nodes });
        }
        Ok(self.order(key).take(n).collect())
    }

    /// The first `n` nodes in a key's order that are in different failure domains. A node without
    /// a [domain](Node::within) is one of its own.
    ///
    /// # Errors
    /// [`Error::NoNodes`]; [`Error::TooFewDomains`].
    pub fn replicas_apart(&self, key: impl AsRef<[u8]>, n: usize) -> Result<Vec<&Node>, Error> {
        if self.nodes.is_empty() {
            return Err(Error::NoNodes);
        }
        let mut taken = BTreeSet::new();
        let mut replicas = Vec::new();
        for node in self.order(key) {
            if replicas.len() == n {
                break;
            }
            if node.domain().is_none_or(|domain| taken.insert(domain)) {
                replicas.push(node);
            }
        }
        if replicas.len() < n {
            return Err(Error::TooFewDomains { asked: n, domains: replicas.len() });
        }
        Ok(replicas)
    }

    /// The first node in a key's order that has room: for keys that come and go, such as
    /// connections, where `load` says how many a node has now. For a fixed set of keys see
    /// [`Assignment`].
    ///
    /// # Errors
    /// [`Error::NoNodes`]; [`Error::AllFull`] when `load` reports more than `keys` in all.
    pub fn locate_bounded(
        &self,
        key: impl AsRef<[u8]>,
        bound: Bound,
        keys: u64,
        mut load: impl FnMut(&Node) -> u64,
    ) -> Result<&Node, Error> {
        if self.nodes.is_empty() {
            return Err(Error::NoNodes);
        }
        let (keys, weights) = (keys.saturating_add(1), self.weights());
        let has_room = |node: &&Node| {
            load(node) < bound.capacity(keys, u64::from(node.weight_percent()), weights)
        };
        self.order(key).find(has_room).ok_or(Error::AllFull { percent: bound.as_percent() })
    }

    /// The nodes, by name.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A node by its name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.find(name).ok().map(|at| &self.nodes[at])
    }

    /// How finely it is divided.
    #[must_use]
    pub const fn options(&self) -> Options {
        self.options
    }

    /// What all nodes weigh together.
    fn weights(&self) -> u64 {
        self.nodes.iter().map(|node| u64::from(node.weight_percent())).sum()
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.nodes.binary_search_by(|node| node.name().cmp(name))
    }
}

/// How many points a node would have.
fn check(node: &Node, options: Options) -> Result<usize, Error> {
    if node.weight_percent() == 0 {
        return Err(Error::Weightless { name: node.shared_name().clone() });
    }
    Ok(node.points(options.virtual_nodes))
}

fn fits(nodes: usize, points: usize) -> Result<(), Error> {
    if nodes > RING_NODES_MAX || points > RING_POINTS_MAX {
        return Err(Error::TooLarge { nodes, points });
    }
    Ok(())
}

fn points_of(node: &Node, rank: u16, options: Options) -> impl Iterator<Item = u64> {
    let positions = hash::positions(node.name()).take(node.points(options.virtual_nodes));
    positions.map(move |position| point(position, rank))
}
