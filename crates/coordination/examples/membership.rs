//! Three dispatchers share out the zones of a city. One gets stuck and is suspected, though its
//! session lives on; its zones go to the others, and those that nobody has to give up stay.
//!
//! ```sh
//! cargo run -p steadfast-coordination --example membership
//! ```

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::{pending, select};
use steadfast_coordination::Options;
use steadfast_coordination::client::{Client, Patience};
use steadfast_coordination::engine::memory::Memory;
use steadfast_coordination::port::Name;
use steadfast_coordination::recipe::membership::{self, Change};
use steadfast_coordination::ring::{Assignment, Bound, Node, Ring};
use steadfast_time::Clock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let clock = Clock::system();
    let engine = Arc::new(Memory::new(clock.clone()));
    let options = membership::Options {
        interval: Duration::from_millis(50),
        look_every: Duration::from_millis(10),
    };
    let group = Name::new("dispatchers")?;
    let zones: Vec<String> = (1..=12).map(|zone| format!("zone/{zone}")).collect();

    let mut members = Vec::new();
    let mut switches = Vec::new();
    let mut watcher = None;
    for name in ["ada", "bob", "eve"] {
        let (client, keeper) = Client::new(engine.clone(), clock.clone(), Options::default())?;
        tokio::spawn(keeper.run());
        let dispatchers = client.membership(&group, options);
        watcher.get_or_insert_with(|| dispatchers.watch_simply());
        let (member, heartbeat) =
            dispatchers.join(&Name::new(name)?, b"", Patience::Forever).await?;
        members.push(member);
        // A switch, to get it stuck: not ended, and not going on either.
        let (stuck, switch) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let run = pin!(heartbeat.run());
            let rest = select(run, switch).await;
            pending::<()>().await;
            drop(rest);
        });
        switches.push(stuck);
    }
    let Some(mut watcher) = watcher else { return Ok(()) };

    let mut before: Option<Assignment> = None;
    let end = clock.monotonic() + Duration::from_millis(800);
    let mut others = Vec::new();
    while clock.monotonic() < end {
        let wait = clock.timeout(end - clock.monotonic(), watcher.next());
        let Ok(change) = wait.await else { break };
        let change = change?;
        println!("{change}");
        // Whoever is suspected gets no zone. Whoever has one still needs its lease.
        let well = watcher.members().iter().filter(|(_, peer)| !peer.is_suspected);
        let ring = Ring::of(well.map(|(name, _)| Node::new(name.as_str())))?;
        let zones = zones.iter().map(String::as_str);
        let now = Assignment::new(&ring, zones, Bound::default())?;
        for (node, zones) in now.nodes() {
            println!("    {node}: {}", zones.join(" "));
        }
        if let Some(before) = &before {
            println!("    {} zones moved", now.moves_from(before).len());
        }
        before = Some(now);
        if matches!(&change, Change::Joined { member, .. } if member.as_str() == "eve")
            && let Some(stuck) = switches.pop()
        {
            println!("eve gets stuck; her session lives on");
            let _ = stuck.send(());
            others = std::mem::take(&mut switches);
        }
    }
    drop(others);
    Ok(())
}
