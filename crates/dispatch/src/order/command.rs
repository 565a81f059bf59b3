//! What one can ask of an order, and when it says no.

use steadfast_fencing::FencingToken;
use steadfast_time::Timestamp;

use super::event::{
    ArrivedAtPickup, Assigned, AwaitingCourier, Cancelled, CloseReason, Delivered, OfferClosed,
    Offered, OrderEvent, PaymentAuthorized, PaymentCaptured, PaymentVoided, PickedUp, Rejected,
    StockReleased, StockReserved, Undo, UndoStarted,
};
use super::{Order, PaymentState, Status, StockState};
use crate::names::{CourierId, OfferId, OrderId};

/// Something that somebody wants of an order.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// The saga: the stock service said yes.
    ReserveStock {
        /// Its name for it.
        reservation: String,
    },
    /// The saga: the payment service said yes.
    AuthorizePayment {
        /// Its name for it.
        authorization: String,
    },
    /// The saga: look for a courier.
    SeekCourier {
        /// Until when.
        until: Timestamp,
    },
    /// The dispatcher: ask a courier.
    Offer {
        /// The offer's name.
        offer: OfferId,
        /// Who.
        courier: CourierId,
        /// All orders of the trip.
        trip: Vec<OrderId>,
        /// Until when.
        expires_at: Timestamp,
        /// The dispatcher's proof.
        token: FencingToken,
    },
    /// The courier: yes.
    Accept {
        /// Which offer.
        offer: OfferId,
        /// Who says so.
        courier: CourierId,
    },
    /// The courier said no or nothing, or the trip fell apart.
    CloseOffer {
        /// Which offer.
        offer: OfferId,
        /// Who says so; `None` is the dispatcher.
        courier: Option<CourierId>,
        /// Why.
        reason: CloseReason,
    },
    /// The courier: at the merchant's.
    Arrive {
        /// Which assignment.
        assignment: OfferId,
        /// Who says so.
        courier: CourierId,
    },
    /// The courier: on the way to the customer.
    PickUp {
        /// Which assignment.
        assignment: OfferId,
        /// Who says so.
        courier: CourierId,
    },
    /// The courier: handed over.
    Deliver {
        /// Which assignment.
        assignment: OfferId,
        /// Who says so.
        courier: CourierId,
    },
    /// The saga: the payment service took the amount.
    CapturePayment {
        /// Its name for it.
        capture: String,
    },
    /// The customer, a refusing service, or the end of the search: undo it.
    Undo {
        /// How it will end.
        outcome: Undo,
        /// A stable code.
        code: String,
        /// The same in words.
        reason: String,
    },
    /// The saga: the hold on the account is gone.
    VoidPayment,
    /// The saga: the articles are back.
    ReleaseStock,
    /// The saga: everything is undone.
    Close,
}

/// Why an order does not do what is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It has been done before; nothing to do.
    #[error("this has been done before")]
    Done,
    /// It is not, or no longer, possible.
    #[error("the order is {status}; it cannot {what}")]
    Status {
        /// Where it stands.
        status: Status,
        /// What was asked, as a verb phrase.
        what: &'static str,
    },
    /// The offer is closed, or was never made.
    #[error("offer {offer} is not open any more")]
    OfferClosed {
        /// Which.
        offer: OfferId,
    },
    /// Time is up.
    #[error("offer {offer} expired at {expired_at}")]
    OfferExpired {
        /// Which.
        offer: OfferId,
        /// When.
        expired_at: Timestamp,
    },
    /// The offer was made to somebody else.
    #[error("offer {offer} was not made to {courier}")]
    WrongCourier {
        /// Which.
        offer: OfferId,
        /// Who tried.
        courier: CourierId,
    },
}

