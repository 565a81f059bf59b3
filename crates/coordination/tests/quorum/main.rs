//! The register on three replicas under attack, and what it cannot do.
//!
//! Replicas lose requests and answers, take their time, and stop; clients read and write at the same
//! moments. Every history must be linearizable. Without read repair the same seeds find histories
//! that are not, and so do numbers that do not overlap.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test is a panic")]

mod history;
mod replicas;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use steadfast_coordination::port::Name;
use steadfast_coordination::quorum::{
    Error, MemoryReplica, Options, Quorum, ReadRepair, Register, Replica,
};
use steadfast_time::sim::Simulation;

use history::{History, Verdict};
use replicas::{Attack, Attacked};

const SEEDS: u64 = 300;

fn name() -> Name {
    Name::new("zone/7/limit").unwrap()
}

fn writer(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).unwrap()
}

/// One run: three clients, twelve operations each, on three replicas.
fn run(seed: u64, options: Options, attack: Attack) -> History {
    let mut sim = Simulation::new(seed);
    let clock = sim.clock();
    let history = History::new(clock.clone());
    let disks: Vec<_> = (0..3).map(|_| MemoryReplica::new()).collect();
    for client in 1..=3 {
        let replicas: Vec<Arc<dyn Replica>> = disks
            .iter()
            .map(|disk| {
                let rng = sim.fork_rng();
                Arc::new(Attacked::new(disk.clone(), clock.clone(), rng, attack)) as _
            })
            .collect();
        let register =
            Register::new(replicas, Quorum::THREE, writer(client), clock.clone(), options).unwrap();
        let (history, clock, mut rng) = (history.clone(), clock.clone(), sim.fork_rng());
        sim.spawn(async move {
            for step in 0..12 {
                clock.sleep(Duration::from_millis(rng.u64(0..20))).await;
                if rng.bool() {
                    let value = client * 1_000 + step;
                    let call = history.call();
                    match register.write(&name(), value.to_be_bytes()).await {
                        Ok(_) => history.wrote(client, call, value),
                        Err(Error::Unknown { .. }) => history.may_have_written(client, call, value),
                        Err(_) => {}
                    }
                } else {
                    let call = history.call();
                    if let Ok(read) = register.read(&name()).await {
                        let value = <[u8; 8]>::try_from(read.value).map_or(0, u64::from_be_bytes);
                        history.read(client, call, value);
                    }
                }
            }
        });
    }
    sim.block_on(clock.sleep(Duration::from_secs(60)));
    history
}

fn violations(options: Options, attack: Attack) -> Vec<u64> {
    let violated = |&seed: &u64| run(seed, options, attack).check() == Verdict::Violated;
    (0..SEEDS).filter(violated).collect()
}

#[test]
fn every_history_is_linearizable() {
    let options = Options { timeout: Duration::from_millis(40), ..Options::default() };
    let mut operations = 0;
    for seed in 0..SEEDS {
        let history = run(seed, options, Attack::default());
        operations += history.len();
        assert_eq!(history.check(), Verdict::Holds, "seed {seed}: {history:?}");
    }
    assert!(operations > 20 * usize::try_from(SEEDS).unwrap(), "only {operations} were answered");
}

#[test]
fn without_read_repair_a_read_goes_back() {
    let options = Options { timeout: Duration::from_millis(40), read_repair: ReadRepair::Never };
    let found = violations(options, Attack::default());
    assert!(!found.is_empty(), "the check has found nothing in {SEEDS} runs");
}

#[test]
fn replicas_that_forget_break_it() {
    let options = Options { timeout: Duration::from_millis(40), ..Options::default() };
    let found = violations(options, Attack { amnesia: 0.05, ..Attack::default() });
    assert!(!found.is_empty(), "the check has found nothing in {SEEDS} runs");
}

#[test]
fn one_of_three_may_be_away_and_two_may_not() {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let dead = Attack { lost_requests: 1.0, ..Attack::default() };
    let replicas = |dead_ones: usize, sim: &mut Simulation| -> Vec<Arc<dyn Replica>> {
        (0..3)
            .map(|index| {
                let attack = if index < dead_ones { dead } else { Attack::none() };
                let (rng, clock) = (sim.fork_rng(), sim.clock());
                Arc::new(Attacked::new(MemoryReplica::new(), clock, rng, attack)) as _
            })
            .collect()
    };
    let build = |replicas| {
        let options = Options::default();
        Register::new(replicas, Quorum::THREE, writer(1), clock.clone(), options).unwrap()
    };
    let one = build(replicas(1, &mut sim));
    let two = build(replicas(2, &mut sim));
    sim.block_on(async move {
        one.write(&name(), "a").await.unwrap();
        assert_eq!(one.read(&name()).await.unwrap().value, b"a");
        let error = two.write(&name(), "a").await.unwrap_err();
        assert!(matches!(error, Error::NoReadQuorum { answered: 1, needed: 2, .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("replica 0: no answer within 1s; replica 1:"), "{text}");
    });
}

/// What the module says about counting: all reads and writes are linearizable, and an increment
/// is lost.
#[test]
fn it_cannot_count() {
    let disks: Vec<Arc<dyn Replica>> =
        (0..3).map(|_| Arc::new(MemoryReplica::new()) as _).collect();
    let clock = Simulation::new(1).clock();
    let register = |number| {
        let options = Options::default();
        Register::new(disks.clone(), Quorum::THREE, writer(number), clock.clone(), options).unwrap()
    };
    let (one, other) = (register(1), register(2));
    let count = |register: &Register| {
        register.read(&name()).now_or_never().unwrap().unwrap().value.first().copied().unwrap_or(0)
    };
    let (seen_by_one, seen_by_other) = (count(&one), count(&other));
    one.write(&name(), vec![seen_by_one + 1]).now_or_never().unwrap().unwrap();
    other.write(&name(), vec![seen_by_other + 1]).now_or_never().unwrap().unwrap();
    assert_eq!(count(&one), 1, "two increments, both answered, and one is lost");
}

#[test]
fn a_register_needs_as_many_replicas_as_its_quorum_has() {
    let clock = Simulation::new(1).clock();
    let disks: Vec<Arc<dyn Replica>> =
        (0..2).map(|_| Arc::new(MemoryReplica::new()) as _).collect();
    let built = Register::new(disks, Quorum::THREE, writer(1), clock, Options::default());
    assert!(matches!(built.unwrap_err(), Error::Replicas { replicas: 2, .. }));
}
