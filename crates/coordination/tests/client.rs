//! A client keeps one session, knows when it is lost, and leaves nothing behind.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

mod client_world;

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use client_world::{Node, World, ms, name, options};
use futures::future::poll_fn;
use steadfast_coordination::Options;
use steadfast_coordination::client::{Guard, Patience};
use steadfast_coordination::engine::memory::{Cut, Faults};
use steadfast_coordination::event::{Event, LossCause};
use steadfast_coordination::limits::DEBTS_MAX;
use steadfast_coordination::port::{Coordinator, Error, Mode};
use steadfast_time::Clock;

const FOREVER: Patience = Patience::Forever;

fn until(clock: &Clock, length: Duration) -> Patience {
    Patience::Until(clock.monotonic() + length)
}

/// Runs a task of a node to its end.
fn run<T: 'static>(world: &mut World, node: &Node, work: impl Future<Output = T> + 'static) -> T {
    let task = node.task(work);
    world.sim.block_on(task)
}

/// Takes a lock and keeps it.
fn hold(world: &mut World, node: &Node, lock: &str) -> Guard {
    let lock = node.client.lock(&name(lock));
    run(world, node, async move { lock.acquire(FOREVER).await.unwrap() })
}

#[test]
fn a_session_is_opened_when_it_is_wanted_and_kept_from_then_on() {
    let mut world = World::new(1);
    let node = world.node();
    world.sim.run_for(Duration::from_secs(60));
    assert_eq!(node.events.lock().unwrap().len(), 0, "nobody has asked for one");
    let guard = hold(&mut world, &node, "zone/1");
    world.sim.run_for(Duration::from_secs(3_600));
    assert!(guard.check().is_ok());
    assert_eq!(node.count(|event| matches!(event, Event::SessionOpened { .. })), 1);
    let renewals = node.count(|event| matches!(event, Event::SessionRenewed { .. }));
    assert!((5_000..5_600).contains(&renewals), "every 2/3 s: {renewals}");
    let client = node.client.clone();
    let session = run(&mut world, &node, async move { client.session(FOREVER).await.unwrap() });
    assert!(session.check().is_ok() && session.deadline() == guard.deadline());
}

#[test]
fn a_client_that_hears_nothing_stops_before_the_server_ends_its_session() {
    for cut in [Cut::Requests, Cut::Answers, Cut::Both] {
        for at in (0..2_000).step_by(61) {
            let mut world = World::new(at);
            let node = world.node();
            world.net.set_faults(Faults { delay: ms(0)..=ms(20), ..Faults::default() });
            let guard = hold(&mut world, &node, "zone/1");
            world.sim.run_for(ms(at));
            node.link.cut(cut);
            let (guard, lost) = run(&mut world, &node, async move {
                let lost = guard.lost().await;
                (guard, lost)
            });
            let clock = world.clock();
            assert_eq!(clock.monotonic(), guard.deadline(), "{cut:?} {at}");
            assert_eq!((&lost.name, lost.token), (guard.name(), guard.token()));
            let entries = world.entries(&name("zone/1"));
            assert_eq!(entries.len(), 1, "the server still has it: {cut:?} {at}");
            // Healed, the client comes back by itself, under another session.
            node.link.heal();
            world.sim.run_for(ms(2_500));
            assert_eq!(guard.check(), Err(lost), "lost is lost");
            drop(guard);
            let again = hold(&mut world, &node, "zone/1");
            assert!(again.token() > entries[0].token);
        }
    }
}

#[test]
fn a_wait_ends_by_its_patience_when_the_server_never_answers() {
    for cut in [Cut::Requests, Cut::Answers, Cut::Both] {
        let mut world = World::new(1);
        let (node, clock) = (world.node(), world.clock());
        // Before there is a session, and while there is one.
        for prepare in [false, true] {
            if prepare {
                node.link.heal();
                drop(hold(&mut world, &node, "zone/2"));
                world.sim.run_for(ms(5));
            }
            node.link.cut(cut);
            let (lock, clock) = (node.client.lock(&name("zone/1")), clock.clone());
            run(&mut world, &node, async move {
                let started = clock.monotonic();
                let late = lock.acquire_within(ms(3_700)).await;
                assert!(matches!(late, Err(Error::Timeout { waited, .. }) if waited == ms(3_700)));
                assert_eq!(clock.monotonic() - started, ms(3_700));
                let started = clock.monotonic();
                let tried = lock.try_acquire().await;
                assert!(matches!(tried, Err(Error::Unavailable { .. })), "{tried:?}");
                assert!(clock.monotonic() - started <= options().call_limit());
            });
            world.sim.run_for(ms(5_000));
        }
        node.link.heal();
        world.sim.run_for(ms(5_000));
        assert_eq!(world.queues(), [], "nothing is left of it");
        assert!(hold(&mut world, &node, "zone/1").check().is_ok());
    }
}

