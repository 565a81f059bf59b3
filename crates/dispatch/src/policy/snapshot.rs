//! What a policy sees: the waiting orders and the couriers of one zone at one instant.
//!
//! A snapshot holds *estimates that the dispatcher stands behind*, not raw state: a busy
//! courier appears with the place and the time at which he will be free, so that a policy can
//! plan with him without knowing what he is doing.

use super::{Point, Travel};

/// One decision's input.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The instant of the decision, in seconds on the caller's origin. All `_s` times of the
    /// snapshot are on the same origin.
    pub now_s: i64,
    /// Orders that are known and not yet with a courier. Their order breaks ties, so it should
    /// be one with a meaning, such as the time of placement.
    pub orders: Vec<WaitingOrder>,
    /// Couriers on duty (or soon to be), free or busy. Their order breaks ties.
    pub couriers: Vec<CandidateCourier>,
    /// Travel times.
    pub travel: Travel,
    /// Time spent at doors.
    pub service: ServiceTimes,
}

/// An order without a courier.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitingOrder {
    /// The merchant, as an index of the caller's choice. Orders of the same merchant have the
    /// same pickup point and may be carried together.
    pub merchant: u32,
    /// Where it is picked up.
    pub pickup: Point,
    /// Where it is delivered.
    pub dropoff: Point,
    /// When the customer placed it.
    pub placed_s: i64,
    /// When it is (or was) ready for pickup.
    pub ready_s: i64,
    /// Couriers, as indices into [`Snapshot::couriers`], that must not get this order: they
    /// declined it or let its offer lapse.
    pub excluded: Vec<usize>,
}

/// A courier that may be given a trip now or soon.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidateCourier {
    /// Where he is free: his position if he is free now, otherwise his last drop-off.
    pub position: Point,
    /// From when he is free. Not after `now_s` for a free courier; the best estimate for a busy
    /// one; the start of the shift for one who is not on duty yet.
    pub free_s: i64,
    /// The last time at which he may pick up. Deliveries may end later.
    pub off_s: i64,
    /// How many orders he can take on one trip. 0 keeps him out of every plan.
    pub spare: usize,
    /// Whether a plan may hold a trip for him. False for a busy courier, or for one who has not
    /// yet answered an offer.
    pub may_instruct_now: bool,
}

impl CandidateCourier {
    /// The first instant at which he can leave on a new trip.
    pub fn departs_s(&self, now_s: i64) -> i64 {
        self.free_s.max(now_s)
    }
}

/// Minutes spent at a door, in seconds. Half of each is spent before the hand-over (park, find
/// the door), the rest after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceTimes {
    /// At the merchant, in all.
    pub pickup_s: i64,
    /// At the customer, in all, for each order.
    pub dropoff_s: i64,
}

impl ServiceTimes {
    /// Four minutes each: the recorded days of Grubhub's library.
    pub const RECORDED: Self = Self { pickup_s: 240, dropoff_s: 240 };

    /// From the arrival at the merchant to the earliest pickup.
    pub fn before_pickup_s(&self) -> i64 {
        self.pickup_s / 2
    }

    /// From the pickup to leaving the merchant.
    pub fn after_pickup_s(&self) -> i64 {
        self.pickup_s - self.before_pickup_s()
    }

    /// From the arrival at the customer to the drop-off.
    pub fn before_dropoff_s(&self) -> i64 {
        self.dropoff_s / 2
    }

    /// From the drop-off to leaving the customer.
    pub fn after_dropoff_s(&self) -> i64 {
        self.dropoff_s - self.before_dropoff_s()
    }
}
