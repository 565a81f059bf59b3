//! Waits, crashes and the network; what an engine has to do is in `conformance`.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;
use steadfast_time::Uuid;
use steadfast_time::sim::Simulation;

use super::*;
use crate::port::Mode;

const TWO: Duration = Duration::from_secs(2);

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn request(session: SessionId, id: u128) -> Request<'static> {
    let id = Uuid::from_u128(id);
    Request { session, id, mode: Mode::Exclusive, value: b"", wait: true }
}

fn is_unavailable<T: std::fmt::Debug>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Unavailable { .. }))
}

#[test]
fn a_wait_ends_with_the_session_though_nobody_calls() {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let memory = Memory::new(clock.clone());
    sim.block_on(async move {
        let q = name("q");
        let ending = memory.open(TWO).await.unwrap().session;
        let first = memory.enter(&q, request(ending, 1)).await.unwrap();
        let version = memory.list(&q, None).await.unwrap().version;
        let start = clock.monotonic();
        let (gone, listing) =
            futures::join!(memory.gone(&q, first.token), memory.list(&q, Some(version)));
        gone.unwrap();
        assert_eq!(listing.unwrap().entries, []);
        assert_eq!(clock.monotonic() - start, TWO);
        assert_eq!(memory.waiting(), 0);
    });
}

#[test]
fn a_dropped_wait_is_forgotten() {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let memory = Memory::new(clock.clone());
    let seen = memory.clone();
    sim.block_on(async move {
        let q = name("q");
        let session = memory.open(TWO * 10).await.unwrap().session;
        let first = memory.enter(&q, request(session, 1)).await.unwrap();
        let waits =
            async { futures::join!(memory.gone(&q, first.token), memory.list(&q, Some(0))) };
        assert!(memory.list(&q, Some(0)).now_or_never().is_some(), "the version is not 0");
        assert!(clock.timeout(TWO, waits).await.is_err());
        assert_eq!(memory.waiting(), 0);
    });
    assert_eq!(seen.waiting(), 0);
    assert_eq!(sim.sim_clock().next_wake(), None);
}

#[test]
fn only_those_who_wait_for_an_entry_are_woken_when_it_goes() {
    let mut sim = Simulation::new(1);
    let memory = Memory::new(sim.clock());
    let woken = Arc::new(AtomicUsize::new(0));
    let q = name("q");
    let (session, tokens) = {
        let (memory, q) = (memory.clone(), q.clone());
        sim.block_on(async move {
            let session = memory.open(TWO).await.unwrap().session;
            let mut tokens = Vec::new();
            for id in 0..32 {
                tokens.push(memory.enter(&q, request(session, id)).await.unwrap().token);
            }
            (session, tokens)
        })
    };
    for token in tokens.clone() {
        let (memory, q, woken) = (memory.clone(), q.clone(), Arc::clone(&woken));
        sim.spawn(async move {
            memory.gone(&q, token).await.unwrap();
            woken.fetch_add(1, Ordering::Relaxed);
        });
    }
    sim.settle();
    assert_eq!(memory.waiting(), 32);
    for (gone, token) in tokens.iter().enumerate().take(5) {
        let leave = memory.leave(&q, *token).now_or_never();
        assert!(matches!(leave, Some(Ok(()))));
        sim.settle();
        assert_eq!((woken.load(Ordering::Relaxed), memory.waiting()), (gone + 1, 31 - gone));
    }
    assert!(matches!(memory.close(session).now_or_never(), Some(Ok(()))));
    sim.settle();
    assert_eq!((woken.load(Ordering::Relaxed), memory.waiting()), (32, 0));
}

#[test]
fn a_fault_before_is_nothing_and_a_fault_after_is_done_and_either_stops_the_server() {
    for (fault, entries) in [(Fault::BeforeDurable, 1), (Fault::AfterDurable, 2)] {
        let mut sim = Simulation::new(1);
        let (clock, disk) = (sim.clock(), Disk::new());
        sim.block_on(async move {
            let q = name("q");
            let memory = Memory::open(&disk, clock.clone());
            let session = memory.open(TWO).await.unwrap().session;
            let first = memory.enter(&q, request(session, 1)).await.unwrap();
            let mut wait = memory.gone(&q, first.token);
            assert!((&mut wait).now_or_never().is_none());
            disk.fail_next(fault);
            assert!(is_unavailable(&memory.enter(&q, request(session, 2)).await));
            assert!(is_unavailable(&memory.list(&q, None).await));
            assert!(is_unavailable(&memory.renew(session).await));
            assert!(is_unavailable(&wait.await), "waits end, too");
            clock.sleep(TWO * 5).await;
            let again = Memory::open(&disk, clock.clone());
            assert_eq!(again.list(&q, None).await.unwrap().entries.len(), entries);
            clock.sleep(TWO - Duration::from_millis(1)).await;
            again.renew(session).await.unwrap();
            clock.sleep(TWO).await;
            assert!(matches!(again.renew(session).await, Err(Error::SessionOver { .. })));
        });
    }
}

