//! The points of all nodes, laid out for the look-up.
//!
//! A point is one number: its position in the upper 48 bits, its node in the lower 16. The points
//! are sorted; an index over the leading bits says where to begin, with about one point per bucket.
//! So a look-up reads one line of the index and one or two of the points: it takes the least
//! distance to [`WINDOW`] points from there on without a branch, and searches only when a bucket
//! is crowded. Points that lie before the probe come out as the farthest, since subtraction goes
//! around the ring like the probe does.

use std::iter::Chain;
use std::slice::Iter;

/// Points looked at without a branch. With at most one point per bucket on average, one probe in
/// three hundred needs more.
const WINDOW: usize = 4;

/// The bits of a point that are its position.
const POSITION: u64 = !0xFFFF;

/// Points in order, with an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Points {
    /// In order; then the first ones once more, so that a look-up runs over the end.
    sorted: Vec<u64>,
    /// How many there are, without the repeated ones.
    len: usize,
    /// For each value of the leading bits: where the points that begin with it begin.
    starts: Vec<u32>,
    /// How many bits follow the leading ones.
    shift: u32,
}

/// A point from its position and its node.
pub(super) const fn point(position: u64, owner: u16) -> u64 {
    position & POSITION | owner as u64
}

/// The node of a point, or of a distance to it.
#[inline]
pub(super) const fn owner(point: u64) -> usize {
    (point & !POSITION) as usize
}

impl Points {
    /// Lays out points, which may be none.
    pub(super) fn new(mut sorted: Vec<u64>) -> Self {
        sorted.sort_unstable();
        Self::from_sorted(sorted)
    }

    fn from_sorted(mut sorted: Vec<u64>) -> Self {
        let len = sorted.len();
        let bits = len.next_power_of_two().ilog2().max(1);
        let shift = 64 - bits;
        let mut starts = Vec::with_capacity(1 << bits);
        let mut at = 0_u32;
        for bucket in 0..1_u64 << bits {
            while sorted.get(at as usize).is_some_and(|point| point >> shift < bucket) {
                at += 1;
            }
            starts.push(at);
        }
        if len > 0 {
            sorted.extend_from_within(..WINDOW.min(len));
            // Fewer than that: they are repeated until there are enough.
            while sorted.len() < len + WINDOW {
                sorted.push(sorted[sorted.len() - len]);
            }
        }
        Self { sorted, len, starts, shift }
    }

    pub(super) fn as_slice(&self) -> &[u64] {
        &self.sorted[..self.len]
    }

    /// The points with those of one more node, which takes the number `rank`; the numbers from
    /// there on move up.
    pub(super) fn with(&self, rank: u16, mut added: Vec<u64>) -> Self {
        added.sort_unstable();
        let mut merged = Vec::with_capacity(self.len + added.len() + WINDOW);
        let mut added = added.into_iter().peekable();
        for &known in self.as_slice() {
            let moved = known + u64::from(owner(known) >= usize::from(rank));
            while let Some(new) = added.next_if(|new| *new < moved) {
                merged.push(new);
            }
            merged.push(moved);
        }
        merged.extend(added);
        Self::from_sorted(merged)
    }

    /// The points without those of the node with the number `rank`; the numbers above it move
    /// down.
    pub(super) fn without(&self, rank: u16) -> Self {
        let rank = usize::from(rank);
        let others = self.as_slice().iter().filter(|point| owner(**point) != rank);
        Self::from_sorted(others.map(|point| point - u64::from(owner(*point) > rank)).collect())
    }

    /// The distance from a position on to the next point, with that point's node in the lower 16
    /// bits. Equal positions count in the order of the nodes' numbers. There must be a point.
    #[inline]
    pub(super) fn nearest(&self, probe: u64) -> u64 {
        let probe = probe & POSITION;
        let bucket = probe >> self.shift;
        let start = self.starts[bucket as usize] as usize;
        let window = &self.sorted[start..start + WINDOW];
        let base = bucket << self.shift;
        if window[WINDOW - 1].wrapping_sub(base) < probe - base {
            return self.nearest_in_crowd(probe);
        }
        let near = window[0].wrapping_sub(probe).min(window[1].wrapping_sub(probe));
        let far = window[2].wrapping_sub(probe).min(window[3].wrapping_sub(probe));
        near.min(far)
    }

    #[cold]
    fn nearest_in_crowd(&self, probe: u64) -> u64 {
        self.sorted[self.after(probe)].wrapping_sub(probe)
    }

    /// Where the points from a position on begin: at most the number of points, which is where
    /// the first ones are repeated.
    fn after(&self, probe: u64) -> usize {
        self.as_slice().partition_point(|point| *point < probe)
    }

    /// The points from a position on, once around: the distance, with the node in the lower bits.
    pub(super) fn from(&self, probe: u64) -> Walk<'_> {
        let probe = probe & POSITION;
        let (before, after) = self.as_slice().split_at(self.after(probe));
        Walk { points: after.iter().chain(before), probe }
    }
}

/// Once around the ring, from a position on.
#[derive(Clone, Debug)]
pub(super) struct Walk<'a> {
    points: Chain<Iter<'a, u64>, Iter<'a, u64>>,
    probe: u64,
}

impl Iterator for Walk<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.points.next().map(|point| point.wrapping_sub(self.probe))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The obvious way: look at all of them.
    fn obvious(points: &[u64], probe: u64) -> u64 {
        points.iter().map(|point| point.wrapping_sub(probe & POSITION)).min().unwrap()
    }

    fn crowded() -> impl Strategy<Value = u64> {
        // Some anywhere, many in one corner, some at the ends.
        prop_oneof![any::<u64>(), 0_u64..1 << 24, (0_u64..1 << 20).prop_map(|near| !near)]
    }

    proptest! {
        #[test]
        fn the_nearest_is_the_nearest(
            points in prop::collection::vec(crowded(), 1..300),
            probes in prop::collection::vec(crowded(), 100),
        ) {
            let table = Points::new(points.clone());
            for probe in probes.into_iter().chain(points.iter().copied()) {
                let expected = obvious(&points, probe);
                prop_assert_eq!(table.nearest(probe), expected);
                prop_assert_eq!(table.from(probe).next(), Some(expected));
                let around: Vec<u64> = table.from(probe).collect();
                prop_assert_eq!(around.len(), points.len());
                prop_assert!(around.is_sorted());
            }
        }

        #[test]
        fn adding_and_removing_a_node_is_the_same_as_building_anew(
            old in prop::collection::vec((crowded(), 0_u16..9), 0..100),
            new in prop::collection::vec(crowded(), 1..50),
            rank in 0_u16..9,
        ) {
            let new: Vec<u64> = new.iter().map(|position| point(*position, rank)).collect();
            let before = Points::new(old.iter().map(|(at, owner)| point(*at, *owner)).collect());
            let moved = |owner: u16| owner + u16::from(owner >= rank);
            let all = old.iter().map(|(at, owner)| point(*at, moved(*owner)));
            let expected = Points::new(all.chain(new.iter().copied()).collect());
            let after = before.with(rank, new);
            prop_assert_eq!(&after, &expected);
            prop_assert_eq!(after.without(rank), before);
        }
    }
}
