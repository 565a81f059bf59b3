//! Versions, and which of two is kept.

use steadfast_time::logical::hybrid::Stamp;
use steadfast_time::logical::vector::{Causality, Vector};

/// How versions are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The later date is kept.
    WallClock,
    /// The higher hybrid stamp is kept.
    Hybrid,
    /// What was seen is dropped, all else is kept.
    Vector,
}

impl Rule {
    pub(super) const ALL: [Self; 3] = [Self::WallClock, Self::Hybrid, Self::Vector];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::WallClock => "wall-clock",
            Self::Hybrid => "hybrid",
            Self::Vector => "vector",
        }
    }
}

/// What a version carries to be compared by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Microseconds since 1970 by the clock of a replica; the replica decides between equal ones.
    WallClock(i64, usize),
    /// A stamp of a replica; the replica decides between equal ones.
    Hybrid(Stamp, usize),
    /// The writes of each client that the writer had seen, its own included.
    Vector(Vector<usize>),
}

impl Mark {
    /// How this stands to another; a total order but for vectors.
    fn compare(&self, other: &Self) -> Causality {
        let ordering = match (self, other) {
            (Self::Vector(mine), Self::Vector(others)) => return mine.compare(others),
            (Self::WallClock(date, replica), Self::WallClock(other, theirs)) => {
                (date, replica).cmp(&(other, theirs))
            }
            (Self::Hybrid(stamp, replica), Self::Hybrid(other, theirs)) => {
                (stamp, replica).cmp(&(other, theirs))
            }
            // A trial has one rule.
            _ => return Causality::Concurrent,
        };
        match ordering {
            std::cmp::Ordering::Less => Causality::Before,
            std::cmp::Ordering::Equal => Causality::Equal,
            std::cmp::Ordering::Greater => Causality::After,
        }
    }
}

/// A written value, which is the number of its write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) write: u64,
    pub(super) mark: Mark,
}

/// Takes a version in among those that are kept of a value; tells of each that is dropped, and of
/// the one that is kept over it.
pub(super) fn merge(kept: &mut Vec<Version>, new: Version, mut dropped: impl FnMut(u64, u64)) {
    for held in kept.iter() {
        match held.mark.compare(&new.mark) {
            Causality::Equal if held.write == new.write => return,
            Causality::Equal | Causality::After => {
                dropped(new.write, held.write);
                return;
            }
            Causality::Before | Causality::Concurrent => {}
        }
    }
    kept.retain(|held| {
        let is_older = held.mark.compare(&new.mark) == Causality::Before;
        if is_older {
            dropped(held.write, new.write);
        }
        !is_older
    });
    kept.push(new);
    // Siblings in one order on all replicas, whatever order they came in.
    kept.sort_unstable_by_key(|version| version.write);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(write: u64, seen: &[usize]) -> Version {
        let mut vector = Vector::new();
        for client in seen {
            vector.increment(*client).unwrap();
        }
        Version { write, mark: Mark::Vector(vector) }
    }

    fn merged(versions: &[Version]) -> (Vec<u64>, Vec<(u64, u64)>) {
        let (mut kept, mut dropped) = (Vec::new(), Vec::new());
        for version in versions {
            merge(&mut kept, version.clone(), |new, held| dropped.push((new, held)));
        }
        (kept.into_iter().map(|version| version.write).collect(), dropped)
    }

    #[test]
    fn vectors_keep_what_was_not_seen_and_drop_what_was() {
        let (one, two) = (vector(1, &[0]), vector(2, &[1]));
        let both = vector(3, &[0, 1, 1]);
        assert_eq!(merged(&[one.clone(), two.clone()]), (vec![1, 2], vec![]));
        assert_eq!(merged(&[one.clone(), two.clone(), both.clone()]).0, [3]);
        assert_eq!(merged(&[both, two, one]), (vec![3], vec![(2, 3), (1, 3)]));
    }

    #[test]
    fn the_last_date_wins_in_whatever_order_they_come() {
        let at = |write, micros, replica| Version { write, mark: Mark::WallClock(micros, replica) };
        let versions = [at(1, 5, 0), at(2, 3, 1), at(3, 5, 2)];
        let (kept, dropped) = merged(&versions);
        assert_eq!((kept, dropped), (vec![3], vec![(2, 1), (1, 3)]));
        let reversed: Vec<_> = versions.into_iter().rev().collect();
        assert_eq!(merged(&reversed).0, [3]);
        assert_eq!(merged(&[at(1, 5, 0), at(1, 5, 0)]), (vec![1], vec![]), "once is enough");
    }
}
