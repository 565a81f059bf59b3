//! Whom to believe: Marzullo's intersection.
//!
//! Each correct server's interval holds the true offset. So if a majority is correct, the true
//! offset is a point that at least `quorum` intervals share, and the smallest interval that holds
//! all such points is sure to hold it. RFC 5905, section 11.2.1, looks for the *largest* clique
//! instead, which is tighter, and can leave the truth out when fewer servers lie than could:
//! two liars and two honest servers that happen to meet make a clique of four of five. Here the
//! quorum is fixed beforehand.

use std::time::Duration;

use crate::interval::Offset;

/// One server's vote: the true offset is within `error` of `offset`, if it is correct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// How far the server's clock is ahead of ours.
    pub offset: Offset,
    /// Half of the width of its interval.
    pub error: Duration,
}

impl Candidate {
    fn lowest(&self) -> Offset {
        self.offset.minus(self.error)
    }

    fn highest(&self) -> Offset {
        self.offset.plus(self.error)
    }
}

/// What the majority agrees on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The true offset is not less than this.
    pub lowest: Offset,
    /// The true offset is not more than this.
    pub highest: Offset,
    /// Who may be right, as places in the list of candidates.
    pub truechimers: Vec<usize>,
    /// Who is certainly wrong, if the majority is right.
    pub falsetickers: Vec<usize>,
}

impl Selection {
    /// The middle of the interval.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.lowest.plus(self.error())
    }

    /// Half of the width, rounded up.
    #[must_use]
    pub fn error(&self) -> Duration {
        let width = self.highest.as_nanos().abs_diff(self.lowest.as_nanos());
        Duration::from_nanos(width.div_ceil(2))
    }
}

/// There is no time: too few agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no majority: {agreeing} of {answered} servers that answered agree on a time, {quorum} are \
     needed; there is no telling which are wrong"
)]
pub struct NoMajority {
    /// How many intervals meet in the place where most do.
    pub agreeing: usize,
    /// How many candidates there were.
    pub answered: usize,
    /// How many had to meet.
    pub quorum: usize,
}

/// More than half of `servers`.
#[must_use]
pub const fn majority(servers: usize) -> usize {
    servers / 2 + 1
}

