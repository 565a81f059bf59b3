//! The books: a consumer whose effect is not harmless when it is repeated.
//!
//! For every order that is placed, assigned and delivered it books a fee, one by one. Only the inbox,
//! whose mark is committed with the booking, keeps it right when a message comes again. It takes its
//! time, so that a node can stop between the message and the booking.

use std::time::Duration;

use steadfast_journal::{Guard, Journal, Write};
use steadfast_messaging::{Delivery, Failure, Handled, Handler};
use steadfast_time::Clock;

/// The consumer's name.
pub(super) const CONSUMER: &str = "books";

/// What a fee is booked for.
pub(super) const KINDS: [&str; 3] = ["placed", "assigned", "delivered"];

/// The counter of fees for one kind.
pub(super) fn account(kind: &str) -> String {
    format!("books/{kind}")
}

/// Books fees.
pub(super) struct Books {
    pub(super) journal: Journal,
    pub(super) clock: Clock,
    /// How long a booking takes before it is committed.
    pub(super) takes: Duration,
}

impl Handler for Books {
    async fn handle(&self, delivery: &Delivery) -> Result<Handled, Failure> {
        let kind = &*delivery.message().event_type;
        if !KINDS.contains(&kind) {
            return Ok(Handled::Ignored);
        }
        self.clock.sleep(self.takes).await;
        let mut write = Write::at(self.clock.now());
        write.guards.push(Guard { counter: account(kind), delta: 1, bounds: 0..=i64::MAX });
        delivery.commit(&self.journal, write).await
    }
}
