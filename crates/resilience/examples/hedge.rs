//! The tail at scale, in simulated time: each request asks a hundred servers, and the slowest
//! decides. Once without hedging, once with a second attempt after 10 ms, and once while all
//! servers are slow, with and without the bound on the share of hedges.
//!
//! ```sh
//! cargo run -p steadfast-resilience --example hedge
//! ```

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use futures::future::join_all;
use steadfast_resilience::deadline::Context;
use steadfast_resilience::event::Events;
use steadfast_resilience::hedge::{Around, Delay, Hedger, Options, race};
use steadfast_resilience::{Class, Invalid, Share};
use steadfast_time::sim::Simulation;

const SERVERS: usize = 100;

/// Mostly 2 to 8 ms; 2 % take longer than 10 ms, a few of them very much longer.
fn heavy_tail(rng: &mut Rng) -> f64 {
    let u = 1.0 - rng.f64();
    if u < 0.02 { 10.0 * (u / 0.02).powf(-1.0 / 1.5) } else { 2.0 + 6.0 * rng.f64() }
}

fn all_slow(rng: &mut Rng) -> f64 {
    40.0 + 20.0 * rng.f64()
}

fn run(
    name: &str,
    requests: usize,
    hedge: Option<Options>,
    takes: fn(&mut Rng) -> f64,
) -> Result<(), Invalid> {
    let hedger = hedge.map(Hedger::new).transpose()?;
    let mut sim = Simulation::new(2013);
    let clock = sim.clock();
    // How many attempts were made, and the servers' dice.
    let world = Rc::new(RefCell::new((0_usize, sim.fork_rng())));
    let counted = Rc::clone(&world);
    let mut took = sim.block_on(async move {
        let events = Events::silent("keys");
        let means = (|_| Share::ALL, |_| Ok(()));
        let ask = || async {
            let ms = {
                let (attempts, rng) = &mut *world.borrow_mut();
                *attempts += 1;
                takes(rng)
            };
            clock.sleep(Duration::from_secs_f64(ms / 1e3)).await;
        };
        let mut took = Vec::new();
        for _ in 0..requests {
            let started = clock.monotonic();
            let calls = (0..SERVERS).map(|_| async {
                let Some(hedger) = &hedger else { return ask().await };
                let plan = hedger.plan(started, true, Context::default());
                let around = Around { hedger, clock: &clock, events: &events, means: &means };
                race(around, plan, ask(), Some(ask()), |()| Class::Success).await;
            });
            join_all(calls).await;
            took.push(clock.monotonic() - started);
        }
        took
    });
    took.sort_unstable();
    let at = |per_mille: usize| took[(requests * per_mille).div_ceil(1_000) - 1].as_millis();
    let attempts = counted.borrow().0;
    #[expect(clippy::cast_precision_loss, reason = "counts of an example")]
    let extra = (attempts as f64 / (requests * SERVERS) as f64 - 1.0) * 100.0;
    println!("{name:<36} {:>5} ms {:>6} ms {:>6} ms {extra:>7.2} %", at(500), at(990), at(999));
    Ok(())
}

fn main() -> Result<(), Invalid> {
    let after_10_ms = Options {
        p95_above: Duration::from_millis(5),
        delay: Delay::Fixed(Duration::from_millis(10)),
        share_max: Share::percent(5),
        ..Options::default()
    };
    let slow = Options { share_max: Share::percent(2), ..after_10_ms };
    println!("{:<36} {:>8} {:>9} {:>9} {:>9}", "", "p50", "p99", "p99.9", "extra");
    run("no hedging", 1_000, None, heavy_tail)?;
    run("a second attempt after 10 ms", 1_000, Some(after_10_ms), heavy_tail)?;
    run("all servers slow, no hedging", 200, None, all_slow)?;
    run("all servers slow, at most 2 % hedged", 200, Some(slow), all_slow)?;
    let unbounded = Options { share_max: Share::ALL, ..slow };
    run("all servers slow, without that bound", 200, Some(unbounded), all_slow)?;
    println!();
    println!("With default options none of these would be hedged: 5 % of calls would have to take");
    println!("longer than 300 ms, and half of the error budget would have to be left.");
    Ok(())
}
