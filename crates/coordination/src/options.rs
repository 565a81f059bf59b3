//! How long a lease should be.

use std::time::Duration;

use crate::limits::{BACKOFF_MIN, CALL_MAX, LENGTH_MAX};

/// The length of leases, and what it must outlast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long a lease lasts without renewal.
    pub length: Duration,
    /// The 99th percentile of the difference between two hosts' clocks.
    pub skew_p99: Duration,
    /// How long an exchange with the coordinator takes, at worst.
    pub round_trip: Duration,
    /// How much faster one clock may run than another, in parts per million. 500 is the fastest
    /// at which NTP implementations let a clock be corrected; twice that covers two of them.
    pub drift_ppm: u32,
    /// How often whoever waits asks again at least, should the news that it is its turn be lost;
    /// and how soon a holder learns that somebody else has ended its entry.
    pub ask_every: Duration,
}

impl Default for Options {
    /// For a coordinator within the process: one clock, no network, ten seconds.
    fn default() -> Self {
        Self {
            length: Duration::from_secs(10),
            skew_p99: Duration::ZERO,
            round_trip: Duration::from_millis(10),
            drift_ppm: 1_000,
            ask_every: Duration::from_secs(1),
        }
    }
}

/// The options do not fit each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A lease would end before its holder can use it.
    #[error(
        "a lease of {length:?} is not longer than the clock skew of {skew_p99:?} and the round \
         trip of {round_trip:?} together; make it longer"
    )]
    TooShort {
        /// The length.
        length: Duration,
        /// The skew.
        skew_p99: Duration,
        /// The round trip.
        round_trip: Duration,
    },
    /// A holder that stops would block the resource for too long.
    #[error("a lease of {length:?} is longer than the {max:?} that are allowed")]
    TooLong {
        /// The length.
        length: Duration,
        /// What is allowed.
        max: Duration,
    },
    /// No clock drifts by so much, and no lease would be left.
    #[error("a drift of {0} parts per million is not below 500000, half of the time")]
    Drift(u32),
    /// What is left of a lease when its request is answered would be nothing, or next to it.
    #[error(
        "a lease of {length:?} can be used for {usable:?} after its request, which is not longer \
         than the round trip of {round_trip:?} that the answer may take; make it longer"
    )]
    Answered {
        /// The length.
        length: Duration,
        /// What of it can be used.
        usable: Duration,
        /// The round trip.
        round_trip: Duration,
    },
    /// Asking without a pause would be all that the coordinator has to answer.
    #[error("ask_every is {0:?}; it must be at least {BACKOFF_MIN:?}")]
    Asking(Duration),
}

impl Options {
    /// Checks that the length outlasts skew and round trip, that more of it can be used than an
    /// answer may take, and that all numbers are sane.
    ///
    /// # Errors
    /// [`Invalid`] says which do not fit.
    pub fn check(&self) -> Result<(), Invalid> {
        let Self { length, skew_p99, round_trip, drift_ppm, ask_every } = *self;
        if length > LENGTH_MAX {
            return Err(Invalid::TooLong { length, max: LENGTH_MAX });
        }
        if drift_ppm >= 500_000 {
            return Err(Invalid::Drift(drift_ppm));
        }
        let needed = skew_p99.saturating_add(round_trip);
        if length <= needed || length <= self.margin() {
            return Err(Invalid::TooShort { length, skew_p99, round_trip });
        }
        let usable = self.usable();
        if usable <= round_trip {
            return Err(Invalid::Answered { length, usable, round_trip });
        }
        if ask_every < BACKOFF_MIN {
            return Err(Invalid::Asking(ask_every));
        }
        Ok(())
    }

    /// How long before the coordinator's end of a lease its holder stops: what the clocks may
    /// have drifted apart meanwhile, and a round trip.
    ///
    /// The holder counts from the moment at which it *sent* its request, which is never after
    /// the coordinator's own count began, so the round trip is time to finish, not a guess at
    /// the network.
    #[must_use]
    pub fn margin(&self) -> Duration {
        let drift = self.length.as_nanos() * u128::from(self.drift_ppm) / 1_000_000;
        let drift = u64::try_from(drift).unwrap_or(u64::MAX);
        self.round_trip.saturating_add(Duration::from_nanos(drift))
    }

