//! Three replicas, two of which write and two of which read: what that gives, and what it does not.
//!
//! ```sh
//! cargo run -p steadfast-coordination --example quorum
//! ```

use std::num::NonZeroU64;
use std::sync::Arc;

use steadfast_coordination::engine::memory::Memory;
use steadfast_coordination::quorum::{MemoryReplica, Options, Quorum, Register, Replica};
use steadfast_coordination::{Client, Name};
use steadfast_time::sim::Simulation;

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    for (n, w, r) in [(3, 2, 2), (3, 1, 1), (3, 1, 3), (5, 3, 3)] {
        match Quorum::new(n, w, r) {
            Ok(quorum) => println!("{quorum}: {} may be away", quorum.writes_survive()),
            Err(refused) => println!("refused: {refused}"),
        }
    }
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let nodes: Vec<MemoryReplica> = (0..3).map(|_| MemoryReplica::new()).collect();
    let register = |writer: NonZeroU64| {
        let replicas = nodes.iter().map(|node| Arc::new(node.clone()) as Arc<dyn Replica>);
        let options = Options::default();
        Register::new(replicas.collect(), Quorum::THREE, writer, clock.clone(), options)
    };
    let (one, other) = (register(NonZeroU64::MIN)?, register(NonZeroU64::MIN.saturating_add(1))?);
    let (client, keeper) =
        Client::new(Arc::new(Memory::new(clock.clone())), clock.clone(), Default::default())?;
    sim.spawn(keeper.run());
    sim.block_on(async move {
        let name = Name::new("zone/7")?;
        one.write(&name, "open").await?;
        println!("one writes, the other reads: {:?}", text(&other.read(&name).await?.value));

        // Both read, then both write: every operation is linearizable, and one count is lost.
        let counted = Name::new("zone/7/dispatches")?;
        let (a, b) =
            (one.read(&counted).await?.value.len(), other.read(&counted).await?.value.len());
        one.write(&counted, vec![b'x'; a + 1]).await?;
        other.write(&counted, vec![b'x'; b + 1]).await?;
        println!("two count on a quorum: {}", one.read(&counted).await?.value.len());

        let counter = client.counter(&counted);
        let (first, second) = futures::join!(counter.add(1), counter.add(1));
        println!("two count by compare-and-set: {}", first?.max(second?));
        Ok::<(), Failed>(())
    })
}

fn text(value: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(value)
}
