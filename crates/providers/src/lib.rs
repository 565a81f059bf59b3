//! Stock and payment behind the dispatch provider port: a durable sandbox, and HTTP.
//!
//! Dispatch knows that somebody reserves articles and somebody takes money; it does not know who.
//! Here are the two engines of that port:
//!
//! - [`sandbox`] is the default: two small ledgers over a journal, durable and idempotent, which
//!   can be told to misbehave and whose books can be compared with the orders to the unit.
//! - `http` (feature `http`) calls the user's own services by URL.
//!
//! `serve` (feature `serve`) puts any engine behind the HTTP that the `http` engine speaks, and
//! `conformance` (feature `conformance`) is the suite that every engine passes, the user's own
//! service included.
#![forbid(unsafe_code)]

#[cfg(feature = "conformance")]
pub mod conformance;
mod deadline;
#[cfg(feature = "http")]
pub mod http;
pub mod limits;
mod operation;
pub mod sandbox;
#[cfg(any(feature = "http", feature = "serve"))]
mod secret;
#[cfg(feature = "serve")]
pub mod serve;
#[cfg(any(feature = "http", feature = "serve"))]
mod wire;

pub use operation::{Operation, UnknownOperation};
#[cfg(any(feature = "http", feature = "serve"))]
pub use secret::Secret;
