//! Elections: in order, named truthfully, and left behind by nobody.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

mod client_world;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use client_world::{Node, World, ms, name};
use fastrand::Rng;
use futures::FutureExt;
use steadfast_coordination::client::Patience;
use steadfast_coordination::engine::memory::{Cut, Faults, Memory};
use steadfast_coordination::limits::ELECTION_VALUE_BYTES_MAX;
use steadfast_coordination::port::{Coordinator, Error, Mode, Request};
use steadfast_coordination::recipe::election::{Election, Leadership, View};
use steadfast_fencing::FencingToken;
use steadfast_time::Uuid;

const FOREVER: Patience = Patience::Forever;

fn election(node: &Node) -> Election {
    node.client.election(&name("city"))
}

/// Everything that an observer tells, as it comes.
fn observe(world: &World, node: &Node) -> Rc<RefCell<Vec<View>>> {
    let views = Rc::<RefCell<Vec<View>>>::default();
    let (seen, mut observer) = (Rc::clone(&views), election(node).observe());
    world.spawn(node, async move {
        while let Ok(view) = observer.next().await {
            seen.borrow_mut().push(view);
        }
    });
    views
}

fn said(views: &RefCell<Vec<View>>) -> Vec<String> {
    let word = |view: &View| match &view.leadership {
        Leadership::Led { value, .. } => String::from_utf8_lossy(value).into_owned(),
        Leadership::Vacant { standing } => format!("vacant {standing}"),
        Leadership::Unknown { .. } => "unknown".to_owned(),
    };
    views.borrow().iter().map(word).collect()
}

/// A candidate that leads for `term` whenever it is elected, a number of times.
fn candidate(world: &World, node: &Node, value: &'static str, term: Duration, times: u32) {
    let (election, clock) = (election(node), world.clock());
    world.spawn(node, async move {
        for _ in 0..times {
            let leader = election.campaign(value.as_bytes(), FOREVER).await.unwrap();
            clock.sleep(term).await;
            let _ = leader.resign().await;
        }
    });
}

