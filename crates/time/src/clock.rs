//! The clock that everything is given.

use std::fmt;
use std::future::Future;
use std::ops::{Add, Sub};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{Either, select};

use crate::interval::Interval;
use crate::timestamp::Timestamp;
use crate::wall::{Disciplined, Status, Uncertainty};

/// A point on a clock that only moves forward, as the time since that clock's own start.
///
/// Deadlines, timeouts and measured durations use this, never a [`Timestamp`]. Kept in whole
/// nanoseconds, which end after 584 years: a moment beyond that is the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(u64);

impl Monotonic {
    /// From the time since the clock's start.
    #[must_use]
    pub const fn from_start(elapsed: Duration) -> Self {
        Self(nanos(elapsed))
    }

    /// From whole nanoseconds since the clock's start.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Whole nanoseconds since the clock's start.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time since the clock's start.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

/// A length of time in nanoseconds, without 128-bit arithmetic; at most what fits.
const fn nanos(length: Duration) -> u64 {
    let seconds = length.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(length.subsec_nanos() as u64)
}

impl Add<Duration> for Monotonic {
    type Output = Self;

    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(nanos(length)))
    }
}

/// The time from the right point to the left one; zero when the right one is later.
impl Sub for Monotonic {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A wait that ends at a moment of one [`Clock`].
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where a [`Clock`] gets its readings from. Implemented by the system clock and by
/// [`crate::sim::SimClock`].
pub trait Source: Send + Sync {
    /// A reading that never goes back.
    fn monotonic(&self) -> Monotonic;

    /// A reading of the date, with its error bound.
    fn interval(&self) -> Interval;

    /// Completes once [`Source::monotonic`] has reached `deadline`.
    fn sleep_until(&self, deadline: Monotonic) -> Sleep;

    /// What the error bound of [`Source::interval`] rests on at this moment.
    fn status(&self) -> Status {
        Status::Assumed
    }
}

/// The wait took longer than it was allowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not done within {0:?}")]
pub struct Elapsed(pub Duration);

/// A cheap handle on a source of time; clone it into whatever needs one.
#[derive(Clone)]
pub struct Clock {
    source: Arc<dyn Source>,
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("now", &self.now()).finish()
    }
}

impl Clock {
    /// A clock over any source.
    #[must_use]
    pub fn new(source: Arc<dyn Source>) -> Self {
        Self { source }
    }

    /// The operating system's clocks, the date with an assumed error of
    /// [`wall::DEFAULT_ERROR`](crate::wall::DEFAULT_ERROR). Waiting needs a tokio runtime with its
    /// timer enabled.
    #[must_use]
    pub fn system() -> Self {
        Self::new(Arc::new(system::System::new()))
    }

    /// The operating system's clocks, the date with the error that `uncertainty` knows:
    /// [`wall::Kernel`](crate::wall::Kernel), [`ntp::Ntp`](crate::ntp::Ntp) or
    /// [`wall::Assumed`](crate::wall::Assumed).
    #[must_use]
    pub fn system_with(uncertainty: impl Uncertainty + 'static) -> Self {
        Self::system().disciplined(Arc::new(uncertainty))
    }

    /// This clock, but with dates from `uncertainty`, which is shown the middle of this clock's
    /// intervals. Monotonic readings and waits stay as they are. Works on simulated clocks too.
    #[must_use]
    pub fn disciplined(&self, uncertainty: Arc<dyn Uncertainty>) -> Self {
        Self::new(Arc::new(Disciplined::new(self.clone(), uncertainty)))
    }

    /// A reading that never goes back, for durations and deadlines.
    #[must_use]
    pub fn monotonic(&self) -> Monotonic {
        self.source.monotonic()
    }

