//! Sequences and counters: every number once, every operation once, whatever is lost on the way.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

mod client_world;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use client_world::{Node, World, ms, name};
use fastrand::Rng;
use futures::FutureExt;
use steadfast_coordination::engine::memory::{Disk, Fault, Faults};
use steadfast_coordination::port::{self, Coordinator, Name};
use steadfast_coordination::recipe::counter::{self, Operation};
use steadfast_coordination::recipe::sequence::{Error, Options, Sequence};
use steadfast_time::Uuid;

fn orders() -> Name {
    name("orders")
}

fn sequence(node: &Node, block: u64) -> Sequence {
    node.client.sequence(&orders(), Options { block, ..Options::default() }).unwrap()
}

/// Half of the answers are lost, or late: nearly every outcome is unknown once.
fn rough(rng: &mut Rng) -> Faults {
    Faults {
        lost_requests: 0.1,
        lost_answers: 0.3,
        delay: ms(0)..=ms(20),
        silence: rng.bool().then_some(ms(100)),
    }
}

/// Lets the server crash now and then, for a while.
fn crash_now_and_then(world: &mut World, rng: &mut Rng) {
    for _ in 0..5 {
        let disk: &Disk = &world.disk;
        disk.fail_next(if rng.bool() { Fault::BeforeDurable } else { Fault::AfterDurable });
        world.sim.run_for(ms(rng.u64(..2_000)));
        world.restart(ms(rng.u64(..300)));
    }
}

#[test]
fn numbers_are_unique_and_increasing_under_faults() {
    for seed in 0..30 {
        let mut world = World::new(seed);
        let mut rng = Rng::with_seed(seed);
        world.net.set_faults(rough(&mut rng));
        let nodes: Vec<Node> = (0..4).map(|_| world.node()).collect();
        let all = Rc::new(RefCell::new(Vec::new()));
        for node in &nodes {
            let sequence = sequence(node, rng.u64(1..8));
            // Two tasks of one client, which share its blocks, and each sees increasing numbers.
            for _ in 0..2 {
                let (sequence, all) = (sequence.clone(), Rc::clone(&all));
                world.spawn(node, async move {
                    let mut last = 0;
                    for _ in 0..40 {
                        if let Ok(number) = sequence.next().await {
                            assert!(number > last, "seed {seed}: {number} after {last}");
                            last = number;
                            all.borrow_mut().push(number);
                        }
                    }
                });
            }
        }
        crash_now_and_then(&mut world, &mut rng);
        world.net.set_faults(Faults::default());
        world.sim.run_for(ms(300_000));
        let all = all.borrow();
        let unique: BTreeSet<u64> = all.iter().copied().collect();
        assert_eq!(unique.len(), all.len(), "seed {seed}: a number was given twice");
        assert!(all.len() > 200, "seed {seed}: {} numbers", all.len());
    }
}

/// What a sequence must not be: a store without an answer is taken not to have happened, and the
/// same numbers are used. (They were read, so they were free.)
async fn naive_next(server: &dyn Coordinator, client: &Node) -> Option<u64> {
    let limit = client.client.options().call_limit();
    let clock = client.client.clock();
    let loaded = clock.timeout(limit, server.load(&orders())).await.ok()?.ok()?;
    let (number, version) = match &loaded {
        None => (1, None),
        Some(held) => (std::str::from_utf8(&held.value).ok()?.parse().ok()?, Some(held.version)),
    };
    let next = (number + 1_u64).to_string();
    match clock.timeout(limit, server.store(&orders(), version, next.as_bytes())).await {
        Ok(Err(port::Error::Conflict { .. })) => None,
        // No answer, or that it may have been written or not: surely it was not, or was.
        _ => Some(number),
    }
}

#[test]
fn the_check_finds_a_sequence_that_guesses() {
    let mut duplicates = 0;
    for seed in 0..30 {
        let mut world = World::new(seed);
        world.net.set_faults(rough(&mut Rng::with_seed(seed)));
        let all = Rc::new(RefCell::new(Vec::new()));
        for _ in 0..4 {
            let (node, all) = (world.node(), Rc::clone(&all));
            let client = node.clone();
            world.spawn(&node, async move {
                let server: Arc<dyn Coordinator> = client.link.clone();
                for _ in 0..40 {
                    let number = naive_next(&*server, &client).await;
                    all.borrow_mut().extend(number);
                }
            });
        }
        world.sim.run_for(ms(120_000));
        let unique: BTreeSet<u64> = all.borrow().iter().copied().collect();
        duplicates += all.borrow().len() - unique.len();
    }
    assert!(duplicates > 0);
}

