//! Orders, couriers, zones, offers and assignment policies; knows no HTTP and no engine.
//!
//! - [`order`] is the aggregate: what can happen to an order, and who may make it happen. Pure.
//! - [`service`] is what the outside can ask for: [`service::Services`].
//! - [`saga`] carries an order through stock and payment to a courier, and back if need be.
//! - [`Dispatcher`] asks couriers, by a [`policy`], under a lease.
//! - [`provider`] is the port to stock and payment.
//!
//! Everything takes its clock, its journal, its coordinator and its providers from whoever
//! starts it, so the same code runs a city, a recorded day in seconds, and ten thousand
//! simulated crashes.
#![forbid(unsafe_code)]

mod assembly;
mod board;
pub mod courier;
mod dispatcher;
mod draft;
mod error;
pub mod geo;
pub mod limits;
pub mod names;
pub mod order;
pub mod policies;
pub mod policy;
pub mod provider;
pub mod relay;
mod repository;
pub mod saga;
pub mod service;
pub mod zone;

pub use assembly::{Assembly, Error as AssemblyError, Parts, Task, TaskError};
pub use dispatcher::{Dispatcher, Inline, Planner, Ticker};
pub use error::Error;

/// The README's example, so that it stays true.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