    /// The best single guess at the date: the middle of [`Clock::interval`].
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.source.interval().middle()
    }

    /// The date with its error bound.
    #[must_use]
    pub fn interval(&self) -> Interval {
        self.source.interval()
    }

    /// What the error bound of [`Clock::interval`] rests on at this moment.
    #[must_use]
    pub fn status(&self) -> Status {
        self.source.status()
    }

    /// Waits for a length of time.
    pub fn sleep(&self, length: Duration) -> Sleep {
        self.source.sleep_until(self.monotonic() + length)
    }

    /// Waits until a moment of this clock.
    pub fn sleep_until(&self, deadline: Monotonic) -> Sleep {
        self.source.sleep_until(deadline)
    }

    /// Runs `work`, but gives up (and drops it) after `limit`.
    ///
    /// # Errors
    /// [`Elapsed`] when the limit came first.
    pub async fn timeout<F: Future>(&self, limit: Duration, work: F) -> Result<F::Output, Elapsed> {
        let work = std::pin::pin!(work.fuse());
        match select(work, self.sleep(limit)).await {
            Either::Left((output, _)) => Ok(output),
            Either::Right(((), _)) => Err(Elapsed(limit)),
        }
    }
}

mod system {
    //! The one module that reads the operating system's clocks.
    #![allow(clippy::disallowed_methods, reason = "somebody has to read them")]

    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::{Interval, Monotonic, Sleep, Source};
    use crate::timestamp::Timestamp;
    use crate::wall::DEFAULT_ERROR;

    /// Longer waits are made of several. Within one, the counter and the timer's clock part by a
    /// fraction of a second at most.
    const LEG: Duration = Duration::from_secs(3_600);

    #[derive(Clone)]
    pub(super) struct System {
        clock: quanta::Clock,
        /// The raw reading that everything is counted from.
        start: u64,
    }

    impl System {
        pub(super) fn new() -> Self {
            Self::counting(quanta::Clock::new())
        }

        pub(super) fn counting(clock: quanta::Clock) -> Self {
            let start = clock.raw();
            Self { clock, start }
        }
    }

    impl Source for System {
        fn monotonic(&self) -> Monotonic {
            Monotonic::from_nanos(self.clock.delta_as_nanos(self.start, self.clock.raw()))
        }

        fn interval(&self) -> Interval {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let micros = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
            let now = Timestamp::from_micros(micros);
            Interval { earliest: now - DEFAULT_ERROR, latest: now + DEFAULT_ERROR }
        }

        /// The timer has a clock of its own, and the two part by tens of parts per million. So only
        /// what is left of a wait is ever told to the timer, and what it says is checked.
        fn sleep_until(&self, deadline: Monotonic) -> Sleep {
            let source = self.clone();
            Box::pin(async move {
                loop {
                    let left = deadline - source.monotonic();
                    if left.is_zero() {
                        return;
                    }
                    tokio::time::sleep(left.min(LEG)).await;
                }
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn the_system_clock_moves_forward_and_brackets_now() {
        let clock = Clock::system();
        let first = clock.monotonic();
        let interval = clock.interval();
        assert!(interval.earliest < interval.latest);
        assert!(clock.monotonic() >= first);
        assert!(clock.now() > Timestamp::from_millis(1_700_000_000_000));
    }

    /// The processor's counter and the timer's clock part by tens of parts per million: seconds
    /// after a day, and minutes after a month. A wait must not pay for what has parted before it.
    #[tokio::test]
    async fn clocks_that_have_parted_for_a_month_make_no_wait_longer_or_shorter() {
        let (counter, mock) = quanta::Clock::mock();
        let clock = Clock::new(Arc::new(system::System::counting(counter)));
        let length = Duration::from_millis(20);
        // The first wait; then the counter is an hour ahead of where the timer thinks it is.
        let first = clock.sleep(length);
        mock.increment(length);
        first.await;
        mock.increment(Duration::from_secs(3_600));
        let second = clock.sleep(length);
        mock.increment(length);
        let limit = tokio::time::timeout(Duration::from_secs(10), second);
        assert!(limit.await.is_ok(), "a wait of 20 ms takes the hour as well");
        // The counter stands still while the timer goes on: the moment has not come.
        let mut third = clock.sleep(length);
        tokio::time::sleep(length * 3).await;
        assert!(third.as_mut().now_or_never().is_none(), "the wait ends before its moment");
        mock.increment(length);
        assert!(tokio::time::timeout(Duration::from_secs(10), third).await.is_ok());
    }
}
