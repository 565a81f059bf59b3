//! Following one order live.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use steadfast_journal::{Event, Journal, Version};
use tokio::sync::mpsc;

use crate::Error;
use crate::limits::{ORDER_EVENTS_MAX, TRACKER_LAG_MAX, TRACKERS_MAX};
use crate::names::OrderId;
use crate::order::EventView;

/// Who follows which order. One follower of the journal feeds them all.
#[derive(Debug, Default)]
pub(crate) struct Trackers {
    trackers: Arc<Mutex<Map>>,
}

#[derive(Debug, Default)]
struct Map {
    by_order: HashMap<OrderId, Vec<(u64, mpsc::Sender<Event>)>>,
    count: usize,
    next: u64,
}

impl Map {
    fn remove(&mut self, order: OrderId, number: u64) {
        if let Some(senders) = self.by_order.get_mut(&order) {
            let before = senders.len();
            senders.retain(|(other, _)| *other != number);
            self.count -= before - senders.len();
            if senders.is_empty() {
                self.by_order.remove(&order);
            }
        }
    }
}

impl Trackers {
    fn map(&self) -> MutexGuard<'_, Map> {
        self.trackers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn track(
        &self,
        journal: &Journal,
        order: OrderId,
        after: Version,
    ) -> Result<Tracking, Error> {
        let (sender, live) = mpsc::channel(TRACKER_LAG_MAX);
        // Registered before the past is read, so that nothing falls between.
        let number = {
            let mut map = self.map();
            if map.count >= TRACKERS_MAX {
                let retry_after = Duration::from_secs(5);
                let what = "too many clients follow orders already".into();
                return Err(Error::Overloaded { what, retry_after });
            }
            map.next += 1;
            let number = map.next;
            map.count += 1;
            map.by_order.entry(order).or_default().push((number, sender));
            number
        };
        let trackers = Arc::clone(&self.trackers);
        let mut tracking =
            Tracking { trackers, order, number, after, past: Vec::new(), live, ended: false };
        let store = journal.store();
        if store.version(&order.stream())? == Version::NONE {
            return Err(Error::NotFound { what: "order", id: order.to_string() });
        }
        tracking.past = store.stream(&order.stream(), after, ORDER_EVENTS_MAX)?;
        tracking.past.reverse();
        // Whoever comes back after the last event finds the end at once.
        let head = store.version(&order.stream())?;
        if tracking.past.is_empty() && head <= after {
            let last = store.stream(&order.stream(), head.before(), 1)?;
            tracking.ended = last.last().is_some_and(|event| is_last(&event.kind));
        }
        Ok(tracking)
    }

    /// Hands a committed event of an order to those who follow it. Who is too slow is cut off,
    /// and comes back with the version seen last.
    pub(crate) fn announce(&self, order: OrderId, event: &Event) {
        let mut map = self.map();
        let Some(senders) = map.by_order.get(&order) else { return };
        let slow: Vec<u64> = senders
            .iter()
            .filter(|(_, sender)| sender.try_send(event.clone()).is_err())
            .map(|(number, _)| *number)
            .collect();
        for number in slow {
            map.remove(order, number);
        }
    }

    /// Whether anybody follows anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.map().by_order.is_empty()
    }
}

/// Whether nothing follows after an event of this kind.
fn is_last(kind: &str) -> bool {
    matches!(kind, "payment_captured" | "rejected" | "cancelled")
}

/// An order's events, those of the past first, then each as it happens.
#[derive(Debug)]
pub struct Tracking {
    trackers: Arc<Mutex<Map>>,
    order: OrderId,
    number: u64,
    after: Version,
    /// What is left of the past, last first.
    past: Vec<Event>,
    live: mpsc::Receiver<Event>,
    ended: bool,
}

impl Stream for Tracking {
    type Item = EventView;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<EventView>> {
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            let event = match self.past.pop() {
                Some(event) => event,
                None => match futures::ready!(self.live.poll_recv(context)) {
                    Some(event) => event,
                    None => return Poll::Ready(None),
                },
            };
            if event.version > self.after {
                self.after = event.version;
                self.ended = is_last(&event.kind);
                return Poll::Ready(Some(EventView::from(&event)));
            }
        }
    }
}

impl Drop for Tracking {
    fn drop(&mut self) {
        let mut map = self.trackers.lock().unwrap_or_else(PoisonError::into_inner);
        map.remove(self.order, self.number);
    }
}