#[test]
fn a_block_is_reserved_before_it_is_needed() {
    let mut world = World::new(1);
    world.net.set_faults(Faults { delay: ms(5)..=ms(5), ..Faults::default() });
    let node = world.node();
    let (numbers, clock) = (sequence(&node, 60), world.clock());
    world.sim.block_on(async move {
        assert_eq!(numbers.next().await.unwrap(), 1);
        for expected in 2..2_000 {
            // A reservation takes 20 ms; a third of a block lasts for 40.
            clock.sleep(ms(2)).await;
            let number = numbers.next().now_or_never().expect("there is no need to wait").unwrap();
            assert_eq!(number, expected);
        }
    });
}

#[test]
fn callers_that_give_up_cost_nothing_but_numbers() {
    let mut world = World::new(2);
    world.net.set_faults(Faults { delay: ms(5)..=ms(5), ..Faults::default() });
    let node = world.node();
    let (numbers, clock) = (sequence(&node, 3), world.clock());
    world.sim.block_on(async move {
        let mut last = 0;
        for turn in 0..200 {
            let taken = clock.timeout(ms(turn % 23), numbers.next()).await;
            if let Ok(number) = taken {
                let number = number.unwrap();
                assert!(number > last, "{number} after {last}");
                last = number;
            }
        }
        // Nothing that was given up is skipped, as no number had been taken for it.
        assert!(last > 50, "{last}");
    });
}

#[test]
fn a_wrong_register_is_an_error_and_stays_as_it_is() {
    let mut world = World::new(3);
    let node = world.node();
    let numbers = sequence(&node, 10);
    let counter = node.client.counter(&orders());
    let server = world.server.borrow().clone();
    world.sim.block_on(async move {
        server.store(&orders(), None, b"4711").await.unwrap();
        for _ in 0..2 {
            let wrong = numbers.next().await.unwrap_err();
            assert!(matches!(wrong, Error::Damaged(_)), "{wrong}");
        }
        let wrong = counter.add(1).await.unwrap_err();
        assert!(matches!(wrong, counter::Error::Damaged(_)), "{wrong}");
        assert!(matches!(counter.get().await, Err(counter::Error::Damaged(_))));
        assert_eq!(server.load(&orders()).await.unwrap().unwrap().value, b"4711");
    });
}

#[test]
fn the_last_number_is_the_last() {
    let mut world = World::new(4);
    let node = world.node();
    let options = Options { start: 5, block: 4, last: 10 };
    let numbers = node.client.sequence(&orders(), options).unwrap();
    for wrong in [
        Options { block: 0, ..options },
        Options { block: u64::MAX, ..options },
        Options { last: 4, ..options },
        Options { last: u64::MAX, ..options },
    ] {
        assert!(matches!(node.client.sequence(&orders(), wrong), Err(Error::Options(_))));
    }
    world.sim.block_on(async move {
        for expected in 5..=10 {
            assert_eq!(numbers.next().await.unwrap(), expected);
        }
        for _ in 0..2 {
            assert!(matches!(numbers.next().await, Err(Error::Exhausted { last: 10, .. })));
        }
    });
}

#[test]
fn many_clients_get_on_together() {
    let mut world = World::new(5);
    world.net.set_faults(Faults { delay: ms(0)..=ms(1), ..Faults::default() });
    let all = Rc::new(RefCell::new(Vec::new()));
    for _ in 0..32 {
        let (node, all) = (world.node(), Rc::clone(&all));
        let numbers = sequence(&node, 1);
        world.spawn(&node, async move {
            for _ in 0..10 {
                let number = numbers.next().await.unwrap();
                all.borrow_mut().push(number);
            }
        });
    }
    world.sim.run_for(ms(60_000));
    let mut all = all.borrow().clone();
    all.sort_unstable();
    assert_eq!(all, (1..=320).collect::<Vec<u64>>());
}