/// Three stand in line, each leads for `term`; checks the order, and that handing over takes no
/// session length.
fn hand_over(term: Duration) {
    let mut world = World::new(1);
    world.net.set_faults(Faults { delay: ms(1)..=ms(1), ..Faults::default() });
    let nodes: Vec<Node> = (0..4).map(|_| world.node()).collect();
    let views = observe(&world, &nodes[3]);
    for (node, value) in nodes.iter().zip(["a", "b", "c"]) {
        candidate(&world, node, value, term, 1);
        world.sim.run_for(ms(20));
    }
    world.sim.run_for(term * 4);
    let led: Vec<View> =
        views.borrow().iter().filter(|view| view.leadership.token().is_some()).cloned().collect();
    let words = said(&views);
    assert_eq!(words.iter().filter(|word| word.len() == 1).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(words.last().unwrap(), "vacant 0");
    for view in &led[1..] {
        // The news to the next one, its question and the answer, and the news to the observer.
        assert!(view.vacancy.unwrap() <= ms(10), "{view:?}");
    }
    assert!(led.windows(2).all(|two| two[0].leadership.token() < two[1].leadership.token()));
}

#[test]
fn who_resigns_is_followed_at_once_by_the_next_in_line() {
    hand_over(ms(80));
}

#[test]
fn who_resigns_is_followed_at_once_however_long_the_next_one_has_waited() {
    hand_over(ms(5_000));
}

#[test]
fn a_leader_that_is_cut_off_is_followed_when_its_session_ends_and_knows_it_before() {
    let mut world = World::new(2);
    world.net.set_faults(Faults { delay: ms(1)..=ms(2), ..Faults::default() });
    let nodes: Vec<Node> = (0..3).map(|_| world.node()).collect();
    let views = observe(&world, &nodes[2]);
    let lost_at = Rc::new(Cell::new(None));
    let (campaign, clock, at) = (election(&nodes[0]), world.clock(), Rc::clone(&lost_at));
    world.spawn(&nodes[0], async move {
        let leader = campaign.campaign(b"a", FOREVER).await.unwrap();
        leader.lost().await;
        assert!(leader.check().is_err());
        at.set(Some(clock.monotonic()));
    });
    world.sim.run_for(ms(100));
    candidate(&world, &nodes[1], "b", ms(60_000), 1);
    world.sim.run_for(ms(900));
    nodes[0].link.cut(Cut::Both);
    let cut = world.clock().monotonic();
    world.sim.run_for(ms(5_000));
    let view = views.borrow().last().unwrap().clone();
    assert_eq!(said(&views).last().unwrap(), "b");
    assert!(view.seen - cut <= ms(2_200), "{:?}", view.seen - cut);
    assert!(lost_at.get().unwrap() < view.seen, "the old leader must know first");
}

#[test]
fn an_observer_says_that_nobody_leads_and_that_it_does_not_know() {
    let mut world = World::new(3);
    let nodes: Vec<Node> = (0..2).map(|_| world.node()).collect();
    let views = observe(&world, &nodes[1]);
    world.sim.run_for(ms(10));
    candidate(&world, &nodes[0], "a", ms(3_000), 1);
    world.sim.run_for(ms(1_000));
    // The connection stays open and says nothing: only asking outright shows it.
    nodes[1].link.cut(Cut::Both);
    world.sim.run_for(ms(1_500));
    assert_eq!(said(&views), ["vacant 0", "vacant 1", "a", "unknown"]);
    nodes[1].link.heal();
    world.sim.run_for(ms(1_200));
    assert_eq!(said(&views)[4..], ["a", "vacant 0"]);
    world.restart(ms(500));
    world.sim.run_for(ms(2_000));
    assert_eq!(said(&views)[6..], ["unknown", "vacant 0"]);
}

#[test]
fn what_is_proclaimed_is_seen_and_has_a_limit() {
    let mut world = World::new(4);
    let node = world.node();
    let views = observe(&world, &node);
    let (campaign, clock) = (election(&node), world.clock());
    world.sim.block_on(async move {
        let long = vec![b'x'; ELECTION_VALUE_BYTES_MAX + 1];
        let refused = campaign.campaign(&long, FOREVER).await;
        assert!(matches!(refused, Err(Error::TooLarge { .. })));
        let leader = campaign.campaign(b"a", FOREVER).await.unwrap();
        clock.sleep(ms(10)).await;
        assert!(matches!(leader.proclaim(&long).await, Err(Error::TooLarge { .. })));
        leader.proclaim(b"b").await.unwrap();
        let second = campaign.campaign(b"c", Patience::Try).await;
        assert!(matches!(second, Err(Error::Busy { .. })), "{second:?}");
        let Leadership::Led { token, value, .. } = campaign.leader().await.unwrap() else {
            panic!("somebody leads")
        };
        assert_eq!((token, value), (leader.token(), b"b".to_vec()));
        clock.sleep(ms(10)).await;
    });
    assert_eq!(said(&views)[said(&views).len() - 3..], ["a", "b", "vacant 0"]);
}

#[test]
fn a_campaign_that_is_given_up_leaves_nothing() {
    for polls in 0..12 {
        let mut world = World::new(polls);
        world.net.set_faults(Faults { delay: ms(3)..=ms(3), ..Faults::default() });
        let node = world.node();
        let (campaign, clock) = (election(&node), world.clock());
        world.sim.block_on(async move {
            let limit = ms(polls * 3);
            let _ = clock.timeout(limit, campaign.campaign(b"a", FOREVER)).await;
        });
        world.sim.run_for(ms(500));
        assert_eq!(world.entries(&name("city")), [], "after {polls} steps");
    }
}

/// What a campaign must not be: told that it is its turn, it asks nobody whether its session is
/// still good (etcd's `Election.Campaign` does not).
async fn naive_campaign(server: Arc<dyn Coordinator>, id: u128) -> FencingToken {
    let session = server.open(ms(2_000)).await.unwrap().session;
    let id = Uuid::from_u128(id);
    let request = Request { session, id, mode: Mode::Exclusive, value: b"!naive", wait: true };
    let queue = name("city");
    let place = server.enter(&queue, request).await.unwrap();
    if let Some(ahead) = place.ahead {
        server.gone(&queue, ahead).await.unwrap();
    }
    place.token
}

/// A candidate stands still from before its turn until after its session. Answers whether it came
/// back as leader by a session that was over.
fn wakes_up_as_a_phantom(is_naive: bool) -> bool {
    let mut world = World::new(5);
    let nodes: Vec<Node> = (0..2).map(|_| world.node()).collect();
    candidate(&world, &nodes[0], "a", ms(1_500), 1);
    world.sim.run_for(ms(100));
    let phantom = Rc::new(Cell::new(None));
    let (result, campaign) = (Rc::clone(&phantom), election(&nodes[1]));
    let server: Arc<dyn Coordinator> = nodes[1].link.clone();
    let memory: Memory = world.server.borrow().clone();
    world.spawn(&nodes[1], async move {
        let (token, leader) = if is_naive {
            (naive_campaign(server, 9).await, None)
        } else {
            let leader = campaign.campaign(b"b", FOREVER).await.unwrap();
            (leader.token(), Some(leader))
        };
        let entries = memory.list(&name("city"), None).now_or_never().unwrap().unwrap().entries;
        result.set(Some(entries.first().is_none_or(|entry| entry.token != token)));
        drop(leader);
    });
    world.sim.run_for(ms(1_300));
    nodes[1].stop();
    world.sim.run_for(ms(6_000));
    nodes[1].resume();
    world.sim.run_for(ms(6_000));
    phantom.get().unwrap()
}

#[test]
fn nobody_is_elected_whose_session_is_over() {
    assert!(!wakes_up_as_a_phantom(false));
    assert!(wakes_up_as_a_phantom(true), "the check finds the broken twin");
}

/// Whatever goes wrong: leaders come in the order of their tokens, nobody is named who is not in
/// office, and when all is healed, the observers know the truth.
#[test]
fn observers_tell_the_truth_under_faults() {
    for seed in 0..40 {
        let mut world = World::new(seed);
        let mut rng = Rng::with_seed(seed);
        let silence = rng.bool().then_some(ms(300));
        let faults =
            Faults { lost_requests: 0.1, lost_answers: 0.1, delay: ms(0)..=ms(30), silence };
        world.net.set_faults(faults);
        let nodes: Vec<Node> = (0..4).map(|_| world.node()).collect();
        let views: Vec<_> = nodes.iter().map(|node| observe(&world, node)).collect();
        for (node, value) in nodes.iter().zip(["a", "b", "c"]) {
            candidate(&world, node, value, ms(rng.u64(..2_000)), 8);
        }
        for _ in 0..12 {
            let node = &nodes[rng.usize(..4)];
            match rng.u8(..4) {
                0 => world.restart(ms(rng.u64(..1_000))),
                1 => node.link.cut([Cut::Requests, Cut::Answers, Cut::Both][rng.usize(..3)]),
                2 => node.stop(),
                _ => {
                    nodes.iter().for_each(Node::resume);
                    nodes.iter().for_each(|node| node.link.heal());
                }
            }
            world.sim.run_for(ms(rng.u64(..2_500)));
        }
        nodes.iter().for_each(Node::resume);
        nodes.iter().for_each(|node| node.link.heal());
        world.net.set_faults(Faults::default());
        world.sim.run_for(ms(60_000));
        let truth = format!("seed {seed}");
        assert_eq!(world.entries(&name("city")), [], "{truth}: all terms are over");
        for views in &views {
            let tokens: Vec<_> =
                views.borrow().iter().filter_map(|view| view.leadership.token()).collect();
            assert!(tokens.is_sorted(), "{truth}: {tokens:?}");
            assert!(!tokens.is_empty(), "{truth}");
            assert_eq!(said(views).last().unwrap(), "vacant 0", "{truth}");
        }
    }
}
