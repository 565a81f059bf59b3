//! Time as an input.
//!
//! A protocol that reads a clock cannot be replayed, and a protocol that trusts one is wrong
//! sooner or later: wall clocks jump, drift and disagree. So everything in Steadfast takes a
//! [`Clock`], and this crate is the only place that asks the operating system for the time.
//!
//! - [`Clock`] gives durations ([`Clock::monotonic`]) and dates ([`Clock::now`],
//!   [`Clock::interval`]) and lets a task wait ([`Clock::sleep`]).
//! - [`sim`] holds a clock that moves only when told to and an executor that moves it: a day of
//!   waiting takes milliseconds and comes out the same each time.
//! - [`Timestamp`] is a point on the wall clock, in microseconds, written as RFC 3339.
//! - [`Ids`] makes time-ordered UUIDs (version 7) from a seedable source.
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
#![forbid(unsafe_code)]

mod clock;
mod ids;
pub mod sim;
mod timestamp;

pub use clock::{Clock, Elapsed, Interval, Monotonic, Sleep, Source};
pub use ids::Ids;
pub use timestamp::{Timestamp, TimestampError};

pub use uuid::Uuid;

/// The README's example, so that it stays true.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
