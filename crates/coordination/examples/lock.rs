//! Two processes take turns at a counter. Run it: `cargo run -p steadfast-coordination --example lock`
//!
//! The lock makes it likely that one of them works at a time; the token makes it harmless when
//! there are two: the storage refuses the one that was replaced.

use std::sync::Arc;

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
    let counter = Fenced::new(0_u64);
    let zone = Name::new("zone/gangnam")?;

    let (first, keeper) = Client::new(server.clone(), clock.clone(), Options::default())?;
    tokio::spawn(keeper.run());
    let (second, keeper) = Client::new(server.clone(), clock.clone(), Options::default())?;
    tokio::spawn(keeper.run());

    let early = first.lock(&zone).acquire(Patience::Forever).await?;
    counter.write(early.token(), |count| *count += 1)?;
    println!("the first holds {zone} with token {}", early.token());
    if let Err(busy) = second.lock(&zone).try_acquire().await {
        println!("the second tries: {busy}");
    }

    // The first one's clock is off, so it may hold nothing; what it has already sent is on its way.
    first.quarantine("the clock is 400 ms off");
    println!("the first: {}", early.lost().await);
    let late = second.lock(&zone).acquire(Patience::Forever).await?;
    counter.write(late.token(), |count| *count += 1)?;
    println!("the second holds it with token {}", late.token());
    if let Err(stale) = counter.write(early.token(), |count| *count += 1) {
        println!("the first one's late write: {stale}");
    }

    late.release().await?;
    second.shutdown().await;
    println!("{} writes were let in", counter.read(|count| *count));
    Ok(())
}
