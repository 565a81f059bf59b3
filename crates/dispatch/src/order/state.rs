//! The state of an order: the fold of its events.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use steadfast_journal::{Event, Version};
use steadfast_time::Timestamp;

use super::event::{EventError, Offered, OrderEvent, Undo, UndoStarted};
use super::{PlaceOrder, Placed};
use crate::names::{CourierId, OfferId, OrderId, TenantId, ZoneId};

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted, nothing done yet.
    Placed,
    /// The articles are set aside.
    StockReserved,
    /// The amount is held.
    PaymentAuthorized,
    /// A courier is wanted.
    AwaitingCourier,
    /// A courier has been asked.
    Offered,
    /// A courier is on the way to the merchant.
    Assigned,
    /// The courier is at the merchant's.
    AtPickup,
    /// The courier is on the way to the customer.
    PickedUp,
    /// The end: the customer has it.
    Delivered,
    /// The end: it could not be done.
    Rejected,
    /// The end: it was called off.
    Cancelled,
    /// What has been done is being undone.
    Compensating,
}

impl Status {
    /// All of them, in the order in which an order may go through them.
    pub const ALL: [Self; 12] = [
        Self::Placed,
        Self::StockReserved,
        Self::PaymentAuthorized,
        Self::AwaitingCourier,
        Self::Offered,
        Self::Assigned,
        Self::AtPickup,
        Self::PickedUp,
        Self::Delivered,
        Self::Rejected,
        Self::Cancelled,
        Self::Compensating,
    ];

    /// As it is written in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::StockReserved => "stock_reserved",
            Self::PaymentAuthorized => "payment_authorized",
            Self::AwaitingCourier => "awaiting_courier",
            Self::Offered => "offered",
            Self::Assigned => "assigned",
            Self::AtPickup => "at_pickup",
            Self::PickedUp => "picked_up",
            Self::Delivered => "delivered",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Compensating => "compensating",
        }
    }

    /// Whether nothing more will happen, but for the capture of the payment.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Rejected | Self::Cancelled)
    }

    /// Whether a courier has it, or has been asked to take it.
    #[must_use]
    pub const fn is_dispatched(self) -> bool {
        matches!(self, Self::Offered | Self::Assigned | Self::AtPickup | Self::PickedUp)
    }
}

impl std::str::FromStr for Status {
    type Err = super::Problem;

    fn from_str(text: &str) -> Result<Self, super::Problem> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| {
            let all: Vec<_> = Self::ALL.iter().map(|status| status.as_str()).collect();
            super::Problem::new("status", format!("must be one of {}", all.join(", ")))
        })
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What became of the articles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum StockState {
    /// Nothing was asked for, or nothing was given.
    #[default]
    None,
    /// Set aside.
    Reserved {
        /// The stock service's name for it.
        reservation: String,
    },
    /// Given back.
    Released,
}

/// What became of the money.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PaymentState {
    /// Nothing was asked for, or nothing was given.
    #[default]
    None,
    /// Held, not taken.
    Authorized {
        /// The payment service's name for it.
        authorization: String,
    },
    /// Taken.
    Captured {
        /// The payment service's name for it.
        capture: String,
    },
    /// No longer held.
    Voided,
}

/// An order as its events have made it.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Its name.
    pub id: OrderId,
    /// What people call it by, if it was placed since there are numbers.
    pub number: Option<u64>,
    /// How many events it has had.
    pub version: Version,
    /// Where it stands.
    pub status: Status,
    /// What was wanted.
    pub request: Arc<PlaceOrder>,
    /// The zone that it is dispatched in.
    pub zone: ZoneId,
    /// For whom.
    pub tenant: TenantId,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// When it last changed.
    pub changed_at: Timestamp,
    /// The articles.
    pub stock: StockState,
    /// The money.
    pub payment: PaymentState,
    /// Until when a courier is looked for.
    pub search_until: Option<Timestamp>,
    /// The open offer, or the assignment.
    pub offer: Option<Offered>,
    /// When that offer was made.
    pub offered_at: Option<Timestamp>,
    /// How many offers there have been with this order as the first of the trip.
    pub offers: u32,
    /// Who declined, or let an offer lapse; they are not asked again.
    pub declined: Vec<CourierId>,
    /// When the courier picked it up.
    pub picked_up_at: Option<Timestamp>,
    /// When the customer got it.
    pub delivered_at: Option<Timestamp>,
    /// Why it is being undone, or was.
    pub undo: Option<UndoStarted>,
}

