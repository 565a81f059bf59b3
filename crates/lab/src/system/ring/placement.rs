//! Where each key lies, by three rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use steadfast_coordination::ring::{self, Assignment, Bound, KeyHash, Node, Ring};

/// A rule that says which node has which key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rule {
    /// `hash % n`: what everybody writes first.
    Modulo,
    /// The nearest point on a ring with so many points for each node, after so many probes.
    Ring { virtual_nodes: u32, probes: u32 },
    /// The ring, and no node gets more than its bound.
    Bounded(Bound),
}

/// The keys of an experiment, hashed once.
pub(super) struct Keys {
    names: Vec<Arc<str>>,
    hashes: Vec<KeyHash>,
    numbers: BTreeMap<Arc<str>, usize>,
}

impl Keys {
    pub(super) fn new(count: usize, seed: u64) -> Self {
        let names: Vec<Arc<str>> = (0..count).map(|n| format!("key/{seed}/{n}").into()).collect();
        let hashes = names.iter().map(|name| KeyHash::of(name.as_bytes())).collect();
        let numbers = names.iter().cloned().zip(0..).collect();
        Self { names, hashes, numbers }
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }
}

impl Rule {
    /// The node of each key, as a number into `alive`, which is in order of names.
    pub(super) fn place(self, keys: &Keys, alive: &[&str]) -> Result<Vec<usize>, ring::Error> {
        match self {
            Self::Modulo => Ok(keys.names.iter().map(|key| modulo(key, alive.len())).collect()),
            Self::Ring { virtual_nodes, probes } => {
                let options = ring::Options { virtual_nodes, probes };
                let ring = Ring::build(options, alive.iter().map(|&name| Node::from(name)))?;
                let number: BTreeMap<&str, usize> = alive.iter().copied().zip(0..).collect();
                keys.hashes
                    .iter()
                    .map(|&hash| Ok(number[ring.locate_hashed(hash)?.name()]))
                    .collect()
            }
            Self::Bounded(bound) => {
                let ring = Ring::of(alive.iter().map(|&name| Node::from(name)))?;
                let assignment = Assignment::new(&ring, keys.names.iter().cloned(), bound)?;
                let mut placed = vec![0; keys.len()];
                for (number, name) in alive.iter().enumerate() {
                    for key in assignment.keys_of(name) {
                        placed[keys.numbers[key]] = number;
                    }
                }
                Ok(placed)
            }
        }
    }
}

/// FNV-1a, so that the rule stands on its own.
fn modulo(key: &str, nodes: usize) -> usize {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    // The remainder is below a usize.
    usize::try_from(hash % nodes.max(1) as u64).unwrap_or(0)
}
