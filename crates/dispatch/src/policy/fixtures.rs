//! Small snapshots for the tests: a street on which 100 metres are one minute.

use super::{CandidateCourier, Point, ServiceTimes, Snapshot, Travel, WaitingOrder};

/// A point so many minutes' drive from the west end of the street.
pub(super) fn east(minutes: i64) -> Point {
    Point::planar((minutes * 100) as f64, 0.0)
}

/// An order of a merchant at minute `10 * merchant`, for the door at minute `door`, placed now
/// and ready in `ready_min` minutes.
pub(super) fn order(merchant: u32, door: i64, ready_min: i64) -> WaitingOrder {
    WaitingOrder {
        merchant,
        pickup: east(10 * i64::from(merchant)),
        dropoff: east(door),
        placed_s: 0,
        ready_s: ready_min * 60,
        excluded: Vec::new(),
    }
}

/// A courier who is free now at minute `at`, on duty for ten hours, for up to four orders.
pub(super) fn courier(at: i64) -> CandidateCourier {
    CandidateCourier {
        position: east(at),
        free_s: 0,
        off_s: 36_000,
        spare: 4,
        may_instruct_now: true,
    }
}

/// A courier who will be free at minute `at` in `free_min` minutes.
pub(super) fn busy(at: i64, free_min: i64) -> CandidateCourier {
    CandidateCourier { free_s: free_min * 60, may_instruct_now: false, ..courier(at) }
}

/// The street at second 0.
pub(super) fn snapshot(orders: Vec<WaitingOrder>, couriers: Vec<CandidateCourier>) -> Snapshot {
    Snapshot {
        now_s: 0,
        orders,
        couriers,
        travel: Travel::recorded(100.0),
        service: ServiceTimes::RECORDED,
    }
}
