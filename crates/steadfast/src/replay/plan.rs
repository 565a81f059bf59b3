//! The trips of a replay as they were executed, and the three files that record them.
//!
//! A trip holds what really happened, minute by minute, and nothing that could be computed from
//! it. Rendering is kept apart from the file system so that the check, and its tests, work on
//! the very text that is written.

use super::day::Day;
use super::files::Files;

/// Everything that was carried out on a day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In any order; rendered by instruction time, then by courier.
    pub trips: Vec<Trip>,
}

/// One instruction and how it went. All times are minutes from the start of the day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trip {
    /// Index into [`Day::couriers`].
    pub courier: usize,
    /// When the courier was instructed.
    pub assigned_min: i64,
    /// When he left for the restaurant.
    pub departed_min: i64,
    /// When he had all orders.
    pub pickup_min: i64,
    /// What he delivered, in this sequence. Never empty.
    pub deliveries: Vec<Delivery>,
}

/// One order handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Index into [`Day::orders`].
    pub order: usize,
    /// When the customer had it.
    pub dropoff_min: i64,
}

impl Plan {
    /// How many orders were delivered.
    pub fn delivered(&self) -> usize {
        self.trips.iter().map(|trip| trip.deliveries.len()).sum()
    }

    /// The three files, byte for byte as the public evaluator reads them: single spaces, one
    /// header line, a line break after every line.
    ///
    /// # Panics
    ///
    /// If an index is not one of `day`: the plan is of another day.
    pub fn render(&self, day: &Day) -> Files {
        Files {
            assignments: self.assignments(day),
            orders: self.orders(day),
            couriers: self.couriers(day),
        }
    }

    /// A line a trip.
    fn assignments(&self, day: &Day) -> String {
        let mut trips: Vec<&Trip> = self.trips.iter().collect();
        trips.sort_by_key(|trip| (trip.assigned_min, trip.courier));
        let mut text = String::from("assignment_time pickup_time courier orders\n");
        for trip in trips {
            let courier = &day.couriers[trip.courier].id;
            text += &format!("{} {} {courier}", trip.assigned_min, trip.pickup_min);
            for delivery in &trip.deliveries {
                text += &format!(" {}", day.orders[delivery.order].id);
            }
            text.push('\n');
        }
        text
    }

    /// A line a delivered order, in the order of the day.
    fn orders(&self, day: &Day) -> String {
        let mut lines: Vec<(usize, String)> = Vec::new();
        for trip in &self.trips {
            let courier = &day.couriers[trip.courier].id;
            for delivery in &trip.deliveries {
                let order = &day.orders[delivery.order];
                let line = format!(
                    "{} {} {} {} {} {courier}\n",
                    order.id,
                    order.placement_min,
                    order.ready_min,
                    trip.pickup_min,
                    delivery.dropoff_min
                );
                lines.push((delivery.order, line));
            }
        }
        lines.sort();
        let header = "order placement_time ready_time pickup_time dropoff_time courier\n";
        std::iter::once(header).chain(lines.iter().map(|(_, line)| line.as_str())).collect()
    }

    /// A line a movement, each courier's in one block in time order.
    fn couriers(&self, day: &Day) -> String {
        let mut trips: Vec<&Trip> = self.trips.iter().collect();
        trips.sort_by_key(|trip| (trip.courier, trip.departed_min));
        let leave_restaurant_min = day.parameters.pickup_service_min / 2;
        let leave_customer_min = day.parameters.dropoff_service_min / 2;
        let mut text = String::from("courier departure_time origin destination\n");
        let mut here: Option<(usize, &str)> = None;
        for trip in trips {
            let Some(first) = trip.deliveries.first() else {
                continue;
            };
            let courier = &day.couriers[trip.courier].id;
            let restaurant = &day.restaurants[day.orders[first.order].restaurant].id;
            let origin = match here {
                Some((same, place)) if same == trip.courier => place,
                _ => "0",
            };
            text += &format!("{courier} {} {origin} {restaurant}\n", trip.departed_min);
            let mut from = restaurant.as_str();
            let mut leaves_min = trip.pickup_min + leave_restaurant_min;
            for delivery in &trip.deliveries {
                let order = &day.orders[delivery.order].id;
                text += &format!("{courier} {leaves_min} {from} {order}\n");
                from = order;
                leaves_min = delivery.dropoff_min + leave_customer_min;
            }
            here = Some((trip.courier, from));
        }
        text
    }
}
