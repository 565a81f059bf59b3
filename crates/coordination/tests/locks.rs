//! Locks under everything that goes wrong at once: what is in doubt, the storage decides; what is
//! healed goes on; and nothing is left behind.
//!
//! Each seed is a world of five nodes that lock, read, wait and write while the network loses and
//! delays, the server crashes and freezes, and nodes are stopped in the middle. With the fence, no
//! acknowledged update is lost; without it (the broken twin), the same seeds lose some.
//!
//! A reader raises the fence, too: it must not happen that an old holder's write arrives between a
//! new holder's read and its write.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

mod client_world;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use client_world::{Node, World, ms, name};
use fastrand::Rng;
use steadfast_coordination::client::{Client, Patience};
use steadfast_coordination::engine::memory::{Cut, Fault, Faults};
use steadfast_coordination::port::Error;
use steadfast_fencing::FencingToken;
use steadfast_fencing::memory::Fenced;
use steadfast_time::Clock;

const FOREVER: Patience = Patience::Forever;

/// What is protected: a counter, with and without a fence.
#[derive(Default)]
struct Storage {
    fenced: Fenced<u64>,
    bare: Cell<u64>,
    /// Updates that were acknowledged, in each way.
    acknowledged: Cell<u64>,
    acknowledged_bare: Cell<u64>,
    refused: Cell<u64>,
    /// The highest token that has written so far.
    highest: Cell<Option<FencingToken>>,
}

/// What a seed has shown.
#[derive(Default)]
struct Shown {
    lost_without_fence: u64,
    refused: u64,
    updates: u64,
}

