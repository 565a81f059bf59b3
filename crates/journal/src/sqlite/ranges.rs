//! Which outbox rows the bus has taken.
//!
//! The relay reports ranges, and reports them almost in order. So a mark is one short row for the
//! range, whatever number of messages is in it, instead of a rewritten row and two index entries
//! for each message. Everything up to a low-water mark is taken; above it, the writer remembers
//! the few ranges that an older, still waiting row keeps apart.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Numbers from 1 that are in the set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Published {
    up_to: u64,
    /// First to last; apart from each other and from `up_to` by at least one number.
    above: BTreeMap<u64, u64>,
}

impl Published {
    /// Everything up to and including `up_to`, nothing else yet.
    pub(super) fn up_to(up_to: u64) -> Self {
        Self { up_to, above: BTreeMap::new() }
    }

    /// Every number up to and including this one is in the set.
    pub(super) fn low_water(&self) -> u64 {
        self.up_to
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        let range = || self.above.range(..=number).next_back();
        number <= self.up_to || range().is_some_and(|(_, last)| number <= *last)
    }

    /// Adds a range; returns the parts of it that are new.
    pub(super) fn add(&mut self, range: RangeInclusive<u64>) -> Vec<RangeInclusive<u64>> {
        let (mut next, end) = ((*range.start()).max(self.up_to + 1), *range.end());
        let mut new = Vec::new();
        let (mut first, mut last) = (next, end);
        let before = self.above.range(..=next).next_back().map(|(first, last)| (*first, *last));
        if let Some((start, stop)) = before
            && stop + 1 >= next
        {
            next = next.max(stop + 1);
            first = start;
            last = last.max(stop);
        }
        if next > end {
            return new;
        }
        let reach = end.saturating_add(1);
        let touched: Vec<(u64, u64)> =
            self.above.range(first..=reach).map(|(first, last)| (*first, *last)).collect();
        for (start, stop) in touched {
            if start > next {
                new.push(next..=start - 1);
            }
            next = next.max(stop + 1);
            last = last.max(stop);
            self.above.remove(&start);
        }
        if next <= end {
            new.push(next..=end);
        }
        if first <= self.up_to + 1 {
            self.up_to = last;
        } else {
            self.above.insert(first, last);
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against the obvious model: a set of numbers.
        #[test]
        fn it_is_a_set(up_to in 0_u64..10, ranges in prop::collection::vec((1_u64..60, 0_u64..12), 0..40)) {
            let mut published = Published::up_to(up_to);
            let mut model: BTreeSet<u64> = (1..=up_to).collect();
            for (first, length) in ranges {
                let range = first..=(first + length).saturating_sub(1);
                let fresh: Vec<u64> = range.clone().filter(|number| model.insert(*number)).collect();
                let new = published.add(range);
                prop_assert_eq!(new.into_iter().flatten().collect::<Vec<_>>(), fresh);
                let low = (1..).take_while(|number| model.contains(number)).count() as u64;
                prop_assert_eq!(published.low_water(), low);
                for number in 1..100 {
                    prop_assert_eq!(published.contains(number), model.contains(&number));
                }
                // Neighbours are one range.
                let ends: Vec<_> = std::iter::once((0, published.up_to))
                    .chain(published.above.iter().map(|(first, last)| (*first, *last)))
                    .collect();
                prop_assert!(ends.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "{:?}", ends);
            }
        }
    }
}