#[test]
fn two_servers_on_one_disk_are_one() {
    let mut sim = Simulation::new(1);
    let (clock, disk) = (sim.clock(), Disk::new());
    sim.block_on(async move {
        let old = Memory::open(&disk, clock.clone());
        let session = old.open(TWO).await.unwrap().session;
        let new = Memory::open(&disk, clock);
        assert!(is_unavailable(&old.renew(session).await));
        new.renew(session).await.unwrap();
        new.stop();
        assert!(is_unavailable(&new.renew(session).await));
    });
}

#[test]
fn a_request_that_was_given_up_arrives_all_the_same() {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let (net, carrier) = Net::new(Arc::new(Memory::new(clock.clone())), clock.clone(), 1);
    sim.spawn(carrier.run());
    sim.block_on(async move {
        let (one, two, q) = (net.link(), net.link(), name("q"));
        let session = one.open(TWO * 10).await.unwrap().session;
        let ms = Duration::from_millis;
        net.set_faults(Faults { delay: ms(100)..=ms(100), ..Faults::default() });
        let given_up = clock.timeout(ms(50), one.enter(&q, request(session, 1))).await;
        assert!(given_up.is_err());
        clock.sleep(ms(100)).await;
        assert_eq!(two.list(&q, None).await.unwrap().entries.len(), 1);

        one.cut(Cut::Answers);
        assert!(clock.timeout(TWO, one.enter(&q, request(session, 2))).await.is_err());
        one.cut(Cut::Requests);
        assert!(clock.timeout(TWO, one.enter(&q, request(session, 3))).await.is_err());
        assert_eq!(two.list(&q, None).await.unwrap().entries.len(), 2);
        one.heal();
        let again = one.enter(&q, request(session, 2)).await.unwrap();
        assert_eq!(again.depth, 1, "the repetition is the same entry");
    });
}

#[test]
fn a_frozen_server_answers_when_it_goes_on_and_its_clock_has_not_stood_still() {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let (net, carrier) = Net::new(Arc::new(Memory::new(clock.clone())), clock.clone(), 1);
    sim.spawn(carrier.run());
    sim.block_on(async move {
        let link = net.link();
        let session = link.open(TWO).await.unwrap().session;
        net.freeze();
        let mut renewal = link.renew(session);
        assert!(clock.timeout(TWO, &mut renewal).await.is_err());
        net.thaw();
        assert!(matches!(renewal.await, Err(Error::SessionOver { .. })));
        net.set_server(None);
        assert!(is_unavailable(&link.renew(session).await));
    });
}

#[test]
fn lost_messages_are_silence_and_a_seed_repeats_itself() {
    let run = |seed| {
        let mut sim = Simulation::new(1);
        let clock = sim.clock();
        let (net, carrier) = Net::new(Arc::new(Memory::new(clock.clone())), clock, seed);
        sim.spawn(carrier.run());
        sim.block_on(async move {
            let link = net.link();
            net.set_faults(Faults {
                lost_requests: 0.3,
                lost_answers: 0.3,
                silence: Some(TWO),
                ..Faults::default()
            });
            let mut fates = Vec::new();
            for _ in 0..200 {
                fates.push(match link.open(TWO).await {
                    Ok(opened) => opened.session.0,
                    Err(error) => {
                        assert!(error.to_string().contains("no answer"), "{error}");
                        0
                    }
                });
            }
            fates
        })
    };
    let fates = run(5);
    assert_eq!(fates, run(5));
    assert_ne!(fates, run(6));
    let lost = fates.iter().filter(|fate| **fate == 0).count();
    assert!((80..125).contains(&lost), "{lost} of 200: half of them");
    let last = fates.iter().max().unwrap();
    assert!((120..160).contains(last), "{last} arrived: seven of ten");
}