#[test]
fn a_waiter_outlives_a_hanging_server_and_gets_its_turn() {
    let mut world = World::new(1);
    let (first, second) = (world.node(), world.node());
    let guard = hold(&mut world, &first, "zone/1");
    let lock = second.client.lock(&name("zone/1"));
    let got = Rc::new(RefCell::new(None));
    let slot = Rc::clone(&got);
    world.spawn(&second, async move { *slot.borrow_mut() = Some(lock.acquire(FOREVER).await) });
    world.sim.run_for(ms(100));
    world.net.freeze();
    drop(guard);
    world.sim.run_for(ms(7_000));
    assert!(got.borrow().is_none());
    world.net.thaw();
    world.sim.run_for(ms(3_000));
    assert!(matches!(&*got.borrow(), Some(Ok(guard)) if guard.check().is_ok()));
}

/// Drops `work` before its `polls`-th poll. Says whether it was done by then.
async fn poll_times(work: impl Future, polls: usize) -> bool {
    let mut work = Box::pin(work);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        if work.as_mut().poll(context).is_ready() { Poll::Ready(true) } else { Poll::Pending }
    })
    .await
}

/// The task is polled at least so often by itself.
async fn poll_times_within(clock: Clock, work: impl Future, polls: usize, limit: Duration) -> bool {
    clock.timeout(limit, poll_times(work, polls)).await.unwrap_or(false)
}

#[test]
fn an_attempt_that_is_dropped_at_any_point_leaves_nothing_behind() {
    let slow = Faults { delay: ms(5)..=ms(40), ..Faults::default() };
    let lossy = Faults { lost_answers: 0.5, ..slow.clone() };
    let losing = Faults { lost_requests: 0.4, silence: Some(ms(60)), ..slow.clone() };
    for (kind, faults) in [Faults::default(), slow, lossy, losing].into_iter().enumerate() {
        for held in [false, true] {
            for polls in 0..40 {
                let seed = polls as u64;
                let context = format!("faults {kind}, held {held}, {polls} polls");
                let mut world = World::new(seed);
                let (node, other) = (world.node(), world.node());
                let ahead = held.then(|| hold(&mut world, &other, "zone/1"));
                let client = node.client.clone();
                let _ = run(&mut world, &node, async move { client.session(FOREVER).await });
                world.net.set_faults(faults.clone());
                let (lock, clock) = (node.client.lock(&name("zone/1")), world.clock());
                let (client, queue) = (node.client.clone(), name("zone/1"));
                run(&mut world, &node, async move {
                    let length = ms(150);
                    if polls % 2 == 0 {
                        let work = lock.acquire(FOREVER);
                        poll_times_within(clock, work, polls, length).await
                    } else {
                        let work = client.enter(&queue, Mode::Shared, b"", Patience::Try);
                        poll_times_within(clock, work, polls, length).await
                    }
                });
                world.net.set_faults(Faults::default());
                // Not by the end of the session: that lives on.
                world.sim.run_for(ms(1_800));
                assert_eq!(node.lost_sessions(), 0, "{context}");
                drop(ahead);
                world.sim.run_for(ms(100));
                assert_eq!(world.entries(&name("zone/1")), [], "{context}");
            }
        }
    }
}

#[test]
fn a_guard_that_is_dropped_is_given_back_although_the_first_requests_are_lost() {
    let mut world = World::new(1);
    let (node, other) = (world.node(), world.node());
    let guard = hold(&mut world, &node, "zone/1");
    node.link.cut(Cut::Requests);
    drop(guard);
    world.sim.run_for(ms(300));
    assert_eq!(world.entries(&name("zone/1")).len(), 1);
    node.link.heal();
    world.sim.run_for(ms(1_000));
    assert_eq!(node.lost_sessions(), 0);
    let next = hold(&mut world, &other, "zone/1");
    // A release whose answer is lost is repeated, and ends nobody else's entry.
    let mine = run(&mut world, &other, async move { next.release().await });
    assert!(mine.is_ok());
    let guard = hold(&mut world, &node, "zone/1");
    node.link.cut(Cut::Answers);
    let released = run(&mut world, &node, guard.release());
    assert!(matches!(released, Err(Error::Timeout { .. })), "{released:?}");
    let next = hold(&mut world, &other, "zone/1");
    node.link.heal();
    world.sim.run_for(ms(4_000));
    assert!(next.check().is_ok());
    assert_eq!(world.entries(&name("zone/1")).len(), 1);
}

