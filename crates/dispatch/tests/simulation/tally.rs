//! A second consumer, whose effect is not harmless when repeated: it counts deliveries, one by
//! one, in a record that it reads and writes back. Only the inbox keeps it right.

use std::borrow::Cow;

use bytes::Bytes;
use steadfast_journal::{Guard, Journal, RecordChange, Write};
use steadfast_messaging::{Delivery, Failure, Handled, Handler};
use steadfast_time::Clock;

pub const CONSUMER: &str = "tally";

/// The counter of deliveries.
pub const DELIVERIES: &str = "tally/deliveries";

pub struct Tally {
    pub journal: Journal,
    pub clock: Clock,
    /// The broken twin: the effect in one write, its mark in another.
    pub marks_apart: bool,
}

impl Handler for Tally {
    async fn handle(&self, delivery: &Delivery) -> Result<Handled, Failure> {
        if delivery.message().event_type != "delivered" {
            return Ok(Handled::Ignored);
        }
        let mut write = Write::at(self.clock.now());
        write.guards.push(Guard { counter: DELIVERIES.to_owned(), delta: 1, bounds: 0..=i64::MAX });
        write.records.push(RecordChange {
            space: Cow::Borrowed(CONSUMER),
            key: delivery.message().aggregate_id.clone(),
            value: Some(Bytes::from_static(b"true")),
        });
        if self.marks_apart {
            self.journal.commit(write).await?;
            return Ok(Handled::Ignored);
        }
        delivery.commit(&self.journal, write).await
    }
}
