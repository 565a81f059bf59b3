//! `N`, `W`, `R`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The smallest number of `n` of which any two selections have a member in common.
#[must_use]
pub const fn majority(n: u32) -> u32 {
    n / 2 + 1
}

/// How many replicas there are, and how many must take a write and answer a read, so that every
/// read meets every finished write, and every write meets every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Partial", into = "Partial")]
pub struct Quorum(Partial);

/// The same numbers without the promise: a read may miss the latest write. For caches and counts
/// that may be wrong; nothing in this crate takes it where a [`Quorum`] is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    /// Replicas.
    pub n: u32,
    /// Of which so many take a write before it is answered.
    pub w: u32,
    /// Of which so many answer a read.
    pub r: u32,
}

/// Numbers that promise nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsafe {
    /// Nobody is asked, or more than there are.
    #[error("{0}: W and R must be between 1 and N")]
    Range(Partial),
    /// A read can miss every replica that took the latest write.
    #[error(
        "{0}: a read may miss the latest write, for W + R is not above N; with this W take R={need}",
        need = .0.n + 1 - .0.w
    )]
    StaleRead(Partial),
    /// Two writes can both succeed without meeting.
    #[error(
        "{0}: two writes may succeed on different replicas, for W is not above N/2; take at least \
         W={need}",
        need = majority(.0.n)
    )]
    SplitWrite(Partial),
}

impl fmt::Display for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "N={} W={} R={}", self.n, self.w, self.r)
    }
}

impl Quorum {
    /// The sources' three replicas, of which two write and two read: one may be away.
    pub const THREE: Self = Self(Partial { n: 3, w: 2, r: 2 });

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Unsafe`] says what could go wrong with them, and which would do.
    pub const fn new(n: u32, w: u32, r: u32) -> Result<Self, Unsafe> {
        let partial = Partial { n, w, r };
        if w == 0 || r == 0 || w > n || r > n {
            return Err(Unsafe::Range(partial));
        }
        // Neither sum overflows: both numbers are at most n, and are compared by difference.
        if w <= n - r {
            return Err(Unsafe::StaleRead(partial));
        }
        if w <= n - w {
            return Err(Unsafe::SplitWrite(partial));
        }
        Ok(Self(partial))
    }

    /// A majority for both.
    ///
    /// # Errors
    /// [`Unsafe::Range`] when there are no replicas.
    pub const fn of(n: u32) -> Result<Self, Unsafe> {
        Self::new(n, majority(n), majority(n))
    }

    /// Numbers that need not overlap, for those who ask for it.
    ///
    /// # Errors
    /// [`Unsafe::Range`].
    pub const fn partial(n: u32, w: u32, r: u32) -> Result<Partial, Unsafe> {
        let partial = Partial { n, w, r };
        if w == 0 || r == 0 || w > n || r > n {
            return Err(Unsafe::Range(partial));
        }
        Ok(partial)
    }

    /// Replicas.
    #[must_use]
    pub const fn n(self) -> u32 {
        self.0.n
    }

    /// Replicas that must take a write.
    #[must_use]
    pub const fn w(self) -> u32 {
        self.0.w
    }

    /// Replicas that must answer a read.
    #[must_use]
    pub const fn r(self) -> u32 {
        self.0.r
    }

    /// How many replicas may be away with writes still possible.
    #[must_use]
    pub const fn writes_survive(self) -> u32 {
        self.0.n - self.0.w
    }

    /// How many replicas may be away with reads still possible.
    #[must_use]
    pub const fn reads_survive(self) -> u32 {
        self.0.n - self.0.r
    }

    /// How many replicas may forget what they had (an empty disk in an old place) with every
    /// finished write still found.
    #[must_use]
    pub const fn amnesia_survived(self) -> u32 {
        self.0.w + self.0.r - self.0.n - 1
    }
}

impl fmt::Display for Quorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<Partial> for Quorum {
    type Error = Unsafe;

    fn try_from(Partial { n, w, r }: Partial) -> Result<Self, Unsafe> {
        Self::new(n, w, r)
    }
}

impl From<Quorum> for Partial {
    fn from(quorum: Quorum) -> Self {
        quorum.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All ways to choose `k` of `n`, as bit sets.
    fn choices(n: u32, k: u32) -> impl Iterator<Item = u32> + Clone {
        (0..1_u32 << n).filter(move |set| set.count_ones() == k)
    }

    #[test]
    fn the_type_admits_exactly_what_overlaps_in_every_selection() {
        for n in 0..=6 {
            for w in 0..=7 {
                for r in 0..=7 {
                    let sane = w >= 1 && r >= 1 && w <= n && r <= n;
                    let meet = |a: u32, b: u32| {
                        choices(n, a).all(|one| choices(n, b).all(|other| one & other != 0))
                    };
                    let safe = sane && meet(w, r) && meet(w, w);
                    assert_eq!(Quorum::new(n, w, r).is_ok(), safe, "{n} {w} {r}");
                    assert_eq!(Quorum::partial(n, w, r).is_ok(), sane, "{n} {w} {r}");
                }
            }
        }
    }

    #[test]
    fn a_quorum_finds_what_it_wrote_when_so_many_have_forgotten() {
        for n in 1..=6 {
            for w in 1..=n {
                for r in 1..=n {
                    let Ok(quorum) = Quorum::new(n, w, r) else { continue };
                    let lost = quorum.amnesia_survived();
                    let met = |forgotten: u32| {
                        choices(n, w).all(|wrote| {
                            choices(n, forgotten)
                                .all(|gone| choices(n, r).all(|read| wrote & !gone & read != 0))
                        })
                    };
                    assert!(met(lost), "{quorum} with {lost} forgotten");
                    assert!(lost == n || !met(lost + 1), "{quorum} survives more than {lost}");
                }
            }
        }
    }

    #[test]
    fn a_refusal_says_what_would_do() {
        let stale = Quorum::new(3, 2, 1).unwrap_err().to_string();
        assert!(stale.contains("with this W take R=2"), "{stale}");
        let split = Quorum::new(4, 2, 3).unwrap_err().to_string();
        assert!(split.contains("at least W=3"), "{split}");
        assert!(Quorum::of(0).is_err());
        assert!(Quorum::new(u32::MAX, u32::MAX, 1).is_ok());
        assert_eq!(Quorum::of(3), Ok(Quorum::THREE));
        assert_eq!(Quorum::THREE.to_string(), "N=3 W=2 R=2");
        let read: Result<Quorum, _> = serde_json::from_str(r#"{"n":3,"w":1,"r":1}"#);
        assert!(read.is_err());
    }
}
