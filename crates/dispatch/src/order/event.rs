//! What can happen to an order.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use steadfast_fencing::FencingToken;
use steadfast_journal::{Event, NewEvent};
use steadfast_time::Timestamp;

use super::PlaceOrder;
use crate::names::{CourierId, OfferId, OrderId, TenantId, ZoneId};

/// Declares the events of an order: a struct of details each, its kind in the journal, and the
/// schema version of its payload.
macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $kind:literal, $schema:literal {
        $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
    })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
            pub struct $name {
                $($(#[$field_doc])* pub $field: $type,)*
            }

            impl From<$name> for OrderEvent {
                fn from(event: $name) -> Self {
                    Self::$name(event)
                }
            }
        )*

        /// Something that happened to an order.
        #[derive(Clone, Debug, PartialEq)]
        pub enum OrderEvent {
            $($(#[$doc])* $name($name),)*
        }

        impl OrderEvent {
            /// Its kind in the journal.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $kind,)*
                }
            }

            /// The event as the journal takes it.
            ///
            /// # Errors
            /// Never for events that can be made: their details are plain data.
            pub fn to_new(&self) -> Result<NewEvent, EventError> {
                let (kind, schema, json) = match self {
                    $(Self::$name(event) => ($kind, $schema, serde_json::to_vec(event)),)*
                };
                let payload = json.map_err(|error| EventError::new(kind, schema, error))?;
                Ok(NewEvent { kind: Cow::Borrowed(kind), schema, payload: Bytes::from(payload) })
            }

            /// Reads details of a kind and schema.
            ///
            /// # Errors
            /// The kind or the schema is not known, or the details do not fit it.
            pub fn read(kind: &str, schema: u16, payload: &[u8]) -> Result<Self, EventError> {
                match (kind, schema) {
                    $(($kind, $schema) => serde_json::from_slice(payload)
                        .map(Self::$name)
                        .map_err(|error| EventError::new(kind, schema, error)),)*
                    _ => Err(EventError {
                        kind: kind.to_owned(),
                        schema,
                        problem: "no such event is known to this version".to_owned(),
                    }),
                }
            }
        }
    };
}

events! {
    /// The customer's request was accepted.
    Placed = "placed", 1 {
        /// What people call it by. Older orders have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        number: Option<u64>,
        /// What is wanted.
        request: PlaceOrder,
        /// The zone that it is dispatched in.
        zone: ZoneId,
        /// For whom.
        tenant: TenantId,
    }
    /// The articles are set aside.
    StockReserved = "stock_reserved", 1 {
        /// The stock service's name for it.
        reservation: String,
    }
    /// The amount is held on the customer's account, not yet taken.
    PaymentAuthorized = "payment_authorized", 1 {
        /// The payment service's name for it.
        authorization: String,
    }
    /// A courier is wanted from now on.
    AwaitingCourier = "awaiting_courier", 1 {
        /// If none is found until then, the order is undone.
        until: Timestamp,
    }
    /// A courier has been asked.
    Offered = "offered", 1 {
        /// The offer.
        offer: OfferId,
        /// Who has been asked.
        courier: CourierId,
        /// All orders of the trip, in the sequence of delivery.
        trip: Vec<OrderId>,
        /// No answer by then counts as a decline.
        expires_at: Timestamp,
        /// The dispatcher's token at that time.
        token: FencingToken,
    }
    /// The offer came to nothing; a courier is wanted again.
    OfferClosed = "offer_closed", 1 {
        /// The offer.
        offer: OfferId,
        /// Who had been asked.
        courier: CourierId,
        /// Why.
        reason: CloseReason,
    }
    /// The courier took it.
    Assigned = "assigned", 1 {
        /// The offer that was accepted, and from now on the assignment.
        assignment: OfferId,
        /// Who.
        courier: CourierId,
    }
    /// The courier is at the merchant's.
    ArrivedAtPickup = "arrived_at_pickup", 1 {
        /// The assignment.
        assignment: OfferId,
    }
    /// The courier has it. From here on it cannot be cancelled.
    PickedUp = "picked_up", 1 {
        /// The assignment.
        assignment: OfferId,
    }
    /// The customer has it.
    Delivered = "delivered", 1 {
        /// The assignment.
        assignment: OfferId,
    }
    /// The amount has been taken.
    PaymentCaptured = "payment_captured", 1 {
        /// The payment service's name for it.
        capture: String,
    }
    /// What has been done is to be undone.
    UndoStarted = "undo_started", 1 {
        /// How the order will end.
        outcome: Undo,
        /// A stable code: `cancelled_by_customer`, `out_of_stock`, `payment_declined`, …
        code: String,
        /// The same in words.
        reason: String,
    }
    /// The hold on the customer's account is gone.
    PaymentVoided = "payment_voided", 1 {}
    /// The articles are back.
    StockReleased = "stock_released", 1 {}
    /// The end: it could not be done.
    Rejected = "rejected", 1 {}
    /// The end: it was not wanted any more, or no courier was found.
    Cancelled = "cancelled", 1 {}
}

/// Why an offer came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// The courier said no.
    Declined,
    /// The courier said nothing.
    Expired,
}

/// How an order that is being undone will end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// A service refused it.
    Rejected,
    /// It was called off.
    Cancelled,
}

/// The journal holds an order event that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("order event {kind:?} of schema {schema}: {problem}")]
pub struct EventError {
    kind: String,
    schema: u16,
    problem: String,
}

impl EventError {
    fn new(kind: &str, schema: u16, error: serde_json::Error) -> Self {
        Self { kind: kind.to_owned(), schema, problem: error.to_string() }
    }
}

impl TryFrom<&Event> for OrderEvent {
    type Error = EventError;

    fn try_from(event: &Event) -> Result<Self, EventError> {
        Self::read(&event.kind, event.schema, &event.payload)
    }
}
