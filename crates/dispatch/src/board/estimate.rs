//! When and where a courier will be free.

use std::sync::Arc;

use steadfast_time::Timestamp;

use super::{Board, Rules, Trip};
use crate::geo::Location;
use crate::names::CourierId;
use crate::order::Order;
use crate::policy::{Point, trip_times};

/// The policy's seconds, on the Unix epoch.
pub(crate) fn seconds(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(1_000_000)
}

pub(crate) fn timestamp(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds.saturating_mul(1_000_000))
}

pub(crate) fn point(location: &Location) -> Point {
    match location {
        Location::Planar(at) => Point::planar(at.x, at.y),
        Location::Geographic(at) => Point::geographic(at.lat, at.lon),
    }
}

impl Board {
    /// Works out when and where a courier will be free, from what is known for certain: where
    /// the courier became free last, and what has happened to the trips since.
    ///
    /// It is worked out from the beginning each time, so that a board built after a restart says
    /// the same as one that has been there all along.
    pub(super) fn reckon(&mut self, id: &CourierId) {
        if self.rules.stacking {
            // Who may be sent on at any time counts as free, there and now.
            if let Some(courier) = self.couriers.get_mut(id) {
                (courier.free_location, courier.free_at) = (courier.location, courier.base_at);
            }
            return;
        }
        let Some(courier) = self.couriers.get(id) else { return };
        let mut here = (courier.base, seconds(courier.base_at));
        for offer in &courier.trips {
            if let Some(trip) = self.trips.get(offer) {
                here = self.after_trip(trip, here).unwrap_or(here);
            }
        }
        if let Some(courier) = self.couriers.get_mut(id) {
            courier.free_location = here.0;
            courier.free_at = timestamp(here.1);
        }
    }

    /// Where and when a courier will be free who is free at `(place, then_s)` and has this trip
    /// before or under way.
    fn after_trip(&self, trip: &Trip, (place, then_s): (Location, i64)) -> Option<(Location, i64)> {
        let Rules { travel, service, .. } = &self.rules;
        let orders: Vec<_> = trip.orders.iter().filter_map(|id| self.orders.get(id)).collect();
        let (first, last) = (orders.first()?, orders.last()?);
        let pickup = point(&first.request.pickup);
        let picked_up = orders.iter().filter_map(|order| order.picked_up_at).max();
        let free_s = match picked_up.map(seconds) {
            None => {
                let ready = orders.iter().map(|order| order.ready_at()).max()?;
                let departs_s = then_s.max(seconds(trip.offered_at));
                let doors = orders.iter().map(|order| point(&order.request.dropoff));
                let origin = (point(&place), departs_s);
                trip_times(travel, service, origin, (pickup, seconds(ready)), doors).free_s
            }
            Some(picked_up_s) => {
                // Some have been delivered since, or none.
                let from = if then_s > picked_up_s {
                    (point(&place), then_s)
                } else {
                    (pickup, picked_up_s + service.after_pickup_s())
                };
                let round = |(here, at_s), order: &&Arc<Order>| {
                    let door = point(&order.request.dropoff);
                    let way_s = travel.seconds(here, door);
                    (door, at_s + way_s + service.before_dropoff_s() + service.after_dropoff_s())
                };
                orders.iter().fold(from, round).1
            }
        };
        Some((last.request.dropoff, free_s))
    }
}
