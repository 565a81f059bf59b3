//! In which order a key prefers the nodes.

use std::iter::Peekable;

use super::points::{Walk, owner};
use super::{KeyHash, Node, Ring};

/// The nodes from the nearest to a key to the farthest, each once. See [`Ring::order`].
///
/// A node is as near as the nearest of its points to any of the key's probes. That depends on
/// nobody else, so a node that comes or goes is put into or taken out of every key's order and
/// changes nothing else of it: this is why keys, replicas and bounded loads move so little.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    nodes: &'a [Node],
    walks: Vec<Peekable<Walk<'a>>>,
    seen: Vec<bool>,
    left: usize,
}

impl<'a> Order<'a> {
    pub(super) fn new(ring: &'a Ring, key: KeyHash) -> Self {
        let nodes = ring.nodes.as_slice();
        let walk = |probe| ring.points.from(key.probe(probe)).peekable();
        let walks = (0..ring.options.probes).map(walk).collect();
        Self { nodes, walks, seen: vec![false; nodes.len()], left: nodes.len() }
    }

    /// The next one's number.
    pub(super) fn next_rank(&mut self) -> Option<usize> {
        while self.left > 0 {
            let distances = self.walks.iter_mut().enumerate();
            let nearest = distances.filter_map(|(walk, at)| Some((*at.peek()?, walk))).min()?;
            let rank = owner(self.walks[nearest.1].next()?);
            if !std::mem::replace(&mut self.seen[rank], true) {
                self.left -= 1;
                return Some(rank);
            }
        }
        None
    }
}

impl<'a> Iterator for Order<'a> {
    type Item = &'a Node;

    fn next(&mut self) -> Option<&'a Node> {
        self.next_rank().map(|rank| &self.nodes[rank])
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Order<'_> {}
impl std::iter::FusedIterator for Order<'_> {}