#[test]
fn more_releases_than_can_be_kept_in_mind_end_the_session() {
    let mut world = World::new(1);
    let node = world.node();
    let client = node.client.clone();
    let guards = run(&mut world, &node, async move {
        let mut guards = Vec::new();
        for zone in 0..=DEBTS_MAX {
            let name = name(&format!("zone/{zone}"));
            guards.push(client.lock(&name).acquire(FOREVER).await.unwrap());
        }
        guards
    });
    node.link.cut(Cut::Requests);
    drop(guards);
    let gave_up = Event::SessionLost {
        session: run(&mut world, &node, {
            let events = Arc::clone(&node.events);
            async move {
                let events = events.lock().unwrap();
                let opened = events.iter().find_map(|event| match event {
                    Event::SessionOpened { session } => Some(*session),
                    _ => None,
                });
                opened.unwrap()
            }
        }),
        cause: LossCause::Releases,
    };
    assert_eq!(node.count(|event| *event == gave_up), 1);
    node.link.heal();
    world.sim.run_for(ms(2_500));
    assert_eq!(world.queues(), []);
}

#[test]
fn a_guard_whose_entry_an_operator_has_ended_is_lost_soon() {
    for at in (0..1_000).step_by(37) {
        let mut world = World::new(at);
        let (node, clock) = (world.node(), world.clock());
        let guard = hold(&mut world, &node, "zone/1");
        let other = hold(&mut world, &node, "zone/2");
        world.sim.run_for(ms(at));
        let server = world.server.borrow().clone();
        let lost = run(&mut world, &node, async move {
            let evicted = clock.monotonic();
            server.leave(guard.name(), guard.token()).await.unwrap();
            let lost = clock.timeout(Duration::from_secs(9), guard.lost()).await.unwrap();
            assert!(clock.monotonic() - evicted <= options().ask_every, "{at}");
            assert_eq!(guard.check(), Err(lost.clone()));
            let over = guard.release().await;
            assert!(matches!(over, Err(Error::Over { .. })), "{over:?}");
            lost
        });
        assert_eq!(
            node.count(|event| matches!(event, Event::Lost { token, .. } if *token == lost.token)),
            1
        );
        assert!(other.check().is_ok(), "the session lives on");
    }
}

#[test]
fn a_waiter_whose_entry_an_operator_has_ended_is_told_so() {
    let mut world = World::new(1);
    let (first, second) = (world.node(), world.node());
    let guard = hold(&mut world, &first, "zone/1");
    let lock = second.client.lock(&name("zone/1"));
    let got = Rc::new(RefCell::new(None));
    let slot = Rc::clone(&got);
    world.spawn(&second, async move { *slot.borrow_mut() = Some(lock.acquire(FOREVER).await) });
    world.sim.run_for(ms(50));
    let waiting = world.entries(&name("zone/1"))[1].token;
    let server = world.server.borrow().clone();
    world.sim.block_on(async move { server.leave(&name("zone/1"), waiting).await.unwrap() });
    world.sim.run_for(ms(250));
    assert!(matches!(&*got.borrow(), Some(Err(Error::Over { token, .. })) if *token == waiting));
    assert!(guard.check().is_ok());
}

#[test]
fn a_waiter_that_loses_its_session_queues_again() {
    let mut world = World::new(1);
    let (first, second) = (world.node(), world.node());
    let guard = hold(&mut world, &first, "zone/1");
    let lock = second.client.lock(&name("zone/1"));
    let got = Rc::new(RefCell::new(None));
    let slot = Rc::clone(&got);
    world.spawn(&second, async move { *slot.borrow_mut() = Some(lock.acquire(FOREVER).await) });
    world.sim.run_for(ms(50));
    // An operator closes its session at the server.
    let session = world.entries(&name("zone/1"))[1].session;
    let server = world.server.borrow().clone();
    world.sim.block_on(async move { server.close(session).await.unwrap() });
    world.sim.run_for(ms(1_000));
    let lost = Event::SessionLost { session, cause: LossCause::Server };
    assert_eq!(second.count(|event| *event == lost), 1);
    let entries = world.entries(&name("zone/1"));
    assert!(entries.len() == 2 && entries[1].session != session, "{entries:?}");
    drop(guard);
    world.sim.run_for(ms(50));
    assert!(matches!(&*got.borrow(), Some(Ok(_))));
}

