//! A circuit breaker: stops calling what is not there.
//!
//! A dependency that is down costs each caller a timeout, and each timeout holds a thread, a
//! connection, a place in some queue; soon the caller is down too. A breaker watches what becomes
//! of the calls. When too many of the last ones failed, or were slow, it *opens*: calls are
//! refused at once, with the time when to come back. After a wait it is *half-open* and lets a few
//! probes through; what they come to decides whether it closes or opens again.
//!
//! # When to use it
//!
//! Around each dependency that can be down by itself: one breaker for each, shared by all who
//! call it. Not around a call that has no other way to fail than the caller's own; not for one
//! shard of many behind one name (nine healthy ones would be refused for the tenth: give each its
//! own); and not instead of a timeout or a retry budget. A breaker sees that calls fail, those
//! bound what a failure costs. A business refusal ("out of stock") is no failure: see
//! [`Class`](crate::Class).
//!
//! # How it judges
//!
//! - The window ([`Window`]) slides: the last *n* calls exactly, or the last seconds in steps of a
//!   thousandth of it. After ten thousand good calls, fifty failures in a row open a breaker of
//!   50 % over 100.
//! - A rate counts as reached when it is *at least* the option's value, and it is looked at with
//!   each outcome once [`Options::minimum_calls`] calls are in the window; the window need not be
//!   full.
//! - Half-open, exactly [`Options::probes`] calls are let through; a probe that is cancelled gives
//!   its place back. When all have answered the same two rates decide. When all are out for
//!   [`Options::probe_timeout`], the missing ones count as failed: it can not stay half-open for
//!   want of an answer. While fewer calls come than there are places, it waits and lets each one
//!   through.
//! - An outcome counts only in the period that its call was let through in. An answer that comes
//!   after the circuit has opened, or opened and closed again, says nothing about now.
//!
//! Defaults: 50 % of the last 100 calls and 60 s open are the sources'; ten probes, 100 % slow
//! calls and "at least" are Resilience4j's; twenty calls at least and the limit on probes are
//! our own, with their reasons at [`Options`].
//!
//! # What it costs
//!
//! Nothing is allocated once it is made; a count window takes two bits a call, a time window
//! 32 KiB. Closed and healthy, asking for leave is one atomic load, and so is recording a good
//! call into a full count window without a failure in it: not a byte is written, so that threads
//! do not get in each other's way. With a failure in the window, and in a time window always, it
//! is a compare and swap more, on a line of the thread's own. A small lock is taken for failures
//! and slow calls, until there are calls enough for a judgement, and where a slice begins.
//! No clock is read for good calls unless the window goes by time or calls are timed
//! ([`Options::slow_call`]).
//!
//! Leave and outcome together, one thread, on a two-core virtual machine where an atomic addition
//! takes 4.7 ns and two clock readings 17.8 ns (`benches/breaker.rs`, fastest sample; others are
//! beside it there):
//!
//! | | ns |
//! |---|---|
//! | count window, all is well | 4.3 |
//! | the same, timed | 18 |
//! | time window | 11 |
//! | the same, timed | 18 |
//! | count window, one call in a hundred fails | 9 |
//! | open: a refusal | 9.2 |
//! | as a `tower` layer / timed | 34 / 45 |
//!
//! # What holds elsewhere
//!
//! The published vectors and what else a breaker should do, run against others
//! (`tests/rivals_breaker.rs`, which prints this table):
//!
//! | | here | tower-resilience 0.14 | recloser 1 | failsafe 1 |
//! |---|---|---|---|---|
//! | 10,000 successes, then failures, 50 % of 100: opens after | 50 | 10,000 | 50 | (50 in a row) |
//! | all fail, at least 20 of a window of 100: opens after | 20 | 100 | 101 | has no minimum |
//! | 20 s, at least 5 calls, S S S F F F: opens at the third F | yes | yes | has no time window | |
//! | 2 slow calls of 5 reach 40 % | yes | yes | does not time | does not time |
//! | half-open, 4 permitted, 10 at once: let through | 4 | 4 | 10 | 10 |
//! | a cancelled probe gives its place back | yes | yes | has no places | has no places |
//! | a probe that never answers keeps it half-open | for `probe_timeout` | for ever | has no places | has no places |
//! | a success from before it opened counts as a probe | no | yes | yes | yes |
//!
//! # How it is used
//!
//! [`Machine`] is the rule itself, without clock and lock; [`Breaker`] is shared by threads;
//! [`Permit`] gives itself back; `Layer` (feature `tower`) puts one around a service. Each change
//! of state is returned once, to the call that has caused it.
//!
//! ```
//! use std::time::Duration;
//! use steadfast_resilience::breaker::{Breaker, Options, State};
//! use steadfast_time::Monotonic;
//!
//! let at = |seconds| Monotonic::from_start(Duration::from_secs(seconds));
//! let breaker = Breaker::new(Options { minimum_calls: 4, probes: 1, ..Options::default() })?;
//!
//! let mut told = Vec::new();
//! for answered in [true, true, false, false] {
//!     let (permit, _) = breaker.permit(at(1));
//!     let permit = permit?;
//!     told.extend(if answered { permit.success(at(2)) } else { permit.failure(at(2)) });
//! }
//! assert_eq!(told[0].to_string(), "CLOSED→OPEN, 2 of the last 4 failed, next probe in 60 s");
//!
//! let (refused, _) = breaker.permit(at(20));
//! assert_eq!(refused.unwrap_err().to_string(), "OPEN, try again in 42 s");
//!
//! let (probe, half_open) = breaker.permit(at(62));
//! assert_eq!(half_open.unwrap().to_string(), "OPEN→HALF_OPEN, the wait is over");
//! let closed = probe?.success(at(63));
//! assert_eq!(closed.unwrap().to_string(), "HALF_OPEN→CLOSED, 1 of 1 probes succeeded");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decision;
#[cfg(feature = "tower")]
mod layer;
#[cfg(all(test, steadfast_loom))]
mod loom_tests;
mod machine;
#[cfg(test)]
mod model_tests;
mod now;
mod options;
mod past;
mod permit;
mod shared;
mod snapshot;
mod tally;
mod word;

pub use decision::{Cause, Counts, Forced, Refused, State, Transition};
#[cfg(feature = "tower")]
pub use layer::{Calling, Layer, Service};
pub use machine::{Acquired, Grant, Machine};
pub use now::Now;
pub use options::{Options, Window};
pub use permit::Permit;
pub use shared::Breaker;
pub use snapshot::Snapshot;
