//! The figures of a replayed day.

use std::fmt;

use serde::Serialize;

use super::day::Day;
use super::plan::Plan;

/// Measures of a plan, as defined by Reyes et al. (2018) and Grubhub's library. Times are minutes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Orders of the day.
    pub orders: usize,
    /// Orders that reached their customer.
    pub delivered: usize,
    /// From the placement to the drop-off.
    pub click_to_door_min: Distribution,
    /// From ready to the pickup: how long the food waits.
    pub ready_to_pickup_min: Distribution,
    /// From ready to the drop-off: how old the food is.
    pub ready_to_door_min: Distribution,
    /// Share of the delivered orders that travelled with another one, 0 to 1.
    pub bundled_share: f64,
    /// Driving and service over time on duty, 0 to 1 (a little more is possible: a delivery may
    /// end after the shift).
    pub courier_utilisation: f64,
    /// Sum over all couriers of the larger of the pay for orders and the guaranteed pay for the
    /// hours on duty, in the currency of the day.
    pub pay: f64,
}

/// Mean and percentiles (nearest rank) of a measure; all 0 if nothing was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Distribution {
    /// Arithmetic mean.
    pub mean: f64,
    /// Median.
    pub p50: i64,
    /// 90th percentile.
    pub p90: i64,
    /// Largest value.
    pub max: i64,
}

impl Distribution {
    fn of(mut values: Vec<i64>) -> Self {
        values.sort_unstable();
        let Some(&max) = values.last() else {
            return Self::default();
        };
        let rank = |percent: usize| values[(values.len() * percent).div_ceil(100).max(1) - 1];
        Self {
            mean: values.iter().sum::<i64>() as f64 / values.len() as f64,
            p50: rank(50),
            p90: rank(90),
            max,
        }
    }
}

impl Summary {
    /// Measures `plan`, which has passed the check against `day`.
    pub fn of(day: &Day, plan: &Plan) -> Self {
        let measure = |minutes: fn(&super::day::Order, i64, i64) -> i64| {
            let of_trip = |trip: &super::plan::Trip| {
                let pickup_min = trip.pickup_min;
                trip.deliveries
                    .iter()
                    .map(|d| minutes(&day.orders[d.order], pickup_min, d.dropoff_min))
                    .collect::<Vec<_>>()
            };
            Distribution::of(plan.trips.iter().flat_map(of_trip).collect())
        };
        let delivered = plan.delivered();
        let bundled: usize =
            plan.trips.iter().map(|trip| trip.deliveries.len()).filter(|&n| n > 1).sum();
        let busy_min: i64 = plan.trips.iter().map(|trip| service_min(day, trip)).sum::<i64>()
            + driving_min(day, plan);
        let duty_min: i64 = day.couriers.iter().map(|c| c.off_min - c.on_min).sum();
        Self {
            orders: day.orders.len(),
            delivered,
            click_to_door_min: measure(|order, _, dropoff| dropoff - order.placement_min),
            ready_to_pickup_min: measure(|order, pickup, _| pickup - order.ready_min),
            ready_to_door_min: measure(|order, _, dropoff| dropoff - order.ready_min),
            bundled_share: share(bundled as i64, delivered as i64),
            courier_utilisation: share(busy_min, duty_min),
            pay: pay(day, plan),
        }
    }
}

