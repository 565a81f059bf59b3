//! A second attempt beside a slow first one.
//!
//! Where an answer is put together from many, the slowest decides: if one call in a hundred is
//! slow, then of the requests that need a hundred of them 63 % are (1 − 0.99¹⁰⁰). The cause is
//! mostly not the question but the moment: a queue, a pause, a neighbour. Asked again, the next
//! server answers at once. So after as long as 95 % of calls take, the request is sent a second
//! time, the first answer counts and the other attempt is dropped. At Google that brought the
//! 99.9th percentile of reading a thousand keys from a hundred servers from 1,800 ms down to
//! 74 ms, for 2 % more requests (Dean and Barroso, *The Tail at Scale*, CACM 2013).
//!
//! And it is a way to double the load on something that is slow *because* it is loaded. So a
//! hedge has to pass gates, when the call begins and again at the moment it is due:
//!
//! | gate | default | source |
//! |---|---|---|
//! | doing it twice is the same as doing it once | nothing is, unless said | |
//! | the caller is not repeating itself | | layers multiply |
//! | enough answers observed lately | 100 | five of them above p95 |
//! | p95 above a threshold | 300 ms | the sources |
//! | time left for as long as half of calls take | | a hedge that cannot fit is waste |
//! | error budget left | more than 50 % | the sources |
//! | hedged share of the calls lately | at most 2 % | the sources: `hedged_share` |
//! | the budget shared with retries | 5 % | [`crate::budget`] |
//!
//! The share is a hard bound: where everything is slow, 2 % of calls get a hedge and no more.
//!
//! # What happens
//!
//! The first answer counts, and a refusal is one. See [`Race`] for attempts that fail. How long
//! *first* attempts take is what p95 and the delay come from; one that lost counts as slow, or
//! hedging would close its own gate. Every hedge says so ([`crate::event`]), who won, and every
//! slow call that got none says why not: at once if it had waited for one, otherwise when it is
//! answered.
//!
//! # When to use it, and when not
//!
//! For reads, and for writes with an idempotency key, on something that has several servers and a
//! tail much longer than its body. Not where calls are slow because there are too many of them
//! (that wants [`crate::limit`]), not on a single server or a single lock (both attempts wait in
//! the same queue), not where the median is already slow.
//!
//! # What it costs
//!
//! While calls are fast: two readings of the clock, two atomic additions, some loads, together
//! 60 ns around a service (`benches/timeout.rs`); no timer, no copy of the request, no allocation.
//! While they are slow: a copy of the request and a timer for
//! each call that may be hedged. Memory: 25 KiB for each dependency.
//!
//! ```
//! use std::time::Duration;
//! use steadfast_resilience::deadline::Context;
//! use steadfast_resilience::hedge::{Hedger, Options, Withheld};
//! use steadfast_resilience::Share;
//! use steadfast_time::Monotonic;
//!
//! let ms = Duration::from_millis;
//! let hedger = Hedger::new(Options::default())?;
//! let mut now = Monotonic::default();
//! for call in 0..1_000 {
//!     let plan = hedger.plan(now, true, Context::default());
//!     now = now + ms(if call % 10 == 0 { 800 } else { 20 });
//!     hedger.answered(now, &plan);
//! }
//! // One in ten takes 800 ms, so p95 does, and so long the first attempt is left alone.
//! let plan = hedger.plan(now, true, Context::default());
//! assert!(plan.after().is_ok_and(|delay| delay > ms(800) && delay < ms(825)));
//!
//! // Then the rest is looked at: here most of the error budget is gone.
//! let means = (|_| Share::percent(30), |_| Ok(()));
//! let withheld = hedger.issue(now + ms(825), &plan, &means).unwrap_err();
//! assert_eq!(withheld.to_string(), "30 % of the error budget left, 50 % needed");
//! # Ok::<(), steadfast_resilience::Invalid>(())
//! ```

mod decision;
mod gate;
mod hedger;
#[cfg(feature = "tower")]
mod layer;
#[cfg(all(test, steadfast_loom))]
mod loom_tests;
mod options;
mod race;
#[cfg(test)]
#[cfg(not(steadfast_loom))]
mod tests;

pub use decision::{Hedged, Withheld, Won};
pub use gate::{Call, Figures, Gate};
pub use hedger::{Hedger, Means, Plan, REFRESH};
#[cfg(feature = "tower")]
pub use layer::{Calling, Layer, Service};
pub use options::{Delay, Options};
pub use race::{Around, Race, race};
