//! The stock ledger.
//!
//! ```text
//!             ┌─ reserve ─► reserved ─ release ─► released
//!  (nothing) ─┼─ reserve, too few left ─► refused
//!             └─ release ─► barred
//! ```
//!
//! A reservation is one write: the event, expected to be the first of the order's stream, and one
//! guarded counter per article. So pieces are set aside all or none, never below zero, and at
//! most once. Whoever is second gets a conflict, reads the stream, and gives the answer that is
//! written there. A release that comes first leaves a tombstone in the place that the reservation
//! would have taken.
//!
//! # Limits
//! A reservation that is repeated after its release is refused ([`code::RELEASED`]), although it
//! succeeded the first time: to say "yes" about pieces that are gone would be the greater lie.

mod audit;
mod entry;

use serde::{Deserialize, Serialize};
use steadfast_dispatch::names::OrderId;
use steadfast_dispatch::order::Item;
use steadfast_dispatch::provider::{self, Answer, Call, Failure};
use steadfast_journal::{Guard, Journal, StreamId, Version};
use steadfast_time::Clock;

pub use self::audit::{ArticleTotals, Reservation, StockTotals};
pub use self::entry::ReservationState;
use self::entry::{
    BARRED, Closed, Pieces, REFUSED, RELEASED, RESERVED, RESTOCKED, Refused, Reserved, Restocked,
    check_sku, fold, pieces,
};
use super::books::{Books, Entered, check, contended, details, event, invalid, refused};
use super::{Error, Faults, code};
use crate::Operation;
use crate::deadline::in_time;
use crate::limits::{
    CONFLICT_ROUNDS_MAX, DEFAULT_STOCK_MAX, RESTOCK_KEY_BYTES_MAX, RESTOCK_PIECES_MAX,
};

const RESERVATION: &str = "reservation";
const RESTOCK: &str = "restock";

/// The top of a counter, far enough from overflow that [`Options::default_stock`] can be added.
const COUNTER_MAX: i64 = i64::MAX / 2;

/// Options of the stock ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// How many pieces every article starts with, named anywhere or not, so that a newcomer can
    /// order anything. With 0 there is only what has been [restocked](Stock::restock). At most
    /// [`DEFAULT_STOCK_MAX`]; more counts as that.
    pub default_stock: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { default_stock: 1_000_000 }
    }
}

/// A stock service over a journal. Clones are the same service.
#[derive(Clone, Debug)]
pub struct Stock {
    books: Books,
    /// A counter says how far an article is above or below this.
    default_stock: i64,
    faults: Faults,
}

impl Stock {
    /// Opens the ledger in a journal, new or old.
    #[must_use]
    pub fn open(journal: Journal, clock: Clock, options: Options) -> Self {
        let default_stock = i64::from(options.default_stock.min(DEFAULT_STOCK_MAX));
        Self { books: Books { journal, clock }, default_stock, faults: Faults::seeded(0) }
    }

    /// Lets things go wrong as the handle says. (Restocking and audits never do.)
    #[must_use]
    pub fn with_faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Adds pieces of an article, once per `key`; returns how many can be ordered now.
    ///
    /// # Errors
    /// As the port's calls; [`code::DIFFERENT_REQUEST`] when the key was used for something else.
    pub async fn restock(&self, key: &str, sku: &str, quantity: u32) -> Result<i64, Failure> {
        check_sku(sku)?;
        if !(1..=RESTOCK_PIECES_MAX).contains(&quantity) {
            return Err(invalid(format!("a restocking has 1 to {RESTOCK_PIECES_MAX} pieces")));
        }
        let stream = StreamId::new(RESTOCK, key).map_err(|_| {
            let limit = RESTOCK_KEY_BYTES_MAX;
            invalid(format!("a restocking's key has 1 to {limit} bytes, no control characters"))
        })?;
        let restocked = Restocked { sku: sku.to_owned(), quantity };
        let events = vec![event(RESTOCKED, &restocked)?];
        let guards = vec![moved(sku, i64::from(quantity))];
        match self.books.enter(&stream, Version::NONE, events, guards).await? {
            Entered::Done => {}
            Entered::Conflict => {
                let before = self.books.history(&stream)?;
                let same = match before.first() {
                    Some(first) => details::<Restocked>(first)? == restocked,
                    None => return Err(contended(&stream)),
                };
                if !same {
                    let reason = format!("the key {key:?} was used for another restocking");
                    return Err(refused(code::DIFFERENT_REQUEST, reason));
                }
            }
            Entered::NoRoom { value, .. } => {
                return Err(invalid(format!("{value} pieces of {sku:?} leave no room for more")));
            }
        }
        Ok(self.level(sku)?)
    }

