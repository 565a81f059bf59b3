//! Questions for audits: nothing here takes part in a decision.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use steadfast_dispatch::names::OrderId;
use steadfast_dispatch::order::Money;
use steadfast_journal::{Position, StreamId};
use steadfast_time::Timestamp;

use super::entry::{PaymentState, fold};
use super::{PAYMENT, Payment};
use crate::limits::AUDIT_PAGE_MAX;
use crate::sandbox::books::order_of;
use crate::sandbox::{Error, Page};

/// What the payment ledger has about an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentEntry {
    /// The order.
    pub order: OrderId,
    /// What it asked for; nothing when it was barred before it asked.
    pub amount: Option<Money>,
    /// What became of it.
    #[serde(flatten)]
    pub state: PaymentState,
    /// When it was first heard of.
    pub at: Timestamp,
}

/// Sums over a currency, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrencyTotals {
    /// Ever held.
    pub authorized: i128,
    /// Taken of that.
    pub captured: i128,
    /// Let go of that.
    pub voided: i128,
    /// Asked for and never held.
    pub declined: i128,
}

impl CurrencyTotals {
    /// Held now.
    #[must_use]
    pub const fn held(self) -> i128 {
        self.authorized - self.captured - self.voided
    }
}

/// Sums over the whole payment ledger, at one position of its journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentTotals {
    /// Everything up to here is counted, and nothing after it.
    pub at: Position,
    /// By currency.
    pub currencies: BTreeMap<String, CurrencyTotals>,
    /// Orders whose amount is held.
    pub authorized: u64,
    /// Orders whose amount was taken.
    pub captured: u64,
    /// Orders whose amount was let go.
    pub voided: u64,
    /// Orders that were declined.
    pub declined: u64,
    /// Orders that were closed before they held anything.
    pub barred: u64,
}

impl Payment {
    /// What the ledger has about an order.
    ///
    /// # Errors
    /// The books cannot be read.
    pub fn entry(&self, order: OrderId) -> Result<Option<PaymentEntry>, Error> {
        self.at(order, Position(u64::MAX))
    }

    fn at(&self, order: OrderId, upto: Position) -> Result<Option<PaymentEntry>, Error> {
        let mut events = self.books.history(&StreamId::of(PAYMENT, order.0))?;
        events.retain(|event| event.position <= upto);
        let Some(at) = events.first().map(|first| first.at) else {
            return Ok(None);
        };
        let found = fold(&events)?;
        Ok(found.map(|(amount, state)| PaymentEntry { order, amount, state, at }))
    }

    /// One page of all orders after a position, each as it is now. `limit` counts events that
    /// are looked at, at most [`AUDIT_PAGE_MAX`].
    ///
    /// # Errors
    /// The books cannot be read.
    pub fn walk(&self, after: Position, limit: usize) -> Result<Page<PaymentEntry>, Error> {
        let (firsts, next) = self.books.firsts(PAYMENT, after, Position(u64::MAX), limit)?;
        let mut entries = Vec::with_capacity(firsts.len());
        for first in firsts {
            entries.extend(self.entry(order_of(&first)?)?);
        }
        Ok(Page { entries, next })
    }

    /// Adds everything up, event by event. Takes time in proportion to the journal.
    ///
    /// # Errors
    /// The books cannot be read.
    pub fn totals(&self) -> Result<PaymentTotals, Error> {
        let at = self.books.head()?;
        let mut totals = PaymentTotals { at, ..PaymentTotals::default() };
        let mut after = Some(Position::START);
        while let Some(position) = after {
            let (firsts, next) = self.books.firsts(PAYMENT, position, at, AUDIT_PAGE_MAX)?;
            for first in firsts {
                if let Some(entry) = self.at(order_of(&first)?, at)? {
                    totals.count(&entry);
                }
            }
            after = next;
        }
        Ok(totals)
    }
}

impl PaymentTotals {
    fn count(&mut self, entry: &PaymentEntry) {
        *match entry.state {
            PaymentState::Authorized => &mut self.authorized,
            PaymentState::Captured => &mut self.captured,
            PaymentState::Voided => &mut self.voided,
            PaymentState::Declined { .. } => &mut self.declined,
            PaymentState::Barred => &mut self.barred,
        } += 1;
        // A currency is three capital letters, so there are at most 17,576.
        let Some(Money { currency, minor }) = &entry.amount else {
            return;
        };
        let sums = self.currencies.entry(currency.clone()).or_default();
        let minor = i128::from(*minor);
        match entry.state {
            PaymentState::Declined { .. } => sums.declined += minor,
            PaymentState::Authorized => sums.authorized += minor,
            PaymentState::Captured => {
                sums.authorized += minor;
                sums.captured += minor;
            }
            PaymentState::Voided => {
                sums.authorized += minor;
                sums.voided += minor;
            }
            PaymentState::Barred => {}
        }
    }
}
