//! How the 63 bits are divided.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::number::Number;
use crate::timestamp::Timestamp;

/// Twitter's epoch: 2010-11-04T01:42:54.657Z.
pub const TWITTER_EPOCH: Timestamp = Timestamp::from_millis(1_288_834_974_657);

/// The bits of a number, below a sign bit that stays zero (databases have signed integers).
const BITS: u32 = 63;

/// A node's number. Only one process at a time may use it: take it from a lease on a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(u32);

impl NodeId {
    /// The holder of slot `slot`.
    #[must_use]
    pub const fn new(slot: u32) -> Self {
        Self(slot)
    }

    /// The slot.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Milliseconds since an epoch, then the node, then the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    epoch: Timestamp,
    node_bits: u32,
    sequence_bits: u32,
}

/// The bits cannot be divided so, or a part does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Too few bits are left for the time.
    #[error(
        "{node} bits of node and {sequence} of sequence leave fewer than 38 of 63 for the time \
         (8.7 years)"
    )]
    Bits {
        /// Bits of the node.
        node: u32,
        /// Bits of the sequence.
        sequence: u32,
    },
    /// The node's number is too large.
    #[error("node {node} does not fit in {bits} bits: 0 to {} do", (1_u64 << .bits) - 1)]
    Node {
        /// The node.
        node: u32,
        /// Bits of the node.
        bits: u32,
    },
}

/// The parts of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// The millisecond in which it was made, by its node's clock.
    pub time: Timestamp,
    /// Who made it.
    pub node: NodeId,
    /// Its place within the millisecond.
    pub sequence: u64,
}

/// Twitter's: 41 bits of milliseconds since 2010-11-04 (until 2080), 10 of node, 12 of sequence.
impl Default for Layout {
    fn default() -> Self {
        Self { epoch: TWITTER_EPOCH, node_bits: 10, sequence_bits: 12 }
    }
}

impl Layout {
    /// Other bits, or another epoch. All nodes must agree, for ever.
    ///
    /// # Errors
    /// [`LayoutError::Bits`] when too few are left for the time.
    pub fn new(epoch: Timestamp, node_bits: u32, sequence_bits: u32) -> Result<Self, LayoutError> {
        match node_bits.checked_add(sequence_bits) {
            // A day-long sequence and a u32 of nodes are more than anybody needs; 38 bits of
            // milliseconds are under nine years.
            Some(low) if low <= BITS - 38 => Ok(Self { epoch, node_bits, sequence_bits }),
            _ => Err(LayoutError::Bits { node: node_bits, sequence: sequence_bits }),
        }
    }

    /// What a number is made of.
    #[must_use]
    pub fn parts(&self, number: Number) -> Parts {
        let bits = number.get();
        let low = self.node_bits + self.sequence_bits;
        let node = (bits >> self.sequence_bits) & ((1 << self.node_bits) - 1);
        Parts {
            time: self.epoch + Duration::from_millis(bits >> low),
            node: NodeId(node as u32),
            sequence: bits & ((1 << self.sequence_bits) - 1),
        }
    }

    /// The least number that could be made at `time`: where a range of numbers by date begins.
    /// None before the epoch and after the last date.
    #[must_use]
    pub fn first_at(&self, time: Timestamp) -> Option<Number> {
        self.time_of(time).map(|time| self.compose(time, NodeId(0), 0))
    }

    pub(super) fn sequence_bits(&self) -> u32 {
        self.sequence_bits
    }

    pub(super) fn check(&self, node: NodeId) -> Result<(), LayoutError> {
        let fits = u64::from(node.0) < 1 << self.node_bits;
        if fits { Ok(()) } else { Err(LayoutError::Node { node: node.0, bits: self.node_bits }) }
    }

    pub(super) fn time_max(&self) -> u64 {
        (1 << (BITS - self.node_bits - self.sequence_bits)) - 1
    }

    /// Milliseconds since the epoch, if they fit.
    pub(super) fn time_of(&self, at: Timestamp) -> Option<u64> {
        let since = at.as_millis().checked_sub(self.epoch.as_millis())?;
        u64::try_from(since).ok().filter(|since| *since <= self.time_max())
    }

    pub(super) fn compose(&self, time: u64, node: NodeId, sequence: u64) -> Number {
        let high = (time << self.node_bits) | u64::from(node.0);
        Number::from_bits((high << self.sequence_bits) | sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_number_comes_apart() {
        // The worked example on Wikipedia's page on Snowflake IDs: a post of 2022-06-28.
        let number: Number = Number::try_from(1_541_815_603_606_036_480_u64).unwrap();
        let parts = Layout::default().parts(number);
        assert_eq!(parts.time, "2022-06-28T16:07:40.105Z".parse().unwrap());
        assert_eq!((parts.node, parts.sequence), (NodeId::new(378), 0));
        let first = Layout::default().first_at(parts.time).unwrap();
        assert!(first <= number);
        assert_eq!(Layout::default().parts(first).time, parts.time);
    }

    #[test]
    fn what_does_not_fit_is_said() {
        assert!(Layout::new(TWITTER_EPOCH, 5, 12).is_ok());
        assert!(matches!(Layout::new(TWITTER_EPOCH, 16, 12), Err(LayoutError::Bits { .. })));
        assert!(Layout::new(TWITTER_EPOCH, u32::MAX, 12).is_err());
        let error = Layout::default().check(NodeId::new(1_024)).unwrap_err();
        assert_eq!(error.to_string(), "node 1024 does not fit in 10 bits: 0 to 1023 do");
        assert_eq!(Layout::default().first_at(Timestamp::EPOCH), None);
    }
}
