//! The default engines: a stock ledger and a payment ledger, each over a journal.
//!
//! They are small but they are not mocks. What they promise is what the port asks of a real
//! service: durable before they answer, at most one effect per order however often they are
//! asked, and no effect of a call that arrives after its own undoing. So a newcomer gets a
//! platform that works, and a test gets books to compare the orders with, to the unit.
//!
//! An order has one stream in each ledger, and the version that the stream must have is the whole
//! idempotency check: no key table, no read before the write. The key of the call is kept in the
//! event, for audits.
//!
//! | operation | rows on the straight path | reads |
//! |---|---|---|
//! | reserve | 1 event + 1 counter per article | none |
//! | release | 1 event + 1 counter per article | the order's stream |
//! | authorize, capture, void | 1 event | none |
//!
//! [`Faults`] make them misbehave. Both ledgers may share one journal, and then one group commit.
//!
//! # Limits
//! The order is the identity: a key that is used for two orders is not noticed. An order gets
//! one decision: what was refused stays refused, also when there is stock again.

mod books;
mod faults;
mod payment;
mod stock;

use serde::{Deserialize, Serialize};
use steadfast_journal::{Journal, Position, StorageError};
use steadfast_time::Clock;

pub use faults::{Delay, Faults, Plan, Probability, ProbabilityError};
pub use payment::{
    CurrencyTotals, Decline, DeclineError, Payment, PaymentEntry, PaymentState, PaymentTotals,
};
pub use stock::{ArticleTotals, Reservation, ReservationState, Stock, StockTotals};

/// Options of the ledgers.
pub mod options {
    pub use super::payment::Options as Payment;
    pub use super::stock::Options as Stock;
}

/// The codes of refusals.
pub mod code {
    /// An article has fewer pieces left than were asked for.
    pub const OUT_OF_STOCK: &str = "out_of_stock";
    /// The articles were put back, or the order was closed before it reserved any.
    pub const RELEASED: &str = "released";
    /// The payment was declined.
    pub const PAYMENT_DECLINED: &str = "payment_declined";
    /// Nothing is held that could be taken.
    pub const NOT_AUTHORIZED: &str = "not_authorized";
    /// The amount was let go, or the order was closed before it held any.
    pub const VOIDED: &str = "voided";
    /// The amount was taken and cannot be let go.
    pub const ALREADY_CAPTURED: &str = "already_captured";
    /// The order has been decided for other articles or another amount.
    pub const DIFFERENT_REQUEST: &str = "different_request";
    /// The request makes no sense.
    pub const INVALID_REQUEST: &str = "invalid_request";
    /// An injected fault.
    pub const REFUSED_ON_PURPOSE: &str = "refused_on_purpose";
}

/// Why the books cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal could not be read.
    #[error("the ledger's journal cannot be read: {0}")]
    Storage(#[from] StorageError),
    /// An event is not one that a ledger writes, or not where it belongs.
    #[error("the ledger's event {kind:?} at {position}: {problem}")]
    Unreadable {
        /// Where it stands in the journal.
        position: Position,
        /// What it says it is.
        kind: String,
        /// What is wrong with it.
        problem: String,
    },
    /// There are more articles than an audit can hold at once; page through the orders instead.
    #[error("more than {limit} articles; page through the reservations instead")]
    TooManyArticles {
        /// How many can be held.
        limit: usize,
    },
}

/// One page of a walk over all orders of a ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The orders, by the time of their first entry. May be empty although more follow.
    pub entries: Vec<T>,
    /// Where to go on, when there is more.
    pub next: Option<Position>,
}

/// Both ledgers and the handle on their faults.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// The stock ledger.
    pub stock: Stock,
    /// The payment ledger.
    pub payment: Payment,
    /// What goes wrong on purpose.
    pub faults: Faults,
}

/// Options of a [`Sandbox`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Of the stock ledger.
    pub stock: options::Stock,
    /// Of the payment ledger.
    pub payment: options::Payment,
    /// The seed of injected faults.
    pub seed: u64,
}

impl Sandbox {
    /// Opens both ledgers; the journals may be the same.
    #[must_use]
    pub fn open(stock: Journal, payment: Journal, clock: &Clock, options: Options) -> Self {
        let faults = Faults::seeded(options.seed);
        Self {
            stock: Stock::open(stock, clock.clone(), options.stock).with_faults(faults.clone()),
            payment: Payment::open(payment, clock.clone(), options.payment)
                .with_faults(faults.clone()),
            faults,
        }
    }
}
