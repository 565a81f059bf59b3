//! What the payment ledger writes down, and what it amounts to.

use serde::{Deserialize, Serialize};
use steadfast_dispatch::limits::AMOUNT_MINOR_MAX;
use steadfast_dispatch::order::Money;
use steadfast_dispatch::provider::Failure;
use steadfast_journal::Event;

use crate::sandbox::Error;
use crate::sandbox::books::{details, invalid, unreadable};

pub(super) const AUTHORIZED: &str = "authorized";
pub(super) const CAPTURED: &str = "captured";
pub(super) const VOIDED: &str = "voided";
pub(super) const DECLINED: &str = "declined";
pub(super) const BARRED: &str = "barred";
/// Follows `declined` and `barred` in the same write, so that version 1 means "held" and nothing
/// else; see the module's documentation.
pub(super) const CLOSED: &str = "closed";

/// Details of `authorized`: the amount is held.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Authorized {
    pub(super) key: String,
    pub(super) amount: Money,
}

/// Details of `declined`: it is not, and never will be for this order.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Declined {
    pub(super) key: String,
    pub(super) amount: Money,
    pub(super) code: String,
    pub(super) reason: String,
}

/// Details of everything else.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) key: String,
}

/// Where an order stands in the payment ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum PaymentState {
    /// The amount is held.
    Authorized,
    /// It was taken.
    Captured,
    /// It was let go.
    Voided,
    /// It was never held.
    Declined {
        /// The stable code.
        code: String,
        /// The same in words.
        reason: String,
    },
    /// The order was voided before it was authorised; it cannot be any more.
    Barred,
}

/// The amount that an order asked for and what became of it; nothing for an unknown order.
pub(super) fn fold(events: &[Event]) -> Result<Option<(Option<Money>, PaymentState)>, Error> {
    let mut now: Option<(Option<Money>, PaymentState)> = None;
    for event in events {
        now = Some(match (event.kind.as_ref(), now) {
            (AUTHORIZED, None) => {
                (Some(details::<Authorized>(event)?.amount), PaymentState::Authorized)
            }
            (DECLINED, None) => {
                let Declined { amount, code, reason, .. } = details(event)?;
                (Some(amount), PaymentState::Declined { code, reason })
            }
            (BARRED, None) => (None, PaymentState::Barred),
            (CAPTURED, Some((amount, PaymentState::Authorized))) => {
                (amount, PaymentState::Captured)
            }
            (VOIDED, Some((amount, PaymentState::Authorized))) => (amount, PaymentState::Voided),
            (CLOSED, Some(closed @ (_, PaymentState::Declined { .. } | PaymentState::Barred))) => {
                closed
            }
            _ => {
                return Err(unreadable(event, "it does not follow from the events before it"));
            }
        });
    }
    Ok(now)
}

pub(super) fn check_amount(amount: &Money) -> Result<(), Failure> {
    let Money { currency, minor } = amount;
    if currency.len() != 3 || !currency.bytes().all(|c| c.is_ascii_uppercase()) {
        return Err(invalid("a currency is an ISO 4217 code such as \"KRW\""));
    }
    if !(1..=AMOUNT_MINOR_MAX).contains(minor) {
        return Err(invalid(format!("an amount is between 1 and {AMOUNT_MINOR_MAX}")));
    }
    Ok(())
}
