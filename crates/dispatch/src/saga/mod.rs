//! The order saga: reserve stock, authorise payment, find a courier, deliver, capture payment.
//!
//! | step | kind | undone by |
//! |---|---|---|
//! | `reserve-stock` | asks the stock service | releasing it |
//! | `authorize-payment` | asks the payment service | voiding it |
//! | `find-courier` | waits until a courier has the order, bounded | (the order lets its courier go when the undoing starts) |
//! | `deliver` | waits until the customer has it; the pivot | |
//! | `capture-payment` | asks the payment service until it succeeds | |
//!
//! It is driven by the order's own messages: each step's events go out through the outbox and
//! come back as the next input, with the inbox mark in the write of that input's effect. A step
//! that has been recorded is therefore never forgotten, and one that has not is done again under
//! the same idempotency key.

mod handler;
mod participant;
mod steps;

pub use handler::{CONSUMER, OrderSaga};
pub use participant::OrderParticipant;
pub use steps::SagaOptions;