/// The interval in which at least `quorum` candidates agree. A quorum of less than a majority of
/// the candidates is raised to it; one of a majority of *all configured* servers also holds when
/// honest servers are silent.
///
/// # Errors
/// [`NoMajority`] when no point is in that many intervals.
pub fn select(candidates: &[Candidate], quorum: usize) -> Result<Selection, NoMajority> {
    let quorum = quorum.max(majority(candidates.len()));
    // Ends of intervals in order; at one point, intervals begin before others end: they touch.
    let mut edges: Vec<(Offset, bool)> =
        candidates.iter().flat_map(|one| [(one.lowest(), false), (one.highest(), true)]).collect();
    edges.sort_unstable();
    let (mut inside, mut agreeing) = (0_usize, 0);
    let mut bounds: Option<(Offset, Offset)> = None;
    for (at, is_end) in edges {
        if is_end {
            if inside >= quorum {
                bounds = bounds.map(|(lowest, _)| (lowest, at));
            }
            inside -= 1;
        } else {
            inside += 1;
            agreeing = agreeing.max(inside);
            if inside >= quorum {
                bounds = bounds.or(Some((at, at)));
            }
        }
    }
    let Some((lowest, highest)) = bounds else {
        return Err(NoMajority { agreeing, answered: candidates.len(), quorum });
    };
    let (truechimers, falsetickers) = (0..candidates.len()).partition(|index| {
        let one = &candidates[*index];
        one.lowest() <= highest && lowest <= one.highest()
    });
    Ok(Selection { lowest, highest, truechimers, falsetickers })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vote(offset_ms: i64, error_ms: u64) -> Candidate {
        let offset = Offset::from_millis(offset_ms);
        Candidate { offset, error: Duration::from_millis(error_ms) }
    }

    fn ms(selection: &Selection) -> (i64, i64) {
        (selection.lowest.as_nanos() / 1_000_000, selection.highest.as_nanos() / 1_000_000)
    }

    #[test]
    fn one_liar_among_four_is_thrown_out() {
        let votes = [vote(10, 5), vote(12, 4), vote(900, 1), vote(9, 6)];
        let selection = select(&votes, 3).unwrap();
        assert_eq!(ms(&selection), (8, 15));
        assert_eq!(selection.falsetickers, [2]);
        assert_eq!(selection.truechimers, [0, 1, 3]);
        assert_eq!(selection.offset(), Offset::from_micros(11_500));
        // The broken twin: the mean of all is far outside.
        let mean = votes.iter().map(|vote| vote.offset.as_nanos()).sum::<i64>() / 4;
        assert!(mean > selection.highest.as_nanos());
    }

    #[test]
    fn two_liars_among_four_are_no_time() {
        let votes = [vote(10, 5), vote(12, 4), vote(900, 5), vote(901, 5)];
        let error = NoMajority { agreeing: 2, answered: 4, quorum: 3 };
        assert_eq!(select(&votes, 0), Err(error));
        assert!(error.to_string().contains("no telling which are wrong"));
    }

    #[test]
    fn silence_counts_against_a_quorum_of_all() {
        let votes = [vote(10, 5), vote(900, 5), vote(12, 5)];
        assert!(select(&votes, majority(3)).is_ok(), "two of three that answered");
        assert!(select(&votes, majority(4)).is_err(), "but not three of four");
        assert_eq!(select(&[], 0).unwrap_err().quorum, 1);
    }

    #[test]
    fn marzullo_s_own_examples() {
        // From the algorithm's usual statement: [8,12] [11,13] [14,15] share [11,12] by two, and
        // [8,12] [11,13] [10,12] share [11,12] by three.
        let two = [vote(10, 2), vote(12, 1), Candidate { ..vote(14, 1) }];
        assert_eq!(ms(&select(&two[..2], 2).unwrap()), (11, 12));
        let three = [vote(10, 2), vote(12, 1), vote(11, 1)];
        assert_eq!(ms(&select(&three, 3).unwrap()), (11, 12));
    }

    #[test]
    fn intervals_that_touch_agree_in_a_point() {
        assert_eq!(ms(&select(&[vote(1, 1), vote(3, 1)], 2).unwrap()), (2, 2));
    }

    #[test]
    fn the_largest_clique_may_leave_the_truth_out() {
        // The truth is 0. Three of five are honest, but two of them are wide and meet the liars.
        let votes = [vote(4, 5), vote(4, 5), vote(0, 1), vote(7, 2), vote(7, 2)];
        let safe = select(&votes, 3).unwrap();
        assert!(safe.lowest <= Offset::ZERO && Offset::ZERO <= safe.highest, "{safe:?}");
        let largest_clique = select(&votes, 4).unwrap();
        assert!(largest_clique.lowest > Offset::ZERO, "{largest_clique:?}");
    }

    /// The hull of all points that lie in `quorum` intervals, one point at a time.
    fn model(votes: &[(i64, u64)], quorum: usize) -> Option<(i64, i64)> {
        let inside = |point: i64| {
            votes.iter().filter(|(offset, error)| point.abs_diff(*offset) <= *error).count()
        };
        let points: Vec<i64> = (-60..=60).filter(|point| inside(*point) >= quorum).collect();
        Some((*points.first()?, *points.last()?))
    }

    proptest! {
        #[test]
        fn as_the_model_says(votes in prop::collection::vec((-20_i64..20, 0_u64..20), 1..8)) {
            let quorum = majority(votes.len());
            let list: Vec<_> = votes.iter().map(|(offset, error)| vote(*offset, *error)).collect();
            let found = select(&list, quorum).ok();
            prop_assert_eq!(found.as_ref().map(ms), model(&votes, quorum));
            if let Some(found) = found {
                prop_assert!(found.truechimers.len() >= quorum);
                prop_assert_eq!(found.truechimers.len() + found.falsetickers.len(), votes.len());
            }
        }

        #[test]
        fn with_an_honest_majority_the_truth_is_inside(
            honest in prop::collection::vec((0_u64..50, 0_i64..100), 3..6),
            liars in prop::collection::vec((-500_i64..500, 0_u64..50), 0..3),
        ) {
            let truth = 37;
            let mut list: Vec<_> = honest.iter().map(|(error, place)| {
                let off = i64::try_from(*error).unwrap() * (place - 50) / 50;
                vote(truth + off, *error)
            }).collect();
            list.extend(liars.iter().map(|(offset, error)| vote(*offset, *error)));
            let found = select(&list, 0).unwrap();
            let truth = Offset::from_millis(truth);
            prop_assert!(found.lowest <= truth && truth <= found.highest);
        }
    }
}