#[test]
fn a_quarantined_client_holds_nothing_and_takes_nothing() {
    let mut world = World::new(1);
    let (node, other) = (world.node(), world.node());
    let guard = hold(&mut world, &node, "zone/1");
    node.client.quarantine("the clock is 400 ms off");
    assert!(guard.check().is_err(), "at once");
    let lock = node.client.lock(&name("zone/1"));
    let refused = run(&mut world, &node, async move { lock.acquire(FOREVER).await });
    assert!(matches!(refused, Err(Error::Quarantined { reason }) if reason.contains("400 ms")));
    // Its session is closed, not left to run out.
    let taken = hold(&mut world, &other, "zone/1");
    assert!(world.clock().monotonic().since_start() < ms(100));
    world.sim.run_for(Duration::from_secs(60));
    assert_eq!(node.count(|event| matches!(event, Event::SessionOpened { .. })), 1);
    drop(taken);
    node.client.readmit();
    assert!(hold(&mut world, &node, "zone/1").check().is_ok());
    let told = node.count(|event| matches!(event, Event::Quarantined { .. } | Event::Readmitted));
    assert_eq!(told, 2);
    let cause = LossCause::Quarantine;
    assert_eq!(node.count(|e| matches!(e, Event::SessionLost { cause: c, .. } if *c == cause)), 1);
}

#[test]
fn a_shutdown_gives_everything_back_and_ends_the_keeper() {
    let mut world = World::new(1);
    let (node, other) = (world.node(), world.node());
    let guard = hold(&mut world, &node, "zone/1");
    let client = node.client.clone();
    // Somebody waits for a turn of the same client meanwhile.
    let waiting = Rc::new(RefCell::new(None));
    let (slot, lock) = (Rc::clone(&waiting), node.client.lock(&name("zone/1")));
    world.spawn(&node, async move { *slot.borrow_mut() = Some(lock.acquire(FOREVER).await) });
    world.sim.run_for(ms(10));
    run(&mut world, &node, async move { client.shutdown().await });
    assert!(*node.ended.borrow() && guard.check().is_err());
    assert!(matches!(&*waiting.borrow(), Some(Err(Error::Closed))));
    assert_eq!(world.queues(), []);
    assert_eq!(node.lost_sessions(), 0, "it was given back, not lost");
    let refused = {
        let lock = node.client.lock(&name("zone/1"));
        run(&mut world, &node, async move { lock.try_acquire().await })
    };
    assert!(matches!(refused, Err(Error::Closed)));
    drop((guard, refused));
    // A server that does not answer holds a shutdown up no longer than the session lives.
    let held = hold(&mut world, &other, "zone/1");
    other.link.cut(Cut::Both);
    let (client, clock) = (other.client.clone(), world.clock());
    let took = run(&mut world, &other, async move {
        let started = clock.monotonic();
        client.shutdown().await;
        clock.monotonic() - started
    });
    assert!(took <= ms(3_500), "{took:?}");
    assert!(*other.ended.borrow() && held.check().is_err());
}

#[test]
fn the_last_handle_ends_the_keeper() {
    let mut world = World::new(1);
    let node = world.node();
    let ended = Rc::clone(&node.ended);
    let guard = hold(&mut world, &node, "zone/1");
    drop(node);
    world.sim.run_for(ms(10_000));
    assert!(guard.check().is_ok() && !*ended.borrow(), "a guard is a handle");
    drop(guard);
    world.sim.run_for(ms(10));
    assert!(*ended.borrow());
    assert_eq!(world.queues(), []);
}

#[test]
fn a_client_without_its_keeper_is_closed() {
    let mut world = World::new(1);
    let (client, keeper) =
        steadfast_coordination::client::Client::new(world.net.link(), world.clock(), options())
            .unwrap();
    drop(keeper);
    let refused = world.sim.block_on(async move { client.session(FOREVER).await });
    assert!(matches!(refused, Err(Error::Closed)));
}