    /// How many pieces of an article can be ordered now.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn level(&self, sku: &str) -> Result<i64, Error> {
        Ok(self.books.journal.store().counter(&counter(sku))? + self.default_stock)
    }

    async fn reserve_pieces(
        &self,
        call: &Call,
        order: OrderId,
        items: &[Item],
        unwilling: bool,
    ) -> Result<String, Failure> {
        check(call)?;
        let pieces = pieces(items)?;
        let stream = StreamId::of(RESERVATION, order.0);
        let (code, reason) = if unwilling {
            (code::REFUSED_ON_PURPOSE, "injected fault: refused".to_owned())
        } else {
            let details = Reserved { key: call.key.clone(), pieces };
            let events = vec![event(RESERVED, &details)?];
            let pieces = details.pieces;
            let guards = pieces.iter().map(|(sku, n)| self.taken(sku, *n)).collect();
            match self.books.enter(&stream, Version::NONE, events, guards).await? {
                Entered::Done => return Ok(stream.to_string()),
                Entered::Conflict => return self.answer(&stream, &pieces),
                Entered::NoRoom { counter, value } => {
                    return self
                        .turn_away(call, &stream, pieces, self.shortage(&counter, value))
                        .await;
                }
            }
        };
        self.turn_away(call, &stream, pieces, (code, reason)).await
    }

    /// Writes down that an order gets nothing, so that it hears the same when it asks again.
    async fn turn_away(
        &self,
        call: &Call,
        stream: &StreamId,
        pieces: Pieces,
        (code, reason): (&str, String),
    ) -> Result<String, Failure> {
        let key = call.key.clone();
        let details = Refused { key, pieces, code: code.to_owned(), reason };
        let events = vec![event(REFUSED, &details)?];
        match self.books.enter(stream, Version::NONE, events, Vec::new()).await? {
            Entered::Done => Err(refused(code, details.reason)),
            Entered::Conflict | Entered::NoRoom { .. } => self.answer(stream, &details.pieces),
        }
    }

    /// The answer that was given to a reservation before.
    fn answer(&self, stream: &StreamId, wanted: &Pieces) -> Result<String, Failure> {
        let Some((pieces, state)) = fold(&self.books.history(stream)?)? else {
            return Err(contended(stream));
        };
        match state {
            ReservationState::Barred => {
                Err(refused(code::RELEASED, "the order was closed before it reserved anything"))
            }
            _ if pieces != *wanted => {
                Err(refused(code::DIFFERENT_REQUEST, "the order has asked for other articles"))
            }
            ReservationState::Held => Ok(stream.to_string()),
            ReservationState::Refused { code, reason } => Err(refused(&code, reason)),
            ReservationState::Released => {
                Err(refused(code::RELEASED, "the articles have been put back"))
            }
        }
    }

    async fn release_pieces(
        &self,
        call: &Call,
        order: OrderId,
        unwilling: bool,
    ) -> Result<(), Failure> {
        check(call)?;
        let stream = StreamId::of(RESERVATION, order.0);
        for _ in 0..CONFLICT_ROUNDS_MAX {
            let details = Closed { key: call.key.clone() };
            let (version, event, guards) = match fold(&self.books.history(&stream)?)? {
                None => (Version::NONE, event(BARRED, &details)?, Vec::new()),
                Some((pieces, ReservationState::Held)) => {
                    let back = |(sku, n): (&String, &u32)| moved(sku, i64::from(*n));
                    let guards = pieces.iter().map(back).collect();
                    (Version::NONE.next(), event(RELEASED, &details)?, guards)
                }
                Some(_) => return Ok(()),
            };
            if unwilling {
                return Err(refused(code::REFUSED_ON_PURPOSE, "injected fault: refused"));
            }
            match self.books.enter(&stream, version, vec![event], guards).await? {
                Entered::Done => return Ok(()),
                Entered::Conflict => {}
                Entered::NoRoom { counter, value } => {
                    // Only in reach by restocking billions of times: nothing was put back.
                    let reason = format!("{counter} stands at {value} and has no room");
                    return Err(Failure::unavailable(reason));
                }
            }
        }
        Err(contended(&stream))
    }

    /// Takes pieces of an article, unless fewer are left.
    fn taken(&self, sku: &str, pieces: u32) -> Guard {
        let bounds = -self.default_stock..=COUNTER_MAX;
        Guard { counter: counter(sku), delta: -i64::from(pieces), bounds }
    }

    fn shortage(&self, counter: &str, value: i64) -> (&'static str, String) {
        let sku = counter.strip_prefix("stock/").unwrap_or(counter);
        let left = (value + self.default_stock).max(0);
        (code::OUT_OF_STOCK, format!("{sku:?} is out of stock: {left} left"))
    }
}

/// Moves an article whatever its level: pieces that come back always have room.
fn moved(sku: &str, delta: i64) -> Guard {
    Guard { counter: counter(sku), delta, bounds: i64::MIN..=COUNTER_MAX }
}

fn counter(sku: &str) -> String {
    format!("stock/{sku}")
}

impl provider::Stock for Stock {
    fn reserve<'a>(
        &'a self,
        call: &'a Call,
        order: OrderId,
        items: &'a [Item],
    ) -> Answer<'a, String> {
        let Self { books, faults, .. } = self;
        let work = move |unwilling| self.reserve_pieces(call, order, items, unwilling);
        let work = faults.around(&books.clock, Operation::Reserve, order, work);
        Box::pin(in_time(&books.clock, call, work))
    }

    fn release<'a>(&'a self, call: &'a Call, order: OrderId) -> Answer<'a, ()> {
        let Self { books, faults, .. } = self;
        let work = move |unwilling| self.release_pieces(call, order, unwilling);
        let work = faults.around(&books.clock, Operation::Release, order, work);
        Box::pin(in_time(&books.clock, call, work))
    }
}
