//! commit
use super::Options;
use super::instance::Instance;
use super::route::Stop;
use crate::policy::{Plan, Snapshot, Trip};

pub(super) fn due(snapshot: &Snapshot, instance: &Instance, routes: &[&[Stop]], options: &Options) -> Plan {
    let mut trips = Vec::new();
    for (k, stops) in routes.iter().enumerate() {
        let rider = &instance.riders[k];
        let c = &snapshot.couriers[rider.snapshot_index];
        if !c.may_instruct_now || rider.free > 0 {
            continue;
        }
        let Some(stop) = stops.first() else { continue };
        let arrive = instance.to_merchant(k, stop.merchant as usize) + instance.before_pickup;
        if arrive + options.tick_s > stop.ready {
            trips.push(Trip {
                courier: rider.snapshot_index,
                orders: stop.jobs().map(|j| instance.jobs[j].snapshot_index).collect(),
            });
        }
    }
    Plan { trips }
}
