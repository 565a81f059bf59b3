//! The nearest free courier, at once: what a dispatcher without a plan does.
//!
//! It is the base line that every other policy is measured against, and a fallback that needs
//! no tuning. It decides an order as soon as it is placed, so couriers wait at merchants for
//! orders that are not ready, and it looks at one order at a time, so the last one of a rush gets
//! whoever is left. Both are what [`Batch`](super::Batch) is for.

use super::{Plan, Policy, Snapshot, Trip};

/// Greedy: for each order in the sequence of placement, the free courier who reaches the
/// merchant first, without bundles.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nearest;

impl Policy for Nearest {
    fn name(&self) -> &'static str {
        "nearest"
    }

    fn plan(&self, snapshot: &Snapshot) -> Plan {
        let mut sequence: Vec<usize> = (0..snapshot.orders.len()).collect();
        sequence.sort_by_key(|&order| snapshot.orders[order].placed_s);

        let mut free: Vec<usize> = snapshot
            .couriers
            .iter()
            .enumerate()
            .filter(|(_, c)| c.may_instruct_now && c.spare > 0 && c.free_s <= snapshot.now_s)
            .map(|(courier, _)| courier)
            .collect();
        let mut trips = Vec::new();
        for order in sequence {
            if let Some(place) = nearest(snapshot, order, &free) {
                trips.push(Trip { courier: free.remove(place), orders: vec![order] });
            }
        }
        trips.sort_by_key(|trip| trip.courier);
        Plan { trips }
    }
}

/// The place in `free` of the courier to send, if any may and can carry the order.
fn nearest(snapshot: &Snapshot, order: usize, free: &[usize]) -> Option<usize> {
    let waiting = &snapshot.orders[order];
    let mut best = None;
    for (place, &courier) in free.iter().enumerate() {
        if waiting.excluded.contains(&courier) {
            continue;
        }
        let candidate = &snapshot.couriers[courier];
        let ride_s = snapshot.travel.seconds(candidate.position, waiting.pickup);
        let pickup_s =
            waiting.ready_s.max(snapshot.now_s + ride_s + snapshot.service.before_pickup_s());
        if pickup_s <= candidate.off_s && best.is_none_or(|(shortest_s, _)| ride_s < shortest_s) {
            best = Some((ride_s, place));
        }
    }
    best.map(|(_, place)| place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::fixtures::{busy, courier, order, snapshot};

    fn trips(snapshot: &Snapshot) -> Vec<(usize, Vec<usize>)> {
        let plan = Nearest.plan(snapshot);
        plan.check(snapshot).unwrap();
        plan.trips.into_iter().map(|trip| (trip.courier, trip.orders)).collect()
    }

    #[test]
    fn the_nearest_free_courier_goes_at_once() {
        let snapshot = snapshot(vec![order(1, 12, 30)], vec![courier(0), courier(9), busy(10, 1)]);
        assert_eq!(trips(&snapshot), [(1, vec![0])]);
    }

    #[test]
    fn the_first_placed_order_chooses_first() {
        let mut orders = vec![order(1, 12, 5), order(1, 13, 5)];
        orders[1].placed_s = -60;
        let snapshot = snapshot(orders, vec![courier(0), courier(9)]);
        assert_eq!(trips(&snapshot), [(0, vec![0]), (1, vec![1])]);
    }

    #[test]
    fn a_tie_goes_to_the_first_of_the_snapshot() {
        let snapshot = snapshot(vec![order(1, 12, 5)], vec![courier(11), courier(9)]);
        assert_eq!(trips(&snapshot), [(0, vec![0])]);
    }

    #[test]
    fn who_declined_or_leaves_too_soon_or_is_full_is_passed_over() {
        let mut orders = vec![order(1, 12, 5)];
        orders[0].excluded = vec![0];
        let mut couriers = vec![courier(10), courier(9), courier(8), courier(0)];
        couriers[1].off_s = 180;
        couriers[2].spare = 0;
        assert_eq!(trips(&snapshot(orders, couriers)), [(3, vec![0])]);
    }
}
