//! Two dispatchers stand for one office. The leader hands over on purpose; an observer measures how
//! long nobody led, and the storage refuses the old leader's late write.
//!
//! ```sh
//! cargo run -p steadfast-coordination --example election
//! ```

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use steadfast_coordination::Options;
use steadfast_coordination::client::{Client, Patience};
use steadfast_coordination::engine::memory::Memory;
use steadfast_coordination::port::Name;
use steadfast_coordination::recipe::election::Leadership;
use steadfast_fencing::HighWater;
use steadfast_time::Clock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let clock = Clock::system();
    let engine = Arc::new(Memory::new(clock.clone()));
    let city = Name::new("city/dispatcher")?;
    let client = || -> Result<Client, Box<dyn Error>> {
        let (client, keeper) = Client::new(engine.clone(), clock.clone(), Options::default())?;
        tokio::spawn(keeper.run());
        Ok(client)
    };
    let (ada, bob, watcher) = (client()?, client()?, client()?);

    let mut observer = watcher.election(&city).observe();
    let observing = tokio::spawn(async move {
        while let Ok(view) = observer.next().await {
            match view.vacancy {
                Some(vacancy) => println!("  {} (nobody did for {vacancy:.0?})", view.leadership),
                None => println!("  {}", view.leadership),
            }
            if matches!(&view.leadership, Leadership::Led { value, .. } if value == b"bob") {
                break;
            }
        }
    });

    let leader = ada.election(&city).campaign(b"ada", Patience::Forever).await?;
    let next = bob.election(&city);
    let standing = tokio::spawn(async move { next.campaign(b"bob", Patience::Forever).await });
    clock.sleep(Duration::from_millis(50)).await;

    // Resign first, finish afterwards: the next one does not wait for a session to end.
    let old = leader.token();
    leader.resign().await?;
    let leader = standing.await??;
    observing.await?;

    let mut storage = HighWater::default();
    storage.admit(leader.token())?;
    if let Err(stale) = storage.admit(old) {
        println!("the storage: {stale}");
    }
    leader.resign().await?;
    Ok(())
}
