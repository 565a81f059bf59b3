//! A part of a whole.

use std::fmt;

use crate::Invalid;

/// A part of a whole, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// Nothing.
    pub const NONE: Self = Self(0.0);

    /// Everything.
    pub const ALL: Self = Self(1.0);

    /// From a number.
    ///
    /// # Errors
    /// It is below 0, above 1, or no number.
    pub fn new(share: f64) -> Result<Self, Invalid> {
        if (0.0..=1.0).contains(&share) {
            Ok(Self(share))
        } else {
            Err(Invalid::new("share", share, "from 0 to 1"))
        }
    }

    /// From a whole number of hundredths; more than 100 counts as 100.
    #[must_use]
    pub const fn percent(percent: u8) -> Self {
        Self(if percent >= 100 { 1.0 } else { percent as f64 / 100.0 })
    }

    /// From a whole number of thousandths; more than 1000 counts as 1000.
    #[must_use]
    pub const fn permille(permille: u16) -> Self {
        Self(if permille >= 1_000 { 1.0 } else { permille as f64 / 1_000.0 })
    }

    /// `part` of `whole`; nothing of nothing.
    #[must_use]
    pub fn of(part: u64, whole: u64) -> Self {
        if whole == 0 {
            return Self::NONE;
        }
        #[expect(clippy::cast_precision_loss, reason = "a share needs no 53 bits")]
        Self((part as f64 / whole as f64).clamp(0.0, 1.0))
    }

    /// As a number from 0 to 1.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// In percent, with as many digits as say something: `5 %`, `0.2 %`.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let thousandths = (self.0 * 100_000.0).round() / 1_000.0;
        write!(f, "{thousandths} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_between_nothing_and_everything_is_a_share() {
        for wrong in [-0.001, 1.001, f64::NAN, f64::INFINITY] {
            assert!(Share::new(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Share::new(1.0), Ok(Share::ALL));
        assert_eq!(Share::of(0, 0), Share::NONE);
        assert_eq!(Share::of(1, 4).get(), 0.25);
    }

    #[test]
    fn it_is_shown_in_percent() {
        assert_eq!(Share::percent(5).to_string(), "5 %");
        assert_eq!(Share::permille(998).to_string(), "99.8 %");
        assert_eq!(Share::new(0.002).unwrap().to_string(), "0.2 %");
        assert_eq!(Share::of(1, 3).to_string(), "33.333 %");
    }
}
