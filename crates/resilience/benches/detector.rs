//! What it costs to watch.
//!
//! ```sh
//! cargo bench -p steadfast-resilience --bench detector -- --max-time 1
//! ```
#![allow(clippy::unwrap_used, reason = "a failed benchmark is a panic")]

use std::time::Duration;

use divan::{AllocProfiler, Bencher, black_box};
use steadfast_resilience::detector::{Detector, Distribution, Monitor, Options};
use steadfast_resilience::event::Events;
use steadfast_time::Monotonic;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn at(ms: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_millis(ms))
}

fn detector(distribution: Distribution) -> (Detector, u64) {
    let options = Options { distribution, ..Options::default() };
    let mut detector = Detector::new(&options).unwrap();
    (0..2_000).for_each(|beat| detector.heartbeat(at(beat * 1_000 + beat % 7)));
    (detector, 2_000_000)
}

#[divan::bench(args = Distribution::ALL)]
fn heartbeat(bencher: Bencher, distribution: Distribution) {
    let (mut detector, mut now) = detector(distribution);
    bencher.bench_local(|| {
        now += 1_000;
        detector.heartbeat(at(black_box(now)));
    });
}

#[divan::bench(args = Distribution::ALL)]
fn phi(bencher: Bencher, distribution: Distribution) {
    let (detector, now) = detector(distribution);
    bencher.bench_local(|| detector.phi(at(black_box(now + 4_300))));
}

#[divan::bench]
fn is_suspected(bencher: Bencher) {
    let (detector, now) = detector(Distribution::Normal);
    bencher.bench_local(|| detector.is_suspected(at(black_box(now + 1_100))));
}

const PEERS: u64 = 10_000;

/// 10,000 peers named like couriers, each with 64 samples.
fn monitor() -> (Monitor<String>, Vec<String>) {
    let options = Options { samples: 64, ..Options::default() };
    let mut peers = Monitor::new(options, Events::silent("couriers")).unwrap();
    let names: Vec<String> = (0..PEERS).map(|n| format!("courier-{n}")).collect();
    for second in 0..70 {
        for name in &names {
            peers.heartbeat(at(second * 1_000), name).unwrap();
        }
        assert!(peers.tick(at(second * 1_000)).is_empty());
    }
    (peers, names)
}

#[divan::bench]
fn monitor_heartbeat_one_of_10_000(bencher: Bencher) {
    let (mut peers, names) = monitor();
    let mut number = 0;
    bencher.bench_local(|| {
        number = (number + 7_919) % names.len();
        peers.heartbeat(at(69_500), black_box(&names[number])).is_ok()
    });
}

#[divan::bench]
fn monitor_tick_nobody_due_of_10_000(bencher: Bencher) {
    let (mut peers, _) = monitor();
    peers.tick(at(70_000));
    bencher.bench_local(|| peers.tick(at(black_box(70_500))).len());
}

#[divan::bench(sample_size = 1)]
fn monitor_tick_somebody_due_of_10_000(bencher: Bencher) {
    let (mut peers, names) = monitor();
    // The only heartbeats are of one peer; the others are looked through, and one is late.
    bencher
        .with_inputs(|| {
            for name in &names[1..] {
                peers.heartbeat(at(71_000), name).unwrap();
            }
            // No stall of this process in between.
            assert!(peers.tick(at(72_500)).is_empty());
            peers.clone()
        })
        .bench_local_refs(|peers| peers.tick(at(black_box(73_900))).len());
}
