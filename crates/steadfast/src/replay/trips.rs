//! The day's couriers on the road: what they were told, and what is due when.
//!
//! A trip's timetable follows from the minute of its instruction and the rules of the day. The
//! couriers keep to it to the minute, and at the end the journal must say so.

use std::collections::HashMap;

use steadfast_dispatch::names::{CourierId, NameError, OfferId, OrderId};
use steadfast_dispatch::policy::{Point, TripTimes, trip_times};
use steadfast_dispatch::service::Couriers;

use super::Error;
use super::day::{self, Day};
use super::history::{History, Trip};
use super::plan::{self, Plan};

/// The trips of a replay under way.
pub(super) struct Trips<'a> {
    day: &'a Day,
    /// The day's orders by name, as indices.
    orders: HashMap<&'a str, usize>,
    couriers: HashMap<CourierId, Courier>,
    /// When what happens on each trip, in the sequence of the history.
    timed: Vec<(OfferId, TripTimes)>,
    /// Trips that are not over, as indices into `timed`.
    open: Vec<usize>,
}

struct Courier {
    /// Index into [`Day::couriers`].
    index: usize,
    /// Where the last trip ends.
    end: Point,
}

/// What a courier does in one minute.
pub(super) struct HandOver {
    offer: OfferId,
    courier: CourierId,
    picks_up: bool,
    delivers: Vec<OrderId>,
}

/// The name under which a courier works. Policies break ties by name; this way the first of the
/// file comes first, as in other programs' figures for the same day.
pub(super) fn courier_id(day: &Day, index: usize) -> Result<CourierId, NameError> {
    format!("{index:04}-{}", day.couriers[index].id).parse()
}

impl<'a> Trips<'a> {
    pub(super) fn new(day: &'a Day) -> Result<Self, NameError> {
        let mut couriers = HashMap::new();
        for (index, courier) in day.couriers.iter().enumerate() {
            let end = courier.position;
            couriers.insert(courier_id(day, index)?, Courier { index, end });
        }
        let by_name = |(index, order): (usize, &'a day::Order)| (order.id.as_str(), index);
        Ok(Self {
            day,
            orders: day.orders.iter().enumerate().map(by_name).collect(),
            couriers,
            timed: Vec::new(),
            open: Vec::new(),
        })
    }

    /// Whether nobody is on the road.
    pub(super) fn are_over(&self) -> bool {
        self.open.is_empty()
    }

    /// Works out how the trips go that are new in the history.
    pub(super) fn take(&mut self, history: &History) -> Result<(), Error> {
        for (offer, trip) in history.trips_after(self.timed.len()) {
            let (courier, orders) = self.resolve(history, offer, trip)?;
            let parameters = &self.day.parameters;
            let mut doors = orders.iter().map(|&order| self.day.orders[order].dropoff);
            let ready = orders.iter().map(|&order| self.day.orders[order].ready_min);
            let restaurant = self.day.orders[orders[0]].restaurant;
            let times = trip_times(
                &parameters.travel(),
                &parameters.service(),
                (courier.end, trip.assigned_min * 60),
                (self.day.restaurants[restaurant].position, ready.max().unwrap_or(0) * 60),
                doors.clone(),
            );
            if let (Some(end), Some(courier)) =
                (doors.next_back(), self.couriers.get_mut(&trip.courier))
            {
                courier.end = end;
            }
            self.open.push(self.timed.len());
            self.timed.push((offer, times));
        }
        Ok(())
    }

    /// The courier of a trip, and its orders as indices; at least one.
    fn resolve(
        &self,
        history: &History,
        offer: OfferId,
        trip: &Trip,
    ) -> Result<(&Courier, Vec<usize>), Error> {
        let order = |id: &OrderId| self.orders.get(history.name_of(*id)?).copied();
        let orders: Option<Vec<usize>> = trip.orders.iter().map(order).collect();
        match (self.couriers.get(&trip.courier), orders) {
            (Some(courier), Some(orders)) if !orders.is_empty() => Ok((courier, orders)),
            _ => Err(untimely(
                offer,
                trip,
                "a stranger".to_owned(),
                "only couriers and orders of the day".to_owned(),
            )),
        }
    }

    /// What is due by now and has not happened.
    pub(super) fn due(&mut self, history: &History, minute: i64) -> Vec<HandOver> {
        let mut due = Vec::new();
        let Self { open, timed, .. } = self;
        open.retain(|&index| {
            let (offer, times) = &timed[index];
            let Some(trip) = history.trip(offer) else {
                return false;
            };
            let is_due = |at_s: &&i64| **at_s <= minute * 60;
            let picks_up = trip.picked_up_min.is_none() && is_due(&&times.pickup_s);
            let done = trip.delivered_min.len();
            let until = times.dropoffs_s.iter().take_while(is_due).count();
            if picks_up || until > done {
                due.push(HandOver {
                    offer: *offer,
                    courier: trip.courier.clone(),
                    picks_up,
                    delivers: trip.orders.get(done..until).unwrap_or_default().to_vec(),
                });
            }
            until < trip.orders.len()
        });
        due
    }

    /// All trips as the journal has them, which must be what the rules of the day make of them.
    pub(super) fn plan(&self, history: &History) -> Result<Plan, Error> {
        let mut trips = Vec::new();
        for ((offer, trip), (_, times)) in history.trips_after(0).zip(&self.timed) {
            let (courier, orders) = self.resolve(history, offer, trip)?;
            let recorded = (trip.picked_up_min, trip.delivered_min.clone());
            let dropoffs = times.dropoffs_s.iter().map(|at_s| at_s / 60).collect();
            let right = (Some(times.pickup_s / 60), dropoffs);
            if recorded != right {
                let (recorded, right) = (timetable(&recorded), timetable(&right));
                return Err(untimely(offer, trip, recorded, right));
            }
            let delivery = |(order, &dropoff_min)| plan::Delivery { order, dropoff_min };
            let deliveries = orders.into_iter().zip(&trip.delivered_min);
            trips.push(plan::Trip {
                courier: courier.index,
                assigned_min: trip.assigned_min,
                departed_min: times.depart_s / 60,
                pickup_min: times.pickup_s / 60,
                deliveries: deliveries.map(delivery).collect(),
            });
        }
        Ok(Plan { trips })
    }
}

impl HandOver {
    /// Tells the platform, as the courier's telephone would.
    pub(super) async fn carry_out(self, couriers: Couriers, minute: i64) -> Result<(), Error> {
        let Self { offer, courier, picks_up, delivers } = self;
        if picks_up {
            let answer = couriers.picked_up(offer, courier.clone()).await;
            answer.map_err(|e| Error::refused(minute, format!("{courier} picks up {offer}"), e))?;
        }
        for order in delivers {
            let answer = couriers.delivered(offer, courier.clone(), Some(order)).await;
            answer.map_err(|e| Error::refused(minute, format!("{courier} delivers {order}"), e))?;
        }
        Ok(())
    }
}

fn untimely(offer: OfferId, trip: &Trip, what: String, right: String) -> Error {
    let (offer, courier) = (offer.to_string(), trip.courier.to_string());
    Error::Untimely { offer, courier, what, right }
}

fn timetable((pickup, dropoffs): &(Option<i64>, Vec<i64>)) -> String {
    match pickup {
        Some(pickup) => format!("pickup at {pickup}, drop-offs at {dropoffs:?}"),
        None => "no pickup".to_owned(),
    }
}