impl Order {
    /// An order from its first event.
    #[must_use]
    pub fn placed(id: OrderId, at: Timestamp, placed: Placed) -> Self {
        Self {
            id,
            version: Version(1),
            number: placed.number,
            status: Status::Placed,
            request: Arc::new(placed.request),
            zone: placed.zone,
            tenant: placed.tenant,
            placed_at: at,
            changed_at: at,
            stock: StockState::None,
            payment: PaymentState::None,
            search_until: None,
            offer: None,
            offered_at: None,
            offers: 0,
            declined: Vec::new(),
            picked_up_at: None,
            delivered_at: None,
            undo: None,
        }
    }

    /// The courier who has it, or has been asked.
    #[must_use]
    pub fn courier(&self) -> Option<&CourierId> {
        self.offer.as_ref().map(|offer| &offer.courier)
    }

    /// The open offer or assignment, if it is this one.
    #[must_use]
    pub fn has_offer(&self, offer: OfferId) -> bool {
        self.offer.as_ref().is_some_and(|open| open.offer == offer)
    }

    /// From when on it can be picked up.
    #[must_use]
    pub fn ready_at(&self) -> Timestamp {
        self.request.ready_at.unwrap_or(self.placed_at)
    }

    /// What the events of a stream, in order, make of it; `None` for an empty stream.
    ///
    /// # Errors
    /// An event cannot be read.
    pub fn fold(id: OrderId, events: &[Event]) -> Result<Option<Self>, EventError> {
        let mut order = None;
        for event in events {
            Self::step(&mut order, id, event.at, OrderEvent::try_from(event)?);
        }
        Ok(order)
    }

    /// One event further.
    pub fn step(order: &mut Option<Self>, id: OrderId, at: Timestamp, event: OrderEvent) {
        match (order.as_mut(), event) {
            (None, OrderEvent::Placed(placed)) => *order = Some(Self::placed(id, at, placed)),
            (Some(order), event) => order.apply(at, event),
            // The journal's versions make it impossible that a stream starts otherwise.
            (None, event) => debug_assert!(false, "{id} starts with {}", event.kind()),
        }
    }

    /// What an event makes of it. Never fails: what has happened has happened.
    pub fn apply(&mut self, at: Timestamp, event: OrderEvent) {
        self.version = self.version.next();
        self.changed_at = at;
        match event {
            OrderEvent::Placed(_) => debug_assert!(false, "{} placed twice", self.id),
            OrderEvent::StockReserved(event) => {
                self.stock = StockState::Reserved { reservation: event.reservation };
                self.advance(Status::StockReserved);
            }
            OrderEvent::PaymentAuthorized(event) => {
                self.payment = PaymentState::Authorized { authorization: event.authorization };
                self.advance(Status::PaymentAuthorized);
            }
            OrderEvent::AwaitingCourier(event) => {
                self.search_until = Some(event.until);
                self.advance(Status::AwaitingCourier);
            }
            OrderEvent::Offered(event) => {
                self.offers = self.offers.max(event.offer.number);
                self.offer = Some(event);
                self.offered_at = Some(at);
                self.status = Status::Offered;
            }
            OrderEvent::OfferClosed(event) => {
                if !self.declined.contains(&event.courier) {
                    self.declined.push(event.courier);
                }
                self.offer = None;
                self.status = Status::AwaitingCourier;
            }
            OrderEvent::Assigned(_) => self.status = Status::Assigned,
            OrderEvent::ArrivedAtPickup(_) => self.status = Status::AtPickup,
            OrderEvent::PickedUp(_) => {
                self.picked_up_at = Some(at);
                self.status = Status::PickedUp;
            }
            OrderEvent::Delivered(_) => {
                self.delivered_at = Some(at);
                self.status = Status::Delivered;
            }
            OrderEvent::PaymentCaptured(event) => {
                self.payment = PaymentState::Captured { capture: event.capture };
            }
            OrderEvent::UndoStarted(event) => {
                self.undo = Some(event);
                self.offer = None;
                self.status = Status::Compensating;
            }
            OrderEvent::PaymentVoided(_) => self.payment = PaymentState::Voided,
            OrderEvent::StockReleased(_) => self.stock = StockState::Released,
            OrderEvent::Rejected(_) => self.status = Status::Rejected,
            OrderEvent::Cancelled(_) => self.status = Status::Cancelled,
        }
    }

    /// Goes on, unless it is being undone: a step that succeeds late is recorded, and undone too.
    fn advance(&mut self, status: Status) {
        if self.status != Status::Compensating {
            self.status = status;
        }
    }

    /// The end that an order being undone is heading for.
    #[must_use]
    pub fn undo_outcome(&self) -> Option<Undo> {
        self.undo.as_ref().map(|undo| undo.outcome)
    }
}
