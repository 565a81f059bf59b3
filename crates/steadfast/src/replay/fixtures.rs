//! Days for the tests of this folder: a street on which 100 metres are one minute, and a small
//! city.

use std::path::Path;

use steadfast_dispatch::policy::Point;

use super::day::{
    COURIERS_FILE, Courier, Day, ORDERS_FILE, Order, PARAMETERS_FILE, Parameters, RESTAURANTS_FILE,
    Restaurant,
};
use super::plan::{Delivery, Plan, Trip};

fn order(id: &str, minutes_east: i64, placed: i64, restaurant: usize, ready: i64) -> Order {
    Order {
        id: id.to_owned(),
        dropoff: east(minutes_east),
        placement_min: placed,
        restaurant,
        ready_min: ready,
    }
}

/// A point so many minutes' drive from the west end of the street.
fn east(minutes: i64) -> Point {
    Point::planar((minutes * 100) as f64, 0.0)
}

/// A street: restaurants at minutes 10 and 20, couriers at 8 and 30.
pub(super) fn day() -> Day {
    let restaurant = |id: &str, at| Restaurant { id: id.to_owned(), position: east(at) };
    let courier = |id: &str, at, on_min, off_min| Courier {
        id: id.to_owned(),
        position: east(at),
        on_min,
        off_min,
    };
    Day {
        restaurants: vec![restaurant("r1", 10), restaurant("r2", 20)],
        couriers: vec![courier("c1", 8, 100, 160), courier("c2", 30, 90, 210)],
        orders: vec![
            order("o1", 14, 105, 0, 115),
            order("o2", 16, 107, 0, 113),
            order("o3", 18, 120, 1, 125),
            order("o4", 22, 110, 1, 121),
        ],
        parameters: Parameters {
            metres_per_minute: 100,
            pickup_service_min: 4,
            dropoff_service_min: 4,
            target_click_to_door_min: 40,
            maximum_click_to_door_min: 90,
            pay_per_order: 10,
            guaranteed_pay_per_hour: 15,
        },
    }
}

/// A valid plan that delivers everything: c1 takes o1 and o2, then o3; c2 takes o4.
pub(super) fn plan(day: &Day) -> Plan {
    let trips = vec![
        trip(day, 0, 110, east(8), &[0, 1]),
        trip(day, 0, 131, east(16), &[2]),
        trip(day, 1, 110, east(30), &[3]),
    ];
    Plan { trips }
}

/// A trip with the times that follow from the instruction, whether it is allowed or not.
pub(super) fn trip(
    day: &Day,
    courier: usize,
    assigned_min: i64,
    from: Point,
    orders: &[usize],
) -> Trip {
    let parameters = &day.parameters;
    let restaurant = day.restaurants[day.orders[orders[0]].restaurant].position;
    let ready_min = orders.iter().map(|&o| day.orders[o].ready_min).max().unwrap();
    let pickup_min = ready_min.max(assigned_min + parameters.travel_min(from, restaurant) + 2);
    let (mut at, mut minute) = (restaurant, pickup_min + 2);
    let mut deliveries = Vec::new();
    for &order in orders {
        let door = day.orders[order].dropoff;
        let dropoff_min = minute + parameters.travel_min(at, door) + 2;
        deliveries.push(Delivery { order, dropoff_min });
        (at, minute) = (door, dropoff_min + 2);
    }
    Trip { courier, assigned_min, departed_min: assigned_min, pickup_min, deliveries }
}

/// A small city's busy morning: 60 orders of 4 restaurants within three hours, 10 couriers.
pub(super) fn morning(seed: u64) -> Day {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut place = |metres: i64| {
        let mut coordinate = || rng.i64(0..metres) as f64;
        Point::planar(coordinate(), coordinate())
    };
    let restaurants: Vec<Restaurant> =
        (1..=4).map(|n| Restaurant { id: format!("r{n}"), position: place(3_000) }).collect();
    let couriers = (1..=10)
        .map(|n| Courier {
            id: format!("c{n}"),
            position: place(4_000),
            on_min: 30 * ((n - 1) / 4),
            off_min: 150 + 15 * (n % 5),
        })
        .collect();
    let doors: Vec<Point> = (0..60).map(|_| place(5_000)).collect();
    let mut orders = Vec::new();
    for (n, dropoff) in (1..).zip(doors) {
        let placement_min = rng.i64(5..150);
        orders.push(Order {
            id: format!("o{n}"),
            dropoff,
            placement_min,
            restaurant: rng.usize(0..restaurants.len()),
            ready_min: placement_min + rng.i64(0..25),
        });
    }
    Day {
        orders,
        restaurants,
        couriers,
        parameters: Parameters { metres_per_minute: 320, ..day().parameters },
    }
}

/// Writes the four files of a day.
pub(super) fn write(day: &Day, dir: &Path) {
    let at = |point: &Point| format!("{}\t{}", point.x, point.y);
    let mut orders = "order\tx\ty\tplacement_time\trestaurant\tready_time\n".to_owned();
    for order in &day.orders {
        let (place, restaurant) = (at(&order.dropoff), &day.restaurants[order.restaurant].id);
        let Order { id, placement_min, ready_min, .. } = order;
        orders += &format!("{id}\t{place}\t{placement_min}\t{restaurant}\t{ready_min}\n");
    }
    let mut restaurants = "restaurant\tx\ty\n".to_owned();
    for Restaurant { id, position } in &day.restaurants {
        restaurants += &format!("{id}\t{}\n", at(position));
    }
    let mut couriers = "courier\tx\ty\ton_time\toff_time\n".to_owned();
    for Courier { id, position, on_min, off_min } in &day.couriers {
        couriers += &format!("{id}\t{}\t{on_min}\t{off_min}\n", at(position));
    }
    let p = &day.parameters;
    let parameters = format!(
        "meters_per_minute\tpickup service minutes\tdropoff service minutes\t\
         target click-to-door\tmaximum click-to-door\tpay per order\tguaranteed pay per hour\n\
         {}\t{}\t{}\t{}\t{}\t{}\t{}\n",
        p.metres_per_minute,
        p.pickup_service_min,
        p.dropoff_service_min,
        p.target_click_to_door_min,
        p.maximum_click_to_door_min,
        p.pay_per_order,
        p.guaranteed_pay_per_hour,
    );
    for (name, text) in [
        (ORDERS_FILE, orders),
        (RESTAURANTS_FILE, restaurants),
        (COURIERS_FILE, couriers),
        (PARAMETERS_FILE, parameters),
    ] {
        std::fs::write(dir.join(name), text).unwrap();
    }
}
