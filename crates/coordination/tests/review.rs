//! What an adversary would try: requests that arrive minutes late, answers that overtake each other,
//! processes that stand still with their clock, clients that are shut down in the middle of it.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

mod client_world;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::Future;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client_world::{Node, World, ms, name, options};
use fastrand::Rng;
use futures::FutureExt;
use futures::future::{BoxFuture, pending};
use steadfast_coordination::Options;
use steadfast_coordination::client::{Client, Guard, Patience};
use steadfast_coordination::engine::memory::{Cut, Faults};
use steadfast_coordination::event::Event;
use steadfast_coordination::port::{
    Capabilities, Coordinator, Entry, EntryId, Error, Listing, Mode, Name, Opened, Place, Register,
    Request, SessionId,
};
use steadfast_coordination::recipe::membership::{self, Change, Missed, Roster};
use steadfast_fencing::FencingToken;
use steadfast_time::sim::SimClock;
use steadfast_time::{Clock, Interval, Monotonic, Sleep, Source};

const FOREVER: Patience = Patience::Forever;

fn run<T: 'static>(world: &mut World, node: &Node, work: impl Future<Output = T> + 'static) -> T {
    let task = node.task(work);
    world.sim.block_on(task)
}

fn hold(world: &mut World, node: &Node, lock: &str) -> Guard {
    let lock = node.client.lock(&name(lock));
    run(world, node, async move { lock.acquire(FOREVER).await.unwrap() })
}

/// A way to an engine on which one thing goes wrong when it is told to.
struct Bent {
    inner: Arc<dyn Coordinator>,
    clock: SimClock,
    /// The next request for an entry is held up, as on a connection that is cut off.
    hold_up: AtomicBool,
    held_up: Mutex<Option<(SessionId, EntryId)>>,
    /// The process stands still for so long before it reads the answer to the next change of a value.
    stall: Mutex<Option<Duration>>,
    /// How much longer the engine's sessions are than was asked for.
    longer: Duration,
}

impl Bent {
    fn new(world: &World, inner: Arc<dyn Coordinator>) -> Self {
        Self {
            inner,
            clock: world.sim.sim_clock(),
            hold_up: AtomicBool::new(false),
            held_up: Mutex::new(None),
            stall: Mutex::new(None),
            longer: Duration::ZERO,
        }
    }
}

type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

impl Coordinator for Bent {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn open(&self, length: Duration) -> Answer<'_, Opened> {
        self.inner.open(length + self.longer)
    }

    fn renew(&self, session: SessionId) -> Answer<'_, ()> {
        self.inner.renew(session)
    }

    fn close(&self, session: SessionId) -> Answer<'_, ()> {
        self.inner.close(session)
    }

    fn enter<'a>(&'a self, queue: &'a Name, request: Request<'a>) -> Answer<'a, Place> {
        if self.hold_up.swap(false, Ordering::Relaxed) {
            *self.held_up.lock().unwrap() = Some((request.session, request.id));
            return pending().boxed();
        }
        self.inner.enter(queue, request)
    }

    fn place<'a>(&'a self, queue: &'a Name, token: FencingToken) -> Answer<'a, Place> {
        self.inner.place(queue, token)
    }

    fn gone<'a>(&'a self, queue: &'a Name, token: FencingToken) -> Answer<'a, ()> {
        self.inner.gone(queue, token)
    }

    fn leave<'a>(&'a self, queue: &'a Name, token: FencingToken) -> Answer<'a, ()> {
        self.inner.leave(queue, token)
    }

    fn set<'a>(&'a self, queue: &'a Name, token: FencingToken, value: &'a [u8]) -> Answer<'a, ()> {
        Box::pin(async move {
            let answer = self.inner.set(queue, token, value).await;
            if let Some(length) = self.stall.lock().unwrap().take() {
                self.clock.advance(length);
            }
            answer
        })
    }

    fn list<'a>(&'a self, queue: &'a Name, since: Option<u64>) -> Answer<'a, Listing> {
        self.inner.list(queue, since)
    }

    fn queues<'a>(&'a self, after: Option<&'a Name>) -> Answer<'a, Vec<Name>> {
        self.inner.queues(after)
    }

    fn load<'a>(&'a self, register: &'a Name) -> Answer<'a, Option<Register>> {
        self.inner.load(register)
    }

    fn store<'a>(
        &'a self,
        register: &'a Name,
        expected: Option<u64>,
        value: &'a [u8],
    ) -> Answer<'a, u64> {
        self.inner.store(register, expected, value)
    }
}

