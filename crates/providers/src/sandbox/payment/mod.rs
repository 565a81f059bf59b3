//! The payment ledger.
//!
//! ```text
//!             ┌─ authorize ─► authorized ─┬─ capture ─► captured
//!             │                           └─ void ────► voided
//!  (nothing) ─┼─ authorize, declined ─► declined, closed
//!             └─ void ─► barred, closed
//! ```
//!
//! Version 1 of an order's stream means "held", and nothing else: whatever ends without holding
//! anything is written as two events at once. So a capture and a void need to know nothing but
//! that the version is 1, and are one event without a read; of both, one wins. A capture takes
//! the whole amount, so more than was authorised cannot be taken.
//!
//! # Limits
//! No partial captures, no refunds. A capture for an order that is not authorised is refused
//! ([`code::NOT_AUTHORIZED`]) and not written down: it is the one refusal that a later call can
//! change.

mod audit;
mod decline;
mod entry;

use serde::{Deserialize, Serialize};
use steadfast_dispatch::names::OrderId;
use steadfast_dispatch::order::Money;
use steadfast_dispatch::provider::{self, Answer, Call, Failure};
use steadfast_journal::{Journal, StreamId, Version};
use steadfast_time::Clock;

pub use self::audit::{CurrencyTotals, PaymentEntry, PaymentTotals};
pub use self::decline::{Decline, DeclineError};
pub use self::entry::PaymentState;
use self::entry::{
    AUTHORIZED, Authorized, BARRED, CAPTURED, CLOSED, DECLINED, Declined, Step, VOIDED,
    check_amount, fold,
};
use super::books::{Books, Entered, check, contended, event, refused};
use super::{Faults, code};
use crate::Operation;
use crate::deadline::in_time;
use crate::limits::{CONFLICT_ROUNDS_MAX, DECLINE_RULES_MAX};

const PAYMENT: &str = "payment";

/// What the stream of a payment that is held has, and no other.
const HELD: Version = Version(1);

/// Options of the payment ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Payments that are declined; none unless told. Rules after the first
    /// [`DECLINE_RULES_MAX`] are not looked at.
    pub decline: Vec<Decline>,
}

/// A payment service over a journal. Clones are the same service.
#[derive(Clone, Debug)]
pub struct Payment {
    books: Books,
    decline: std::sync::Arc<[Decline]>,
    faults: Faults,
}

impl Payment {
    /// Opens the ledger in a journal, new or old.
    #[must_use]
    pub fn open(journal: Journal, clock: Clock, options: Options) -> Self {
        let decline = options.decline.into_iter().take(DECLINE_RULES_MAX).collect();
        Self { books: Books { journal, clock }, decline, faults: Faults::seeded(0) }
    }

    /// Lets things go wrong as the handle says. (Audits never do.)
    #[must_use]
    pub fn with_faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    async fn hold(
        &self,
        call: &Call,
        order: OrderId,
        wanted: &Money,
        unwilling: bool,
    ) -> Result<String, Failure> {
        check(call)?;
        check_amount(wanted)?;
        let stream = StreamId::of(PAYMENT, order.0);
        let key = call.key.clone();
        let refusal = if unwilling {
            Some((code::REFUSED_ON_PURPOSE, "injected fault: refused".to_owned()))
        } else {
            let rule = self.decline.iter().find(|rule| rule.applies(wanted));
            rule.map(|rule| (code::PAYMENT_DECLINED, format!("declined by the rule {rule}")))
        };
        let amount = wanted.clone();
        let (events, answer) = match refusal {
            None => {
                let details = Authorized { key, amount };
                (vec![event(AUTHORIZED, &details)?], Ok(stream.to_string()))
            }
            Some((code, reason)) => {
                let answer = Err(refused(code, reason.clone()));
                let details = Declined { key: key.clone(), amount, code: code.to_owned(), reason };
                (vec![event(DECLINED, &details)?, event(CLOSED, &Step { key })?], answer)
            }
        };
        match self.books.enter(&stream, Version::NONE, events, Vec::new()).await? {
            Entered::Done => answer,
            Entered::Conflict | Entered::NoRoom { .. } => self.answer(&stream, wanted),
        }
    }

