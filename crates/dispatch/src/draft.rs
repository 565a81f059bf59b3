//! From decisions about orders to one [`Write`].
//!
//! What an order's event brings along is written down here and nowhere else: its message, the
//! counters that it moves, and the record by which a dispatcher finds the orders of its zone
//! after a restart.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use steadfast_journal::{Append, Expected, Guard, Message, RecordChange, Write};
use steadfast_time::{Ids, Timestamp};

use crate::Error;
use crate::geo::Location;
use crate::names::{CourierId, OrderId, ZoneId};
use crate::order::{self, Command, Order, OrderEvent};

/// The set of records that name a zone's open orders: key `<zone>/<order>`, no value.
pub(crate) const OPEN_ORDERS: &str = "zone-orders";

/// The set of records that say where each courier delivered last.
pub(crate) const COURIER_PLACES: &str = "courier-places";

/// A value of [`COURIER_PLACES`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CourierPlace {
    pub(crate) location: Location,
    pub(crate) at: Timestamp,
}

/// How many orders a zone and a courier may have in dispatch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    pub(crate) zone: u32,
    pub(crate) courier: u32,
}

impl Capacity {
    /// For commands that only give back.
    pub(crate) const NONE: Self = Self { zone: 0, courier: 0 };
}

/// Collects the events of several orders into one write.
pub(crate) struct Draft<'a> {
    write: &'a mut Write,
    ids: &'a Ids,
    /// Counter → (delta, upper bound).
    counters: BTreeMap<String, (i64, i64)>,
}

impl<'a> Draft<'a> {
    pub(crate) fn on(write: &'a mut Write, ids: &'a Ids) -> Self {
        Self { write, ids, counters: BTreeMap::new() }
    }

    /// Adds the very first event of an order.
    pub(crate) fn place(&mut self, order: &Order, placed: OrderEvent) -> Result<(), Error> {
        self.record(order.id, order.version.0, Expected::Exactly(order.version.before()), &placed)
    }

    /// Decides and adds the events; `order` becomes what they make of it. Refused: nothing is
    /// added and nothing changes.
    pub(crate) fn decide(
        &mut self,
        order: &mut Arc<Order>,
        command: Command,
        capacity: Capacity,
    ) -> Result<(), Error> {
        let at = self.write.at;
        for event in order.decide(at, command)? {
            self.effects(order, &event, capacity);
            let expected = Expected::Exactly(order.version);
            self.record(order.id, order.version.0 + 1, expected, &event)?;
            Arc::make_mut(order).apply(at, event);
        }
        Ok(())
    }

    fn record(
        &mut self,
        id: OrderId,
        version: u64,
        expected: Expected,
        event: &OrderEvent,
    ) -> Result<(), Error> {
        let event = event.to_new()?;
        self.write.messages.push(Message {
            id: self.ids.next(self.write.at),
            topic: Cow::Borrowed(order::TOPIC),
            aggregate_type: Cow::Borrowed(order::CATEGORY),
            aggregate_id: id.to_string(),
            event_type: event.kind.clone(),
            sequence: version,
            payload: event.payload.clone(),
        });
        let stream = id.stream();
        match self.write.appends.last_mut() {
            Some(last) if last.stream == stream => last.events.push(event),
            _ => self.write.appends.push(Append { stream, expected, events: vec![event] }),
        }
        Ok(())
    }

    /// What `event` brings along, given the order as it was before.
    fn effects(&mut self, order: &Order, event: &OrderEvent, capacity: Capacity) {
        match event {
            OrderEvent::AwaitingCourier(_) => self.set_open(order, true),
            OrderEvent::Offered(offered) => {
                self.count(&order.zone, &offered.courier, 1, capacity);
            }
            OrderEvent::OfferClosed(closed) => {
                self.count(&order.zone, &closed.courier, -1, Capacity::NONE);
            }
            OrderEvent::Delivered(_) | OrderEvent::UndoStarted(_) => {
                if let Some(courier) = order.courier() {
                    self.count(&order.zone, courier, -1, Capacity::NONE);
                    if matches!(event, OrderEvent::Delivered(_)) {
                        self.set_place(courier, order);
                    }
                }
                if order.search_until.is_some() {
                    self.set_open(order, false);
                }
            }
            _ => {}
        }
    }

    fn set_open(&mut self, order: &Order, open: bool) {
        self.write.records.push(RecordChange {
            space: Cow::Borrowed(OPEN_ORDERS),
            key: format!("{}/{}", order.zone, order.id),
            value: open.then(Bytes::new),
        });
    }

    /// Where the courier is from now on, for whoever dispatches after a restart.
    fn set_place(&mut self, courier: &CourierId, order: &Order) {
        let place = CourierPlace { location: order.request.dropoff, at: self.write.at };
        // Plain numbers always have a JSON form.
        let value = serde_json::to_vec(&place).map(Bytes::from).ok();
        self.write.records.push(RecordChange {
            space: Cow::Borrowed(COURIER_PLACES),
            key: courier.to_string(),
            value,
        });
    }

    fn count(&mut self, zone: &ZoneId, courier: &CourierId, delta: i64, capacity: Capacity) {
        let pairs = [(zone.counter(), capacity.zone), (courier.counter(), capacity.courier)];
        for (counter, limit) in pairs {
            let entry = self.counters.entry(counter).or_insert((0, 0));
            entry.0 += delta;
            entry.1 = entry.1.max(i64::from(limit));
        }
    }
}

/// The counters go into the write when the draft ends.
impl Drop for Draft<'_> {
    fn drop(&mut self) {
        for (counter, (delta, limit)) in std::mem::take(&mut self.counters) {
            // Giving back is always allowed; a smaller capacity than what is out must not
            // keep it from shrinking.
            let max = if delta > 0 { limit } else { i64::MAX };
            self.write.guards.push(Guard { counter, delta, bounds: 0..=max });
        }
    }
}
