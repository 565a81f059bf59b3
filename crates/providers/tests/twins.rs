//! The suites notice: an engine with one flaw breaks exactly the promise that the flaw is about.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use std::collections::BTreeMap;
use std::sync::Mutex;

use common::{payment_fixture, setup, stock_fixture};
use steadfast_dispatch::names::OrderId;
use steadfast_dispatch::order::{Item, Money};
use steadfast_dispatch::provider::{Answer, Call, Failure, Payment, Stock};
use steadfast_providers::conformance::{payment, stock};
use steadfast_time::Clock;
use steadfast_time::sim::Simulation;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    /// Does the work again when asked again.
    Repeats,
    /// Knows orders by key only.
    KeyedOnly,
    /// A release or void of nothing leaves no trace.
    NoTombstone,
    /// Puts back, or lets go, as often as it is told.
    UndoesTwice,
    /// Sets aside what it can of an order.
    Partial,
    /// Decides anew what it refused.
    ChangesItsMind,
    /// Works without looking at the deadline.
    IgnoresDeadline,
    /// Lets go what was taken.
    VoidsCaptured,
    /// Takes what was let go.
    CapturesVoided,
    /// Takes what was never held.
    CapturesNothing,
}

#[derive(Clone, PartialEq, Eq)]
enum State {
    Held(String, Vec<Item>),
    Taken(String),
    Refused,
    Over,
}

/// Orders, pieces left, and how often the work was done.
type Books = (BTreeMap<OrderId, State>, BTreeMap<String, u32>, u32);

/// A provider in a few lines, without a journal.
struct Twin {
    flaw: Flaw,
    clock: Clock,
    books: Mutex<Books>,
}

fn no(code: &str) -> Failure {
    Failure::Refused { code: code.to_owned(), reason: "twin".to_owned() }
}

impl Twin {
    fn new(flaw: Flaw, clock: Clock) -> Self {
        let fixture = stock_fixture();
        let levels = fixture.scarce.map(|sku| (sku, fixture.pieces)).into();
        Self { flaw, clock, books: Mutex::new((BTreeMap::new(), levels, 0)) }
    }

    fn on_time(&self, call: &Call) -> Result<(), Failure> {
        if self.clock.monotonic() < call.deadline || self.flaw == Flaw::IgnoresDeadline {
            return Ok(());
        }
        Err(Failure::unavailable("late"))
    }

    fn set_aside(&self, call: &Call, order: OrderId, items: &[Item]) -> Result<String, Failure> {
        self.on_time(call)?;
        let (orders, levels, count) = &mut *self.books.lock().unwrap();
        match orders.get(&order) {
            Some(State::Held(name, _))
                if self.flaw == Flaw::KeyedOnly && !name.contains(&call.key) => {}
            Some(State::Held(name, _)) if self.flaw != Flaw::Repeats => return Ok(name.clone()),
            Some(State::Refused) if self.flaw != Flaw::ChangesItsMind => return Err(no("out")),
            Some(State::Over) => return Err(no("released")),
            _ => {}
        }
        let mut after = levels.clone();
        for Item { sku, quantity } in items {
            match after.get_mut(sku).filter(|left| **left >= *quantity) {
                Some(left) => *left -= quantity,
                None => {
                    if self.flaw == Flaw::Partial {
                        *levels = after;
                    }
                    orders.insert(order, State::Refused);
                    return Err(no("out"));
                }
            }
        }
        *levels = after;
        *count += u32::from(self.flaw == Flaw::Repeats);
        let name = format!("{} {count}", call.key);
        orders.insert(order, State::Held(name.clone(), items.to_vec()));
        Ok(name)
    }

    fn put_back(&self, call: &Call, order: OrderId) -> Result<(), Failure> {
        self.on_time(call)?;
        let (orders, levels, _) = &mut *self.books.lock().unwrap();
        match orders.get(&order).cloned() {
            Some(State::Held(_, items)) => {
                for Item { sku, quantity } in items {
                    *levels.get_mut(&sku).unwrap() += quantity;
                }
                if self.flaw != Flaw::UndoesTwice {
                    orders.insert(order, State::Over);
                }
            }
            None if self.flaw != Flaw::NoTombstone => drop(orders.insert(order, State::Over)),
            _ => {}
        }
        Ok(())
    }

    fn hold(&self, call: &Call, order: OrderId, amount: &Money) -> Result<String, Failure> {
        self.on_time(call)?;
        let (orders, _, count) = &mut *self.books.lock().unwrap();
        match orders.get(&order) {
            Some(State::Held(name, _)) if self.flaw != Flaw::Repeats => return Ok(name.clone()),
            Some(State::Taken(_)) => return Ok(call.key.clone()),
            Some(State::Refused) if self.flaw != Flaw::ChangesItsMind => {
                return Err(no("declined"));
            }
            Some(State::Over) => return Err(no("voided")),
            Some(State::Refused) => {}
            _ if *amount == payment_fixture().declined => {
                orders.insert(order, State::Refused);
                return Err(no("declined"));
            }
            _ => {}
        }
        *count += u32::from(self.flaw == Flaw::Repeats);
        let name = format!("{} {count}", call.key);
        orders.insert(order, State::Held(name.clone(), Vec::new()));
        Ok(name)
    }

