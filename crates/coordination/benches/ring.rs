//! What a look-up in a ring costs, beside its rivals.
//!
//! ```sh
//! cargo bench -p steadfast-coordination --bench ring -- --max-time 1
//! ```
//!
//! 100 nodes with 128 virtual nodes each; 4,096 keys of 12 bytes (`zone/0001234`), looked up one
//! after the other, so that neither the branch predictor nor the first cache knows the answer. A
//! row's time is for all of them; one look-up is the reciprocal of the items per second (100 M/s is
//! 10 ns). Look-ups do not depend on each other, so the processor overlaps them, as it would those
//! of different requests. `key_*` includes the hash of the key, `hashed_*` does not; the argument
//! is the number of probes, of which 6 is the default. Rivals have one, and hash with what their
//! documentation shows. Rendezvous is the obvious loop over all nodes.
#![allow(clippy::unwrap_used, reason = "a failed benchmark is a panic")]

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use steadfast_coordination::ring::{Assignment, Bound, KeyHash, Node, Options, Ring};
use xxhash_rust::xxh3::xxh3_64_with_seed;

const NODES: usize = 100;
const VIRTUAL_NODES: u32 = 128;
const KEYS: usize = 4_096;

fn main() {
    divan::main();
}

fn keys() -> Vec<String> {
    (0..KEYS).map(|n| format!("zone/{:07}", n * 7919 % 1_000_000)).collect()
}

fn name(n: usize) -> String {
    format!("dispatcher-{n}")
}

fn ring(probes: u32) -> Ring {
    let options = Options { virtual_nodes: VIRTUAL_NODES, probes };
    Ring::build(options, (0..NODES).map(|n| Node::new(name(n)))).unwrap()
}

/// Looks all keys up in each round; the figure is for one of them.
fn each<K, T>(bencher: Bencher, keys: &[K], look_up: impl Fn(&K) -> T + Sync)
where
    K: Sync,
{
    bencher.counter(ItemsCount::new(keys.len())).bench(|| {
        for key in keys {
            black_box(look_up(black_box(key)));
        }
    });
}

#[divan::bench(args = [1, 2, 4, 6, 8])]
fn key_steadfast(bencher: Bencher, probes: u32) {
    let ring = ring(probes);
    each(bencher, &keys(), |key| std::ptr::from_ref(ring.locate(key).unwrap()).addr());
}

#[divan::bench(args = [1, 6])]
fn hashed_steadfast(bencher: Bencher, probes: u32) {
    let ring = ring(probes);
    let keys: Vec<KeyHash> = keys().iter().map(|key| KeyHash::of(key.as_bytes())).collect();
    each(bencher, &keys, |key| std::ptr::from_ref(ring.locate_hashed(*key).unwrap()).addr());
}

#[divan::bench]
fn key_hash_alone(bencher: Bencher) {
    each(bencher, &keys(), |key| KeyHash::of(key.as_bytes()));
}

#[divan::bench]
fn key_hashring(bencher: Bencher) {
    let mut ring = hashring::HashRing::new();
    for node in 0..NODES {
        for replica in 0..VIRTUAL_NODES {
            ring.add((name(node), replica));
        }
    }
    each(bencher, &keys(), |key| std::ptr::from_ref(ring.get(key).unwrap()).addr());
}

#[derive(Clone, Debug)]
struct Named(String);

impl conhash::Node for Named {
    fn name(&self) -> String {
        self.0.clone()
    }
}

#[divan::bench]
fn key_conhash(bencher: Bencher) {
    let mut ring = conhash::ConsistentHash::new();
    for node in 0..NODES {
        ring.add(&Named(name(node)), VIRTUAL_NODES as usize);
    }
    each(bencher, &keys(), |key| std::ptr::from_ref(ring.get(key.as_bytes()).unwrap()).addr());
}

#[divan::bench]
fn key_rendezvous(bencher: Bencher) {
    let seeds: Vec<u64> = (0..NODES).map(|n| xxh3_64_with_seed(name(n).as_bytes(), 0)).collect();
    each(bencher, &keys(), |key| {
        let score = |seed: &&u64| xxh3_64_with_seed(key.as_bytes(), **seed);
        *seeds.iter().max_by_key(score).unwrap()
    });
}

#[divan::bench]
fn three_replicas(bencher: Bencher) {
    let ring = ring(Options::default().probes);
    each(bencher, &keys(), |key| ring.replicas(key, 3).unwrap().len());
}

#[divan::bench]
fn build(bencher: Bencher) {
    bencher.bench(|| ring(Options::default().probes));
}

#[divan::bench]
fn insert_and_remove(bencher: Bencher) {
    let mut ring = ring(Options::default().probes);
    bencher.bench_local(|| {
        ring.insert("one-more".into()).unwrap();
        ring.remove("one-more").unwrap()
    });
}

#[divan::bench]
fn assign_a_thousand_zones(bencher: Bencher) {
    let (ring, keys) = (ring(Options::default().probes), keys());
    let zones = || keys.iter().take(1_000).map(String::as_str);
    bencher.bench(|| Assignment::new(&ring, zones(), Bound::default()).unwrap());
}
