//! What of the planned routes must be instructed now.
//!
//! An instruction can not be taken back, and every minute brings orders that were not known. So a
//! trip is started only when waiting one more tick would make its pickup later.

use super::instance::Instance;
use super::route::Route;
use crate::policy::{Plan, Snapshot, Trip};

/// The first trips of those couriers who may be instructed now and can not wait.
pub(super) fn due(snapshot: &Snapshot, instance: &Instance, routes: &[Route], tick_s: i64) -> Plan {
    let due = |(route, rider): (&Route, &super::instance::Rider)| {
        let candidate = &snapshot.couriers[rider.courier];
        let (start, stop) = (route.states.first()?, route.stops.first()?);
        let pickup = start.pickup(instance, stop.merchant, i64::MIN);
        let may = candidate.may_instruct_now && rider.free == 0;
        (may && pickup + tick_s > stop.ready()).then(|| Trip {
            courier: rider.courier,
            orders: stop.jobs().map(|job| instance.jobs[job].order).collect(),
        })
    };
    Plan { trips: routes.iter().zip(&instance.riders).filter_map(due).collect() }
}
