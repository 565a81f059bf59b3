//! Orders are placed, a message tells billing, one of them cannot be billed at first.
//!
//! `cargo run -p steadfast-messaging --example orders`

use std::error::Error;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use steadfast_journal::memory::Engine;
use steadfast_journal::{Append, Expected, Journal, Message, NewEvent, StreamId, Write};
use steadfast_messaging::dead_letters::{Pace, Scope};
use steadfast_messaging::{
    Consumer, Delivery, Embedded, Failure, Handled, Handler, Relay, consumer, relay,
};
use steadfast_time::{Clock, Ids};

struct Billing {
    journal: Journal,
    clock: Clock,
    repaired: Arc<AtomicBool>,
}

impl Handler for Billing {
    async fn handle(&self, delivery: &Delivery) -> Result<Handled, Failure> {
        let order = &delivery.message().aggregate_id;
        if order == "o-2" && !self.repaired.load(Ordering::Relaxed) {
            return Err(Failure::Poison("the amount cannot be read".into()));
        }
        let stream =
            StreamId::new("bill", order).map_err(|error| Failure::Poison(error.to_string()))?;
        let billed = NewEvent { kind: "billed".into(), schema: 1, payload: "{}".into() };
        let append = Append { stream, expected: Expected::Any, events: vec![billed] };
        let write = Write { appends: vec![append], ..Write::at(self.clock.now()) };
        let handled = delivery.commit(&self.journal, write).await?;
        println!("{order}: message {} {handled:?}", delivery.message().sequence);
        Ok(handled)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let clock = Clock::system();
    let (journal, writer) = Journal::new(Engine::new(), clock.clone());
    let writer = writer.spawn("journal")?;

    let repaired = Arc::new(AtomicBool::new(false));
    let handler =
        Billing { journal: journal.clone(), clock: clock.clone(), repaired: Arc::clone(&repaired) };
    let options = consumer::Options::new("billing");
    let billing = Consumer::open(journal.clone(), clock.clone(), handler, options)?;
    let bus = Arc::new(Embedded::default());
    let mut tasks = tokio::task::JoinSet::new();
    for worker in billing.subscribe(&*bus, &["orders"], 2)? {
        tasks.spawn(async move { worker.run().await.map_err(|error| error.to_string()) });
    }
    bus.open();
    let relay = Relay::new(journal.clone(), bus, clock.clone(), relay::Options::default());
    tasks.spawn(async move { relay.run(pending()).await.map_err(|error| error.to_string()) });

    let ids = Ids::from_entropy();
    for order in ["o-1", "o-2", "o-3"] {
        for (sequence, what) in (1..).zip(["placed", "changed"]) {
            let message = Message {
                id: ids.next(clock.now()),
                topic: "orders".into(),
                aggregate_type: "order".into(),
                aggregate_id: order.into(),
                event_type: what.into(),
                sequence,
                payload: "{}".into(),
            };
            let write = Write { messages: vec![message], ..Write::at(clock.now()) };
            journal.commit(write).await?;
        }
    }
    clock.sleep(Duration::from_millis(200)).await;

    let letters = billing.dead_letters();
    for letter in letters.list(None, 10)? {
        println!("parked {}: {}", letter.place, letter.reason);
    }
    repaired.store(true, Ordering::Relaxed);
    let report = letters.replay(&Scope::All, Pace::per_second(100)).await?;
    println!("replayed {}, keys that go on: {}", report.handled, report.unparked);

    tasks.shutdown().await;
    drop((billing, letters, journal));
    writer.stop()?;
    Ok(())
}
