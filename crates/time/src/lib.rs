//! Time as an input.
//!
//! A protocol that reads a clock cannot be replayed, and a protocol that trusts one is wrong
//! sooner or later: wall clocks jump, drift and disagree. So everything in Steadfast takes a
//! [`Clock`], and this crate is the only place that asks the operating system for the time.
//!
//! | room | what is there |
//! |---|---|
//! | [`Clock`], [`Monotonic`], [`Timestamp`], [`Interval`] | durations, dates with their error, waits |
//! | [`wall`], [`ntp`] | where the error comes from: assumed, the kernel, several NTP servers |
//! | [`commit_wait()`] | dates in the order in which things happened |
//! | [`health`] | a node with a bad clock takes itself out, and comes back |
//! | [`logical`] | Lamport, vector and hybrid clocks |
//! | [`snowflake`], [`Ids`] | unique numbers and UUIDs that sort by time |
//! | [`stall`] | when this process did not run |
//! | [`durable`] | a number that never comes back lower, across restarts |
//! | [`sim`] | clocks that move only when told to, and the executor that moves them |
//!
//! ```
//! use std::time::Duration;
//! use steadfast_time::sim::Simulation;
//!
//! let mut sim = Simulation::new(7);
//! let clock = sim.clock();
//! let slept = sim.block_on(async move {
//!     let before = clock.monotonic();
//!     clock.sleep(Duration::from_secs(86_400)).await;
//!     clock.monotonic() - before
//! });
//! assert_eq!(slept, Duration::from_secs(86_400));
//! ```
// One module calls C (`wall::kernel::adjtimex`) and says why; everywhere else unsafe code is denied.
#![deny(unsafe_code)]

mod clock;
mod commit_wait;
pub mod durable;
pub mod health;
mod ids;
mod interval;
pub mod limits;
pub mod logical;
pub mod ntp;
pub mod sim;
pub mod snowflake;
pub mod stall;
mod timestamp;
pub mod wall;

pub use clock::{Clock, Elapsed, Monotonic, Sleep, Source};
pub use commit_wait::{TooUncertain, assign, commit_wait, commit_wait_within, wait_past};
pub use ids::Ids;
pub use interval::{Interval, Offset};
pub use timestamp::{Timestamp, TimestampError};

pub use uuid::Uuid;

/// The README's example, so that it stays true.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
