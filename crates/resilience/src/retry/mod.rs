//! Asking again, where that helps and does no harm.
//!
//! Some failures pass: a packet is lost, a server restarts, a queue is full for a moment. Asking
//! again then turns an error into a short wait. But each retry is load on something that may be
//! failing *because* of load, and each may do twice what should be done once. So a failed attempt
//! is repeated only if, in this order (each "no" is a [`Withheld`] with its figures),
//!
//! 1. the failure may pass: [`Class::Transient`](crate::Class::Transient), which is a timeout,
//!    429 and 503, and never 400, 401 or a business refusal ([`status`] and [`grpc`] are the
//!    tables);
//! 2. there is an attempt left: [`Options::attempts`];
//! 3. doing it twice does no harm: it is marked so, or carries an idempotency key
//!    ([`Repeatable`], which nobody can forget to give);
//! 4. the caller is not on a repeated attempt itself ([`Options::nested`]);
//! 5. the other side does not ask for more patience than there is (`Retry-After`);
//! 6. pause and attempt fit before the deadline;
//! 7. the [budget](crate::budget) has one left. It is asked last: a retry that is withheld costs
//!    nothing.
//!
//! - [`Machine`] is one call, attempt by attempt; [`Backoff`] and [`Jitter`] say how long to wait.
//! - [`Retry`] is what all calls to a dependency share: options, budget, randomness.
//! - [`layer`] (feature `tower`) puts it around a service.
//!
//! # When to use it, and when not
//!
//! At one layer, close to what fails: the one that knows the dependency. Where several layers
//! retry, their attempts multiply: three layers of three attempts make 27 calls of one, of four
//! attempts 64. Here a layer below a repeated attempt holds back, so the lowest layer tries as
//! often as it may and each one above it once more for each of its own retries: 7, and 10.
//!
//! Not for work that must be done in the end, however long it takes: that wants a queue and a
//! durable timer, not a waiting request. Not for a caller who can ask again himself and has more
//! time than you.
//!
//! # What it costs
//!
//! A call that is answered: a reading of the clock, a deposit in the [budget](crate::budget), and
//! a copy of the request where it may be repeated; nothing is allocated. A failure takes a lock for
//! an instant, for its randomness, and a retry a timer. What retries cost the other side is for the
//! budget to bound.
//!
//! # Where the numbers come from
//!
//! Pauses of 100→200→400 ms with jitter are the sources', and so four attempts. That the jitter is
//! the full one follows Marc Brooker's comparison; the formulae are his (see [`Jitter`]).
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use steadfast_resilience::Class;
//! use steadfast_resilience::budget::{self, Budget};
//! use steadfast_resilience::deadline::{Context, Deadline};
//! use steadfast_resilience::retry::{Options, Repeatable, Retry};
//! use steadfast_time::Monotonic;
//!
//! let budget = Arc::new(Budget::new(&budget::Options::default())?);
//! let retry = Retry::new(Options::default(), budget, fastrand::Rng::with_seed(7))?;
//!
//! let now = Monotonic::default();
//! let context = Context::until(Deadline::within(now, Duration::from_millis(350)));
//! let mut call = retry.begin(now, Repeatable::Key("order-1"), context);
//! let retrying = retry.failed(&mut call, now, Class::TRANSIENT, Duration::ZERO).unwrap();
//! assert_eq!(retrying.attempt, 2);
//! assert!(retrying.after <= Duration::from_millis(100));
//!
//! // "Retry-After: 5", but the caller waits for another 250 ms only.
//! let later = now + Duration::from_millis(100);
//! let class = Class::Transient { retry_after: Some(Duration::from_secs(5)) };
//! let withheld = retry.failed(&mut call, later, class, Duration::ZERO).unwrap_err();
//! assert!(withheld.to_string().starts_with("250 ms left, 5."));
//! # Ok::<(), steadfast_resilience::Invalid>(())
//! ```

mod backoff;
mod decision;
pub mod grpc;
#[cfg(feature = "tower")]
pub mod layer;
mod machine;
mod options;
mod repeat;
mod shared;
#[cfg(feature = "http")]
pub mod status;
#[cfg(test)]
#[cfg(not(steadfast_loom))]
mod tests;

pub use backoff::{Backoff, Jitter};
pub use decision::{Retrying, Withheld};
pub use machine::Machine;
pub use options::Options;
#[cfg(feature = "http")]
pub use repeat::ByMethod;
pub use repeat::{AllMarked, ByRule, NoneMarked, Repeat, Repeatable};
pub use shared::{Allowance, Retry};
