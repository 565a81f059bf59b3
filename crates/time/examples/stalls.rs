//! Stop me, and I will know: watches for ten seconds.
//!
//! `cargo run -p steadfast-time --example stalls`, and in another terminal
//! `kill -STOP <pid>; sleep 2; kill -CONT <pid>`

use std::time::Duration;

use steadfast_time::Clock;
use steadfast_time::stall::{Detector, Options};

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let clock = Clock::system();
    let detector = Detector::start(clock.clone(), Options::default())?;
    let stalls = detector.stalls();
    println!("process {}: stop and continue it", std::process::id());
    let margin = Duration::from_millis(500);
    for _ in 0..10 {
        let checked = clock.monotonic();
        clock.sleep(Duration::from_secs(1)).await;
        let longest = stalls.longest_since(checked, clock.monotonic());
        if longest > margin {
            println!(
                "did not run for {longest:?}: a lease with a margin of {margin:?} is given up"
            );
        }
    }
    let (count, max, p99) = (stalls.count(), stalls.max(), stalls.p99());
    println!("{count} stalls, the longest {max:?}; 99 of 100 beats were late by {p99:?} at most");
    Ok(())
}