impl Order {
    /// The events that a command makes, or why it makes none.
    ///
    /// # Errors
    /// [`Refused`]; [`Refused::Done`] when a repeated command finds its work done.
    pub fn decide(&self, now: Timestamp, command: Command) -> Result<Vec<OrderEvent>, Refused> {
        match command {
            Command::ReserveStock { reservation } => self.reserve_stock(reservation),
            Command::AuthorizePayment { authorization } => self.authorize_payment(authorization),
            Command::SeekCourier { until } => match self.status {
                Status::PaymentAuthorized => one(AwaitingCourier { until }),
                _ if self.search_until.is_some() => Err(Refused::Done),
                _ => Err(self.cannot("look for a courier")),
            },
            Command::Offer { offer, courier, trip, expires_at, token } => match self.status {
                Status::AwaitingCourier => one(Offered { offer, courier, trip, expires_at, token }),
                _ if self.has_offer(offer) => Err(Refused::Done),
                _ => Err(self.cannot("be offered")),
            },
            Command::Accept { offer, courier } => self.accept(now, offer, courier),
            Command::CloseOffer { offer, courier, reason } => {
                self.close_offer(offer, courier, reason)
            }
            Command::Arrive { assignment, courier } => {
                self.holds(assignment, &courier)?;
                match self.status {
                    Status::Assigned => one(ArrivedAtPickup { assignment }),
                    Status::AtPickup | Status::PickedUp | Status::Delivered => Err(Refused::Done),
                    _ => Err(self.cannot("be arrived for")),
                }
            }
            Command::PickUp { assignment, courier } => {
                self.holds(assignment, &courier)?;
                match self.status {
                    Status::Assigned | Status::AtPickup => one(PickedUp { assignment }),
                    Status::PickedUp | Status::Delivered => Err(Refused::Done),
                    _ => Err(self.cannot("be picked up")),
                }
            }
            Command::Deliver { assignment, courier } => {
                self.holds(assignment, &courier)?;
                match self.status {
                    Status::PickedUp => one(Delivered { assignment }),
                    Status::Delivered => Err(Refused::Done),
                    _ => Err(self.cannot("be delivered")),
                }
            }
            Command::CapturePayment { capture } => match (&self.payment, self.status) {
                (PaymentState::Captured { .. }, _) => Err(Refused::Done),
                (PaymentState::Authorized { .. }, Status::Delivered) => {
                    one(PaymentCaptured { capture })
                }
                _ => Err(self.cannot("be paid for")),
            },
            Command::Undo { outcome, code, reason } => match self.status {
                Status::Compensating | Status::Rejected | Status::Cancelled => Err(Refused::Done),
                Status::PickedUp | Status::Delivered => Err(self.cannot("be cancelled")),
                _ => one(UndoStarted { outcome, code, reason }),
            },
            Command::VoidPayment => match self.payment {
                PaymentState::Authorized { .. } if self.status == Status::Compensating => {
                    one(PaymentVoided {})
                }
                PaymentState::Voided => Err(Refused::Done),
                _ => Err(self.cannot("have its payment voided")),
            },
            Command::ReleaseStock => match self.stock {
                StockState::Reserved { .. } if self.status == Status::Compensating => {
                    one(StockReleased {})
                }
                StockState::Released => Err(Refused::Done),
                _ => Err(self.cannot("have its stock released")),
            },
            Command::Close => match (self.status, self.undo_outcome()) {
                (Status::Compensating, Some(Undo::Rejected)) => one(Rejected {}),
                (Status::Compensating, Some(Undo::Cancelled)) => one(Cancelled {}),
                (Status::Rejected | Status::Cancelled, _) => Err(Refused::Done),
                _ => Err(self.cannot("be closed")),
            },
        }
    }

    fn reserve_stock(&self, reservation: String) -> Result<Vec<OrderEvent>, Refused> {
        match (self.status, &self.stock) {
            (Status::Placed | Status::Compensating, StockState::None) => {
                one(StockReserved { reservation })
            }
            (_, StockState::Reserved { .. } | StockState::Released) => Err(Refused::Done),
            _ => Err(self.cannot("have its stock reserved")),
        }
    }

    fn authorize_payment(&self, authorization: String) -> Result<Vec<OrderEvent>, Refused> {
        match (self.status, &self.payment) {
            (Status::StockReserved | Status::Compensating, PaymentState::None) => {
                one(PaymentAuthorized { authorization })
            }
            (_, PaymentState::None) => Err(self.cannot("have its payment authorized")),
            _ => Err(Refused::Done),
        }
    }

    fn accept(
        &self,
        now: Timestamp,
        offer: OfferId,
        courier: CourierId,
    ) -> Result<Vec<OrderEvent>, Refused> {
        let open = self.open(offer)?;
        if open.courier != courier {
            return Err(Refused::WrongCourier { offer, courier });
        }
        match self.status {
            Status::Offered if now > open.expires_at => {
                Err(Refused::OfferExpired { offer, expired_at: open.expires_at })
            }
            Status::Offered => one(Assigned { assignment: offer, courier }),
            _ => Err(Refused::Done),
        }
    }

    fn close_offer(
        &self,
        offer: OfferId,
        courier: Option<CourierId>,
        reason: CloseReason,
    ) -> Result<Vec<OrderEvent>, Refused> {
        let open = self.open(offer)?;
        if let Some(courier) = courier
            && courier != open.courier
        {
            return Err(Refused::WrongCourier { offer, courier });
        }
        match self.status {
            Status::Offered => one(OfferClosed { offer, courier: open.courier.clone(), reason }),
            _ => Err(self.cannot("have its offer closed")),
        }
    }

    fn open(&self, offer: OfferId) -> Result<&Offered, Refused> {
        self.offer.as_ref().filter(|open| open.offer == offer).ok_or(Refused::OfferClosed { offer })
    }

    /// Whether the courier holds the order under this assignment.
    fn holds(&self, assignment: OfferId, courier: &CourierId) -> Result<(), Refused> {
        let open = self.open(assignment)?;
        if open.courier != *courier {
            let courier = courier.clone();
            return Err(Refused::WrongCourier { offer: assignment, courier });
        }
        Ok(())
    }

    const fn cannot(&self, what: &'static str) -> Refused {
        Refused::Status { status: self.status, what }
    }
}

fn one(event: impl Into<OrderEvent>) -> Result<Vec<OrderEvent>, Refused> {
    Ok(vec![event.into()])
}
