//! The whole path of orders under everything that can go wrong, in simulated time.
//!
//! Customers place orders and repeat themselves, couriers answer or do not, providers fail
//! before the work and after it, the bus loses, repeats and delays messages, a dispatcher stalls
//! and another takes over, and the machine stops at any step of any commit. Then the faults end,
//! everything must come to its end, and the books must agree to the unit.
//!
//! `STEADFAST_SEEDS=n` sets how many seeds run, `STEADFAST_SEED=s` runs one of them.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

mod actors;
mod audit;
mod pause;
mod tally;
mod world;

use world::{Scenario, Twin, World};

/// Seeds in an ordinary run.
const SEEDS: u64 = 200;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text:?} is not a number")))
}

/// What went wrong under a seed, if anything.
fn run(scenario: &Scenario) -> Result<audit::Summary, String> {
    World::new(scenario.clone()).run()
}

#[test]
fn every_order_ends_and_the_books_agree() {
    let (first, count) = match number("STEADFAST_SEED") {
        Some(seed) => (seed, 1),
        None => (0, number("STEADFAST_SEEDS").unwrap_or(SEEDS)),
    };
    let mut total = audit::Summary::default();
    for seed in first..first + count {
        match run(&Scenario::rough(seed)) {
            Ok(summary) => total.add(&summary),
            Err(problem) => panic!(
                "seed {seed}: {problem}\nreproduce with: STEADFAST_SEED={seed} \
                 cargo test -p steadfast-dispatch --test simulation every_order"
            ),
        }
    }
    println!("{count} seeds: {total:?}");
    // A run in which nothing went wrong would prove nothing.
    if count >= 50 {
        assert!(total.crashes > count && total.delivered > 0 && total.undone > 0, "{total:?}");
        // A restart brings a new token; more than those are takeovers between two dispatchers.
        assert!(total.takeovers > 0 && total.duplicates > 0, "{total:?}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [3, 7] {
        let digest = || {
            let mut world = World::new(Scenario::rough(seed));
            world.live().unwrap();
            world.disks.digests()
        };
        assert_eq!(digest(), digest(), "seed {seed}");
    }
}

/// Runs seeds until one shows a violation that contains `expected`.
fn is_caught(twin: Twin, expected: &str) {
    let mut others = 0;
    for seed in 0..300 {
        match run(&Scenario { twin, ..Scenario::contended(seed) }) {
            Err(problem) if problem.contains(expected) => {
                println!("{twin:?}: caught by seed {seed}: {problem}");
                return;
            }
            Err(_) => others += 1,
            Ok(_) => {}
        }
    }
    panic!("{twin:?}: 300 seeds, and none shows {expected:?} ({others} show something else)");
}

#[test]
fn the_contended_scenario_holds_with_all_protections() {
    for seed in 0..40 {
        if let Err(problem) = run(&Scenario::contended(seed)) {
            panic!("seed {seed}: {problem}");
        }
    }
}

#[test]
fn without_the_inbox_mark_in_its_write_an_effect_is_repeated() {
    is_caught(Twin::InboxMarkApart, "counted");
}

#[test]
fn without_the_fence_a_replaced_dispatcher_writes() {
    is_caught(Twin::NoFence, "stale token");
}

#[test]
fn without_the_guards_a_limit_is_exceeded() {
    is_caught(Twin::NoGuards, "over its capacity");
}
