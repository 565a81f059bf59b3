//! What is wrong with a ring, or with a question to it.

use std::sync::Arc;

use crate::limits::{RING_NODES_MAX, RING_POINTS_MAX, RING_PROBES_MAX};

/// Why a ring cannot be built or cannot answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is nobody to whom a key could belong.
    #[error("the ring has no nodes; insert one first")]
    NoNodes,
    /// More nodes were asked for than there are.
    #[error("{asked} nodes were asked for, and the ring has {nodes}")]
    TooFewNodes {
        /// How many were asked for.
        asked: usize,
        /// How many there are.
        nodes: usize,
    },
    /// More failure domains were asked for than there are.
    #[error("nodes in {asked} failure domains were asked for, and the ring has {domains}")]
    TooFewDomains {
        /// How many were asked for.
        asked: usize,
        /// How many there are.
        domains: usize,
    },
    /// The name is taken.
    #[error("the ring already has a node called {name:?}")]
    Duplicate {
        /// The name.
        name: Arc<str>,
    },
    /// There is no such node.
    #[error("the ring has no node called {name:?}")]
    Unknown {
        /// The name.
        name: Arc<str>,
    },
    /// A node that takes no keys is no node.
    #[error("the node {name:?} has the weight 0; give it at least 1 percent, or leave it out")]
    Weightless {
        /// The node.
        name: Arc<str>,
    },
    /// No load can be kept below the mean.
    #[error("a load bound of {percent} percent cannot be kept; it must be above 100")]
    Bound {
        /// What was asked for.
        percent: u32,
    },
    /// Every node is as full as it may be.
    #[error("every node has as many keys as the bound of {percent} percent allows")]
    AllFull {
        /// The bound.
        percent: u32,
    },
    /// No point per node, or more than a ring may have.
    #[error("a node cannot have {0} virtual nodes; 1 to {RING_POINTS_MAX} are possible")]
    VirtualNodes(u32),
    /// A key has to be looked up somewhere, but not everywhere.
    #[error("a key cannot have {0} probes; 1 to {RING_PROBES_MAX} are possible")]
    Probes(u32),
    /// The ring would be too large.
    #[error(
        "{nodes} nodes with {points} virtual nodes are more than the {RING_NODES_MAX} and \
         {RING_POINTS_MAX} that fit"
    )]
    TooLarge {
        /// How many nodes there would be.
        nodes: usize,
        /// How many virtual nodes, of all of them.
        points: usize,
    },
}
