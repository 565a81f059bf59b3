//! How many locks etcd gives and takes back in a second: calls of the port, on names of their own.
//!
//! ```text
//! STEADFAST_ETCD=http://127.0.0.1:2379 cargo run --release --features etcd --example etcd
//! ```

use std::sync::Arc;
use std::time::Duration;

use steadfast_coordination::engine::etcd::{Etcd, Options};
use steadfast_coordination::port::{Coordinator, Error, Mode, Name, Request};
use steadfast_time::{Clock, Uuid};

const LENGTH: Duration = Duration::from_secs(3);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::var("STEADFAST_ETCD").unwrap_or("http://127.0.0.1:2379".to_owned());
    let clock = Clock::system();
    let etcd = Arc::new(Etcd::connect(address.parse::<Options>()?, clock.clone()).await?);
    for tasks in [1, 64] {
        let until = clock.monotonic() + LENGTH;
        let locking = (0..tasks).map(|task| lock(Arc::clone(&etcd), clock.clone(), task, until));
        let running: Vec<_> = locking.map(tokio::spawn).collect();
        let mut taken = Vec::new();
        for task in running {
            taken.extend(task.await??);
        }
        taken.sort_unstable();
        let quantile = |of: usize| taken.get(taken.len() * of / 100).copied().unwrap_or_default();
        let rate = taken.len() as f64 / LENGTH.as_secs_f64();
        println!(
            "{tasks:>2} tasks: {rate:>6.0} lock + unlock a second; acquire p50 {:.2?}, p95 {:.2?}",
            quantile(50),
            quantile(95),
        );
    }
    Ok(())
}

/// Locks and unlocks one name until the end; answers how long each lock took.
async fn lock(
    etcd: Arc<Etcd>,
    clock: Clock,
    task: u32,
    until: steadfast_time::Monotonic,
) -> Result<Vec<Duration>, Error> {
    let queue = Name::new(format!("example/{task}"))?;
    let session = etcd.open(Duration::from_secs(30)).await?.session;
    let mut taken = Vec::new();
    while clock.monotonic() < until {
        let id = Uuid::from_u128(fastrand::u128(..));
        let asked = clock.monotonic();
        let entry = Request { session, id, mode: Mode::Exclusive, value: b"me", wait: true };
        let place = etcd.enter(&queue, entry).await?;
        taken.push(clock.monotonic() - asked);
        etcd.leave(&queue, place.token).await?;
    }
    etcd.close(session).await?;
    Ok(taken)
}
