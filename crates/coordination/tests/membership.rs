//! Memberships in a simulated world: who is suspected, who has left, and who comes back.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

mod client_world;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use client_world::{Node, World, ms, name};
use fastrand::Rng;
use steadfast_coordination::client::Patience;
use steadfast_coordination::engine::memory::{Cut, Faults};
use steadfast_coordination::limits::MEMBER_VALUE_BYTES_MAX;
use steadfast_coordination::port::{Error, Name};
use steadfast_coordination::recipe::membership::{
    Change, Heartbeat, Member, Membership, Missed, Options, Suspicion,
};
use steadfast_fencing::FencingToken;
use steadfast_resilience::detector::{self, Monitor};
use steadfast_resilience::event::Events;
use steadfast_time::Monotonic;

const FOREVER: Patience = Patience::Forever;
const INTERVAL: Duration = Duration::from_millis(300);

fn group(node: &Node) -> Membership {
    let options = Options { interval: INTERVAL, look_every: ms(20) };
    node.client.membership(&name("dispatchers"), options)
}

/// Joins; the heartbeat runs in a part of the process that can stand still by itself.
fn join(world: &mut World, node: &Node, member: &str) -> (Member, Node) {
    let (member, heartbeat) = join_without_heart(world, node, member);
    let mut runtime = node.clone();
    runtime.process = Arc::default();
    world.spawn(node, runtime.task(async move { heartbeat.run().await.unwrap() }));
    (member, runtime)
}

fn join_without_heart(world: &mut World, node: &Node, member: &str) -> (Member, Heartbeat) {
    let (group, member) = (group(node), name(member));
    let joined = async move { group.join(&member, b"v1", FOREVER).await.unwrap() };
    world.sim.block_on(joined)
}

type Log = Rc<RefCell<Vec<String>>>;

fn follow<S: Suspicion>(world: &World, node: &Node, suspicion: S) -> Log {
    let log = Log::default();
    let (lines, mut watcher) = (Rc::clone(&log), group(node).watch(suspicion));
    world.spawn(node, async move {
        while let Ok(change) = watcher.next().await {
            let line = match &change {
                Change::Blind { .. } => "blind".to_owned(),
                other => other.to_string(),
            };
            lines.borrow_mut().push(line);
        }
    });
    log
}

fn simple() -> Missed {
    Missed::beats(3, INTERVAL)
}

fn take(log: &Log) -> Vec<String> {
    log.borrow_mut().drain(..).map(|line| words(&line)).collect()
}

/// Without the incarnation, which is the engine's business.
fn words(line: &str) -> String {
    line.split(" (").next().unwrap().to_owned()
}

#[test]
fn members_come_change_and_go() {
    let mut world = World::new(1);
    let nodes: Vec<Node> = (0..3).map(|_| world.node()).collect();
    let log = follow(&world, &nodes[2], simple());
    let (ada, _) = join(&mut world, &nodes[0], "ada");
    let (bob, _) = join(&mut world, &nodes[1], "bob");
    world.sim.run_for(ms(5_000));
    assert_eq!(take(&log), ["ada joined", "bob joined"]);
    ada.update(b"v2").unwrap();
    world.sim.run_for(ms(100));
    assert_eq!(take(&log), ["ada updated"]);
    let long = ada.update(&[0; MEMBER_VALUE_BYTES_MAX + 1]);
    assert!(matches!(long, Err(Error::TooLarge { .. })));
    // Who comes later learns who is there.
    let late = follow(&world, &nodes[0], simple());
    world.sim.run_for(ms(100));
    assert_eq!(take(&late), ["ada joined", "bob joined"]);
    world.sim.block_on(ada.leave());
    world.sim.run_for(ms(100));
    assert_eq!(take(&log), ["ada left"]);
    drop(bob);
    world.sim.run_for(ms(500));
    assert_eq!(take(&log), ["bob left"]);
    assert_eq!(world.entries(&name("dispatchers")), []);
}

#[test]
fn a_stuck_runtime_is_suspected_though_its_session_lives() {
    let mut world = World::new(2);
    let nodes: Vec<Node> = (0..2).map(|_| world.node()).collect();
    let log = follow(&world, &nodes[1], simple());
    let (_ada, runtime) = join(&mut world, &nodes[0], "ada");
    world.sim.run_for(ms(2_000));
    assert_eq!(take(&log), ["ada joined"]);
    runtime.stop();
    world.sim.run_for(ms(1_500));
    assert_eq!(take(&log), ["ada suspected"]);
    world.sim.run_for(ms(10_000));
    assert_eq!((take(&log).len(), nodes[0].lost_sessions()), (0, 0));
    runtime.resume();
    world.sim.run_for(ms(500));
    assert_eq!(take(&log), ["ada trusted again"]);
}

