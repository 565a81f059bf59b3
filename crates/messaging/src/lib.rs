//! From a commit to its effect elsewhere, exactly once and in order.
//!
//! A message is committed with its cause (the outbox), brought to a bus by the [`relay`], and
//! given its effect by a [`consumer`], together with a mark that refuses a second one (the inbox).
//! In between, everything may be lost, repeated, late, or stopped.
//!
//! ```text
//! Write{…, messages} ─ journal ─ outbox ─► Relay ─► Bus ─► Worker ─► Handler ─► Write{…, mark}
//!                                  ▲                  │
//!                                  └── published ◄── acknowledged when the effect is durable
//! ```
//!
//! [`dead_letters`] is what an operator does about messages that cannot be handled; [`chaos`] is
//! a bus on which things go wrong, for tests. The README has an example.
#![forbid(unsafe_code)]

mod backoff;
pub mod bus;
pub mod chaos;
pub mod consumer;
pub mod dead_letters;
mod envelope;
pub mod limits;
pub mod relay;
mod wait;

pub use backoff::Backoff;
pub use bus::{Bus, embedded::Embedded};
pub use consumer::{Consumer, Delivery, Failure, Handled, Handler};
pub use dead_letters::{DeadLetters, Letter, Letters};
pub use envelope::Envelope;
pub use relay::Relay;

/// The README's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
