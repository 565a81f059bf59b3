//! How many orders may be on their way to a courier search at once.
//!
//! Taking an order is cheaper than carrying it through stock and payment. Without a bound, a
//! burst would be accepted in seconds and worked off for minutes. With it, a request waits for
//! its turn as long as its deadline allows, and is then refused while refusing is still honest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use steadfast_resilience::bulkhead::Refused;
use steadfast_resilience::bulkhead::{Bulkhead, Options, Permit};
use steadfast_resilience::deadline::Deadline;
use steadfast_time::Clock;

use crate::limits::{ADMISSION_WAIT_MAX, ADMISSION_WAITS_MAX};
use crate::names::OrderId;

/// So many places, and a queue in front of them.
pub(super) fn options(limit: usize) -> Options {
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    Options { limit, queue: ADMISSION_WAITS_MAX, wait: ADMISSION_WAIT_MAX }
}

#[derive(Debug)]
pub(crate) struct Admission {
    places: Arc<Bulkhead>,
    /// The places of admitted orders that have not left yet.
    inside: Mutex<HashMap<OrderId, Permit>>,
}

impl Admission {
    /// # Panics
    /// No places at all; see [`super::Options::check`].
    pub(crate) fn new(limit: usize, clock: &Clock) -> Self {
        let places = Bulkhead::new(&options(limit), clock.clone());
        let places = match places {
            Ok(places) => Arc::new(places),
            Err(invalid) => panic!("{}", invalid.within("preparing")),
        };
        Self { places, inside: Mutex::default() }
    }

    /// Places that are taken, and requests that wait for one.
    #[cfg(test)]
    pub(super) fn figures(&self) -> (u32, u32) {
        (self.places.in_use(), self.places.waiting())
    }

    fn inside(&self) -> MutexGuard<'_, HashMap<OrderId, Permit>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place. It is given back when the ticket is dropped, unless the order has
    /// gone inside.
    pub(crate) async fn enter(
        &self,
        order: OrderId,
        deadline: Deadline,
    ) -> Result<Ticket<'_>, Refused> {
        let permit = self.places.acquire_owned(Some(deadline)).await?;
        self.inside().insert(order, permit);
        Ok(Ticket { admission: self, order, keep: false })
    }

    /// The order has reached the courier search, or will not.
    pub(crate) fn leave(&self, order: OrderId) {
        // The place is handed on outside of the lock.
        let place = self.inside().remove(&order);
        drop(place);
    }
}

/// Whether an event says that its order leaves.
pub(crate) fn leaves(kind: &str) -> bool {
    matches!(kind, "awaiting_courier" | "undo_started")
}

/// A place inside.
pub(crate) struct Ticket<'a> {
    admission: &'a Admission,
    order: OrderId,
    keep: bool,
}

impl Ticket<'_> {
    /// The order exists: it keeps the place until it leaves.
    pub(crate) fn keep(mut self) {
        self.keep = true;
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if !self.keep {
            self.admission.leave(self.order);
        }
    }
}