#[test]
fn who_loses_its_session_leaves_and_comes_back_in_a_higher_life() {
    let mut world = World::new(3);
    let nodes: Vec<Node> = (0..2).map(|_| world.node()).collect();
    let log = follow(&world, &nodes[1], simple());
    let (ada, _) = join(&mut world, &nodes[0], "ada");
    let first = ada.incarnation().unwrap();
    world.sim.run_for(ms(1_000));
    nodes[0].link.cut(Cut::Both);
    world.sim.run_for(ms(4_000));
    assert_eq!(take(&log), ["ada joined", "ada suspected", "ada left"]);
    assert_eq!(ada.incarnation(), None);
    ada.update(b"v2").unwrap();
    nodes[0].link.heal();
    world.sim.run_for(ms(2_000));
    assert_eq!(take(&log), ["ada joined"]);
    assert!(ada.incarnation().unwrap() > first);
    assert!(world.entries(&name("dispatchers"))[0].value.ends_with(b"\nv2"));
}

/// Judges as another does, but at once, and holds its own deafness against everybody.
struct Unfair(Missed);

impl Suspicion for Unfair {
    fn heartbeat(&mut self, member: &Name, incarnation: FencingToken, now: Monotonic) {
        self.0.heartbeat(member, incarnation, now);
    }
    fn forget(&mut self, member: &Name, now: Monotonic) {
        self.0.forget(member, now);
    }
    fn deaf(&mut self, _: Duration, _: Monotonic) {}
    fn overdue(&mut self, _: Monotonic) -> bool {
        false
    }
    fn suspected(&mut self, now: Monotonic) -> Vec<Name> {
        self.0.suspected(now)
    }
    fn due(&self, now: Monotonic) -> Option<Monotonic> {
        self.0.due(now)
    }
}

/// Follows with a fair judge and an unfair one while `disturb` disturbs the watcher or the engine;
/// answers what each has said of it.
fn disturbed(
    after: Duration,
    disturb: impl FnOnce(&mut World, &Node),
) -> (Vec<String>, Vec<String>) {
    let mut world = World::new(4);
    world.net.set_faults(Faults { delay: ms(1)..=ms(5), ..Faults::default() });
    let nodes: Vec<Node> = (0..2).map(|_| world.node()).collect();
    let _ada = join(&mut world, &nodes[0], "ada");
    let fair = follow(&world, &nodes[1], simple());
    let unfair = follow(&world, &nodes[1], Unfair(simple()));
    world.sim.run_for(ms(2_000) + after);
    assert_eq!((take(&fair).len(), take(&unfair).len()), (1, 1));
    disturb(&mut world, &nodes[1]);
    world.sim.run_for(ms(3_000));
    (take(&fair), take(&unfair))
}

fn suspects(said: &[String]) -> bool {
    said.iter().any(|line| line == "ada suspected")
}

#[test]
fn who_stood_still_suspects_nobody() {
    // At each moment between two beats: before it has looked, and after.
    let said: Vec<_> = (0..30)
        .map(|moment| {
            disturbed(ms(moment * 10), |world, watcher| {
                watcher.stop();
                world.sim.run_for(ms(6_000));
                watcher.resume();
            })
        })
        .collect();
    for (fair, _) in &said {
        assert_eq!(fair, &[] as &[String]);
    }
    assert!(said.iter().any(|(_, unfair)| suspects(unfair)), "the check finds the broken twin");
}

#[test]
fn who_was_cut_off_suspects_nobody() {
    let (fair, _) = disturbed(ms(0), |world, watcher| {
        watcher.link.cut(Cut::Both);
        world.sim.run_for(ms(6_000));
        watcher.link.heal();
    });
    assert_eq!(fair, ["blind", "can be seen again"]);
}

#[test]
fn an_outage_of_the_engine_makes_nobody_suspected() {
    // Nobody could beat, and the first look finds old beats.
    let (fair, unfair) = disturbed(ms(0), |world, _| world.restart(ms(1_500)));
    assert_eq!(fair, ["blind", "can be seen again"]);
    assert!(suspects(&unfair), "the check finds the broken twin: {unfair:?}");
}

/// The platform's: φ-accrual.
struct Accrual(Monitor<Name>);

