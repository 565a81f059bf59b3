//! An order, from being placed to its end.
//!
//! The order is the aggregate that everything turns on: its stream of events is the truth, its
//! version orders everybody who wants to change it, and [`Order::decide`] is the only way to
//! make an event. All of it is pure.
//!
//! ```text
//! placed ─► stock_reserved ─► payment_authorized ─► awaiting_courier ◄─┐
//!                                                        │             │ declined, expired
//!                                                        ▼             │
//!                                                     offered ─────────┘
//!                                                        │ accepted
//!                                                        ▼
//!              delivered ◄─ picked_up ◄─ at_pickup ◄─ assigned
//!
//! any state before picked_up ─► compensating ─► rejected | cancelled
//! ```

mod command;
mod event;
mod place;
mod state;
mod view;

#[cfg(test)]
mod tests;

pub use command::{Command, Refused};
pub use event::{
    ArrivedAtPickup, Assigned, AwaitingCourier, Cancelled, CloseReason, Delivered, EventError,
    OfferClosed, Offered, OrderEvent, PaymentAuthorized, PaymentCaptured, PaymentVoided, PickedUp,
    Placed, Rejected, StockReleased, StockReserved, Undo, UndoStarted,
};
pub(crate) use place::check_location;
pub use place::{Item, Money, PlaceOrder, Problem};
pub use state::{Order, PaymentState, Status, StockState};
pub use view::{EventView, OrderView};

/// The category of order streams, and the aggregate type of their messages.
pub const CATEGORY: &str = "order";

/// The topic that every order event is published to.
pub const TOPIC: &str = "orders";

/// The code of an undoing that came from outside, not from the saga.
pub const CANCELLED_BY_CUSTOMER: &str = "cancelled_by_customer";