    fn take(&self, call: &Call, order: OrderId) -> Result<String, Failure> {
        self.on_time(call)?;
        let (orders, ..) = &mut *self.books.lock().unwrap();
        match (orders.get(&order), self.flaw) {
            (Some(State::Taken(name)), _) => Ok(name.clone()),
            (Some(State::Held(..)), _)
            | (Some(State::Over), Flaw::CapturesVoided)
            | (None, Flaw::CapturesNothing) => {
                orders.insert(order, State::Taken(call.key.clone()));
                Ok(call.key.clone())
            }
            _ => Err(no("not_authorized")),
        }
    }

    fn let_go(&self, call: &Call, order: OrderId) -> Result<(), Failure> {
        self.on_time(call)?;
        let (orders, ..) = &mut *self.books.lock().unwrap();
        match orders.get(&order) {
            Some(State::Taken(_)) if self.flaw != Flaw::VoidsCaptured => {
                Err(no("already_captured"))
            }
            Some(State::Over) if self.flaw == Flaw::UndoesTwice => Err(no("voided")),
            None if self.flaw == Flaw::NoTombstone => Ok(()),
            Some(State::Refused) => Ok(()),
            _ => {
                orders.insert(order, State::Over);
                Ok(())
            }
        }
    }
}

impl Stock for Twin {
    fn reserve<'a>(
        &'a self,
        call: &'a Call,
        order: OrderId,
        items: &'a [Item],
    ) -> Answer<'a, String> {
        Box::pin(async move { self.set_aside(call, order, items) })
    }

    fn release<'a>(&'a self, call: &'a Call, order: OrderId) -> Answer<'a, ()> {
        Box::pin(async move { self.put_back(call, order) })
    }
}

impl Payment for Twin {
    fn authorize<'a>(
        &'a self,
        call: &'a Call,
        order: OrderId,
        amount: &'a Money,
    ) -> Answer<'a, String> {
        Box::pin(async move { self.hold(call, order, amount) })
    }

    fn capture<'a>(&'a self, call: &'a Call, order: OrderId) -> Answer<'a, String> {
        Box::pin(async move { self.take(call, order) })
    }

    fn void<'a>(&'a self, call: &'a Call, order: OrderId) -> Answer<'a, ()> {
        Box::pin(async move { self.let_go(call, order) })
    }
}

fn stock_case(flaw: Flaw) -> Option<&'static str> {
    let mut sim = Simulation::new(1);
    let (twin, setup) = (Twin::new(flaw, sim.clock()), setup(sim.clock(), 1));
    let fixture = stock_fixture();
    let result = sim.block_on(async move { stock(&twin, &setup, &fixture).await });
    result.err().map(|violation| violation.case)
}

fn payment_case(flaw: Flaw) -> Option<&'static str> {
    let mut sim = Simulation::new(1);
    let (twin, setup) = (Twin::new(flaw, sim.clock()), setup(sim.clock(), 1));
    let fixture = payment_fixture();
    let result = sim.block_on(async move { payment(&twin, &setup, &fixture).await });
    result.err().map(|violation| violation.case)
}

#[test]
fn a_stock_service_with_a_flaw_is_noticed() {
    for (flaw, case) in [
        (Flaw::None, None),
        (Flaw::Repeats, Some("a repetition has no further effect")),
        (Flaw::KeyedOnly, Some("there is at most one reservation for an order")),
        (Flaw::NoTombstone, Some("a release that comes first wins")),
        (Flaw::Partial, Some("all lines or none")),
        (Flaw::IgnoresDeadline, Some("no success after the deadline")),
    ] {
        assert_eq!(stock_case(flaw), case, "{flaw:?}");
    }
    // These two already show where a suite cleans up after itself.
    for flaw in [Flaw::UndoesTwice, Flaw::ChangesItsMind] {
        assert!(stock_case(flaw).is_some(), "{flaw:?}");
    }
}

#[test]
fn a_payment_service_with_a_flaw_is_noticed() {
    for (flaw, case) in [
        (Flaw::None, None),
        (Flaw::Repeats, Some("a repetition has no further effect")),
        (Flaw::NoTombstone, Some("a void that comes first wins")),
        (Flaw::UndoesTwice, Some("a void that comes first wins")),
        (Flaw::CapturesVoided, Some("a void that comes first wins")),
        (Flaw::VoidsCaptured, Some("what was taken cannot be let go")),
        (Flaw::CapturesNothing, Some("what was never held cannot be taken")),
        (Flaw::ChangesItsMind, Some("a refusal is final")),
        (Flaw::IgnoresDeadline, Some("no success after the deadline")),
    ] {
        assert_eq!(payment_case(flaw), case, "{flaw:?}");
    }
}
