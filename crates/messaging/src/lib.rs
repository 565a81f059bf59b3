//! Outbox relay, bus, and a consumer that makes at-least-once delivery harmless.
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
