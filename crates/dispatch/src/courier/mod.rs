//! Couriers: shifts, heartbeats, offers and assignments.

pub mod liveness;
mod shift;
mod view;

pub use liveness::Liveness;
pub use shift::{Heartbeat, Shift, ShiftRequest};
pub use view::{AssignedOrder, AssignmentView, CourierView, OfferView, OfferedOrder};

/// The category of courier streams.
pub const CATEGORY: &str = "courier";