/// A node whose way to the server is bent.
fn bent(world: &mut World, longer: Duration) -> (Node, Arc<Bent>) {
    let bent = Rc::new(RefCell::new(None));
    let out = Rc::clone(&bent);
    let template = Bent::new(world, Arc::new(world.server.borrow().clone()));
    let node = world.node_with(options(), false, |link| {
        let way = Arc::new(Bent { inner: link, longer, ..template });
        *out.borrow_mut() = Some(Arc::clone(&way));
        way
    });
    let way = bent.borrow_mut().take().unwrap();
    (node, way)
}

/// Several connections, or several servers: a request that was cut off with its connection can
/// arrive long after the same request on another one was answered, and the entry left.
#[test]
fn a_request_that_arrives_minutes_late_blocks_nobody_for_ever() {
    for late in [0, 5, 30, 300, 800] {
        let mut world = World::new(1);
        let (node, way) = bent(&mut world, Duration::ZERO);
        let client = node.client.clone();
        run(&mut world, &node, async move { client.session(FOREVER).await.unwrap() });
        way.hold_up.store(true, Ordering::Relaxed);
        let guard = hold(&mut world, &node, "zone/1");
        run(&mut world, &node, guard.release()).unwrap();
        world.sim.run_for(Duration::from_secs(late));
        let (session, id) = way.held_up.lock().unwrap().take().unwrap();
        let server = world.server.borrow().clone();
        world.sim.block_on(async move {
            let request = Request { session, id, mode: Mode::Exclusive, value: b"", wait: true };
            server.enter(&name("zone/1"), request).await.unwrap();
        });
        assert_eq!(world.entries(&name("zone/1")).len(), 1);
        world.sim.run_for(Duration::from_secs(late + 10));
        assert_eq!(world.entries(&name("zone/1")), [], "{late} s late");
        assert_eq!(node.lost_sessions(), 0, "not because its session has ended");
        // It is not looked for without end.
        world.sim.run_for(Duration::from_secs(2_000));
        let before = world.disk.log_len();
        world.sim.run_for(Duration::from_secs(60));
        let (after, renewals) = (world.disk.log_len(), 60 * 1_000 / 640);
        assert!(after < before || after - before <= renewals, "{late}: {before} {after}");
    }
}

/// Callers that give up while their request is on its way: each may have made an entry anew.
#[test]
fn many_that_give_up_in_the_middle_cost_neither_the_session_nor_a_release_its_time() {
    let mut world = World::new(1);
    world.net.set_faults(Faults { delay: ms(20)..=ms(20), ..Faults::default() });
    let (node, other) = (world.node(), world.node());
    let guard = hold(&mut world, &node, "zone/2");
    let (lock, clock) = (node.client.lock(&name("zone/1")), world.clock());
    run(&mut world, &node, async move {
        for _ in 0..4_000 {
            assert!(clock.timeout(ms(5), lock.acquire(FOREVER)).await.is_err());
        }
    });
    assert_eq!(node.lost_sessions(), 0);
    let lock = other.client.lock(&name("zone/2"));
    let (clock, start) = (world.clock(), world.clock().monotonic());
    run(&mut world, &other, async move {
        clock.sleep(ms(100)).await;
        drop(guard);
        lock.acquire(FOREVER).await.unwrap().release().await.unwrap();
    });
    let took = world.clock().monotonic() - start;
    assert!(took <= ms(400), "a release waits behind those: {took:?}");
    world.sim.run_for(Duration::from_secs(20));
    assert_eq!(world.entries(&name("zone/1")), []);
    world.sim.run_for(Duration::from_secs(2_000));
    assert_eq!(node.lost_sessions(), 0);
    let before = world.disk.log_len();
    world.sim.run_for(Duration::from_secs(60));
    let (after, renewals) = (world.disk.log_len(), 2 * 60 * 1_000 / 640);
    assert!(after < before || after - before <= renewals, "{before} {after}");
}

