//! When and where a courier will be free.

use std::time::Duration;

use steadfast_time::Timestamp;

use super::Board;
use crate::geo::Location;
use crate::names::{CourierId, OfferId, OrderId};
use crate::policy::{Point, TripTimes, trip_times};

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
    /// When what happens, if the courier sets out on this trip after what is under way.
    pub(crate) fn times(
        &self,
        courier: &CourierId,
        orders: &[OrderId],
        now: Timestamp,
    ) -> Option<TripTimes> {
        let courier = self.couriers.get(courier)?;
        let orders: Vec<_> = orders.iter().filter_map(|order| self.orders.get(order)).collect();
        let first = orders.first()?;
        let ready = orders.iter().map(|order| order.ready_at()).max()?;
        Some(trip_times(
            &self.rules.travel,
            &self.rules.service,
            (point(&courier.free_location), seconds(courier.free_at.max(now))),
            (point(&first.request.pickup), seconds(ready)),
            orders.iter().map(|order| point(&order.request.dropoff)),
        ))
    }

    /// A trip begins: the courier will be free where and when it ends.
    pub(super) fn set_out(&mut self, courier: &CourierId, orders: &[OrderId], now: Timestamp) {
        let times = self.times(courier, orders, now);
        let last = orders.last().and_then(|order| self.orders.get(order));
        let place = last.map(|order| order.request.dropoff);
        if let (Some(times), Some(place), Some(courier)) =
            (times, place, self.couriers.get_mut(courier))
        {
            courier.free_at = timestamp(times.free_s);
            courier.free_location = place;
        }
    }

    /// The courier has picked up: the rest of the trip starts from there and then.
    pub(super) fn picked_up(&mut self, offer: OfferId, at: Timestamp) {
        let Some(trip) = self.trips.get(&offer) else { return };
        let orders: Vec<_> = trip.orders.iter().filter_map(|id| self.orders.get(id)).collect();
        let (Some(first), Some(last)) = (orders.first(), orders.last()) else { return };
        let service = &self.rules.service;
        let pickup = point(&first.request.pickup);
        let times = trip_times(
            &self.rules.travel,
            service,
            (pickup, seconds(at) - service.before_pickup_s()),
            (pickup, seconds(at)),
            orders.iter().map(|order| point(&order.request.dropoff)),
        );
        let place = last.request.dropoff;
        if let Some(courier) = self.couriers.get_mut(&trip.courier)
            && courier.trips.last() == Some(&offer)
        {
            courier.free_at = timestamp(times.free_s);
            courier.free_location = place;
        }
    }

    /// The last order of a trip was handed over, or the trip came to nothing.
    pub(super) fn came_free(&mut self, courier: &CourierId, at: Timestamp, settle: Duration) {
        if let Some(courier) = self.couriers.get_mut(courier)
            && courier.trips.is_empty()
        {
            courier.free_at = at + settle;
            courier.free_location = courier.location;
        }
    }
}
