//! How many orders may be on their way to a courier search at once.
//!
//! Taking an order is cheaper than carrying it through stock and payment. Without a bound, a
//! burst would be accepted in seconds and worked off for minutes. With it, a request waits for
//! its turn as long as its deadline allows, and is then refused while refusing is still honest.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use crate::names::OrderId;

#[derive(Debug)]
pub(crate) struct Admission {
    places: Semaphore,
    /// The admitted orders that have not left yet.
    inside: Mutex<HashSet<OrderId>>,
}

impl Admission {
    pub(crate) fn new(limit: usize) -> Self {
        Self { places: Semaphore::new(limit), inside: Mutex::default() }
    }

    fn inside(&self) -> MutexGuard<'_, HashSet<OrderId>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place. It is given back when the ticket is dropped, unless the order has
    /// gone inside.
    pub(crate) async fn enter(&self, order: OrderId) -> Option<Ticket<'_>> {
        let permit = self.places.acquire().await.ok()?;
        self.inside().insert(order);
        permit.forget();
        Some(Ticket { admission: self, order, keep: false })
    }

    /// The order has reached the courier search, or will not.
    pub(crate) fn leave(&self, order: OrderId) {
        if self.inside().remove(&order) {
            self.places.add_permits(1);
        }
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
