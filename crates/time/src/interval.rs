//! A date with its error, and a signed length of time.

use std::fmt;
use std::ops::{Add, Neg};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// A wall-clock reading that admits its error: the true time lies in `[earliest, latest]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Interval {
    /// The true time is not before this.
    pub earliest: Timestamp,
    /// The true time is not after this.
    pub latest: Timestamp,
}

impl Interval {
    /// The interval of `error` either side of `middle`. The error is rounded up to whole
    /// microseconds, so that what was inside stays inside.
    #[must_use]
    pub fn around(middle: Timestamp, error: Duration) -> Self {
        let up = Duration::from_nanos(u64::from(!error.subsec_nanos().is_multiple_of(1_000)) * 999);
        let error = error.saturating_add(up);
        Self { earliest: middle - error, latest: middle + error }
    }

    /// From `earliest` to `latest`.
    #[must_use]
    pub fn width(&self) -> Duration {
        self.latest.since(self.earliest)
    }

    /// Half of the width: how far [`Interval::middle`] can be from the truth.
    #[must_use]
    pub fn error(&self) -> Duration {
        self.width() / 2
    }

    /// The best single guess.
    #[must_use]
    pub fn middle(&self) -> Timestamp {
        let (earliest, latest) = (self.earliest.as_micros(), self.latest.as_micros());
        Timestamp::from_micros(earliest.saturating_add(latest.saturating_sub(earliest) / 2))
    }

    /// Whether the true time may have been `at`.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.earliest <= at && at <= self.latest
    }

    /// Whether the two readings may be of the same moment. If they overlap, nobody can say from
    /// them which came first.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.earliest <= other.latest && other.earliest <= self.latest
    }

    /// Whether the moment of this reading was before that of `other`, whatever the errors were.
    #[must_use]
    pub fn definitely_before(&self, other: &Self) -> bool {
        self.latest < other.earliest
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ± {:?}", self.middle(), self.error())
    }
}

/// A signed length of time, in nanoseconds: how far one clock is ahead of another. It ends after
/// 292 years either way; what would lie beyond is the end.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Offset(i64);

impl Offset {
    /// No difference.
    pub const ZERO: Self = Self(0);

    /// From nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From microseconds.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros.saturating_mul(1_000))
    }

    /// From milliseconds.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// How far `a` is ahead of `b`.
    #[must_use]
    pub const fn between(a: Timestamp, b: Timestamp) -> Self {
        Self::from_micros(a.as_micros().saturating_sub(b.as_micros()))
    }

    /// In nanoseconds.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Without the sign.
    #[must_use]
    pub const fn abs(self) -> Duration {
        Duration::from_nanos(self.0.unsigned_abs())
    }

    /// Later by a length.
    #[must_use]
    pub fn plus(self, length: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(length.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// Earlier by a length.
    #[must_use]
    pub fn minus(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(length.as_nanos()).unwrap_or(i64::MAX)))
    }
}

impl Neg for Offset {
    type Output = Self;

    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl Add for Offset {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// Rounded down to whole microseconds.
impl Add<Offset> for Timestamp {
    type Output = Self;

    fn add(self, offset: Offset) -> Self {
        Self::from_micros(self.as_micros().saturating_add(offset.0.div_euclid(1_000)))
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", if self.0 < 0 { '-' } else { '+' }, self.abs())
    }
}

/// How much two clocks of `ppm` parts per million difference in rate grow apart within `length`,
/// rounded up.
pub(crate) fn drift(ppm: u32, length: Duration) -> Duration {
    let nanos = (length.as_nanos() * u128::from(ppm)).div_ceil(1_000_000);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn an_interval_is_rounded_outward_and_knows_what_is_certain() {
        let a = Interval::around(at(100), Duration::from_nanos(9_001));
        assert_eq!(a, Interval { earliest: at(90), latest: at(110) });
        assert_eq!((a.middle(), a.error()), (at(100), Duration::from_micros(10)));
        let touching = Interval { earliest: at(110), latest: at(120) };
        let after = Interval { earliest: at(111), latest: at(120) };
        assert!(a.overlaps(&touching) && touching.overlaps(&a) && !a.definitely_before(&touching));
        assert!(!a.overlaps(&after) && a.definitely_before(&after) && !after.definitely_before(&a));
        assert!(a.contains(at(90)) && a.contains(at(110)) && !a.contains(at(111)));
    }

    #[test]
    fn an_offset_has_a_sign_and_ends() {
        assert_eq!(Offset::between(at(5), at(8)), Offset::from_micros(-3));
        assert_eq!(Offset::from_micros(-1_500).to_string(), "-1.5ms");
        assert_eq!(at(10) + Offset::from_nanos(-1), at(9));
        assert_eq!(-Offset::from_nanos(i64::MIN), Offset::from_nanos(i64::MAX));
    }

    #[test]
    fn google_s_assumed_drift_is_six_milliseconds_in_thirty_seconds() {
        assert_eq!(drift(200, Duration::from_secs(30)), Duration::from_millis(6));
        assert_eq!(drift(1, Duration::from_nanos(1)), Duration::from_nanos(1));
    }
}
