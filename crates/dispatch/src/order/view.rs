//! What the outside sees of an order.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use steadfast_journal::Event;
use steadfast_time::Timestamp;

use super::{Item, Money, Order, PaymentState, Status, StockState};
use crate::geo::Location;
use crate::names::{CourierId, MerchantId, OfferId, OrderId, ZoneId};

/// An order as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderView {
    /// Its name.
    pub id: OrderId,
    /// What people call it by: short, unique, larger for later orders as a rule. Orders that were
    /// placed before there were numbers have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Where it stands.
    pub status: Status,
    /// How many events it has had; the `ETag`.
    pub version: u64,
    /// The zone that it is dispatched in.
    pub zone: ZoneId,
    /// Where it is prepared.
    pub merchant: MerchantId,
    /// Where it is picked up.
    pub pickup: Location,
    /// Where it is delivered.
    pub dropoff: Location,
    /// What it consists of.
    pub items: Vec<Item>,
    /// What it costs.
    pub amount: Money,
    /// Who ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// Anything the courier should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// When it can be picked up.
    pub ready_at: Timestamp,
    /// When it last changed.
    pub changed_at: Timestamp,
    /// When the courier picked it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picked_up_at: Option<Timestamp>,
    /// When the customer got it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Timestamp>,
    /// The articles.
    pub stock: StockState,
    /// The money.
    pub payment: PaymentState,
    /// Who has it, or has been asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub courier: Option<CourierId>,
    /// The open offer, which becomes the assignment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<OfferId>,
    /// Why it is being undone, or was: a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<&Order> for OrderView {
    fn from(order: &Order) -> Self {
        let request = &order.request;
        Self {
            id: order.id,
            number: order.number,
            status: order.status,
            version: order.version.0,
            zone: order.zone.clone(),
            merchant: request.merchant.clone(),
            pickup: request.pickup,
            dropoff: request.dropoff,
            items: request.items.clone(),
            amount: request.amount.clone(),
            customer: request.customer.clone(),
            note: request.note.clone(),
            placed_at: order.placed_at,
            ready_at: order.ready_at(),
            changed_at: order.changed_at,
            picked_up_at: order.picked_up_at,
            delivered_at: order.delivered_at,
            stock: order.stock.clone(),
            payment: order.payment.clone(),
            courier: order.courier().cloned(),
            assignment: order.offer.as_ref().map(|offer| offer.offer),
            reason_code: order.undo.as_ref().map(|undo| undo.code.clone()),
            reason: order.undo.as_ref().map(|undo| undo.reason.clone()),
        }
    }
}

/// An event as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct EventView {
    /// Where it stands in the order's history.
    pub version: u64,
    /// Where it stands in the whole journal.
    pub position: u64,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// The shape of `data`.
    pub schema: u16,
    /// When.
    pub at: Timestamp,
    /// The details.
    pub data: Box<RawValue>,
    /// The hash of the event and its predecessor in the journal.
    pub hash: String,
}

impl From<&Event> for EventView {
    fn from(event: &Event) -> Self {
        let json = String::from_utf8_lossy(&event.payload).into_owned();
        Self {
            version: event.version.0,
            position: event.position.0,
            kind: event.kind.to_string(),
            schema: event.schema,
            at: event.at,
            // What cannot be read as JSON is shown as nothing; `journal verify` names it.
            data: RawValue::from_string(json).unwrap_or_default(),
            hash: event.hash.to_string(),
        }
    }
}