    /// How long a holder may rely on a lease after it has sent its request.
    #[must_use]
    pub fn usable(&self) -> Duration {
        self.length.saturating_sub(self.margin())
    }

    /// When a lease is renewed: after a third of its length, so that two failures in a row are
    /// survived; sooner when little of it is usable.
    #[must_use]
    pub fn renew_after(&self) -> Duration {
        (self.length / 3).min(self.usable() / 2)
    }

    /// The longest time that the process may stand still without giving up its session: what is
    /// left of it, at least, when a renewal is sent. A clock that stands still with the process,
    /// as when a virtual machine is suspended, does not show a deadline that has passed; the stall
    /// does. A shorter one ends it, too, when no renewal has been answered and less than that is
    /// left.
    #[must_use]
    pub fn stall_max(&self) -> Duration {
        self.usable().saturating_sub(self.renew_after())
    }

    /// How long an answer is waited for before the same is asked again.
    #[must_use]
    pub fn call_limit(&self) -> Duration {
        (self.usable() / 3).min(CALL_MAX).max(self.round_trip)
    }

    /// How long to wait before asking again after so many failures in a row: doubled each time, at
    /// most [`Options::ask_every`]. Without chance: requests of one client do not come in herds.
    #[must_use]
    pub fn backoff(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.min(31)).unwrap_or(u32::MAX);
        BACKOFF_MIN.saturating_mul(factor).min(self.ask_every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_must_outlast_skew_and_round_trip() {
        let ms = Duration::from_millis;
        let options = Options {
            length: ms(300),
            skew_p99: ms(200),
            round_trip: ms(99),
            ..Options::default()
        };
        assert_eq!(options.check(), Ok(()));
        let short = Options { round_trip: ms(100), ..options };
        assert!(matches!(short.check(), Err(Invalid::TooShort { .. })));
        let drifting = Options { drift_ppm: 499_999, length: ms(19), ..Options::default() };
        assert!(matches!(drifting.check(), Err(Invalid::TooShort { .. })));
        let long = Options { length: LENGTH_MAX * 2, ..options };
        assert!(matches!(long.check(), Err(Invalid::TooLong { .. })));
        assert!(Options { drift_ppm: 500_000, ..options }.check().is_err());
        // An answer may take all that can be used: the lease would be renewed again and again.
        let slow = Options { length: ms(201), skew_p99: ms(0), round_trip: ms(100), ..options };
        assert_eq!(slow.check(), Ok(()));
        let slow = Options { length: ms(200), ..slow };
        assert!(matches!(slow.check(), Err(Invalid::Answered { .. })), "{:?}", slow.check());
        // The keeper looks after what is held twice in that time.
        for short in [ms(0), Duration::from_nanos(1), ms(4)] {
            let asking = Options { ask_every: short, ..options };
            assert_eq!(asking.check(), Err(Invalid::Asking(short)));
        }
        assert_eq!(Options { ask_every: BACKOFF_MIN, ..options }.check(), Ok(()));
    }

    #[test]
    fn the_largest_numbers_are_counted_with() {
        let most = Options {
            length: LENGTH_MAX,
            skew_p99: Duration::ZERO,
            round_trip: Duration::ZERO,
            drift_ppm: 499_999,
            ask_every: Duration::MAX,
        };
        assert_eq!(most.check(), Ok(()));
        assert!(most.usable() > LENGTH_MAX / 2 && most.call_limit() == CALL_MAX);
        assert!((0..=u32::MAX).step_by(1 << 20).all(|n| most.backoff(n) >= BACKOFF_MIN));
        assert_eq!(most.backoff(u32::MAX), BACKOFF_MIN * (1 << 31));
        let endless = Options { length: Duration::MAX, round_trip: Duration::MAX, ..most };
        assert_eq!((endless.margin(), endless.usable()), (Duration::MAX, Duration::ZERO));
        assert!(matches!(endless.check(), Err(Invalid::TooLong { .. })));
        let endless = Options { skew_p99: Duration::MAX, round_trip: Duration::MAX, ..most };
        assert!(matches!(endless.check(), Err(Invalid::TooShort { .. })));
    }

    #[test]
    fn the_default_renews_at_a_third_and_stops_before_the_end() {
        let options = Options::default();
        assert_eq!(options.check(), Ok(()));
        assert_eq!(options.renew_after(), options.length / 3);
        assert_eq!(options.margin(), Duration::from_millis(20));
    }
}
