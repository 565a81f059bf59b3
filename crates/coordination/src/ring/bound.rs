//! How much more than its share a node may get.

use super::Error;

/// A limit on a node's keys, in percent of its share: `capacity = ⌈c · average⌉` with `c > 1`
/// (Mirrokni, Thorup and Zadimoghaddam, *Consistent Hashing with Bounded Loads*, 2016).
///
/// A key whose node is full goes to the next one in its order. The closer to 100, the more keys
/// are away from their first node, and the more move when something changes: in expectation
/// O(1/ε²) keys per key or node that comes or goes, for `c = 1 + ε`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bound {
    percent: u32,
}

impl Default for Bound {
    /// 125 percent: a quarter above the share, at which few keys are away from their first node.
    fn default() -> Self {
        Self { percent: 125 }
    }
}

impl Bound {
    /// A bound in percent of a node's share.
    ///
    /// # Errors
    /// [`Error::Bound`] when it is not above 100.
    pub const fn percent(percent: u32) -> Result<Self, Error> {
        if percent > 100 { Ok(Self { percent }) } else { Err(Error::Bound { percent }) }
    }

    /// The bound, in percent.
    #[must_use]
    pub const fn as_percent(self) -> u32 {
        self.percent
    }

    /// How many of `keys` keys a node may have, if it has `weight` of the `weights` of all nodes.
    /// Counted in whole numbers: a rounding error would be another ring.
    #[must_use]
    pub fn capacity(self, keys: u64, weight: u64, weights: u64) -> u64 {
        let part = u128::from(keys) * u128::from(weight) * u128::from(self.percent);
        let whole = u128::from(weights.max(1)) * 100;
        u64::try_from(part.div_ceil(whole)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_above_the_mean() {
        for percent in [0, 99, 100] {
            assert_eq!(Bound::percent(percent), Err(Error::Bound { percent }));
        }
        assert_eq!(Bound::percent(125), Ok(Bound::default()));
    }

    #[test]
    fn a_capacity_is_rounded_up_and_exact() {
        let bound = Bound::percent(110).unwrap();
        // In floating point, 1.1 × 100 is more than 110 and would be rounded up to 111.
        assert_eq!(bound.capacity(100, 1, 1), 110);
        assert_eq!(bound.capacity(1_000, 100, 1_000), 110);
        assert_eq!(bound.capacity(1, 1, 100), 1);
        assert_eq!(bound.capacity(u64::MAX, 1, 1), u64::MAX);
    }
}
