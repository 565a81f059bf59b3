//! Couriers: shifts, heartbeats, offers and assignments.

mod shift;
mod view;

pub use shift::{Heartbeat, Shift, ShiftRequest, ShiftSet};
pub use view::{AssignmentView, AssignedOrder, CourierView, OfferView, OfferedOrder};

/// The category of courier streams.
pub const CATEGORY: &str = "courier";
