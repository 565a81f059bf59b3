//! How long to wait before asking again.

use std::time::Duration;

use fastrand::Rng;

use crate::Invalid;
use crate::limits::PAUSE_MAX;

/// Pauses that grow: the `n`-th is `min(cap, base · factorⁿ⁻¹)`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Backoff {
    /// The first pause. 100 ms unless told otherwise.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length"))]
    pub base: Duration,
    /// What each pause is to the one before. 2 unless told otherwise; from 1 to 10.
    pub factor: f64,
    /// The longest pause. 400 ms unless told otherwise: the sources' 100→200→400 ms.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::words::length"))]
    pub cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_millis(100), factor: 2.0, cap: Duration::from_millis(400) }
    }
}

impl Backoff {
    /// Always the same pause. For experiments: who waits equally long comes back at the same time.
    #[must_use]
    pub const fn constant(pause: Duration) -> Self {
        Self { base: pause, factor: 1.0, cap: pause }
    }

    /// Whether the settings make sense.
    ///
    /// # Errors
    /// The first that does not, with what is allowed.
    pub fn check(&self) -> Result<(), Invalid> {
        let Self { base, factor, cap } = *self;
        if base.is_zero() || base > PAUSE_MAX {
            let allowed = format!("above 0 and at most {PAUSE_MAX:?}");
            return Err(Invalid::new("base", format!("{base:?}"), allowed));
        }
        if !(1.0..=10.0).contains(&factor) {
            return Err(Invalid::new("factor", factor, "from 1 to 10"));
        }
        if cap < base || cap > PAUSE_MAX {
            let allowed = format!("from base ({base:?}) to {PAUSE_MAX:?}");
            return Err(Invalid::new("cap", format!("{cap:?}"), allowed));
        }
        Ok(())
    }

    /// The pause before a retry, without jitter. The first retry is 1.
    #[must_use]
    pub fn pause(&self, retry: u32) -> Duration {
        let cap = self.cap.as_secs_f64();
        // `libm`'s power is the same on every machine, as a simulation needs it.
        let growth = libm::pow(self.factor, f64::from(retry.saturating_sub(1)));
        let pause = self.base.as_secs_f64() * growth;
        // Whatever the settings are: they may not have been checked.
        if pause >= cap { self.cap } else { Duration::try_from_secs_f64(pause).unwrap_or(self.cap) }
    }
}

/// How chance is mixed into pauses, so that those who failed together do not come back together.
///
/// The names and formulae are those of Marc Brooker, *Exponential Backoff And Jitter* (AWS
/// Architecture Blog, 2015); `pause` is [`Backoff::pause`], `random(a, b)` is uniform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Jitter {
    /// `pause`. For experiments.
    None,
    /// `random(0, pause)`: spreads best, and costs the least work in Brooker's comparison.
    #[default]
    Full,
    /// `pause/2 + random(0, pause/2)`: never comes back at once, spreads half as well.
    Equal,
    /// `min(cap, random(base, 3 · the pause before))`, the one before the first being `base`.
    /// Never shorter than `base`; [`Backoff::factor`] plays no part. With a low cap many pauses
    /// are the cap itself, so it wants one that is many times the base.
    Decorrelated,
}

impl Jitter {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::Full, Self::Equal, Self::Decorrelated];

    /// The pause before a retry (the first is 1), after a pause of `previous` if there was one.
    #[must_use]
    pub fn pause(
        self,
        backoff: &Backoff,
        retry: u32,
        previous: Option<Duration>,
        rng: &mut Rng,
    ) -> Duration {
        let pause = backoff.pause(retry);
        match self {
            Self::None => pause,
            Self::Full => uniform(Duration::ZERO, pause, rng),
            Self::Equal => uniform(pause / 2, pause, rng),
            Self::Decorrelated => {
                let longest = previous.unwrap_or(backoff.base).saturating_mul(3);
                uniform(backoff.base, longest.max(backoff.base), rng).min(backoff.cap)
            }
        }
    }
}

