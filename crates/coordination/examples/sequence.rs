//! Two processes number orders from one sequence: no number twice, one exchange with the
//! coordinator per hundred. And a counter that is asked twice for the same thing.
//!
//! ```sh
//! cargo run -p steadfast-coordination --example sequence
//! ```

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;

use steadfast_coordination::client::Client;
use steadfast_coordination::engine::memory::Memory;
use steadfast_coordination::port::Name;
use steadfast_coordination::recipe::counter::Operation;
use steadfast_coordination::recipe::sequence::Options;
use steadfast_time::{Clock, Uuid};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let clock = Clock::system();
    let engine = Arc::new(Memory::new(clock.clone()));
    let client = || -> Result<Client, Box<dyn Error>> {
        let options = steadfast_coordination::Options::default();
        let (client, keeper) = Client::new(engine.clone(), clock.clone(), options)?;
        tokio::spawn(keeper.run());
        Ok(client)
    };
    let (gateway, other) = (client()?, client()?);

    let orders = Name::new("orders")?;
    let here = gateway.sequence(&orders, Options::default())?;
    let there = other.sequence(&orders, Options::default())?;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for _ in 0..150 {
        first.push(here.next().await?);
        second.push(there.next().await?);
    }
    println!("here:  {:?} … {:?}", &first[..3], &first[147..]);
    println!("there: {:?} … {:?}", &second[..3], &second[147..]);
    let all: BTreeSet<u64> = first.iter().chain(&second).copied().collect();
    println!("{} numbers, {} of them different", first.len() + second.len(), all.len());

    // At most two dispatches in a zone at a time. The answer to the first one is lost, say.
    let zone = Name::new("zone/7/dispatches")?;
    let order = Operation::new(Uuid::from_u128(4711), 1).within(&(0..=2));
    println!("dispatches after the order: {}", gateway.counter(&zone).apply(&order).await?);
    println!("asked again by another:     {}", other.counter(&zone).apply(&order).await?);
    gateway.counter(&zone).add_bounded(1, &(0..=2)).await?;
    if let Err(full) = gateway.counter(&zone).add_bounded(1, &(0..=2)).await {
        println!("one more: {full}");
    }
    Ok(())
}
