//! Every message's effect once and in order, whatever fails: seeded runs of the whole way from
//! the outbox to the effect, with crashes at any step of a commit, a bus that loses, repeats and
//! delays, handlers that fail before and after their commit, and an operator in between.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

mod common;

use std::time::Duration;

use common::{Trouble, World, consumer_options, relay_options};
use steadfast_journal::memory::Protections;

/// Rough lives, then a calm one in which everything must come to its end.
fn run(seed: u64, protections: Protections) -> Result<World, String> {
    let mut world = World::new(seed, protections);
    for _ in 0..6 {
        world.live(Trouble::ROUGH, Duration::from_secs(5), 60);
        world.check(false)?;
    }
    world.live(Trouble::NONE, Duration::from_secs(60), 20);
    world.check(true)?;
    Ok(world)
}

#[test]
fn every_effect_happens_once_and_in_order() {
    let (mut crashes, mut totals) = (0, common::Totals::default());
    for seed in 0..60 {
        let world =
            run(seed, Protections::default()).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        let (consumer, relay) = (world.totals.consumer, world.totals.relay);
        let (limits, window) = (consumer_options(), relay_options());
        assert!(consumer.in_hand_highest <= limits.in_hand as u64, "seed {seed}: {consumer:?}");
        assert!(consumer.held_highest <= limits.held as u64, "seed {seed}: {consumer:?}");
        assert!(relay.in_flight_highest <= window.in_flight as u64, "seed {seed}: {relay:?}");
        crashes += world.crashes;
        totals.replayed += world.totals.replayed;
        totals.unparked += world.totals.unparked;
        for (sum, part) in [
            (&mut totals.consumer.held, consumer.held),
            (&mut totals.consumer.given_back, consumer.given_back),
            (&mut totals.consumer.duplicates, consumer.duplicates),
            (&mut totals.consumer.parked, consumer.parked),
            (&mut totals.consumer.ignored, consumer.ignored),
            (&mut totals.relay.refused, relay.refused),
            (&mut totals.relay.polled_rows, relay.polled_rows),
        ] {
            *sum += part;
        }
    }
    // What was to be survived has happened.
    assert!(crashes > 60, "{crashes} crashes");
    assert!(totals.replayed > 100 && totals.unparked > 50, "{totals:?}");
    let consumer = totals.consumer;
    assert!(consumer.held > 500 && consumer.given_back > 100, "{totals:?}");
    assert!(consumer.duplicates > 1_000 && consumer.parked > 200, "{totals:?}");
    assert!(totals.relay.refused > 500 && totals.relay.polled_rows > 500, "{totals:?}");
    println!("{crashes} crashes, {totals:?}");
}

/// The twin without an inbox: the same check finds that effects happen twice.
#[test]
fn without_the_inbox_the_check_fails() {
    let broken = Protections { inbox: false, ..Protections::default() };
    let caught = (0..5).filter(|&seed| run(seed, broken).is_err()).count();
    assert_eq!(caught, 5, "a run without the inbox must be found out");
}

#[test]
fn a_seed_repeats_itself() {
    let digest = |seed| run(seed, Protections::default()).map(|world| world.disk.digest());
    assert_eq!(digest(3).unwrap(), digest(3).unwrap());
    assert_ne!(digest(3).unwrap(), digest(4).unwrap());
}