    /// The answer that was given to an authorization before.
    fn answer(&self, stream: &StreamId, wanted: &Money) -> Result<String, Failure> {
        let Some((amount, state)) = fold(&self.books.history(stream)?)? else {
            return Err(contended(stream));
        };
        match state {
            PaymentState::Barred => {
                Err(refused(code::VOIDED, "the order was closed before it held anything"))
            }
            _ if amount.as_ref() != Some(wanted) => {
                Err(refused(code::DIFFERENT_REQUEST, "the order has asked for another amount"))
            }
            PaymentState::Authorized | PaymentState::Captured => Ok(stream.to_string()),
            PaymentState::Declined { code, reason } => Err(refused(&code, reason)),
            PaymentState::Voided => Err(refused(code::VOIDED, "the amount has been let go")),
        }
    }

    async fn take(&self, call: &Call, order: OrderId, unwilling: bool) -> Result<String, Failure> {
        check(call)?;
        let stream = StreamId::of(PAYMENT, order.0);
        if unwilling {
            return match fold(&self.books.history(&stream)?)? {
                Some((_, PaymentState::Captured)) => Ok(capture_name(&stream)),
                _ => Err(refused(code::REFUSED_ON_PURPOSE, "injected fault: refused")),
            };
        }
        for _ in 0..CONFLICT_ROUNDS_MAX {
            let events = vec![event(CAPTURED, &Step { key: call.key.clone() })?];
            match self.books.enter(&stream, HELD, events, Vec::new()).await? {
                Entered::Done => return Ok(capture_name(&stream)),
                Entered::Conflict | Entered::NoRoom { .. } => {}
            }
            return match fold(&self.books.history(&stream)?)?.map(|(_, state)| state) {
                Some(PaymentState::Captured) => Ok(capture_name(&stream)),
                // The authorization came in between.
                Some(PaymentState::Authorized) => continue,
                Some(PaymentState::Voided | PaymentState::Barred) => {
                    Err(refused(code::VOIDED, "the amount has been let go"))
                }
                Some(PaymentState::Declined { .. }) => {
                    Err(refused(code::NOT_AUTHORIZED, "the payment was declined"))
                }
                None => Err(refused(code::NOT_AUTHORIZED, "no amount is held for the order")),
            };
        }
        Err(contended(&stream))
    }

    async fn let_go(&self, call: &Call, order: OrderId, unwilling: bool) -> Result<(), Failure> {
        check(call)?;
        let stream = StreamId::of(PAYMENT, order.0);
        // The common case first: an amount is held.
        let mut version = HELD;
        for _ in 0..CONFLICT_ROUNDS_MAX {
            let step = Step { key: call.key.clone() };
            let events = if version == HELD {
                vec![event(VOIDED, &step)?]
            } else {
                vec![event(BARRED, &step)?, event(CLOSED, &step)?]
            };
            let entered = if unwilling {
                Entered::Conflict
            } else {
                self.books.enter(&stream, version, events, Vec::new()).await?
            };
            if entered == Entered::Done {
                return Ok(());
            }
            version = match fold(&self.books.history(&stream)?)?.map(|(_, state)| state) {
                Some(PaymentState::Captured) => {
                    return Err(refused(code::ALREADY_CAPTURED, "the amount has been taken"));
                }
                Some(PaymentState::Authorized) => HELD,
                None => Version::NONE,
                Some(_) => return Ok(()),
            };
            if unwilling {
                return Err(refused(code::REFUSED_ON_PURPOSE, "injected fault: refused"));
            }
        }
        Err(contended(&stream))
    }
}

fn capture_name(stream: &StreamId) -> String {
    format!("{stream}/capture")
}

impl provider::Payment for Payment {
    fn authorize<'a>(
        &'a self,
        call: &'a Call,
        order: OrderId,
        amount: &'a Money,
    ) -> Answer<'a, String> {
        let Self { books, faults, .. } = self;
        let work = move |unwilling| self.hold(call, order, amount, unwilling);
        let work = faults.around(&books.clock, Operation::Authorize, order, work);
        Box::pin(in_time(&books.clock, call, work))
    }

    fn capture<'a>(&'a self, call: &'a Call, order: OrderId) -> Answer<'a, String> {
        let Self { books, faults, .. } = self;
        let work = move |unwilling| self.take(call, order, unwilling);
        let work = faults.around(&books.clock, Operation::Capture, order, work);
        Box::pin(in_time(&books.clock, call, work))
    }

    fn void<'a>(&'a self, call: &'a Call, order: OrderId) -> Answer<'a, ()> {
        let Self { books, faults, .. } = self;
        let work = move |unwilling| self.let_go(call, order, unwilling);
        let work = faults.around(&books.clock, Operation::Void, order, work);
        Box::pin(in_time(&books.clock, call, work))
    }
}
