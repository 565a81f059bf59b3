//! The window's promises, one by one, and under whatever order of steps.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const LIMITS: Limits =
    Limits { held_per_key: 3, held: 5, held_for: Duration::from_millis(100), remembered: 4 };

fn at(ms: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_millis(ms))
}

/// Offers a message whose content is its number.
fn offer(keys: &mut Keys<u64>, ms: u64, name: &str, sequence: u64) -> Offer<u64> {
    keys.offer(at(ms), name, sequence, sequence, || Ok::<_, ()>(0)).unwrap()
}

fn run(keys: &mut Keys<u64>) -> Vec<u64> {
    let mut ran = Vec::new();
    while let Some(start) = keys.start() {
        ran.push(start.item);
        keys.finish(start.slot, start.sequence, true);
    }
    ran
}

#[test]
fn what_comes_early_is_held_until_the_gap_closes() {
    let mut keys = Keys::new(LIMITS);
    assert_eq!(offer(&mut keys, 0, "a", 3), Offer::Held);
    assert_eq!(offer(&mut keys, 0, "a", 3), Offer::GiveBack(3), "a second copy");
    assert_eq!(offer(&mut keys, 0, "a", 1), Offer::Queued);
    assert_eq!(run(&mut keys), [1]);
    assert_eq!(offer(&mut keys, 0, "a", 2), Offer::Queued);
    assert_eq!(run(&mut keys), [2, 3]);
    assert_eq!(offer(&mut keys, 0, "a", 3), Offer::Duplicate(3));
    assert_eq!((keys.len(), keys.held(), keys.next_alarm()), (0, 0, None));
}

#[test]
fn the_window_keeps_the_earliest_and_gives_back_the_rest() {
    let mut keys = Keys::new(LIMITS);
    for sequence in [5, 6, 7] {
        assert_eq!(offer(&mut keys, 0, "a", sequence), Offer::Held);
    }
    assert_eq!(offer(&mut keys, 0, "a", 8), Offer::GiveBack(8));
    assert_eq!(offer(&mut keys, 0, "a", 3), Offer::GiveBack(7));
    assert_eq!(offer(&mut keys, 0, "b", 2), Offer::Held);
    assert_eq!(offer(&mut keys, 0, "b", 3), Offer::Held);
    assert_eq!(offer(&mut keys, 0, "c", 9), Offer::GiveBack(9), "full, for all keys");
    assert_eq!((keys.len(), keys.held()), (5, 5));
    assert!(keys.due(at(99)).is_empty());
    let expired = keys.due(at(100));
    let mut released: Vec<_> = expired.into_iter().flat_map(|slot| keys.release(slot)).collect();
    released.sort_unstable();
    assert_eq!(released, [2, 3, 3, 5, 6]);
    assert_eq!((keys.len(), keys.held(), keys.next_alarm()), (0, 0, None));
}

#[test]
fn a_second_copy_of_what_is_not_yet_durable_speaks_for_nothing() {
    let mut keys = Keys::new(LIMITS);
    assert_eq!(offer(&mut keys, 0, "a", 1), Offer::Queued);
    let start = keys.start().unwrap();
    assert_eq!(offer(&mut keys, 0, "a", 1), Offer::GiveBack(1), "it is being handled");
    keys.finish(start.slot, 1, false);
    assert_eq!(offer(&mut keys, 0, "a", 1), Offer::GiveBack(1), "its mark is being written");
    keys.settle(start.slot, &start.name, 1);
    assert_eq!(offer(&mut keys, 0, "a", 1), Offer::Duplicate(1));
}

