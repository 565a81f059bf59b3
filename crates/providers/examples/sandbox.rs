//! An answer gets lost, the caller asks again, and the books say: once.

use std::time::Duration;

use steadfast_dispatch::names::OrderId;
use steadfast_dispatch::order::{Item, Money};
use steadfast_dispatch::provider::{Call, Payment as _, Stock as _};
use steadfast_journal::{Journal, memory};
use steadfast_providers::Operation;
use steadfast_providers::sandbox::{Options, Plan, Probability, Sandbox};
use steadfast_time::{Clock, Ids};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = Clock::system();
    let (journal, writer) = Journal::new(memory::Engine::new(), clock.clone());
    let writer = writer.spawn("journal")?;
    let sandbox = Sandbox::open(journal.clone(), journal, &clock, Options::default());

    let order = OrderId(Ids::from_entropy().next(clock.now()));
    let call = |step: &str| {
        Call::first(format!("{order}/{step}"), clock.monotonic() + Duration::from_millis(100))
    };
    let items = [Item { sku: "bento".to_owned(), quantity: 2 }];
    let reservation = sandbox.stock.reserve(&call("reserve"), order, &items).await?;
    println!("reserved as {reservation}");

    let lost = Plan { lose_reply: Probability::ALWAYS, ..Plan::default() };
    sandbox.faults.set(Operation::Authorize, lost);
    let amount = Money { currency: "KRW".to_owned(), minor: 18_000 };
    let doubt = sandbox.payment.authorize(&call("authorize"), order, &amount).await;
    println!("authorize, first: {doubt:?}");

    sandbox.faults.clear();
    let name = sandbox.payment.authorize(&call("authorize"), order, &amount).await?;
    println!("authorize, again: {name}");
    sandbox.payment.capture(&call("capture"), order).await?;

    println!("stock:   {:?}", sandbox.stock.totals()?.articles);
    println!("payment: {:?}", sandbox.payment.totals()?.currencies);
    writer.stop()?;
    Ok(())
}
