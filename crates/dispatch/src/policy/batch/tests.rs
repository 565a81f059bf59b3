//! Small cities in which the right plan is plain to see.

use super::*;
use crate::policy::fixtures::{busy, courier, order, snapshot};

fn trips(snapshot: &Snapshot) -> Vec<(usize, Vec<usize>)> {
    let plan = Batch::default().plan(snapshot);
    plan.check(snapshot).unwrap();
    plan.trips.into_iter().map(|trip| (trip.courier, trip.orders)).collect()
}

#[test]
fn nothing_to_do_gives_an_empty_plan() {
    assert!(trips(&snapshot(vec![], vec![])).is_empty());
    assert!(trips(&snapshot(vec![], vec![courier(5)])).is_empty());
    assert!(trips(&snapshot(vec![order(1, 12, 5)], vec![])).is_empty());
}

#[test]
fn an_instruction_waits_until_it_has_to_be_given() {
    // Two minutes of driving and two at the door: due for a pickup in less than five minutes.
    let at = |ready_min| snapshot(vec![order(1, 12, ready_min)], vec![courier(8)]);
    assert!(trips(&at(5)).is_empty());
    assert_eq!(trips(&at(4)), [(0, vec![0])]);
}

#[test]
fn a_courier_who_is_free_soon_is_better_than_one_far_away() {
    let snapshot = snapshot(vec![order(5, 52, 0)], vec![courier(0), busy(50, 3)]);
    assert!(trips(&snapshot).is_empty(), "the order waits three minutes for the near one");
}

#[test]
fn orders_of_one_merchant_travel_together_if_couriers_are_scarce() {
    let snapshot = snapshot(vec![order(1, 16, 0), order(1, 14, 0)], vec![courier(10)]);
    assert_eq!(trips(&snapshot), [(0, vec![1, 0])], "and the nearer door comes first");
}

#[test]
fn a_bundle_keeps_to_what_the_courier_can_take() {
    let mut one = courier(10);
    one.spare = 1;
    let snapshot = snapshot(vec![order(1, 16, 0), order(1, 14, 0)], vec![one]);
    assert_eq!(trips(&snapshot).len(), 1);
    assert_eq!(trips(&snapshot)[0].1.len(), 1);
}

#[test]
fn the_last_courier_is_kept_for_the_order_only_he_can_serve() {
    // Both could take the first order; only courier 0 may take the second.
    let mut orders = vec![order(1, 11, 0), order(1, 40, 0)];
    orders[1].excluded = vec![1];
    let mut couriers = vec![courier(10), courier(6)];
    for courier in &mut couriers {
        courier.off_s = 10 * 60;
        courier.spare = 1;
    }
    let snapshot = snapshot(orders, couriers);
    assert_eq!(trips(&snapshot), [(0, vec![1]), (1, vec![0])]);
}

#[test]
fn who_leaves_soon_is_used_before_who_stays() {
    let mut couriers = vec![courier(10), courier(10)];
    couriers[1].off_s = 4 * 60;
    assert_eq!(trips(&snapshot(vec![order(1, 12, 0)], couriers)), [(1, vec![0])]);
}

#[test]
fn limits_keep_the_most_urgent() {
    let options = Options { orders_max: 1, couriers_max: 1, ..Options::default() };
    let snapshot = snapshot(
        vec![order(1, 12, 3), order(1, 13, 0)],
        vec![busy(10, 9), courier(10), courier(10)],
    );
    let plan = Batch::new(options).plan(&snapshot);
    assert_eq!(plan.trips, [crate::policy::Trip { courier: 1, orders: vec![1] }]);
}

#[test]
fn the_tables_agree_with_the_shared_rule_of_trip_times() {
    let snapshot =
        snapshot(vec![order(1, 16, 7), order(1, 14, 2), order(1, 31, 3)], vec![courier(3)]);
    let instance = Instance::new(&snapshot, &Options::default());
    let stop = [2, 1, 0].into_iter().fold(None, |stop: Option<route::Stop>, job| {
        Some(match stop {
            None => route::Stop::single(&instance, job),
            Some(stop) => stop.with(&instance, stop.len(), job),
        })
    });
    let start = route::State { time: 0, place: 0, cost: 0 };
    let end = start.after(&instance, &stop.unwrap(), i64::MAX).unwrap();
    let trip = crate::policy::Trip { courier: 0, orders: vec![2, 1, 0] };
    let times = trip.times(&snapshot).unwrap();
    assert_eq!(end.time, times.free_s);
    assert_eq!(end.cost, times.dropoffs_s.iter().sum::<i64>() * route::SECOND);
}