/// Suspended with its clock, for less than every stall that is not borne, and cut off as well: no
/// renewal shows that the server has counted on.
#[test]
fn a_suspension_that_is_short_shortens_what_is_left() {
    for asleep in [300, 700, 1_200] {
        let mut world = World::new(1);
        let (node, other) = (world.node_with(options(), true, |link| link), world.node());
        drop(node.client.clone().with_stalls(Arc::clone(&node.process) as _));
        let guard = hold(&mut world, &node, "zone/1");
        world.sim.run_for(ms(100));
        node.link.cut(Cut::Both);
        node.stop();
        world.sim.run_for(ms(asleep));
        node.resume();
        let next = hold(&mut world, &other, "zone/1");
        assert!(next.token() > guard.token());
        assert!(guard.check().is_err(), "two believe that they hold it, after {asleep} ms");
    }
}

#[test]
fn nobody_leads_who_stood_still_while_taking_office() {
    let mut world = World::new(1);
    let (node, way) = bent(&mut world, Duration::ZERO);
    *way.stall.lock().unwrap() = Some(ms(3_000));
    let election = node.client.election(&name("city"));
    let leader = run(&mut world, &node, async move {
        let leader = election.campaign(b"a", FOREVER).await.unwrap();
        assert!(leader.check().is_ok(), "it lost its session in the moment of its election");
        leader
    });
    assert_eq!(world.entries(&name("city"))[0].token, leader.token());
}

#[test]
fn a_release_says_that_it_is_done_only_if_it_is() {
    let mut world = World::new(1);
    let node = world.node();
    let guard = hold(&mut world, &node, "zone/1");
    node.link.cut(Cut::Both);
    let left = guard.deadline() - world.clock().monotonic();
    world.sim.run_for(left - ms(100));
    let released = run(&mut world, &node, guard.release());
    assert_eq!(world.entries(&name("zone/1")).len(), 1, "the server has not heard");
    assert!(matches!(released, Err(Error::Timeout { .. })), "{released:?}");
}

#[test]
fn a_semaphore_of_a_closed_or_quarantined_client_refuses_also_when_nobody_answers() {
    for quarantined in [false, true] {
        for waiting in [false, true] {
            let mut world = World::new(1);
            let node = world.node();
            node.link.cut(Cut::Both);
            let (semaphore, clock) = (node.client.semaphore(&name("s"), 2), world.clock());
            let got = Rc::new(RefCell::new(None));
            let acquire = {
                let got = Rc::clone(&got);
                async move {
                    let acquired = clock.timeout(ms(20_000), semaphore.acquire(FOREVER)).await;
                    *got.borrow_mut() = Some(acquired.map(|result| result.map(drop)));
                }
            };
            let close = |world: &mut World| {
                let client = node.client.clone();
                if quarantined {
                    client.quarantine("the clock");
                } else {
                    run(world, &node, async move { client.shutdown().await });
                }
            };
            if waiting {
                world.spawn(&node, acquire);
                world.sim.run_for(ms(100));
                close(&mut world);
            } else {
                close(&mut world);
                world.spawn(&node, acquire);
            }
            world.sim.run_for(ms(30_000));
            let got = got.borrow_mut().take().unwrap();
            let is_right = match &got {
                Ok(Err(Error::Quarantined { .. })) => quarantined,
                Ok(Err(Error::Closed)) => !quarantined,
                _ => false,
            };
            assert!(is_right, "quarantined {quarantined}, waiting {waiting}: {got:?}");
        }
    }
}

#[test]
fn a_shutdown_lasts_until_the_keeper_has_ended_also_with_longer_sessions() {
    let mut world = World::new(1);
    let (node, _) = bent(&mut world, ms(20_000));
    let guard = hold(&mut world, &node, "zone/1");
    node.link.cut(Cut::Both);
    let client = node.client.clone();
    run(&mut world, &node, async move { client.shutdown().await });
    assert!(*node.ended.borrow(), "the keeper goes on");
    assert_eq!(world.queues(), [], "and the server has ended what it could not be told to");
    drop(guard);
}

