//! As many calls at once as the other side can take, found out by watching it.
//!
//! The right number for a [`crate::bulkhead`] is `throughput · latency` of the dependency (Little's
//! law), and changes with every deployment of it. This one watches instead: while answers come as
//! quickly as ever, a few more calls are let through; when they become slow or are dropped, fewer.
//! It is what TCP does with its congestion window.
//!
//! - [`Aimd`], [`Vegas`], [`Gradient`] are the algorithms, `(state, sample) → limit`, after
//!   Netflix' [concurrency-limits](https://github.com/Netflix/concurrency-limits); each says where
//!   it differs. [`Estimate`] is the trait for another one.
//! - [`Machine`] gathers samples over a window and asks the algorithm at its end.
//! - [`Limit`] is that for many threads, [`Layer`] (feature `tower`) in front of a service.
//!
//! | | learns from | needs | weakness |
//! |---|---|---|---|
//! | AIMD | drops | a server that refuses, or a timeout | fills every queue until it drops |
//! | Vegas | the queue that the round-trip time betrays | a load-free moment now and then | that moment measured under load |
//! | Gradient | change of the round-trip time | windows of some length | creeps up under lasting overload |
//!
//! **When to use it:** in front of a dependency that many clients share and whose capacity is not
//! known, or, as part of [`crate::shed::Gate`], in front of oneself. **When not:** where calls
//! differ in length by orders of magnitude: their mix moves the round-trip time more than load
//! does; nor where the number is known (a connection pool's size): that is a bulkhead.
//!
//! **What it costs:** two atomic operations for the place, two readings of the clock and one short
//! lock for the sample, 29 ns together, 50 ns through the layer (`benches/bulkhead.rs`); no
//! allocation.
//!
//! A refusal says to try again after the average round-trip time: by then most of those that are
//! under way have ended. Moves of the limit are told when they amount to a tenth.
//!
//! ```
//! use std::time::Duration;
//! use steadfast_resilience::limit::{Limit, Options};
//! use steadfast_time::Monotonic;
//!
//! let limit = Limit::new(&Options::default(), fastrand::Rng::with_seed(1)).unwrap();
//! let permits: Vec<_> = (0..20).map(|_| limit.try_acquire().unwrap()).collect();
//! let refused = limit.try_acquire().unwrap_err();
//! assert_eq!(refused.to_string(), "20 in flight, and the limit is 20 now");
//! let now = Monotonic::from_start(Duration::from_millis(10));
//! for permit in permits {
//!     permit.success(now, Duration::from_millis(10));
//! }
//! ```

pub mod aimd;
mod decision;
mod estimate;
mod estimator;
pub mod gradient;
#[cfg(feature = "tower")]
mod layer;
mod options;
mod shared;
#[cfg(test)]
mod tests;
pub mod vegas;

pub use aimd::Aimd;
pub use decision::{Changed, Refused};
pub use estimate::{Estimate, Sample};
pub use estimator::{Estimator, Machine};
pub use gradient::Gradient;
#[cfg(feature = "tower")]
pub use layer::{Call, Layer, Service};
pub use options::{Algorithm, Bounds, Options};
pub use shared::{Limit, Permit};
pub use vegas::Vegas;

use crate::Invalid;

fn check_smoothing(smoothing: f64) -> Result<(), Invalid> {
    if smoothing > 0.0 && smoothing <= 1.0 {
        Ok(())
    } else {
        Err(Invalid::new("smoothing", smoothing, "more than 0 and at most 1"))
    }
}
