//! What the outside sees of couriers, offers and assignments.

use serde::{Deserialize, Serialize};
use steadfast_time::Timestamp;

use crate::geo::Location;
use crate::names::{CourierId, MerchantId, OfferId, OrderId, ZoneId};
use crate::order::Status;

/// A courier as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CourierView {
    /// Who.
    pub id: CourierId,
    /// The zone.
    pub zone: ZoneId,
    /// Where the courier was last known to be.
    pub location: Location,
    /// From when.
    pub starts_at: Timestamp,
    /// Until when orders may be picked up.
    pub ends_at: Timestamp,
    /// Orders that the courier can hold at once.
    pub capacity: u32,
    /// Takes every offer at once.
    pub auto_accept: bool,
    /// Orders offered or held now.
    pub orders: u32,
    /// The last sign of life.
    pub seen_at: Timestamp,
}

/// An open offer as it is shown to the courier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfferView {
    /// Its name, and that of the assignment that it becomes.
    pub id: OfferId,
    /// Who is asked.
    pub courier: CourierId,
    /// No answer by then counts as a decline.
    pub expires_at: Timestamp,
    /// Where to go first.
    pub merchant: MerchantId,
    /// The same on the map.
    pub pickup: Location,
    /// The orders, in the sequence of delivery.
    pub orders: Vec<OfferedOrder>,
}

/// An order within an offer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfferedOrder {
    /// Which.
    pub id: OrderId,
    /// Where it goes.
    pub dropoff: Location,
    /// When it can be picked up.
    pub ready_at: Timestamp,
}

/// An assignment as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AssignmentView {
    /// Its name.
    pub id: OfferId,
    /// Who.
    pub courier: CourierId,
    /// The orders, in the sequence of delivery.
    pub orders: Vec<AssignedOrder>,
}

/// An order within an assignment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AssignedOrder {
    /// Which.
    pub id: OrderId,
    /// Where it stands.
    pub status: Status,
}