fn peer(token: u64, member: &str, beat: u64) -> Entry {
    Entry {
        token: FencingToken::new(token).unwrap(),
        session: SessionId(token),
        mode: Mode::Shared,
        value: format!("member 1 {beat} {member}\n").into_bytes(),
    }
}

/// The old life's session takes its time to end; the new one is short.
#[test]
fn a_life_that_is_over_never_comes_back() {
    let mut roster = Roster::new(Missed::beats(3, ms(1_000)));
    let mut see = |at: u64, entries: Vec<Entry>| {
        let at = Monotonic::from_start(ms(at));
        let changes = roster.see(at, &Listing { version: at.as_nanos() + 1, entries });
        changes.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(see(0, vec![peer(1, "a", 4)]), ["a joined (1)"]);
    assert_eq!(see(10, vec![peer(1, "a", 4), peer(2, "a", 0)]), ["a left (1)", "a joined (2)"]);
    assert_eq!(see(20, vec![peer(1, "a", 4)]), ["a left (2)"]);
    assert_eq!(see(30, vec![peer(1, "a", 5)]), [] as [&str; 0]);
    assert_eq!(see(40, vec![]), [] as [&str; 0]);
    assert_eq!(see(50, vec![peer(3, "a", 0)]), ["a joined (3)"]);
}

/// Each life is told to begin once and to end once, whatever answers overtake each other.
#[test]
fn answers_that_overtake_each_other_do_not_bring_anybody_back() {
    for seed in 0..60 {
        let mut world = World::new(seed);
        let mut rng = Rng::with_seed(seed);
        let nodes: Vec<Node> = (0..5).map(|_| world.node()).collect();
        let of = membership::Options { interval: ms(100), look_every: ms(10) };
        let log = Rc::new(RefCell::new(Vec::new()));
        let mut watcher = nodes[4].client.membership(&name("group"), of).watch_simply();
        let out = Rc::clone(&log);
        world.spawn(&nodes[4], async move {
            while let Ok(change) = watcher.next().await {
                out.borrow_mut().push(change);
            }
        });
        world.net.set_faults(Faults {
            delay: ms(0)..=ms(150),
            lost_answers: 0.2,
            ..Faults::default()
        });
        for (number, node) in nodes.iter().take(4).enumerate() {
            let group = node.client.membership(&name("group"), of);
            let (clock, pause) = (world.clock(), ms(rng.u64(200..900)));
            world.spawn(node, async move {
                loop {
                    let member = name(&format!("m{number}"));
                    // Without a heartbeat: suspected soon, and looked for once more.
                    let joined = group.join(&member, b"", FOREVER).await;
                    clock.sleep(pause).await;
                    drop(joined);
                }
            });
        }
        world.sim.run_for(Duration::from_secs(30));
        let (mut joined, mut left) = (BTreeSet::new(), BTreeSet::new());
        for change in log.borrow().iter() {
            match change {
                Change::Joined { member, incarnation, .. } => {
                    assert!(
                        joined.insert((member.clone(), *incarnation)),
                        "{seed}: {change} twice"
                    );
                }
                Change::Left { member, incarnation } => {
                    assert!(left.insert((member.clone(), *incarnation)), "{seed}: {change} twice");
                }
                _ => {}
            }
        }
        assert!(joined.len() > 20, "{}", joined.len());
    }
}

#[test]
fn a_member_whose_heartbeat_is_gone_has_no_life() {
    let mut world = World::new(1);
    let node = world.node();
    let group = node.client.membership(&name("group"), membership::Options::default());
    let joined = async move { group.join(&name("a"), b"", FOREVER).await.unwrap() };
    let (member, heartbeat) = run(&mut world, &node, joined);
    assert!(member.incarnation().is_some());
    drop(heartbeat);
    world.sim.run_for(ms(100));
    assert_eq!(world.entries(&name("group")), []);
    assert_eq!(member.incarnation(), None);
}

/// A clock that runs faster than another by so many parts in a million; slower, below zero.
struct Drifting {
    clock: Clock,
    ppm: i64,
}

impl Drifting {
    fn at(&self, moment: Monotonic) -> Monotonic {
        let own = i128::from(moment.as_nanos()) * i128::from(1_000_000 + self.ppm) / 1_000_000;
        Monotonic::from_nanos(u64::try_from(own).unwrap())
    }
}

impl Source for Drifting {
    fn monotonic(&self) -> Monotonic {
        self.at(self.clock.monotonic())
    }

    fn interval(&self) -> Interval {
        self.clock.interval()
    }

    fn sleep_until(&self, deadline: Monotonic) -> Sleep {
        let (clock, ppm) = (self.clock.clone(), self.ppm);
        Box::pin(async move {
            let own = Self { clock: clock.clone(), ppm };
            while own.monotonic() < deadline {
                let left = deadline - own.monotonic();
                clock.sleep(left.max(Duration::from_nanos(100))).await;
            }
        })
    }
}

/// Cut off under a clock that drifts: whether the holder has stopped when the next one begins.
fn stops_in_time(ppm: i64, cut_at: u64) -> bool {
    let mut world = World::new(cut_at);
    let clock = Clock::new(Arc::new(Drifting { clock: world.clock(), ppm }));
    let link = world.net.link();
    // The longest lease that is allowed: drift adds up the most.
    let length = Duration::from_secs(3_600);
    let options = Options { length, round_trip: ms(50), ..Options::default() };
    let (client, keeper) = Client::new(link.clone(), clock, options).unwrap();
    world.sim.spawn(keeper.run());
    let lock = client.lock(&name("zone/1"));
    let guard = world.sim.block_on(async move { lock.acquire(FOREVER).await.unwrap() });
    world.sim.run_for(Duration::from_secs(cut_at));
    link.cut(Cut::Both);
    let other = world.node();
    let next = hold(&mut world, &other, "zone/1");
    assert!(next.token() > guard.token());
    guard.check().is_err()
}

#[test]
fn a_clock_that_drifts_within_bounds_stops_its_holder_first() {
    for cut_at in [0, 1_000, 5_000] {
        for ppm in [-1_000, -500, 0, 500, 1_000] {
            assert!(stops_in_time(ppm, cut_at), "{ppm} ppm");
        }
        assert!(!stops_in_time(-2_000, cut_at), "the check finds a clock that is worse");
    }
}

#[test]
fn joining_goes_on_while_patience_lasts() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        let node = world.node();
        let silence = (seed % 2 == 0).then_some(ms(20));
        world.net.set_faults(Faults { lost_answers: 0.6, silence, ..Faults::default() });
        let group = node.client.membership(&name("group"), membership::Options::default());
        let (clock, member) = (world.clock(), name("a"));
        let joined = run(&mut world, &node, async move {
            let end = Patience::Until(clock.monotonic() + Duration::from_secs(60));
            group.join(&member, b"", end).await
        });
        assert!(joined.is_ok(), "seed {seed}: {joined:?}");
    }
    // And no longer.
    let mut world = World::new(1);
    let node = world.node();
    let group = node.client.membership(&name("group"), membership::Options::default());
    let client = node.client.clone();
    run(&mut world, &node, async move { client.session(FOREVER).await.unwrap() });
    node.link.cut(Cut::Answers);
    let clock = world.clock();
    run(&mut world, &node, async move {
        let end = clock.monotonic() + ms(700);
        let joined = group.join(&name("a"), b"", Patience::Until(end)).await;
        assert!(matches!(joined, Err(Error::Timeout { .. })), "{joined:?}");
        assert_eq!(clock.monotonic(), end);
    });
}

/// A listener may do what everybody may: no lock is held while it is called.
#[test]
fn a_listener_may_use_the_client() {
    let mut world = World::new(1);
    let node = world.node();
    let client = node.client.clone();
    node.client.listen(Arc::new(move |event: &Event| match event {
        Event::Acquired { .. } => client.quarantine("by a listener"),
        Event::Quarantined { .. } => client.readmit(),
        _ => {}
    }));
    let guard = hold(&mut world, &node, "zone/1");
    assert!(guard.check().is_err());
}
