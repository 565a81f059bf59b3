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
        let pickup_s = waiting
            .ready_s
            .max(snapshot.now_s + ride_s + snapshot.service.before_pickup_s());
        if pickup_s <= candidate.off_s && best.is_none_or(|(shortest_s, _)| ride_s < shortest_s) {
            best = Some((ride_s, place));
        }
    }
    best.map(|(_, place)| place)
}
