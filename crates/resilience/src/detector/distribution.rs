//! How the times between heartbeats are distributed, and what that makes of a silence.
//!
//! All figures are plain numbers in one unit of the caller's choice: silence, mean and deviation
//! in milliseconds, or all three in seconds.
//!
//! φ is the negative decimal logarithm of a probability that soon is too small for a floating
//! point number: the normal distribution's tail is below 10⁻³⁰⁸ from 37.5 deviations on. So the
//! logarithm is worked out without the probability where that would vanish, and φ stays finite
//! and keeps growing for as long as anybody waits.

use std::f64::consts::{FRAC_1_SQRT_2, LN_10};
use std::fmt;

/// ln √(2π).
const LN_SQRT_2_PI: f64 = 0.918_938_533_204_672_8;

/// From here on the normal distribution's tail is worked out by its asymptotic series. The first
/// term that is left out is below 2·10⁻¹² there, of a φ of 198.
const SERIES_FROM: f64 = 30.0;

/// The distribution that the times between heartbeats are taken to have.
///
/// They agree on the definition of φ (Hayashibara et al., *The φ Accrual Failure Detector*, SRDS
/// 2004: `φ = −log₁₀ P(a heartbeat comes later than now)`) and differ in what they expect. The
/// same threshold means different silences: φ = 8 lies 5.612 deviations after the mean for
/// [`Normal`](Self::Normal), 5.226 for [`Logistic`](Self::Logistic), and at 18.42 times the mean
/// for [`Exponential`](Self::Exponential), whatever the deviation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Distribution {
    /// The normal distribution, exactly, as in the paper. For heartbeats sent at a steady pace.
    #[default]
    Normal,
    /// What Akka and Pekko use: a logistic function of a cubic in place of the normal
    /// distribution's (error of the distribution function below 0.000 2). Its tail is thinner:
    /// beyond four deviations it suspects earlier than the exact one.
    Logistic,
    /// What Cassandra uses: heartbeats come at random moments of a known rate, as gossip does.
    /// Slow to suspect, and blind to how regular a peer is.
    Exponential,
}

impl Distribution {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Normal, Self::Logistic, Self::Exponential];

    /// Its name, as it is written in a configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Logistic => "logistic",
            Self::Exponential => "exponential",
        }
    }

    /// The probability that a heartbeat has come by the end of this silence.
    #[must_use]
    pub fn cdf(self, silence: f64, mean: f64, deviation: f64) -> f64 {
        let z = self.standard(silence, mean, deviation);
        match self {
            Self::Normal => libm::erfc(-z * FRAC_1_SQRT_2) / 2.0,
            Self::Logistic => 1.0 / (1.0 + libm::exp(-logit(z))),
            Self::Exponential => -libm::expm1(-z),
        }
    }

    /// The suspicion after this silence: 1 means that one suspicion in ten is wrong, 8 means one
    /// in a hundred million, if the heartbeats are distributed like that.
    #[must_use]
    pub fn phi(self, silence: f64, mean: f64, deviation: f64) -> f64 {
        self.phi_at(self.standard(silence, mean, deviation))
    }

    /// Where φ lies: how many deviations after the mean, or for
    /// [`Exponential`](Self::Exponential) at how many times the mean.
    #[must_use]
    pub fn reach(self, phi: f64) -> f64 {
        if self == Self::Exponential {
            return phi * LN_10;
        }
        // φ ≥ z²/(2 ln 10) for both, as soon as z ≥ 1. Halved until the ends are neighbours.
        let (mut low, mut high) = (-40.0, (2.0 * LN_10 * phi).sqrt().max(1.0));
        loop {
            let middle = low + (high - low) / 2.0;
            if middle <= low || middle >= high {
                return high;
            }
            if self.phi_at(middle) < phi {
                low = middle;
            } else {
                high = middle;
            }
        }
    }

    /// The silence that lies at a [reach](Self::reach).
    pub(super) fn silence(self, reach: f64, mean: f64, deviation: f64) -> f64 {
        match self {
            Self::Normal | Self::Logistic => mean + reach * deviation,
            Self::Exponential => reach * mean,
        }
    }

    /// The silence in units of the distribution's own.
    fn standard(self, silence: f64, mean: f64, deviation: f64) -> f64 {
        let (length, unit) = match self {
            Self::Normal | Self::Logistic => (silence - mean, deviation),
            Self::Exponential => (silence.max(0.0), mean),
        };
        if unit > 0.0 {
            length / unit
        } else if length == 0.0 {
            0.0
        } else {
            // No spread at all: before the mean nothing is amiss, after it all is lost.
            f64::INFINITY.copysign(length)
        }
    }

    fn phi_at(self, z: f64) -> f64 {
        match self {
            Self::Normal => -ln_normal_tail(z) / LN_10,
            Self::Logistic => softplus(logit(z)) / LN_10,
            Self::Exponential => z / LN_10,
        }
        // Certainty is 0, not −0.
        .max(0.0)
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The exponent of Akka's approximation (`PhiAccrualFailureDetector.phi`).
fn logit(z: f64) -> f64 {
    z * (1.5976 + 0.070_566 * z * z)
}

/// ln(1 + eˣ), for any x.
fn softplus(x: f64) -> f64 {
    if x > 0.0 { x + libm::log1p(libm::exp(-x)) } else { libm::log1p(libm::exp(x)) }
}

/// The logarithm of the probability to lie above `z`.
fn ln_normal_tail(z: f64) -> f64 {
    if z < 0.0 {
        libm::log1p(-libm::erfc(-z * FRAC_1_SQRT_2) / 2.0)
    } else if z < SERIES_FROM {
        libm::log(libm::erfc(z * FRAC_1_SQRT_2) / 2.0)
    } else {
        // Abramowitz and Stegun, 26.2.12: Q(z) = φ(z)/z · (1 − 1/z² + 1·3/z⁴ − 1·3·5/z⁶ …).
        let step = 1.0 / (z * z);
        let series = -step * (1.0 - 3.0 * step * (1.0 - 5.0 * step * (1.0 - 7.0 * step)));
        -z * z / 2.0 - libm::log(z) - LN_SQRT_2_PI + libm::log1p(series)
    }
}
