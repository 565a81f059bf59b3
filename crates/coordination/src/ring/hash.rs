//! Where keys and nodes lie on the ring. **Part of the format**: processes of different versions
//! must agree on it, so a change here is a new ring, and golden values in the tests hold it still.
//!
//! - A key is hashed by XXH3 with 128 bits and no seed (xxHash 0.8, stable across platforms). Its
//!   probe `j` lies at `low + j·(high | 1)`, modulo 2⁶⁴ (double hashing: Kirsch and Mitzenmacher,
//!   *Less Hashing, Same Performance*, 2006).
//! - The point `i` of a node lies at the `i`-th output of SplitMix64 (Steele, Lea and Flood, 2014),
//!   seeded with XXH3 of the node's name with 64 bits and no seed.
//!
//! XXH3 is no cryptographic hash: whoever may choose keys at will can choose many of one node.
//! Against that there are [bounded loads](super::Bound).

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// The hash of a key: for those who look up the same key more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash {
    low: u64,
    step: u64,
}

impl KeyHash {
    /// Hashes a key.
    #[must_use]
    #[inline]
    pub fn of(key: &[u8]) -> Self {
        Self::from_xxh3(xxh3_128(key))
    }

    /// From the key's XXH3 with 128 bits and no seed, where that is at hand.
    #[must_use]
    #[inline]
    pub const fn from_xxh3(hash: u128) -> Self {
        // The halves, so cut off on purpose. An odd step visits every position.
        Self { low: hash as u64, step: (hash >> 64) as u64 | 1 }
    }

    /// The position of a probe.
    #[inline]
    pub(super) const fn probe(self, number: u32) -> u64 {
        self.low.wrapping_add(self.step.wrapping_mul(number as u64))
    }
}

/// The positions of a node's points.
pub(super) fn positions(name: &str) -> impl Iterator<Item = u64> {
    let mut state = xxh3_64(name.as_bytes());
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published: xxHash's specification and SplitMix64's reference implementation.
    #[test]
    fn the_hashes_are_the_published_ones() {
        assert_eq!(xxh3_64(b""), 0x2D06_8005_38D3_94C2);
        assert_eq!(xxh3_128(b""), 0x99AA_06D3_0147_98D8_6001_C324_468D_497F);
        let hash = KeyHash::of(b"");
        assert_eq!(hash.probe(0), 0x6001_C324_468D_497F);
        assert_eq!(hash.probe(1), 0x6001_C324_468D_497F_u64.wrapping_add(0x99AA_06D3_0147_98D9));
    }

    #[test]
    fn points_stay_where_they_are() {
        let first: Vec<u64> = positions("node-1").take(3).collect();
        assert_eq!(first, GOLDEN);
    }

    const GOLDEN: [u64; 3] =
        [4_407_775_169_612_819_276, 16_490_462_332_333_043_414, 12_226_984_700_278_486_909];
}