impl Suspicion for Accrual {
    fn heartbeat(&mut self, member: &Name, incarnation: FencingToken, now: Monotonic) {
        self.0.heartbeat_of(now, member, incarnation.get()).unwrap();
    }
    fn forget(&mut self, member: &Name, now: Monotonic) {
        self.0.forget(now, member);
    }
    fn deaf(&mut self, _: Duration, _: Monotonic) {
        // It notices by itself that nothing at all came in.
    }
    fn overdue(&mut self, now: Monotonic) -> bool {
        !self.0.overdue(now).is_empty()
    }
    fn suspected(&mut self, now: Monotonic) -> Vec<Name> {
        self.0.tick(now);
        self.0.suspects().cloned().collect()
    }
    fn due(&self, now: Monotonic) -> Option<Monotonic> {
        Some(now + ms(100))
    }
}

#[test]
fn the_accrual_monitor_fits() {
    let mut world = World::new(5);
    world.net.set_faults(Faults { delay: ms(1)..=ms(20), ..Faults::default() });
    let nodes: Vec<Node> = (0..3).map(|_| world.node()).collect();
    let (_ada, stuck) = join(&mut world, &nodes[0], "ada");
    let _bob = join(&mut world, &nodes[1], "bob");
    let monitor = Monitor::new(detector::Options::default(), Events::silent("dispatchers"));
    let log = follow(&world, &nodes[2], Accrual(monitor.unwrap()));
    world.sim.run_for(ms(20_000));
    assert_eq!(take(&log), ["ada joined", "bob joined"]);
    stuck.stop();
    world.sim.run_for(ms(20_000));
    assert_eq!(take(&log), ["ada suspected"]);
    stuck.resume();
    world.sim.run_for(ms(2_000));
    assert_eq!(take(&log), ["ada trusted again"]);
}

#[test]
fn joining_that_is_given_up_leaves_nothing() {
    for steps in 0..10 {
        let mut world = World::new(steps);
        world.net.set_faults(Faults { delay: ms(3)..=ms(3), ..Faults::default() });
        let node = world.node();
        let (group, clock) = (group(&node), world.clock());
        world.sim.block_on(async move {
            let ada = name("ada");
            let _ = clock.timeout(ms(steps * 3), group.join(&ada, b"v1", FOREVER)).await;
        });
        world.sim.run_for(ms(500));
        assert_eq!(world.entries(&name("dispatchers")), [], "after {steps} steps");
    }
}

/// Whatever goes wrong: when all is healed, everybody who stayed is there, trusted, once.
#[test]
fn all_is_well_again_after_faults() {
    for seed in 0..25 {
        let mut world = World::new(seed);
        let mut rng = Rng::with_seed(seed);
        let nodes: Vec<Node> = (0..4).map(|_| world.node()).collect();
        let log = follow(&world, &nodes[3], simple());
        let members: Vec<_> =
            ["ada", "bob", "eve"].iter().zip(&nodes).map(|(m, n)| join(&mut world, n, m)).collect();
        let silence = rng.bool().then_some(ms(300));
        let faults =
            Faults { lost_requests: 0.1, lost_answers: 0.1, delay: ms(0)..=ms(30), silence };
        world.net.set_faults(faults);
        for _ in 0..12 {
            let node = &nodes[rng.usize(..4)];
            match rng.u8(..5) {
                0 => world.restart(ms(rng.u64(..1_000))),
                1 => node.link.cut([Cut::Requests, Cut::Answers, Cut::Both][rng.usize(..3)]),
                2 => node.stop(),
                3 => members[rng.usize(..3)].1.stop(),
                _ => heal(&nodes, &members),
            }
            world.sim.run_for(ms(rng.u64(..2_500)));
        }
        heal(&nodes, &members);
        world.net.set_faults(Faults::default());
        world.sim.run_for(ms(30_000));
        let mut state = std::collections::BTreeMap::new();
        for line in log.borrow().iter() {
            let (who, what) = line.split_once(' ').unwrap_or((line, ""));
            match words(what).as_str() {
                "joined" => assert_eq!(state.insert(who.to_owned(), true), None, "seed {seed}"),
                "left" => assert!(state.remove(who).is_some(), "seed {seed}"),
                "suspected" => assert_eq!(state.insert(who.into(), false), Some(true)),
                "trusted again" => assert_eq!(state.insert(who.into(), true), Some(false)),
                _ => {}
            }
        }
        let well: Vec<(&str, bool)> =
            state.iter().map(|(who, well)| (who.as_str(), *well)).collect();
        assert_eq!(well, [("ada", true), ("bob", true), ("eve", true)], "seed {seed}");
        assert_eq!(world.entries(&name("dispatchers")).len(), 3, "seed {seed}");
    }
}

fn heal(nodes: &[Node], members: &[(Member, Node)]) {
    nodes.iter().for_each(Node::resume);
    nodes.iter().for_each(|node| node.link.heal());
    members.iter().for_each(|(_, runtime)| runtime.resume());
}
