//! The published figures, in simulated time: Dean and Barroso, *The Tail at Scale*, CACM 2013.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use futures::future::join_all;
use steadfast_time::Clock;
use steadfast_time::sim::Simulation;

use crate::deadline::Context;
use crate::event::Events;
use crate::hedge::{Around, Delay, Hedger, Options, race};
use crate::{Class, Share, latency};

/// "If one in a hundred requests is slow, 63 % of those that ask a hundred servers are."
#[test]
fn a_fan_out_of_a_hundred_makes_one_slow_server_in_a_hundred_everybodys() {
    let analytic = 1.0 - 0.99_f64.powi(100);
    assert!((analytic - 0.634).abs() < 0.000_5, "{analytic}");
    let (mut rng, requests) = (Rng::with_seed(1), 20_000_u32);
    let slow = (0..requests).filter(|_| (0..100).any(|_| rng.u8(..100) == 0)).count();
    let simulated = f64::from(u32::try_from(slow).unwrap()) / f64::from(requests);
    assert!((simulated - analytic).abs() < 0.01, "{simulated}");
}

/// How long one server takes: 2 to 8 ms mostly; 2 % take longer than 10 ms, with a Pareto tail of
/// exponent 1.5, so that one in 100,000 takes 1.6 s.
fn takes(rng: &mut Rng) -> Duration {
    let u = 1.0 - rng.f64();
    let ms = if u < 0.02 { 10.0 * (u / 0.02).powf(-1.0 / 1.5) } else { 2.0 + 6.0 * rng.f64() };
    Duration::from_secs_f64(ms / 1e3)
}

struct Outcome {
    /// The 99.9th percentile of requests, in milliseconds.
    p999: f64,
    /// Attempts per server that was asked.
    load: f64,
}

/// Requests that read a thousand keys from a hundred servers: one call to each, and the slowest
/// decides.
fn read_a_thousand_keys(
    hedge: Option<Options>,
    requests: u32,
    draw: fn(&mut Rng) -> Duration,
) -> Outcome {
    let mut sim = Simulation::new(2013);
    let (clock, rng) = (sim.clock(), Rc::new(Cell::new(Some(sim.fork_rng()))));
    let sent = Rc::new(Cell::new(0_u64));
    let count = Rc::clone(&sent);
    let mut took = sim.block_on(async move {
        let hedger = hedge.map(|options| Hedger::new(options).unwrap());
        let events = Events::silent("keys");
        let means = (|_| Share::ALL, |_| Ok(()));
        let ask = |clock: Clock| {
            let (rng, count) = (Rc::clone(&rng), Rc::clone(&count));
            async move {
                count.set(count.get() + 1);
                let mut dice = rng.take().unwrap();
                let length = draw(&mut dice);
                rng.set(Some(dice));
                clock.sleep(length).await;
                Ok::<(), ()>(())
            }
        };
        let mut took = Vec::new();
        for _ in 0..requests {
            let started = clock.monotonic();
            let servers = (0..100).map(|_| async {
                let (first, second) = (ask(clock.clone()), ask(clock.clone()));
                let Some(hedger) = &hedger else { return first.await };
                let plan = hedger.plan(started, true, Context::default());
                let around = Around { hedger, clock: &clock, events: &events, means: &means };
                race(around, plan, first, Some(second), |_| Class::Success).await
            });
            join_all(servers).await;
            took.push(clock.monotonic() - started);
        }
        took
    });
    took.sort_unstable();
    let rank = took.len() - took.len() / 1_000;
    #[expect(clippy::cast_precision_loss, reason = "counts of a test")]
    let load = sent.get() as f64 / f64::from(requests * 100);
    Outcome { p999: took[rank - 1].as_secs_f64() * 1e3, load }
}

/// BigTable: the 99.9th percentile of reading a thousand keys from a hundred servers fell from
/// 1,800 to 74 ms with a hedge after 10 ms, for 2 % more requests.
#[test]
fn a_hedge_after_ten_milliseconds_cuts_the_tail_by_an_order_of_magnitude_for_two_percent() {
    let options = Options {
        p95_above: Duration::ZERO,
        delay: Delay::Fixed(Duration::from_millis(10)),
        share_max: Share::percent(5),
        ..Options::default()
    };
    let without = read_a_thousand_keys(None, 2_000, takes);
    let with = read_a_thousand_keys(Some(options), 2_000, takes);
    println!("p99.9 {:.0} → {:.0} ms, load × {:.4}", without.p999, with.p999, with.load);
    assert_eq!(without.load, 1.0);
    assert!(without.p999 > 1_000.0, "{} ms", without.p999);
    assert!(with.p999 * 10.0 < without.p999, "{} → {} ms", without.p999, with.p999);
    assert!((1.015..1.025).contains(&with.load), "{}", with.load);
}

/// Where everything is slow, hedges cannot help and must not harm: two in a hundred and no more.
/// Without the bound the load doubles.
#[test]
fn where_everything_is_slow_the_share_holds_and_without_it_the_load_doubles() {
    let slow: fn(&mut Rng) -> Duration = |rng| Duration::from_millis(rng.u64(600..700));
    let lately = latency::Options::default();
    let options =
        Options { delay: Delay::Fixed(Duration::from_millis(400)), lately, ..Options::default() };
    let bounded = read_a_thousand_keys(Some(options), 300, slow);
    let twin = Options { share_max: Share::ALL, ..options };
    let unbounded = read_a_thousand_keys(Some(twin), 300, slow);
    println!("load × {:.4}, without the bound × {:.4}", bounded.load, unbounded.load);
    assert!(bounded.load <= 1.02 && bounded.load > 1.015, "{}", bounded.load);
    assert!(unbounded.load > 1.95, "{}", unbounded.load);
}