async fn add_one(storage: &Storage, client: &Client, clock: &Clock, rng: &RefCell<Rng>) {
    let lock = client.lock(&name("zone/1"));
    let patience = match rng.borrow_mut().u8(..4) {
        0 => Patience::Try,
        1 => Patience::Until(clock.monotonic() + ms(3_000)),
        _ => FOREVER,
    };
    let guard = match lock.acquire(patience).await {
        Ok(guard) => guard,
        Err(Error::Busy { .. } | Error::Timeout { .. } | Error::Unavailable { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    let token = guard.token();
    let bare = storage.bare.get();
    let Ok(read) = storage.fenced.write(token, |value| *value) else {
        storage.refused.set(storage.refused.get() + 1);
        return;
    };
    // The work, and the write's way to the storage. The holder looks before, as it should; what
    // happens after that is not in its hands.
    let work = rng.borrow_mut().u64(..300);
    let way = rng.borrow_mut().u64(..100);
    clock.sleep(ms(work)).await;
    if guard.check().is_err() {
        return;
    }
    clock.sleep(ms(way)).await;
    storage.bare.set(bare + 1);
    storage.acknowledged_bare.set(storage.acknowledged_bare.get() + 1);
    match storage.fenced.write(token, |value| *value = read + 1) {
        Ok(()) => {
            storage.acknowledged.set(storage.acknowledged.get() + 1);
            assert!(storage.highest.get().is_none_or(|highest| highest <= token), "a stale write");
            storage.highest.set(Some(token));
        }
        Err(_) => storage.refused.set(storage.refused.get() + 1),
    }
    if rng.borrow_mut().bool() {
        let _ = guard.release().await;
    }
}

/// Something goes wrong for a while.
fn disturb(world: &mut World, nodes: &[Node], rng: &mut Rng) {
    let node = &nodes[rng.usize(..nodes.len())];
    let length = ms(rng.u64(1..3_500));
    match rng.u8(..8) {
        0 => {
            node.stop();
            world.sim.run_for(length);
            node.resume();
        }
        1 => {
            let cut = [Cut::Requests, Cut::Answers, Cut::Both][rng.usize(..3)];
            node.link.cut(cut);
            world.sim.run_for(length);
            node.link.heal();
        }
        2 => {
            world.net.freeze();
            world.sim.run_for(length);
            world.net.thaw();
        }
        3 | 4 => {
            let fault = if rng.bool() { Fault::BeforeDurable } else { Fault::AfterDurable };
            world.disk.fail_next(fault);
            world.sim.run_for(ms(rng.u64(..300)));
            world.restart(length / 4);
        }
        5 => {
            let silence = rng.bool().then_some(ms(30));
            world.net.set_faults(Faults {
                lost_requests: rng.f64() * 0.3,
                lost_answers: rng.f64() * 0.3,
                delay: ms(0)..=ms(rng.u64(1..80)),
                silence,
            });
            world.sim.run_for(length);
            world.net.set_faults(Faults::default());
        }
        6 => {
            // All but one at a time.
            nodes[1..].iter().for_each(Node::stop);
            world.sim.run_for(length);
            nodes[1..].iter().for_each(Node::resume);
        }
        _ => world.sim.run_for(length),
    }
}

/// Each node gets a turn once more, in the order in which they come, and leaves nothing behind.
fn heals(world: &mut World, nodes: &[Node], seed: u64) {
    let turns = Rc::new(RefCell::new(Vec::new()));
    world.sim.run_for(ms(6_000));
    for (index, node) in nodes.iter().enumerate() {
        let (lock, turns) = (node.client.lock(&name("zone/1")), Rc::clone(&turns));
        let clock = world.clock();
        world.spawn(node, async move {
            let guard = lock.acquire(FOREVER).await.unwrap();
            turns.borrow_mut().push(index);
            clock.sleep(ms(20)).await;
            drop(guard);
        });
        world.sim.run_for(ms(1));
    }
    world.sim.run_for(ms(1_000));
    let expected: Vec<usize> = (0..nodes.len()).collect();
    assert_eq!(*turns.borrow(), expected, "turns in order, after healing: seed {seed}");
    assert_eq!(world.queues(), [], "entries are left: seed {seed}");
}

fn storm(seed: u64) -> Shown {
    let mut world = World::new(seed);
    let mut rng = Rng::with_seed(seed);
    let nodes: Vec<Node> = (0..5).map(|_| world.node()).collect();
    let storage = Rc::<Storage>::default();
    let over = Rc::<Cell<bool>>::default();
    for node in &nodes {
        let rng = RefCell::new(rng.fork());
        let (storage, over) = (Rc::clone(&storage), Rc::clone(&over));
        let (client, clock) = (node.client.clone(), world.clock());
        world.spawn(node, async move {
            while !over.get() {
                let pause = ms(rng.borrow_mut().u64(..100));
                // Some attempts are given up in the middle, wherever they are.
                let limit = ms(if rng.borrow_mut().u8(..4) == 0 { 200 } else { 60_000 });
                let _ = clock.timeout(limit, add_one(&storage, &client, &clock, &rng)).await;
                clock.sleep(pause).await;
            }
        });
    }
    for _ in 0..12 {
        let calm = ms(rng.u64(..800));
        world.sim.run_for(calm);
        disturb(&mut world, &nodes, &mut rng);
    }
    over.set(true);
    heals(&mut world, &nodes, seed);
    let value = storage.fenced.read(|value| *value);
    assert_eq!(value, storage.acknowledged.get(), "an update is lost: seed {seed}");
    Shown {
        lost_without_fence: storage.acknowledged_bare.get() - storage.bare.get(),
        refused: storage.refused.get(),
        updates: value,
    }
}

#[test]
fn with_the_fence_nothing_is_lost_and_without_it_something_is() {
    let mut all = Shown::default();
    for seed in 0..200 {
        let shown = storm(seed);
        all.lost_without_fence += shown.lost_without_fence;
        all.refused += shown.refused;
        all.updates += shown.updates;
    }
    let Shown { lost_without_fence, refused, updates } = all;
    println!("{updates} updates; {refused} refused; {lost_without_fence} lost without the fence");
    assert!(updates > 6_000, "the storm leaves time to work: {updates}");
    assert!(refused > 0 && lost_without_fence > 0, "the storm is none: {refused}");
}

#[test]
fn a_seed_repeats_itself() {
    for seed in [3, 77] {
        let (first, second) = (storm(seed), storm(seed));
        assert_eq!(
            (first.updates, first.refused, first.lost_without_fence),
            (second.updates, second.refused, second.lost_without_fence)
        );
    }
}

#[test]
fn readers_share_and_a_writer_is_alone_and_none_starves() {
    for seed in 0..40 {
        let mut world = World::new(seed);
        let mut rng = Rng::with_seed(seed);
        world.net.set_faults(Faults { delay: ms(0)..=ms(10), ..Faults::default() });
        let nodes: Vec<Node> = (0..4).map(|_| world.node()).collect();
        let inside = Rc::new(RefCell::new((0_u32, 0_u32)));
        let most = Rc::<Cell<u32>>::default();
        let written = Rc::<Cell<u32>>::default();
        for (index, node) in nodes.iter().enumerate() {
            let lock = node.client.rw_lock(&name("menu"));
            let (inside, most, written) = (inside.clone(), most.clone(), written.clone());
            let (clock, mut rng) = (world.clock(), rng.fork());
            world.spawn(node, async move {
                loop {
                    if index == 0 {
                        let guard = lock.write(FOREVER).await.unwrap();
                        assert_eq!(*inside.borrow(), (0, 0), "seed {seed}");
                        inside.borrow_mut().1 += 1;
                        clock.sleep(ms(rng.u64(..20))).await;
                        inside.borrow_mut().1 -= 1;
                        written.set(written.get() + 1);
                        drop(guard);
                    } else {
                        let guard = lock.read(FOREVER).await.unwrap();
                        assert_eq!(inside.borrow().1, 0, "seed {seed}");
                        inside.borrow_mut().0 += 1;
                        most.set(most.get().max(inside.borrow().0));
                        clock.sleep(ms(rng.u64(..50))).await;
                        inside.borrow_mut().0 -= 1;
                        guard.release().await.unwrap();
                    }
                }
            });
        }
        world.sim.run_for(Duration::from_secs(10));
        assert!(most.get() >= 2 && written.get() > 30, "seed {seed}: {most:?} {written:?}");
    }
}

/// Who works at a semaphore's storage: one place for each slot, fenced by its tokens.
struct Places {
    slots: Vec<Fenced<u64>>,
}

fn dispatches(seed: u64, permits: u32) -> (u64, u64) {
    let mut world = World::new(seed);
    let mut rng = Rng::with_seed(seed);
    let nodes: Vec<Node> = (0..6).map(|_| world.node()).collect();
    let slots = (0..permits).map(|_| Fenced::new(0)).collect();
    let places = Rc::new(Places { slots });
    let (done, refused) = (Rc::<Cell<u64>>::default(), Rc::<Cell<u64>>::default());
    let (over, calm) = (Rc::<Cell<bool>>::default(), Rc::<Cell<bool>>::default());
    let inside = Rc::<Cell<u32>>::default();
    for node in &nodes {
        let semaphore = node.client.semaphore(&name("zone/1"), permits);
        let (places, done, refused) = (places.clone(), done.clone(), refused.clone());
        let (over, calm, inside) = (over.clone(), calm.clone(), inside.clone());
        let (clock, mut rng) = (world.clock(), rng.fork());
        world.spawn(node, async move {
            while !over.get() {
                let patience = if rng.u8(..4) == 0 { Patience::Try } else { FOREVER };
                let permit = match semaphore.acquire(patience).await {
                    Ok(permit) => permit,
                    Err(Error::Busy { .. } | Error::Unavailable { .. }) => {
                        clock.sleep(ms(20)).await;
                        continue;
                    }
                    Err(error) => panic!("seed {seed}: {error}"),
                };
                inside.set(inside.get() + 1);
                assert!(!calm.get() || inside.get() <= permits, "seed {seed}");
                let place = &places.slots[permit.slot() as usize];
                let began = place.write(permit.token(), |count| *count);
                clock.sleep(ms(rng.u64(..200))).await;
                inside.set(inside.get() - 1);
                let Ok(began) = began else {
                    refused.set(refused.get() + 1);
                    continue;
                };
                // Whoever had this slot alone since it began finds what it has left there.
                match place.write(permit.token(), |count| std::mem::replace(count, began + 1)) {
                    Ok(found) => assert_eq!(found, began, "seed {seed}"),
                    Err(_) => refused.set(refused.get() + 1),
                }
                done.set(done.get() + 1);
                drop(permit);
            }
        });
    }
    for _ in 0..8 {
        world.sim.run_for(ms(500));
        disturb(&mut world, &nodes, &mut rng);
    }
    world.sim.run_for(ms(6_000));
    let healed = done.get();
    calm.set(inside.get() <= permits);
    world.sim.run_for(ms(3_000));
    assert!(calm.get() && done.get() > healed + 20, "it goes on after healing: seed {seed}");
    over.set(true);
    world.sim.run_for(ms(3_000));
    assert_eq!(world.queues(), [], "entries are left: seed {seed}");
    (done.get(), refused.get())
}

#[test]
fn a_semaphore_has_at_most_n_at_the_storage_whatever_happens() {
    let mut all = (0, 0);
    for seed in 0..60 {
        let (done, refused) = dispatches(seed, 1 + u32::try_from(seed % 4).unwrap());
        all = (all.0 + done, all.1 + refused);
    }
    println!("{} dispatches; {} refused", all.0, all.1);
    assert!(all.0 > 5_000 && all.1 > 0, "{all:?}");
}

#[test]
fn permits_are_given_in_the_order_of_arrival_and_never_more_than_n() {
    let mut world = World::new(1);
    let nodes: Vec<Node> = (0..12).map(|_| world.node()).collect();
    let turns = Rc::new(RefCell::new(Vec::new()));
    let inside = Rc::<Cell<u32>>::default();
    for (index, node) in nodes.iter().enumerate() {
        let semaphore = node.client.semaphore(&name("zone/1"), 3);
        let (turns, inside, clock) = (turns.clone(), inside.clone(), world.clock());
        world.spawn(node, async move {
            let permit = semaphore.acquire(FOREVER).await.unwrap();
            assert_eq!(permit.resource(), &semaphore.slot(permit.slot()).unwrap());
            turns.borrow_mut().push(index);
            inside.set(inside.get() + 1);
            assert!(inside.get() <= 3);
            clock.sleep(ms(100 + 7 * index as u64)).await;
            inside.set(inside.get() - 1);
            drop(permit);
        });
        world.sim.run_for(ms(1));
    }
    // Whoever only tries does not go ahead of those who wait.
    let semaphore = world.node().client.semaphore(&name("zone/1"), 3);
    let clock = world.clock();
    world.sim.block_on(async move {
        for _ in 0..300 {
            clock.sleep(ms(1)).await;
            let tried = semaphore.try_acquire().await;
            assert!(matches!(tried, Err(Error::Busy { .. })), "{tried:?}");
        }
    });
    world.sim.run_for(ms(1_000));
    assert_eq!(*turns.borrow(), (0..12).collect::<Vec<_>>());
    assert_eq!(world.queues(), []);
}

#[test]
fn the_number_of_permits_belongs_to_the_name() {
    let mut world = World::new(1);
    let node = world.node();
    let client = node.client.clone();
    let task = node.task(async move {
        let (three, zone) = (client.semaphore(&name("zone/1"), 3), name("zone/1"));
        let permits = [
            three.try_acquire().await.unwrap(),
            three.try_acquire().await.unwrap(),
            three.try_acquire().await.unwrap(),
        ];
        let mut slots: Vec<u32> = permits.iter().map(|permit| permit.slot()).collect();
        slots.sort_unstable();
        assert_eq!(slots, [0, 1, 2]);
        assert!(matches!(three.try_acquire().await, Err(Error::Busy { .. })));
        let four = client.semaphore(&zone, 4).try_acquire().await.unwrap_err();
        assert!(four.to_string().contains("with 3 permits"), "{four}");
        for wrong in [0, 257] {
            let refused = client.semaphore(&name("zone/2"), wrong).try_acquire().await;
            assert!(matches!(refused, Err(Error::Full { .. })));
        }
    });
    world.sim.block_on(task);
}
