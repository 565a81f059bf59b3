//! Leases that yield fencing tokens.
//!
//! Some work must be done by one process at a time: one dispatcher per zone, one relay per
//! journal. A [`Lease`] says who should do it, for a bounded time; its
//! [`FencingToken`](steadfast_fencing::FencingToken) lets the storage tell whether that is still
//! so. The lease makes it likely that there is one holder; the token makes it harmless when there
//! are two.
//!
//! - [`Coordinator`] is the port: grant, renew, release. [`Embedded`] is the engine inside one
//!   process; its tokens rise across restarts because a [`TokenStore`] keeps them.
//! - [`Leases`] asks a coordinator for leases and checks that their length makes sense for the
//!   clocks and the network at hand.
//! - [`Lease`] is the guard: a token, a deadline, a future that completes when it is lost.
//! - [`table`] is the protocol itself: a pure state machine.
#![forbid(unsafe_code)]

mod coordinator;
mod embedded;
mod lease;
pub mod limits;
mod options;
pub mod table;
pub mod tokens;

pub use coordinator::{Coordinator, Error, Grant};
pub use embedded::Embedded;
pub use lease::{Lease, Leases, Lost};
pub use options::{Invalid, Options};
pub use tokens::{FileTokens, MemoryTokens, TokenStore};

/// The README's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
