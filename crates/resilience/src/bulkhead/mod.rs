//! So much at once, and no more: what is slow drowns alone.
//!
//! One dependency that hangs takes, one call after the other, every task, thread and connection
//! that waits for it, until nothing is left for the dependencies that are well. A ship has
//! bulkheads for this: what floods stays in its compartment. Here each dependency gets so many
//! places, and a short queue in front of them.
//!
//! - [`Bulkhead`]: places for calls, with [`Machine`] as the rule in its plainest form.
//! - [`Pool`]: threads of its own for work that blocks.
//! - [`connections`] (feature `hyper`): places for a client's open connections.
//! - [`Layer`] (feature `tower`): a bulkhead in front of a service.
//!
//! **The queue** is first come, first served; a place that is given back goes straight to whoever
//! is next, and nobody barges past. Nobody waits for longer than [`Options::wait`] or past the
//! deadline, and a full queue refuses at once: a queue evens out bursts, it adds no capacity.
//!
//! **When to use it:** one for each dependency, with as many places as it is fed with when all is
//! well, times two. **When not:** to protect *yourself* from too many callers: that is
//! [`crate::shed`], which serves the newest first when too much comes; nor where nobody knows the
//! right number, which [`crate::limit`] finds out.
//!
//! **What it costs:** 11 ns to take a place and give it back as long as one is free (two
//! compare-and-swaps on one word), 20 ns if the permit is owned, and no allocation. A call that
//! waits takes a lock and a timer. In one run of `benches/bulkhead.rs` on two shared cores:
//!
//! | a place, taken and given back | one thread | two threads |
//! |---|---|---|
//! | [`Bulkhead::try_acquire`] | 11 ns | 86 ns |
//! | [`Bulkhead::try_acquire_owned`] | 20 ns | 103 ns |
//! | `tokio::sync::Semaphore::try_acquire` | 21 ns | 141 ns |
//! | [`Layer`], a call through it | 25 ns | 97 ns |
//! | `tower`'s `ConcurrencyLimit` | 35 ns | 166 ns |
//! | `tower-resilience-bulkhead` (three allocations) | 186 ns | 316 ns |
//!
//! **Defaults:** ten places, as each pool in the sources (*Bulkhead Pattern*, "Pool A (10)"); see
//! [`Options`] for the rest. A refusal says to try again after [`Options::wait`], by when everybody
//! who waits now has a place or has gone.
//!
//! ```
//! use std::time::Duration;
//! use steadfast_resilience::bulkhead::{Bulkhead, Options};
//! use steadfast_time::sim::Simulation;
//!
//! let mut sim = Simulation::new(1);
//! let clock = sim.clock();
//! sim.block_on(async move {
//!     let options = Options { limit: 1, queue: 1, wait: Duration::from_millis(50) };
//!     let stock = Bulkhead::new(&options, clock.clone()).unwrap();
//!     let place = stock.acquire(None).await.unwrap();
//!     let refused = stock.acquire(None).await.unwrap_err();
//!     assert_eq!(refused.to_string(), "1 of 1 at work, 0 of 1 waiting: waited 50 ms");
//!     drop(place);
//!     assert!(stock.try_acquire().is_ok());
//! });
//! ```

#[cfg(feature = "hyper")]
pub mod connections;
mod decision;
#[cfg(feature = "tower")]
mod layer;
mod line;
#[cfg(all(test, steadfast_loom))]
mod loom_tests;
mod machine;
mod options;
pub(crate) mod places;
pub mod pool;
mod semaphore;
#[cfg(test)]
mod tests;
mod ticket;

pub use decision::{Reason, Refused};
#[cfg(feature = "tower")]
pub use layer::{Call, Layer, Service};
pub use machine::{Admission, Machine};
pub use options::Options;
pub use pool::Pool;
pub use semaphore::{Acquire, Bulkhead, Permit};
pub use ticket::Ticket;