#[test]
fn what_can_never_succeed_is_refused_at_once() {
    let mut world = World::new(1);
    let short = Options { length: ms(20), round_trip: ms(2), ..options() };
    let node = world.node_with(short, false, |link| link);
    let (client, clock) = (node.client.clone(), world.clock());
    run(&mut world, &node, async move {
        let refused = client.lock(&name("zone/1")).acquire(FOREVER).await;
        assert!(matches!(refused, Err(Error::Length { asked, .. }) if asked == ms(20)));
        let big = vec![0; 5_000];
        let refused = client.enter(&name("zone/1"), Mode::Exclusive, &big, FOREVER).await;
        assert!(matches!(refused, Err(Error::TooLarge { bytes: 5_000, .. })));
        assert_eq!(clock.monotonic().since_start(), Duration::ZERO);
        let soon = client.session(until(&clock, ms(50))).await;
        assert!(matches!(soon, Err(Error::Length { .. })));
    });
    world.sim.run_for(Duration::from_secs(60));
    assert!(world.disk.log_len() < 20, "and not asked again and again: {}", world.disk.log_len());
}

#[test]
fn a_stall_that_the_clock_does_not_show_ends_the_session() {
    for told in [true, false] {
        let mut world = World::new(1);
        let (node, other) = (world.node_with(options(), true, |link| link), world.node());
        if told {
            // For all clones.
            drop(node.client.clone().with_stalls(Arc::clone(&node.process) as _));
        }
        let guard = hold(&mut world, &node, "zone/1");
        // Short ones are borne.
        node.stop();
        world.sim.run_for(ms(1_000));
        node.resume();
        world.sim.run_for(ms(3_000));
        assert!(guard.check().is_ok());
        node.stop();
        let next = hold(&mut world, &other, "zone/1");
        node.resume();
        // The broken twin still believes that it holds the lock, with another in it.
        assert_eq!(guard.check().is_err(), told);
        assert!(next.check().is_ok() && next.token() > guard.token());
        world.sim.run_for(ms(1_000));
        assert!(guard.check().is_err());
        let cause = if told { LossCause::Stall } else { LossCause::Server };
        assert_eq!(
            node.count(|e| matches!(e, Event::SessionLost { cause: c, .. } if *c == cause)),
            1
        );
    }
}

#[test]
fn a_listener_that_panics_is_the_only_one_to_suffer() {
    let mut world = World::new(1);
    let node = world.node();
    node.client.listen(Arc::new(|_: &Event| panic!("this listener is broken, as it should be")));
    let guard = hold(&mut world, &node, "zone/1");
    world.sim.run_for(Duration::from_secs(5));
    assert!(guard.check().is_ok());
    let before = node.count(|_| true);
    drop(guard);
    assert!(node.count(|_| true) > before);
}

#[test]
fn everything_that_happens_is_told() {
    let mut world = World::new(1);
    let (node, other) = (world.node(), world.node());
    let first = hold(&mut world, &other, "zone/1");
    let (lock, clock) = (node.client.lock(&name("zone/1")), world.clock());
    let guard = run(&mut world, &node, async move {
        assert!(matches!(lock.try_acquire().await, Err(Error::Busy { .. })));
        assert!(lock.acquire(until(&clock, ms(30))).await.is_err());
        clock.sleep(ms(1)).await;
        let wait = lock.acquire(FOREVER);
        let release = async move {
            clock.sleep(ms(70)).await;
            first.release().await.unwrap();
        };
        futures::join!(wait, release).0.unwrap()
    });
    assert!(guard.contended());
    let (queue, token) = (name("zone/1"), guard.token());
    world.sim.run_for(ms(10));
    drop(guard);
    let events = node.events.lock().unwrap().clone();
    let Some(Event::SessionOpened { session }) = events.first() else { panic!("{events:?}") };
    let name = queue;
    let expected = [
        Event::SessionOpened { session: *session },
        Event::Abandoned { name: name.clone(), waited: ms(0) },
        Event::Contended { name: name.clone(), depth: 1 },
        Event::Abandoned { name: name.clone(), waited: ms(30) },
        Event::Contended { name: name.clone(), depth: 1 },
        Event::Acquired { name: name.clone(), token, waited: ms(70), contended: true },
        Event::Released { name, token, held: ms(10) },
    ];
    assert_eq!(events, expected);
}
