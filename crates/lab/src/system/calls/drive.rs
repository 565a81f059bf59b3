//! Calls that come whether earlier ones were answered or not.
//!
//! An open loop: users do not wait for each other. A closed loop would slow down with the system
//! and hide the storm (Schroeder, Wierman and Harchol-Balter, *Open Versus Closed: A Cautionary
//! Tale*, NSDI 2006).

use std::pin::pin;
use std::time::Duration;

use fastrand::Rng;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use steadfast_time::{Clock, Monotonic};

/// How calls follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// As those of many users who know nothing of each other.
    Poisson,
    /// Always after the same time.
    Even,
}

/// The moments at which calls come, until the end.
#[derive(Debug)]
pub struct Moments {
    arrivals: Arrivals,
    rate: f64,
    /// When the last one came, in gaps of average length.
    last: f64,
    until: f64,
    rng: Rng,
}

impl Moments {
    /// `rate` calls a second for so long.
    #[must_use]
    pub fn new(arrivals: Arrivals, rate: f64, until: Duration, rng: Rng) -> Self {
        Self { arrivals, rate, last: 0.0, until: until.as_secs_f64(), rng }
    }
}

impl Iterator for Moments {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let gap = match self.arrivals {
            Arrivals::Poisson => -(1.0 - self.rng.f64()).ln(),
            Arrivals::Even => 1.0,
        };
        self.last += gap;
        let at = self.last / self.rate;
        (at < self.until).then(|| Duration::from_secs_f64(at))
    }
}

/// Begins a call at each moment after `origin`, and waits until all have ended.
pub async fn drive<F: Future<Output = ()>>(
    clock: &Clock,
    origin: Monotonic,
    moments: Moments,
    mut begin: impl FnMut(u64) -> F,
) {
    let mut under_way = FuturesUnordered::new();
    for (number, at) in (0..).zip(moments) {
        let mut due = pin!(clock.sleep_until(origin + at).fuse());
        loop {
            futures::select_biased! {
                () = due => break,
                () = under_way.select_next_some() => {}
            }
        }
        under_way.push(begin(number));
    }
    while under_way.next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_come_at_their_rate() {
        let minute = Duration::from_secs(60);
        let moments = |arrivals| Moments::new(arrivals, 100.0, minute, Rng::with_seed(2));
        assert_eq!(moments(Arrivals::Even).count(), 5_999);
        // Five standard deviations of a Poisson variate of mean 6,000: 387.
        let poisson = moments(Arrivals::Poisson).count();
        assert!((5_613..=6_387).contains(&poisson), "{poisson}");
    }
}
