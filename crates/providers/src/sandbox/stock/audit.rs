//! Questions for audits: nothing here takes part in a decision.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use steadfast_dispatch::names::OrderId;
use steadfast_journal::Position;
use steadfast_time::Timestamp;

use super::entry::{Pieces, ReservationState, Restocked, fold};
use super::{RESERVATION, RESTOCK, Stock, StreamId};
use crate::limits::{AUDIT_ARTICLES_MAX, AUDIT_PAGE_MAX};
use crate::sandbox::books::{details, order_of};
use crate::sandbox::{Error, Page};

/// What the stock ledger has about an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The order.
    pub order: OrderId,
    /// What it asked for; nothing when it was barred before it asked.
    pub pieces: BTreeMap<String, u32>,
    /// What became of it.
    #[serde(flatten)]
    pub state: ReservationState,
    /// When it was first heard of.
    pub at: Timestamp,
}

/// Sums over an article, in pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArticleTotals {
    /// Added by restocking.
    pub restocked: u64,
    /// Ever set aside.
    pub reserved: u64,
    /// Put back of those.
    pub released: u64,
}

impl ArticleTotals {
    /// Set aside now.
    #[must_use]
    pub const fn held(self) -> u64 {
        self.reserved - self.released
    }
}

/// Sums over the whole stock ledger, at one position of its journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockTotals {
    /// Everything up to here is counted, and nothing after it.
    pub at: Position,
    /// By article.
    pub articles: BTreeMap<String, ArticleTotals>,
    /// Orders that hold articles.
    pub held: u64,
    /// Orders that have put them back.
    pub released: u64,
    /// Orders that were refused.
    pub refused: u64,
    /// Orders that were closed before they reserved.
    pub barred: u64,
}

impl Stock {
    /// What the ledger has about an order.
    ///
    /// # Errors
    /// The books cannot be read.
    pub fn reservation(&self, order: OrderId) -> Result<Option<Reservation>, Error> {
        self.at(order, Position(u64::MAX))
    }

    fn at(&self, order: OrderId, upto: Position) -> Result<Option<Reservation>, Error> {
        let mut events = self.books.history(&StreamId::of(RESERVATION, order.0))?;
        events.retain(|event| event.position <= upto);
        let Some(at) = events.first().map(|first| first.at) else {
            return Ok(None);
        };
        let found = fold(&events)?;
        Ok(found.map(|(pieces, state)| Reservation { order, pieces, state, at }))
    }

    /// One page of all orders after a position, each as it is now. `limit` counts events that
    /// are looked at, at most [`AUDIT_PAGE_MAX`].
    ///
    /// # Errors
    /// The books cannot be read.
    pub fn walk(&self, after: Position, limit: usize) -> Result<Page<Reservation>, Error> {
        let (firsts, next) = self.books.firsts(RESERVATION, after, Position(u64::MAX), limit)?;
        let mut entries = Vec::with_capacity(firsts.len());
        for first in firsts {
            entries.extend(self.reservation(order_of(&first)?)?);
        }
        Ok(Page { entries, next })
    }

    /// Adds everything up, event by event. Takes time in proportion to the journal.
    ///
    /// # Errors
    /// The books cannot be read, or there are too many articles.
    pub fn totals(&self) -> Result<StockTotals, Error> {
        let at = self.books.head()?;
        let mut totals = StockTotals { at, ..StockTotals::default() };
        let mut after = Some(Position::START);
        while let Some(position) = after {
            let (firsts, next) = self.books.firsts(RESERVATION, position, at, AUDIT_PAGE_MAX)?;
            for first in firsts {
                if let Some(reservation) = self.at(order_of(&first)?, at)? {
                    totals.count(&reservation)?;
                }
            }
            let (firsts, _) = self.books.firsts(RESTOCK, position, at, AUDIT_PAGE_MAX)?;
            for first in firsts {
                let Restocked { sku, quantity } = details(&first)?;
                totals.article(&sku)?.restocked += u64::from(quantity);
            }
            after = next;
        }
        Ok(totals)
    }
}

impl StockTotals {
    fn count(&mut self, reservation: &Reservation) -> Result<(), Error> {
        let pieces: &Pieces = &reservation.pieces;
        let (count, reserved, released) = match reservation.state {
            ReservationState::Held => (&mut self.held, true, false),
            ReservationState::Released => (&mut self.released, true, true),
            ReservationState::Refused { .. } => (&mut self.refused, false, false),
            ReservationState::Barred => (&mut self.barred, false, false),
        };
        *count += 1;
        for (sku, pieces) in pieces.iter().filter(|_| reserved) {
            let article = self.article(sku)?;
            article.reserved += u64::from(*pieces);
            article.released += if released { u64::from(*pieces) } else { 0 };
        }
        Ok(())
    }

    fn article(&mut self, sku: &str) -> Result<&mut ArticleTotals, Error> {
        if self.articles.len() >= AUDIT_ARTICLES_MAX && !self.articles.contains_key(sku) {
            return Err(Error::TooManyArticles { limit: AUDIT_ARTICLES_MAX });
        }
        Ok(self.articles.entry(sku.to_owned()).or_default())
    }
}
