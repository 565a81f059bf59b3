//! What nobody should do, done on purpose: extreme numbers, clocks that stand still or are at their
//! end, strangers' code that panics, services that insist on being ready.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may panic")]

#[cfg(feature = "tower")]
mod layers;
mod numbers;
mod panics;
