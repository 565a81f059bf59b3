//! What the stock ledger writes down, and what it amounts to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use steadfast_dispatch::limits::{ITEMS_MAX, NAME_BYTES_MAX, QUANTITY_MAX};
use steadfast_dispatch::order::Item;
use steadfast_dispatch::provider::Failure;
use steadfast_journal::Event;

use crate::sandbox::Error;
use crate::sandbox::books::{details, invalid, unreadable};

/// Pieces per article. Lines of the same article are one.
pub(super) type Pieces = BTreeMap<String, u32>;

pub(super) const RESERVED: &str = "reserved";
pub(super) const REFUSED: &str = "refused";
pub(super) const BARRED: &str = "barred";
pub(super) const RELEASED: &str = "released";
pub(super) const RESTOCKED: &str = "restocked";

/// Details of `reserved`: the articles are set aside.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reserved {
    pub(super) key: String,
    pub(super) pieces: Pieces,
}

/// Details of `refused`: they are not, and never will be for this order.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Refused {
    pub(super) key: String,
    pub(super) pieces: Pieces,
    pub(super) code: String,
    pub(super) reason: String,
}

/// Details of `released` (they are back) and of `barred` (whatever comes for this order later
/// comes too late).
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Closed {
    pub(super) key: String,
}

/// Details of `restocked`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Restocked {
    pub(super) sku: String,
    pub(super) quantity: u32,
}

/// Where an order stands in the stock ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum ReservationState {
    /// The articles are set aside.
    Held,
    /// They were, and are back.
    Released,
    /// They were not.
    Refused {
        /// The stable code.
        code: String,
        /// The same in words.
        reason: String,
    },
    /// The order was released before it reserved anything; it cannot reserve any more.
    Barred,
}

/// The pieces that an order asked for and what became of them; nothing for an unknown order.
pub(super) fn fold(events: &[Event]) -> Result<Option<(Pieces, ReservationState)>, Error> {
    let mut now: Option<(Pieces, ReservationState)> = None;
    for event in events {
        now = Some(match (event.kind.as_ref(), now) {
            (RESERVED, None) => (details::<Reserved>(event)?.pieces, ReservationState::Held),
            (REFUSED, None) => {
                let Refused { pieces, code, reason, .. } = details(event)?;
                (pieces, ReservationState::Refused { code, reason })
            }
            (BARRED, None) => (Pieces::new(), ReservationState::Barred),
            (RELEASED, Some((pieces, ReservationState::Held))) => {
                (pieces, ReservationState::Released)
            }
            _ => {
                return Err(unreadable(event, "it does not follow from the events before it"));
            }
        });
    }
    Ok(now)
}

/// The pieces of an order's lines, checked.
pub(super) fn pieces(items: &[Item]) -> Result<Pieces, Failure> {
    if !(1..=ITEMS_MAX).contains(&items.len()) {
        return Err(invalid(format!("a reservation has 1 to {ITEMS_MAX} lines")));
    }
    let mut pieces = Pieces::new();
    for Item { sku, quantity } in items {
        check_sku(sku)?;
        if !(1..=QUANTITY_MAX).contains(quantity) {
            return Err(invalid(format!("{sku:?}: a line has 1 to {QUANTITY_MAX} pieces")));
        }
        // At most ITEMS_MAX × QUANTITY_MAX, a million.
        *pieces.entry(sku.clone()).or_default() += quantity;
    }
    Ok(pieces)
}

pub(super) fn check_sku(sku: &str) -> Result<(), Failure> {
    if (1..=NAME_BYTES_MAX).contains(&sku.len()) && !sku.contains('\0') {
        Ok(())
    } else {
        Err(invalid(format!("an article's name has 1 to {NAME_BYTES_MAX} bytes and no NUL")))
    }
}
