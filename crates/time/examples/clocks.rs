//! What time is it, how sure is that, and what may be said about an order?
//!
//! `cargo run -p steadfast-time --example clocks [--features ntp -- host host host host]`

use std::sync::Arc;
use std::time::Duration;

use steadfast_time::health::{self, Monitor};
use steadfast_time::logical::hybrid::{self, Hybrid};
use steadfast_time::wall::{Kernel, kernel};
use steadfast_time::{Clock, commit_wait};

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let clock = best_clock().await?;
    println!("it is {} ({:?})", clock.interval(), clock.status());

    let began = clock.monotonic();
    let stamp = commit_wait(&clock).await;
    println!(
        "committed at {stamp}; waited {:?} until nobody can doubt it",
        clock.monotonic() - began
    );

    let here = Hybrid::volatile(clock.clone(), hybrid::Options::default());
    let sent = here.now()?;
    println!("a hybrid stamp: {sent}; after it arrives: {}", here.observe(sent)?);
    let absurd = hybrid::Stamp::new(4_102_444_800_000, 0);
    if let Err(error) = here.observe(absurd) {
        println!("a stamp from 2100: {error}");
    }

    let every = Duration::from_millis(100);
    let (monitor, watch) = Monitor::new(clock.clone(), every, health::Options::default(), ())?;
    let watching = monitor.run(|change| println!("the clock's health: {change:?}"));
    let _ = clock.timeout(Duration::from_millis(350), watching).await;
    let skew = watch.clock_skew_p99().unwrap_or_default();
    println!("healthy: {}, clock skew p99 {skew:?}", watch.is_healthy());
    Ok(())
}

/// From the servers on the command line, else from the kernel, else an assumption.
async fn best_clock() -> Result<Clock, Failure> {
    #[cfg(feature = "ntp")]
    {
        use steadfast_time::ntp::{Options, Poller, Udp};
        let servers: Vec<String> = std::env::args().skip(1).collect();
        if !servers.is_empty() {
            let udp = Arc::new(Udp::new(servers));
            let (ntp, poller) = Poller::start(Clock::system(), udp, Options::default()).await?;
            tokio::spawn(poller.run(|_| {}));
            return Ok(Clock::system().disciplined(Arc::new(ntp)));
        }
    }
    match Kernel::new(kernel::Options::default()) {
        Ok(kernel) => Ok(Clock::system().disciplined(Arc::new(kernel))),
        Err(error) => {
            println!("{error}");
            Ok(Clock::system())
        }
    }
}