fn share(part: i64, whole: i64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn service_min(day: &Day, trip: &super::plan::Trip) -> i64 {
    day.parameters.pickup_service_min
        + day.parameters.dropoff_service_min * trip.deliveries.len() as i64
}

/// All legs of all couriers, each from where the last one ended.
fn driving_min(day: &Day, plan: &Plan) -> i64 {
    let mut here: Vec<_> = day.couriers.iter().map(|c| c.position).collect();
    let mut trips: Vec<_> = plan.trips.iter().collect();
    trips.sort_by_key(|trip| (trip.courier, trip.departed_min));
    let mut minutes = 0;
    for trip in trips {
        let Some(first) = trip.deliveries.first() else {
            continue;
        };
        let at = &mut here[trip.courier];
        let restaurant = day.restaurants[day.orders[first.order].restaurant].position;
        let doors = trip.deliveries.iter().map(|d| day.orders[d.order].dropoff);
        for place in std::iter::once(restaurant).chain(doors) {
            minutes += day.parameters.travel_min(*at, place);
            *at = place;
        }
    }
    minutes
}

fn pay(day: &Day, plan: &Plan) -> f64 {
    let mut orders = vec![0_i64; day.couriers.len()];
    for trip in &plan.trips {
        orders[trip.courier] += trip.deliveries.len() as i64;
    }
    let of_courier = |(courier, &orders): (&super::day::Courier, &i64)| {
        let hours = (courier.off_min - courier.on_min) as f64 / 60.0;
        let piecework = (day.parameters.pay_per_order * orders) as f64;
        piecework.max(day.parameters.guaranteed_pay_per_hour as f64 * hours)
    };
    day.couriers.iter().zip(&orders).map(of_courier).sum()
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = 100.0 * share(self.delivered as i64, self.orders as i64);
        writeln!(
            f,
            "orders delivered      {} of {} ({percent:.1} %)",
            self.delivered, self.orders
        )?;
        writeln!(f, "minutes                 mean    p50    p90    max")?;
        for (name, d) in [
            ("click to door", &self.click_to_door_min),
            ("ready to pickup", &self.ready_to_pickup_min),
            ("ready to door", &self.ready_to_door_min),
        ] {
            writeln!(f, "  {name:<19} {:>6.2} {:>6} {:>6} {:>6}", d.mean, d.p50, d.p90, d.max)?;
        }
        writeln!(f, "orders in bundles     {:.1} %", 100.0 * self.bundled_share)?;
        writeln!(f, "couriers' utilisation {:.1} %", 100.0 * self.courier_utilisation)?;
        write!(f, "pay                   {:.2}", self.pay)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{day, plan};
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let d = Distribution::of((1..=10).rev().collect());
        assert_eq!((d.mean, d.p50, d.p90, d.max), (5.5, 5, 9, 10));
        assert_eq!(Distribution::of(vec![7]).p90, 7);
        assert_eq!(Distribution::of(vec![]), Distribution::default());
    }

    #[test]
    fn a_small_day_is_measured_by_hand() {
        let day = day();
        let summary = Summary::of(&day, &plan(&day));
        assert_eq!((summary.orders, summary.delivered), (4, 4));
        // o1 and o2 travel together: 105 to 123 and 107 to 129. o3: 120 to 143, o4: 110 to 128.
        assert_eq!(summary.click_to_door_min.max, 23);
        assert_eq!(summary.click_to_door_min.mean, (18 + 22 + 23 + 18) as f64 / 4.0);
        assert_eq!(summary.bundled_share, 0.5);
        // Legs of 2 + 4 + 2, 4 + 2 and 10 + 2 minutes, three pickups and four drop-offs of 4
        // minutes each; shifts of one hour and of two.
        assert_eq!(summary.courier_utilisation, (26 + 28) as f64 / 180.0);
        // c1: three orders of 10 each; c2: 15 an hour guaranteed for two hours.
        assert_eq!(summary.pay, 30.0 + 30.0);
    }

    #[test]
    fn the_names_of_the_machine_readable_form_are_kept() {
        let day = day();
        let json = serde_json::to_value(Summary::of(&day, &plan(&day))).unwrap();
        for name in [
            "orders",
            "delivered",
            "click_to_door_min",
            "ready_to_pickup_min",
            "ready_to_door_min",
            "bundled_share",
            "courier_utilisation",
            "pay",
        ] {
            assert!(json.get(name).is_some(), "{name}");
        }
        for name in ["mean", "p50", "p90", "max"] {
            assert!(json["click_to_door_min"].get(name).is_some(), "{name}");
        }
    }
}
