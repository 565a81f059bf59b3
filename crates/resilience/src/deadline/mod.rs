//! By when an answer is needed, over all hops.
//!
//! A timeout is private to one call; a deadline belongs to the request. Whoever works on an answer
//! that nobody waits for any more works against the others. So the deadline is an absolute moment,
//! it travels with the work (in the task, and in a header from process to process), and everything
//! here looks at it first: work whose deadline has passed is not started, and neither is a retry
//! or a hedge that cannot be done in time.
//!
//! - [`Deadline`] is the moment, on a monotonic clock. A wall clock that jumps cannot stretch it.
//! - [`Context`] carries it through a task, with the fact that the caller is already repeating
//!   itself.
//! - [`wire`] (feature `http`) reads it from headers and writes it to them. What travels is the
//!   time that is *left*: two machines do not share a clock.
//! - `Layer` (features `tower` and `http`) gives a server's requests the deadline that they came
//!   with, and `Outgoing` puts what is left on the requests of a client.
//! - [`Hop`] is the tree of budgets: what each hop may spend, and whether it adds up.
//!
//! **When to use it:** on everything that somebody waits for. **When not:** for work that goes on
//! without a caller; that wants a timeout per attempt and a durable timer. **What it costs:** one
//! thread-local read.
//!
//! ```
//! use std::time::Duration;
//! use steadfast_resilience::deadline::{Context, Deadline};
//! use steadfast_time::sim::Simulation;
//!
//! let mut sim = Simulation::new(1);
//! let clock = sim.clock();
//! sim.block_on(async move {
//!     let deadline = Deadline::within(clock.monotonic(), Duration::from_millis(350));
//!     Context::until(deadline).scope(async move {
//!         clock.sleep(Duration::from_millis(300)).await;
//!         // Anything that needs 100 ms is not worth starting any more.
//!         let deadline = Context::current().deadline.unwrap();
//!         let refused = deadline.check(clock.monotonic(), Duration::from_millis(100));
//!         assert_eq!(refused.unwrap_err().to_string(), "50 ms left, 100 ms needed");
//!     }).await;
//! });
//! ```

mod context;
mod decision;
mod hop;
#[cfg(all(feature = "tower", feature = "http"))]
mod layer;
#[cfg(all(feature = "tower", feature = "http"))]
mod outgoing;
#[cfg(feature = "http")]
pub mod wire;

use std::time::Duration;

use steadfast_time::Monotonic;

pub use context::{Context, Scoped};
pub use decision::Refused;
pub use hop::{Hop, Parts};
#[cfg(all(feature = "tower", feature = "http"))]
pub use layer::{Answer, BadRequest, Calling, Layer, Options, Service};
#[cfg(all(feature = "tower", feature = "http"))]
pub use outgoing::{Outgoing, Writing};

/// A moment by which an answer is needed, on a monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(Monotonic);

impl Deadline {
    /// At a moment.
    #[must_use]
    pub const fn at(moment: Monotonic) -> Self {
        Self(moment)
    }

    /// A length of time from now.
    #[must_use]
    pub fn within(now: Monotonic, length: Duration) -> Self {
        Self(now + length)
    }

    /// The moment.
    #[must_use]
    pub const fn moment(self) -> Monotonic {
        self.0
    }

    /// How much time is left; nothing when it has passed.
    #[must_use]
    pub fn left(self, now: Monotonic) -> Duration {
        self.0 - now
    }

    /// Whether it has passed.
    #[must_use]
    pub fn has_passed(self, now: Monotonic) -> bool {
        self.left(now).is_zero()
    }

    /// The same, or a length of time from now if that is earlier: what a hop may spend of it.
    #[must_use]
    pub fn hop(self, now: Monotonic, budget: Duration) -> Self {
        self.min(Self::within(now, budget))
    }

    /// Whether something that needs this long can be done in time.
    ///
    /// # Errors
    /// It cannot, or the deadline has passed.
    pub fn check(self, now: Monotonic, needed: Duration) -> Result<(), Refused> {
        let left = self.left(now);
        if left.is_zero() || left < needed { Err(Refused { left, needed }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_does_not_fit_is_not_started() {
        let start = Monotonic::from_start(ms(1_000));
        let deadline = Deadline::within(start, ms(350));
        assert_eq!(deadline.check(start, ms(350)), Ok(()));
        assert_eq!(deadline.check(start, ms(351)), Err(Refused { left: ms(350), needed: ms(351) }));
        let late = start + ms(350);
        assert!(deadline.has_passed(late));
        let refused = deadline.check(late, Duration::ZERO).unwrap_err();
        assert_eq!(refused.to_string(), "the deadline has passed");
    }

    #[test]
    fn a_hop_gets_no_more_than_its_caller_has_left() {
        let now = Monotonic::from_start(ms(5));
        let deadline = Deadline::within(now, ms(350));
        assert_eq!(deadline.hop(now, ms(250)).left(now), ms(250));
        assert_eq!(deadline.hop(now + ms(200), ms(250)).left(now + ms(200)), ms(150));
    }
}
