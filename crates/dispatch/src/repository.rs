//! Orders as they are: a bounded cache of folded states in front of the journal.
//!
//! A cached state may be behind, when another process or task has just written. That is
//! harmless for deciding, because each write names the version that it was decided on and the
//! journal refuses it otherwise; whoever is refused calls [`Repository::reload`]. What is *shown*
//! is read from the journal.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use steadfast_journal::{Event, Journal, Version};

use crate::Error;
use crate::limits::{ORDER_EVENTS_MAX, ORDERS_CACHED_MAX};
use crate::names::OrderId;
use crate::order::{Order, OrderEvent};

const CACHED: NonZeroUsize = NonZeroUsize::new(ORDERS_CACHED_MAX).unwrap();

pub(crate) struct Repository {
    journal: Journal,
    cache: Mutex<LruCache<OrderId, Arc<Order>>>,
}

impl Repository {
    pub(crate) fn new(journal: Journal) -> Self {
        Self { journal, cache: Mutex::new(LruCache::new(CACHED)) }
    }

    fn cache(&self) -> MutexGuard<'_, LruCache<OrderId, Arc<Order>>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The order, possibly a little behind.
    pub(crate) fn get(&self, id: OrderId) -> Result<Arc<Order>, Error> {
        if let Some(order) = self.cache().get(&id) {
            return Ok(Arc::clone(order));
        }
        self.reload(id)
    }

    /// The order as the journal has it now.
    pub(crate) fn reload(&self, id: OrderId) -> Result<Arc<Order>, Error> {
        let events = self.journal.store().stream(&id.stream(), Version::NONE, ORDER_EVENTS_MAX)?;
        let not_found = || Error::NotFound { what: "order", id: id.to_string() };
        let order = Arc::new(Order::fold(id, &events)?.ok_or_else(not_found)?);
        self.put(Arc::clone(&order));
        Ok(order)
    }

    /// Takes in a committed event: returns the order after it, from memory if the event is the
    /// next one there, and otherwise from the journal.
    pub(crate) fn observe(&self, id: OrderId, event: &Event) -> Result<Arc<Order>, Error> {
        let known = self.cache().get(&id).cloned();
        match known {
            Some(order) if order.version >= event.version => Ok(order),
            Some(mut order) if order.version.next() == event.version => {
                Arc::make_mut(&mut order).apply(event.at, OrderEvent::try_from(event)?);
                self.put(Arc::clone(&order));
                Ok(order)
            }
            _ => self.reload(id),
        }
    }

    /// Remembers a state that has been committed, unless a later one is known.
    pub(crate) fn put(&self, order: Arc<Order>) {
        let mut cache = self.cache();
        match cache.get_mut(&order.id) {
            Some(known) if known.version >= order.version => {}
            Some(known) => *known = order,
            None => {
                cache.put(order.id, order);
            }
        }
    }
}