/// Adds `turns` times; says how often it is known to have been added.
async fn add_all(counter: counter::Counter, turns: u32, added: Rc<Cell<i64>>) {
    for _ in 0..turns {
        let mut outcome = counter.add(1).await;
        // What is not known is asked after until it is.
        while let Err(counter::Error::Unknown { operation, .. }) = &outcome {
            let operation = operation.clone();
            outcome = counter.apply(&operation).await;
        }
        match outcome {
            Ok(_) => added.set(added.get() + 1),
            Err(counter::Error::Engine(_) | counter::Error::Contended { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_counter_counts_every_operation_once_under_faults() {
    for seed in 0..30 {
        let mut world = World::new(seed);
        let mut rng = Rng::with_seed(seed);
        world.net.set_faults(rough(&mut rng));
        let nodes: Vec<Node> = (0..4).map(|_| world.node()).collect();
        let added = Rc::new(Cell::new(0));
        for node in &nodes {
            let counter = node.client.counter(&orders());
            world.spawn(node, add_all(counter, 20, Rc::clone(&added)));
        }
        crash_now_and_then(&mut world, &mut rng);
        world.net.set_faults(Faults::default());
        world.sim.run_for(ms(300_000));
        let counter = nodes[0].client.counter(&orders());
        let value = world.sim.block_on(async move { counter.get().await.unwrap() });
        assert_eq!(value, added.get(), "seed {seed}");
        assert!(value > 40, "seed {seed}: {value}");
    }
}

/// The broken twin: whoever has no answer adds again, as another operation.
#[test]
fn the_check_finds_a_counter_without_identifiers() {
    let mut wrong = 0;
    for seed in 0..10 {
        let mut world = World::new(seed);
        world.net.set_faults(rough(&mut Rng::with_seed(seed)));
        let node = world.node();
        let (server, client) = (node.link.clone(), node.client.clone());
        let added = Rc::new(Cell::new(0_u64));
        let sum = Rc::clone(&added);
        world.spawn(&node, async move {
            for _ in 0..20 {
                loop {
                    let limit = client.options().call_limit();
                    let register = orders();
                    let loaded = client.clock().timeout(limit, server.load(&register)).await;
                    let Ok(Ok(loaded)) = loaded else { continue };
                    let version = loaded.as_ref().map(|held| held.version);
                    let held = loaded.map_or(0, |held| held.value[0]);
                    let value = [held + 1];
                    let stored = server.store(&register, version, &value);
                    if let Ok(Ok(_)) = client.clock().timeout(limit, stored).await {
                        break;
                    }
                }
                sum.set(sum.get() + 1);
            }
        });
        world.sim.run_for(ms(300_000));
        let server = world.server.borrow().clone();
        let held = world.sim.block_on(async move { server.load(&orders()).await.unwrap() });
        wrong += u32::from(u64::from(held.unwrap().value[0]) != added.get());
    }
    assert!(wrong > 0);
}

#[test]
fn a_bounded_counter_stays_within_its_bounds() {
    let mut world = World::new(6);
    world.net.set_faults(Faults { delay: ms(0)..=ms(5), ..Faults::default() });
    let (held, most) = (Rc::new(Cell::new(0_i64)), Rc::new(Cell::new(0_i64)));
    for _ in 0..8 {
        let (node, clock) = (world.node(), world.clock());
        let counter = node.client.counter(&name("zone/7"));
        let (held, most) = (Rc::clone(&held), Rc::clone(&most));
        world.spawn(&node, async move {
            for _ in 0..20 {
                match counter.add_bounded(1, &(0..=3)).await {
                    Ok(value) => {
                        assert!((1..=3).contains(&value));
                        held.set(held.get() + 1);
                        most.set(most.get().max(held.get()));
                        clock.sleep(ms(20)).await;
                        held.set(held.get() - 1);
                        counter.add_bounded(-1, &(0..=3)).await.unwrap();
                    }
                    Err(counter::Error::Bounds { value: 3, .. }) => clock.sleep(ms(7)).await,
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    world.sim.run_for(ms(120_000));
    assert_eq!((held.get(), most.get()), (0, 3));
}

#[test]
fn an_operation_of_the_callers_own_counts_once_across_clients() {
    let mut world = World::new(7);
    let nodes: Vec<Node> = (0..2).map(|_| world.node()).collect();
    let counters: Vec<_> = nodes.iter().map(|node| node.client.counter(&orders())).collect();
    world.sim.block_on(async move {
        let order = Operation::new(Uuid::from_u128(4711), 2).within(&(0..=10));
        for _ in 0..2 {
            assert_eq!(counters[0].apply(&order).await.unwrap(), 2);
            // Another process, after the first one has stopped in the middle.
            assert_eq!(counters[1].apply(&order).await.unwrap(), 2);
        }
        assert_eq!(counters[0].get().await.unwrap(), 2);
    });
}