#[test]
fn a_key_that_waits_for_another_try_does_not_lose_its_turn_with_a_gap() {
    let mut keys = Keys::new(LIMITS);
    assert_eq!(offer(&mut keys, 0, "a", 1), Offer::Queued);
    assert_eq!(offer(&mut keys, 0, "a", 3), Offer::Held);
    // The pause and the gap end at the same moment.
    let start = keys.start().unwrap();
    keys.retry(start, at(0), at(100), true);
    assert!(keys.start().is_none());
    assert_eq!(offer(&mut keys, 50, "a", 2), Offer::Queued);
    assert!(keys.due(at(100)).is_empty());
    assert_eq!(run(&mut keys), [1, 2, 3]);
}

#[test]
fn idle_keys_are_forgotten_and_read_again() {
    let mut keys = Keys::new(LIMITS);
    for key in 0..100 {
        assert_eq!(offer(&mut keys, 0, &format!("k{key}"), 1), Offer::Queued);
        assert_eq!(run(&mut keys), [1]);
    }
    assert_eq!(keys.known(), LIMITS.remembered);
    let forgotten = keys.offer(at(0), "k0", 1, 1, || Ok::<_, ()>(1)).unwrap();
    assert_eq!(forgotten, Offer::Duplicate(1));
    let remembered = keys.offer(at(0), "k99", 1, 1, || Err::<u64, _>("not asked")).unwrap();
    assert_eq!(remembered, Offer::Duplicate(1));
}

#[derive(Clone, Debug)]
enum Step {
    Offer(u8, u64),
    Finish(bool),
    Fail,
    Park,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3_u8, 1..12_u64).prop_map(|(key, sequence)| Step::Offer(key, sequence)),
        5 => any::<bool>().prop_map(Step::Finish),
        1 => Just(Step::Fail),
        1 => Just(Step::Park),
        2 => (0..120_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever comes in whatever order: each key runs 1, 2, 3 … without a gap and one at a
    /// time, everything is either in hand or has been handed back, and the bounds hold.
    #[test]
    fn keys_run_in_order_and_nothing_vanishes(
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let mut keys: Keys<u64> = Keys::new(LIMITS);
        let mut done: HashMap<String, u64> = HashMap::new();
        let mut running: Vec<Start<u64>> = Vec::new();
        let (mut now, mut inside) = (0, 0_usize);
        for step in steps {
            match step {
                Step::Offer(key, sequence) => {
                    let name = key.to_string();
                    let known = done.get(&name).copied().unwrap_or(0);
                    match keys
                        .offer(at(now), &name, sequence, sequence, || Ok::<_, ()>(known))
                        .unwrap()
                    {
                        Offer::Queued | Offer::Held => inside += 1,
                        Offer::Duplicate(item) => prop_assert!(item <= known),
                        Offer::GiveBack(_) => {}
                    }
                }
                Step::Finish(durable) => {
                    let Some(start) = running.pop() else { continue };
                    *done.entry(start.name.to_string()).or_default() = start.sequence;
                    keys.finish(start.slot, start.sequence, durable);
                    if !durable {
                        keys.settle(start.slot, &start.name, start.sequence);
                    }
                    inside -= 1;
                }
                Step::Fail => {
                    let Some(start) = running.pop() else { continue };
                    keys.retry(start, at(now), at(now + 50), true);
                }
                Step::Park => {
                    let Some(start) = running.pop() else { continue };
                    let out = keys.evacuate(start.slot);
                    prop_assert!(out.is_sorted(), "{:?}", out);
                    inside -= out.len() + 1;
                }
                Step::Wait(ms) => {
                    now += ms;
                    for slot in keys.due(at(now)) {
                        inside -= keys.release(slot).len();
                    }
                }
            }
            while let Some(start) = keys.start() {
                let last = done.get(&*start.name).copied().unwrap_or(0);
                prop_assert_eq!(start.sequence, last + 1);
                prop_assert!(running.iter().all(|other| other.name != start.name));
                running.push(start);
            }
            prop_assert_eq!(keys.len(), inside);
            prop_assert!(keys.held() <= LIMITS.held);
            prop_assert!(keys.known() <= LIMITS.remembered + 3);
        }
    }
}