/// From `least` to `most`, both included.
fn uniform(least: Duration, most: Duration, rng: &mut Rng) -> Duration {
    let nanos = |length: Duration| u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(rng.u64(nanos(least)..=nanos(most)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn pauses_double_up_to_the_cap() {
        let backoff = Backoff::default();
        assert_eq!([1, 2, 3, 4, 99].map(|n| backoff.pause(n)), [100, 200, 400, 400, 400].map(ms));
        let constant = Backoff::constant(ms(70));
        assert_eq!([1, 2, 9].map(|n| constant.pause(n)), [ms(70); 3]);
        let gentle = Backoff { base: ms(10), factor: 1.5, cap: ms(1_000) };
        assert_eq!(gentle.pause(3), Duration::from_micros(22_500));
        assert_eq!(gentle.pause(u32::MAX), ms(1_000));
    }

    /// Where each jitter may land, from the formulae; and that it lands everywhere there equally
    /// often: 20,000 draws into ten classes, χ² with 9 degrees of freedom below 27.88, which
    /// chance exceeds once in a thousand (and this seed does not).
    #[test]
    fn jitter_keeps_its_bounds_and_fills_them_evenly() {
        let backoff = Backoff { cap: ms(10_000), ..Backoff::default() };
        let mut rng = Rng::with_seed(11);
        let rows = [
            (Jitter::Full, 1, None, 0, 100),
            (Jitter::Full, 3, None, 0, 400),
            (Jitter::Equal, 1, None, 50, 100),
            (Jitter::Equal, 3, None, 200, 400),
            (Jitter::Decorrelated, 1, None, 100, 300),
            (Jitter::Decorrelated, 2, Some(ms(250)), 100, 750),
        ];
        for (jitter, retry, previous, least, most) in rows {
            let (least, most) = (ms(least), ms(most));
            let mut classes = [0_u32; 10];
            for _ in 0..20_000 {
                let pause = jitter.pause(&backoff, retry, previous, &mut rng);
                assert!((least..=most).contains(&pause), "{jitter:?} {pause:?}");
                let part = (pause - least).as_secs_f64() / (most - least).as_secs_f64();
                classes[((part * 10.0) as usize).min(9)] += 1;
            }
            let distance = |n: u32| (f64::from(n) - 2_000.0).powi(2) / 2_000.0;
            let chi_squared: f64 = classes.into_iter().map(distance).sum();
            assert!(chi_squared < 27.88, "{jitter:?}: {chi_squared} {classes:?}");
        }
        assert_eq!(Jitter::None.pause(&backoff, 2, Some(ms(7)), &mut rng), ms(200));
    }

    #[test]
    fn decorrelated_pauses_stay_between_base_and_cap_however_often() {
        let backoff = Backoff::default();
        let (mut previous, mut rng) = (None, Rng::with_seed(1));
        for retry in 1..1_000 {
            let pause = Jitter::Decorrelated.pause(&backoff, retry, previous, &mut rng);
            assert!((backoff.base..=backoff.cap).contains(&pause), "{pause:?}");
            previous = Some(pause);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_pauses() {
        let draw = |seed| {
            let mut rng = Rng::with_seed(seed);
            [1, 2, 3].map(|n| Jitter::Full.pause(&Backoff::default(), n, None, &mut rng))
        };
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(6));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_name() {
        let good = Backoff::default();
        assert_eq!(good.check(), Ok(()));
        let rows = [
            (Backoff { base: Duration::ZERO, ..good }, "base"),
            (Backoff { base: ms(500), ..good }, "cap"),
            (Backoff { factor: 0.5, ..good }, "factor"),
            (Backoff { factor: f64::NAN, ..good }, "factor"),
            (Backoff { cap: Duration::MAX, ..good }, "cap"),
        ];
        for (backoff, key) in rows {
            assert_eq!(backoff.check().unwrap_err().key, key, "{backoff:?}");
        }
    }
}
