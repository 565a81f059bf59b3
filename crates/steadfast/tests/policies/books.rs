//! What is true in the end, read from the three journals alone.

use std::collections::HashMap;
use std::path::Path;

use steadfast_dispatch::order::OrderEvent;
use steadfast_journal::{Journal, Position, Writer, sqlite};
use steadfast_providers::sandbox::{self, PaymentState, ReservationState, Sandbox};
use steadfast_time::Clock;

/// A journal that nobody writes to. The writer holds the engine open.
fn open(data: &Path, name: &str, clock: &Clock) -> (Journal, Writer) {
    let engine = sqlite::Engine::open(&data.join(name), sqlite::Options::default()).unwrap();
    Journal::new(engine, clock.clone())
}

/// Each of these orders, and no other, was prepared, assigned, delivered and paid for once.
pub fn all_delivered_once(data: &Path, orders: &[String]) {
    let clock = Clock::system();
    let (journal, _writer) = open(data, "orders", &clock);
    let mut steps: HashMap<String, Vec<&'static str>> = HashMap::new();
    let mut after = Position::START;
    loop {
        let page = journal.store().events(after, 1_000).unwrap();
        let Some(last) = page.last() else { break };
        after = last.position;
        for event in page.iter().filter(|event| event.stream.category() == "order") {
            let what = OrderEvent::try_from(event).unwrap();
            steps.entry(event.stream.key().to_owned()).or_default().push(what.kind());
        }
    }
    assert_eq!(steps.len(), orders.len());
    for order in orders {
        for step in ["stock_reserved", "payment_authorized", "assigned", "delivered"] {
            let times = steps[order].iter().filter(|kind| **kind == step).count();
            assert_eq!(times, 1, "{order}: {:?}", steps[order]);
        }
    }

    let ((stock, _stock), (payment, _payment)) =
        (open(data, "stock", &clock), open(data, "payment", &clock));
    let sandbox = Sandbox::open(stock, payment, &clock, sandbox::Options::default());
    for order in orders {
        let id = order.parse().unwrap();
        let reservation = sandbox.stock.reservation(id).unwrap().unwrap();
        assert_eq!(reservation.state, ReservationState::Held, "{order}");
        let entry = sandbox.payment.entry(id).unwrap().unwrap();
        assert_eq!(entry.state, PaymentState::Captured, "{order}");
    }
    // Two pieces and 18,000 won each, to the unit.
    let count = orders.len();
    let totals = sandbox.stock.totals().unwrap();
    assert_eq!(totals.articles["bento"].held(), 2 * count as u64);
    let totals = sandbox.payment.totals().unwrap();
    let won = &totals.currencies["KRW"];
    assert_eq!((won.captured, won.held()), (18_000 * count as i128, 0));
}
