//! At most two couriers are dispatched in a zone at a time.
//! Run it: `cargo run -p steadfast-coordination --example semaphore`
//!
//! Each permit is a slot with a token of its own; the storage fences each slot, so at most two
//! have written at the same time, whatever a paused process believes.

use std::sync::Arc;
use std::time::Duration;

use steadfast_coordination::Options;
use steadfast_coordination::client::{Client, Patience};
use steadfast_coordination::engine::memory::Memory;
use steadfast_coordination::port::Name;
use steadfast_fencing::memory::Fenced;
use steadfast_time::Clock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = Clock::system();
    let server = Arc::new(Memory::new(clock.clone()));
    let (client, keeper) = Client::new(server, clock.clone(), Options::default())?;
    tokio::spawn(keeper.run());

    let dispatches = client.semaphore(&Name::new("zone/gangnam")?, 2);
    let slots = [Fenced::new(Vec::new()), Fenced::new(Vec::new())];
    let work = (1..=5).map(async |order| {
        let permit = dispatches.acquire(Patience::Forever).await?;
        let (slot, token) = (permit.slot(), permit.token());
        println!("order {order}: slot {slot}, token {token}");
        clock.sleep(Duration::from_millis(50)).await;
        slots[slot as usize].write(token, |orders| orders.push(order))?;
        permit.release().await?;
        Ok::<_, Box<dyn std::error::Error>>(())
    });
    futures::future::try_join_all(work).await?;
    for (slot, orders) in slots.iter().enumerate() {
        println!("slot {slot} has dispatched {:?}", orders.read(Vec::clone));
    }
    client.shutdown().await;
    Ok(())
}
