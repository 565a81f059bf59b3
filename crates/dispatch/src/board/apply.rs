//! Committed events, applied.

use std::sync::Arc;

use steadfast_journal::Event;
use steadfast_time::{Monotonic, Timestamp};

use super::{Board, Moment, Trip};
use crate::names::{CourierId, OfferId, OrderId};
use crate::order::{EventError, Order, OrderEvent, Status};

impl Board {
    /// Takes in an open order as the journal has it: one that has just begun to wait for a
    /// courier, or any after a restart.
    pub(crate) fn open(&mut self, order: Arc<Order>) {
        let open = order.status == Status::AwaitingCourier || order.status.is_dispatched();
        if !open || self.orders.get(&order.id).is_some_and(|known| known.version >= order.version) {
            return;
        }
        let zone = self.zone_mut(&order.zone);
        zone.dirty = true;
        if order.status == Status::AwaitingCourier {
            zone.waiting.insert(order.id);
        }
        let (id, status, changed_at) = (order.id, order.status, order.changed_at);
        let (offer, offered_at) = (order.offer.clone(), order.offered_at);
        self.orders.insert(id, order);
        if let Some(offer) = offer {
            self.offered(id, offered_at.unwrap_or(changed_at), &offer);
            if status != Status::Offered {
                self.accepted(offer.offer);
            }
            self.reckon(&offer.courier);
        }
    }

    /// Applies an event of an order that the board follows; anything it has seen is skipped.
    ///
    /// `now` is when it is applied: what couriers did is a sign of life, and this process learns
    /// of it now, also when they told another one.
    pub(crate) fn apply(
        &mut self,
        id: OrderId,
        event: &Event,
        now: Monotonic,
    ) -> Result<(), EventError> {
        let Some(order) = self.orders.get_mut(&id) else { return Ok(()) };
        if event.version <= order.version {
            return Ok(());
        }
        let change = OrderEvent::try_from(event)?;
        let before = order.offer.clone();
        let zone = order.zone.clone();
        Arc::make_mut(order).apply(event.at, change.clone());
        let at = event.at;
        match change {
            OrderEvent::Offered(offer) => {
                let on_board = self.zone_mut(&zone);
                on_board.waiting.remove(&id);
                on_board.reserved.remove(&id);
                self.offered(id, at, &offer);
            }
            OrderEvent::OfferClosed(closed) => {
                self.left_trip(id, closed.offer, &closed.courier);
                let zone = self.zone_mut(&zone);
                zone.waiting.insert(id);
                zone.dirty = true;
            }
            OrderEvent::Assigned(assigned) => self.accepted(assigned.assignment),
            OrderEvent::PickedUp(_) => {
                if let Some(offer) = before {
                    self.reckon(&offer.courier);
                }
            }
            OrderEvent::Delivered(_) | OrderEvent::UndoStarted(_) => {
                let delivered = event.kind == "delivered";
                let dropoff = self.orders.remove(&id).map(|order| order.request.dropoff);
                let on_board = self.zone_mut(&zone);
                on_board.waiting.remove(&id);
                on_board.reserved.remove(&id);
                on_board.dirty = true;
                let settle = self.rules.settle;
                if let Some(offer) = before {
                    if delivered
                        && let (Some(courier), Some(place)) =
                            (self.couriers.get_mut(&offer.courier), dropoff)
                    {
                        courier.delivered(place, at, settle);
                        self.acted(&offer.courier, Moment { at, monotonic: now });
                    }
                    self.left_trip(id, offer.offer, &offer.courier);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn offered(&mut self, id: OrderId, at: Timestamp, offer: &crate::order::Offered) {
        let Some(zone) = self.orders.get(&id).map(|order| order.zone.clone()) else { return };
        let on_board = self.zone_mut(&zone);
        on_board.dispatched += 1;
        on_board.expiries.insert((offer.expires_at, offer.offer));
        let trip = self.trips.entry(offer.offer).or_insert_with(|| Trip {
            zone,
            courier: offer.courier.clone(),
            orders: Vec::new(),
            offered_at: at,
            expires_at: offer.expires_at,
            accepted: false,
        });
        let begins = trip.orders.is_empty();
        trip.orders.push(id);
        // In the sequence of delivery, whatever the order in which they arrive.
        let place = |order: &OrderId| offer.trip.iter().position(|other| other == order);
        trip.orders.sort_by_key(place);
        if let Some(courier) = self.couriers.get_mut(&offer.courier) {
            courier.orders += 1;
            courier.reserved = courier.reserved.saturating_sub(1);
            if begins {
                courier.trips.push(offer.offer);
            }
        }
        self.reckon(&offer.courier);
    }

    fn accepted(&mut self, offer: OfferId) {
        if let Some(trip) = self.trips.get_mut(&offer)
            && !trip.accepted
        {
            trip.accepted = true;
            let (zone, expiry) = (trip.zone.clone(), (trip.expires_at, offer));
            self.zone_mut(&zone).expiries.remove(&expiry);
        }
    }

    /// An order is not part of its trip any more: delivered, declined, or called off.
    fn left_trip(&mut self, id: OrderId, offer: OfferId, courier: &CourierId) {
        let Some(trip) = self.trips.get_mut(&offer) else { return };
        trip.orders.retain(|order| *order != id);
        let (over, zone, expiry) =
            (trip.orders.is_empty(), trip.zone.clone(), (trip.expires_at, offer));
        let on_board = self.zone_mut(&zone);
        on_board.dispatched = on_board.dispatched.saturating_sub(1);
        on_board.dirty = true;
        if over {
            on_board.expiries.remove(&expiry);
            self.trips.remove(&offer);
        }
        if let Some(courier) = self.couriers.get_mut(courier) {
            courier.orders = courier.orders.saturating_sub(1);
            if over {
                courier.trips.retain(|other| *other != offer);
            }
        }
        self.reckon(courier);
    }
}
