//! Fencing tokens: the whole safety argument of every lease, lock and election.
//!
//! A lease says who *should* own something. It cannot say who *does*: the old owner may be
//! paused, its clock may lie, its last write may still be on the wire when the next owner starts.
//! So every grant carries a [`FencingToken`], a number larger than every one granted before for
//! that resource, and whoever stores the protected data applies one rule, atomically with the
//! write itself:
//!
//! > Refuse a token lower than the highest one seen; otherwise remember it and let the write in.
//!
//! Who reads in order to write presents the token with the *read* already: between a new owner's read
//! and its write the mark would otherwise still be the old one's, whose late write would be taken,
//! answered, and overwritten. (An expected version in the write does the same.)
//!
//! An equal token is the same owner writing again. A higher one is the next owner, whose arrival
//! shuts the door behind the last. No clock takes part (Kleppmann, *Designing Data-Intensive
//! Applications*, chapter 8, "Fencing tokens").
//!
//! ```
//! use steadfast_fencing::{FencingToken, HighWater};
//!
//! let mut storage = HighWater::default();
//! let (first, second) = (FencingToken::FIRST, FencingToken::FIRST.next());
//! assert!(storage.admit(first).is_ok());
//! assert!(storage.admit(second).is_ok());      // the lease moved on
//! let stale = storage.admit(first).unwrap_err(); // the paused owner wakes up
//! assert_eq!(stale.highest, second);
//! ```
#![forbid(unsafe_code)]

pub mod memory;
pub mod sql;

use std::fmt;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

/// The number of a grant. Grants of one resource have strictly increasing tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FencingToken(NonZeroU64);

impl FencingToken {
    /// The lowest token.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// A token from its number; zero is none.
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// The token of the next grant.
    ///
    /// # Panics
    /// After 2⁶⁴ − 1 grants, which at a million a second takes over 500,000 years.
    #[must_use]
    pub const fn next(self) -> Self {
        match self.0.checked_add(1) {
            Some(number) => Self(number),
            None => panic!("fencing tokens exhausted"),
        }
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A write came from an owner that has been replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("token {presented} is stale: {highest} has been seen; another owner holds this now")]
pub struct Stale {
    /// The token that the write carried.
    pub presented: FencingToken,
    /// The highest token seen so far.
    pub highest: FencingToken,
}

/// The highest token that one resource has seen: the rule as a state machine.
///
/// It is only as good as its place: keep it in the same transaction as the data it protects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HighWater {
    highest: Option<FencingToken>,
}

impl HighWater {
    /// As it was when `highest` was the highest token seen.
    #[must_use]
    pub const fn at(highest: FencingToken) -> Self {
        Self { highest: Some(highest) }
    }

    /// The highest token seen so far.
    #[must_use]
    pub const fn highest(self) -> Option<FencingToken> {
        self.highest
    }

    /// What [`HighWater::admit`] would say, without remembering the token.
    ///
    /// # Errors
    /// [`Stale`] when a higher token has been seen.
    pub fn check(self, presented: FencingToken) -> Result<(), Stale> {
        match self.highest {
            Some(highest) if presented < highest => Err(Stale { presented, highest }),
            _ => Ok(()),
        }
    }

    /// Lets a write in, or refuses it; returns whether the high-water mark rose.
    ///
    /// # Errors
    /// [`Stale`] when a higher token has been seen. The mark is then unchanged.
    pub fn admit(&mut self, presented: FencingToken) -> Result<bool, Stale> {
        self.check(presented)?;
        let rose = self.highest != Some(presented);
        self.highest = Some(presented);
        Ok(rose)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(number: u64) -> FencingToken {
        FencingToken::new(number).unwrap()
    }

    #[test]
    fn zero_is_no_token() {
        assert_eq!(FencingToken::new(0), None);
        assert!(serde_json::from_str::<FencingToken>("0").is_err());
        assert_eq!(serde_json::to_string(&token(7)).unwrap(), "7");
    }

    #[test]
    fn a_newer_holder_is_let_in() {
        // etcd's own fencing example compares for equality and so refuses a newer holder.
        let mut mark = HighWater::at(token(33));
        assert_eq!(mark.admit(token(34)), Ok(true));
        assert_eq!(mark.admit(token(34)), Ok(false));
        let stale = Stale { presented: token(33), highest: token(34) };
        assert_eq!(mark.admit(token(33)), Err(stale));
    }

    proptest! {
        /// Against the obvious model: the list of all tokens let in so far.
        #[test]
        fn the_mark_is_the_maximum_of_what_was_let_in(tokens in prop::collection::vec(1_u64..50, 0..200)) {
            let mut mark = HighWater::default();
            let mut admitted: Vec<u64> = Vec::new();
            for number in tokens {
                let fits = admitted.iter().all(|&seen| seen <= number);
                prop_assert_eq!(mark.admit(token(number)).is_ok(), fits);
                if fits {
                    admitted.push(number);
                }
                prop_assert_eq!(mark.highest().map(FencingToken::get), admitted.iter().max().copied());
            }
        }
    }
}

/// The README's example, so that it stays true.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
