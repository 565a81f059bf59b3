//! One courier's day, walked through from the on-location to the last customer.
//!
//! The walk takes two things from the files for each trip, the minute of the instruction and
//! the minute of leaving for the restaurant, and derives the rest. A wrong minute is thus reported
//! where it stands and not again at everything that follows from it.

use steadfast_dispatch::policy::Point;

use super::check::{Check, Rule};
use super::day::Day;
use super::files::{ASSIGNMENTS_FILE, COURIERS_FILE, ORDERS_FILE};
use super::records::{Assignment, Movement};

/// Where the courier is, and from when he is free.
struct Here<'a> {
    name: &'a str,
    position: Point,
    free_min: i64,
}

/// Checks the trips of one courier, in time order, against his movements as written.
pub(super) fn courier<'a>(
    check: &mut Check<'a>,
    courier: usize,
    trips: &[&'a Assignment],
    block: &[&Movement],
) {
    let start = &check.day.couriers[courier];
    let mut here = Here { name: "0", position: start.position, free_min: start.on_min };
    let mut movements = block.iter();
    for (index, trip) in trips.iter().enumerate() {
        let busy = index > 0 && trip.assigned_min < here.free_min;
        if busy {
            let message = format!(
                "{} is busy until {}, instructed at {}",
                start.id, here.free_min, trip.assigned_min
            );
            check.report(Rule::FreeCourier, ASSIGNMENTS_FILE, trip.line, message);
        }
        here = follow(check, trip, here, &mut movements);
    }
    for movement in movements {
        let message = format!("{} moves without an instruction", start.id);
        check.report(Rule::Movements, COURIERS_FILE, movement.line, message);
    }
}

/// Walks one trip; gives where and when it ends.
fn follow<'a, 'm>(
    check: &mut Check<'a>,
    trip: &Assignment,
    here: Here<'a>,
    movements: &mut impl Iterator<Item = &'m &'m Movement>,
) -> Here<'a> {
    let day: &'a Day = check.day;
    let parameters = &day.parameters;
    let (half_pickup, half_dropoff) =
        (parameters.pickup_service_min / 2, parameters.dropoff_service_min / 2);
    let restaurant = &day.restaurants[day.orders[trip.orders[0]].restaurant];

    let first = movements.next();
    let departed_min = first.map_or(trip.assigned_min, |m| m.departure_min);
    compare(check, trip, first, None, (here.name, &restaurant.id));
    if departed_min < trip.assigned_min {
        let line = first.map_or(0, |m| m.line);
        let message = format!("leaves at {departed_min}, instructed at {}", trip.assigned_min);
        check.report(Rule::Departure, COURIERS_FILE, line, message);
    }

    let arrived_min = departed_min + parameters.travel_min(here.position, restaurant.position);
    let ready_min = trip.orders.iter().map(|&o| day.orders[o].ready_min).max().unwrap_or(0);
    let pickup_min = ready_min.max(arrived_min + half_pickup);
    if trip.pickup_min != pickup_min {
        let message = format!(
            "pickup_time is {}, it must be {pickup_min}: at the restaurant {arrived_min}, all \
             ready {ready_min}",
            trip.pickup_min
        );
        check.report(Rule::PickupTime, ASSIGNMENTS_FILE, trip.line, message);
    }

    let mut at = Here {
        name: &restaurant.id,
        position: restaurant.position,
        free_min: pickup_min + half_pickup,
    };
    for &order in &trip.orders {
        let customer = &day.orders[order];
        compare(check, trip, movements.next(), Some(at.free_min), (at.name, &customer.id));
        let dropoff_min =
            at.free_min + parameters.travel_min(at.position, customer.dropoff) + half_dropoff;
        // A line of another courier's trip is reported as such, not compared with this one.
        let written = check
            .line_of(order)
            .filter(|line| line.courier == trip.courier)
            .map(|line| (line.line, line.dropoff_min));
        if let Some((line, found)) = written.filter(|&(_, found)| found != dropoff_min) {
            let message =
                format!("dropoff_time of {} is {found}, it must be {dropoff_min}", customer.id);
            check.report(Rule::DropoffTime, ORDERS_FILE, line, message);
        }
        at = Here {
            name: &customer.id,
            position: customer.dropoff,
            free_min: dropoff_min + half_dropoff,
        };
    }
    at
}

/// Compares one movement as written with the one that must stand there. The minute is checked
/// where it follows from the trip.
fn compare(
    check: &mut Check,
    trip: &Assignment,
    found: Option<&&Movement>,
    departure_min: Option<i64>,
    (origin, destination): (&str, &str),
) {
    let Some(found) = found else {
        let message = format!("no movement from {origin} to {destination} in {COURIERS_FILE}");
        check.report(Rule::Movements, ASSIGNMENTS_FILE, trip.line, message);
        return;
    };
    if (found.origin.as_str(), found.destination.as_str()) != (origin, destination) {
        let message = format!(
            "moves from {} to {}, it must be from {origin} to {destination}",
            found.origin, found.destination
        );
        check.report(Rule::Movements, COURIERS_FILE, found.line, message);
    }
    if let Some(minute) = departure_min.filter(|&minute| minute != found.departure_min) {
        let message = format!("leaves {origin} at {}, it must be {minute}", found.departure_min);
        check.report(Rule::Movements, COURIERS_FILE, found.line, message);
    }
}
