//! Which bucket a duration falls into.
//!
//! Log-linear, as in HdrHistogram: every power of two is cut into [`PER_OCTAVE`] equal buckets, so
//! a bucket is never wider than 1/32 of what it holds, and finding one takes a shift and an add.

/// Durations are counted in units of 2⁷ = 128 ns: finer than any wait can be timed.
const UNIT_BITS: u32 = 7;
/// 2⁵ = 32 buckets in each power of two.
const SUB_BITS: u32 = 5;
/// 2³² units: 549 s. Whatever takes longer is counted as this long.
const TOP_BITS: u32 = 32;
const TOP: u64 = (1 << TOP_BITS) - 1;

/// Buckets in each power of two.
pub(crate) const PER_OCTAVE: u64 = 1 << SUB_BITS;

/// How many buckets there are. Under loom, which keeps a history of each atomic, only a few.
pub(super) const BUCKETS: usize =
    if cfg!(steadfast_loom) { 4 } else { ((TOP_BITS - SUB_BITS + 1) << SUB_BITS) as usize };

/// The bucket that holds this many nanoseconds.
#[expect(clippy::cast_possible_truncation, reason = "below 2^10, see BUCKETS")]
pub(super) const fn index(nanos: u64) -> usize {
    let units = nanos >> UNIT_BITS;
    let units = if units > TOP { TOP } else { units };
    let shift = (units | PER_OCTAVE).ilog2() - SUB_BITS;
    let index = ((shift << SUB_BITS) as u64 + (units >> shift)) as usize;
    if index < BUCKETS { index } else { BUCKETS - 1 }
}

/// The first and the last number of nanoseconds that a bucket holds.
pub(super) const fn bounds(index: usize) -> (u64, u64) {
    let index = index as u64;
    let shift = (index >> SUB_BITS).saturating_sub(1);
    let first = index - (shift << SUB_BITS);
    let end = (first + 1) << shift;
    ((first << shift) << UNIT_BITS, (end << UNIT_BITS) - 1)
}

/// The middle of a bucket, in nanoseconds.
#[expect(clippy::cast_precision_loss, reason = "an approximation anyway")]
pub(super) const fn middle(index: usize) -> f64 {
    let (first, last) = bounds(index);
    (first as f64 + last as f64) / 2.0
}

#[cfg(test)]
#[cfg(not(steadfast_loom))]
mod tests {
    use super::*;

    #[test]
    fn the_buckets_cover_everything_once_and_in_order() {
        assert_eq!(bounds(0).0, 0);
        for index in 1..BUCKETS {
            assert_eq!(bounds(index).0, bounds(index - 1).1 + 1, "a gap before bucket {index}");
        }
        assert_eq!(bounds(BUCKETS - 1).1, (1 << (TOP_BITS + UNIT_BITS)) - 1);
    }

    #[test]
    fn a_duration_falls_into_the_bucket_that_holds_it() {
        for bucket in 0..BUCKETS {
            let (first, last) = bounds(bucket);
            assert_eq!((index(first), index(last)), (bucket, bucket));
        }
        assert_eq!(index(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn no_bucket_is_wider_than_a_thirty_second_of_what_it_holds() {
        for bucket in usize::try_from(PER_OCTAVE).unwrap()..BUCKETS {
            let (first, last) = bounds(bucket);
            assert!((last + 1 - first) * PER_OCTAVE <= first, "bucket {bucket}: {first}..={last}");
        }
    }
}
