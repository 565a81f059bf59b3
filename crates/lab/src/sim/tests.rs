//! What the stage does to hosts and messages.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt as _;

use super::Stage;
use crate::fault::{Clock, Fault, Link, Planned};
use crate::scenario::Place;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn stage(seed: u64, base: Link) -> Stage {
    Stage::new(seed, &["a".to_owned(), "b".to_owned(), "c".to_owned()], base)
}

fn planned(at: Duration, length: Duration, fault: Fault) -> Planned {
    Planned { at, length: Some(length), fault, place: Place::default() }
}

/// Sends a numbered message every 10 ms for a second, and gives what arrives with its time.
fn received(stage: &mut Stage) -> Vec<(u32, Duration)> {
    let log = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let (net, clock, seen) = (stage.net(), stage.clock(), std::sync::Arc::clone(&log));
    stage.spawn(async move {
        for number in 0..100_u32 {
            let (seen, clock) = (std::sync::Arc::clone(&seen), clock.clone());
            let now = clock.clone();
            net.post("a", "b", 100, move || {
                seen.lock().unwrap().push((number, now.monotonic().since_start()));
                futures::future::ready(()).boxed()
            });
            clock.sleep(10 * MS).await;
        }
    });
    stage.settle(10 * SECOND);
    log.lock().unwrap().clone()
}

#[test]
fn messages_arrive_late_and_in_their_order() {
    let link = Link { delay: 5 * MS, jitter: 50 * MS, ..Link::default() };
    let seen = received(&mut stage(1, link));
    let numbers: Vec<_> = seen.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    assert!(seen[0].1 >= 5 * MS && seen[0].1 <= 55 * MS, "{:?}", seen[0]);
}

#[test]
fn each_fault_of_a_link_does_what_it_says() {
    let count = |link| received(&mut stage(2, link)).len();
    let lossy = count(Link { loss: 0.3, ..Link::default() });
    assert!((50..90).contains(&lossy), "{lossy}");
    let doubled = count(Link { duplicate: 0.3, ..Link::default() });
    assert!((110..150).contains(&doubled), "{doubled}");
    let reordered = received(&mut stage(2, Link { reorder: 0.3, ..Link::default() }));
    assert!(!reordered.is_sorted_by_key(|(number, _)| *number));
    assert_eq!(reordered.len(), 100);
    // A hundred messages of a hundred bytes at a thousand bytes a second take ten.
    let slow = received(&mut stage(2, Link { bandwidth: Some(1_000.0), ..Link::default() }));
    assert!(slow.last().unwrap().1 > 9 * SECOND, "{:?}", slow.last());
}

#[test]
fn a_partition_lets_nothing_through_and_heals() {
    for (one_way, from) in [(true, "a"), (false, "b")] {
        let mut stage = stage(3, Link::default());
        let to = if from == "a" { "b" } else { "a" };
        let cut = Fault::Partition { from: from.into(), to: to.into(), one_way };
        stage.direct(&[planned(200 * MS, 300 * MS, cut)], |_, _| {});
        let seen = received(&mut stage);
        assert_eq!(seen.len(), 70);
        assert!(seen.iter().all(|(_, at)| *at < 200 * MS || *at >= 500 * MS));
        assert_eq!(stage.spans(SECOND)[0].from, 0.2);
        assert_eq!(stage.spans(SECOND)[0].to, 0.5);
    }
    // The other way of a one-way cut is open.
    let mut stage = stage(3, Link::default());
    let cut = Fault::Partition { from: "b".into(), to: "a".into(), one_way: true };
    stage.direct(&[planned(Duration::ZERO, SECOND, cut)], |_, _| {});
    assert_eq!(received(&mut stage).len(), 100);
}

#[test]
fn a_paused_host_does_nothing_and_then_everything() {
    let mut stage = stage(4, Link::default());
    let pause = Fault::Pause { node: "b".into() };
    stage.direct(&[planned(200 * MS, 300 * MS, pause)], |_, _| {});
    let seen = received(&mut stage);
    assert_eq!(seen.len(), 100, "what arrives waits");
    assert!(seen.iter().all(|(_, at)| *at < 200 * MS || *at >= 500 * MS));
}

#[test]
fn a_killed_host_loses_its_work_and_starts_its_program_again() {
    let mut stage = stage(5, Link::default());
    let host = stage.host("b");
    let starts = Rc::new(RefCell::new(Vec::new()));
    let (log, clock) = (Rc::clone(&starts), stage.clock());
    let ticks = Rc::new(RefCell::new(0));
    let (counter, own) = (Rc::clone(&ticks), host.clone());
    host.boot(move || {
        log.borrow_mut().push(clock.monotonic().since_start());
        let (counter, clock) = (Rc::clone(&counter), own.clock());
        async move {
            loop {
                clock.sleep(100 * MS).await;
                *counter.borrow_mut() += 1;
            }
        }
        .boxed_local()
    });
    stage.direct(&[planned(250 * MS, 500 * MS, Fault::Kill { node: "b".into() })], |_, _| {});
    stage.settle(1_000 * MS);
    assert_eq!(*starts.borrow(), [Duration::ZERO, 750 * MS]);
    assert_eq!(*ticks.borrow(), 2 + 2);
}

#[test]
fn faults_on_one_host_overlap() {
    let mut stage = stage(5, Link::default());
    let host = stage.host("b");
    let (pause, kill) = (Fault::Pause { node: "b".into() }, Fault::Kill { node: "b".into() });
    let schedule = [
        planned(100 * MS, 300 * MS, pause.clone()),
        planned(200 * MS, 400 * MS, pause),
        planned(1_000 * MS, 500 * MS, kill.clone()),
        planned(1_100 * MS, 100 * MS, kill),
    ];
    stage.direct(&schedule, |_, _| {});
    let ticks = Rc::new(RefCell::new(Vec::new()));
    let (log, clock) = (Rc::clone(&ticks), stage.clock());
    host.boot(move || {
        let (log, clock) = (Rc::clone(&log), clock.clone());
        async move {
            loop {
                log.borrow_mut().push(clock.monotonic().since_start());
                clock.sleep(50 * MS).await;
            }
        }
        .boxed_local()
    });
    stage.settle(2 * SECOND);
    let within = |from, to| ticks.borrow().iter().filter(|at| **at > from && **at < to).count();
    assert_eq!(within(100 * MS, 600 * MS), 0, "both pauses must have ended");
    assert_eq!(within(1_000 * MS, 1_500 * MS), 0, "both kills must have ended");
    assert!(within(600 * MS, 1_000 * MS) > 5 && within(1_500 * MS, 2_000 * MS) > 5);
}

#[test]
fn a_call_to_a_killed_host_is_refused_and_one_in_the_middle_is_silence() {
    let mut stage = stage(6, Link { delay: 10 * MS, ..Link::default() });
    stage.direct(&[planned(50 * MS, SECOND, Fault::Kill { node: "b".into() })], |_, _| {});
    let answers = Rc::new(RefCell::new(Vec::new()));
    for at in [0_u32, 60] {
        let (net, clock, log) = (stage.net(), stage.clock(), Rc::clone(&answers));
        let work = stage.clock();
        stage.spawn(async move {
            clock.sleep(at * MS).await;
            let call = net.call("a", "b", 1, move || {
                let sleep = work.sleep(100 * MS);
                sleep.boxed()
            });
            let answer = clock.timeout(500 * MS, call).await;
            log.borrow_mut().push((at, answer.ok().map(|answer| answer.is_ok())));
        });
    }
    stage.settle(2 * SECOND);
    answers.borrow_mut().sort_unstable();
    assert_eq!(*answers.borrow(), [(0, None), (60, Some(false))]);
}

#[test]
fn a_clock_jumps_drifts_and_comes_back() {
    let mut stage = stage(7, Link::default());
    let host = stage.host("c");
    let clock = Clock { jump_micros: 30_000_000, drift_ppm: 1_000, error: Some(SECOND) };
    let fault = Fault::Clock { node: "c".into(), clock };
    stage.direct(&[planned(SECOND, 10 * SECOND, fault)], |_, _| {});
    stage.settle(6 * SECOND);
    let ahead = host.clock().now().since(stage.clock().now());
    // Thirty seconds, and five at a thousandth.
    assert!(ahead >= 30 * SECOND + 4 * MS && ahead <= 30 * SECOND + 6 * MS, "{ahead:?}");
    stage.settle(10 * SECOND);
    let ahead = host.clock().now().since(stage.clock().now());
    assert!(ahead <= 20 * MS, "{ahead:?}");
}

#[test]
fn the_same_seed_is_the_same_traffic() {
    let link = Link { jitter: 20 * MS, loss: 0.1, duplicate: 0.1, reorder: 0.1, ..Link::default() };
    assert_eq!(received(&mut stage(8, link)), received(&mut stage(8, link)));
    assert_ne!(received(&mut stage(8, link)), received(&mut stage(9, link)));
}

#[test]
fn a_fault_of_no_length_hits_nobody() {
    let mut stage = stage(1, Link::default());
    let (host, clock, seen) = (stage.host("a"), stage.host("a").clock(), Rc::new(RefCell::new(0)));
    let count = Rc::clone(&seen);
    host.spawn(async move {
        clock.sleep(3 * SECOND).await;
        *count.borrow_mut() += 1;
    });
    let pause = Fault::Pause { node: "a".to_owned() };
    stage.direct(&[planned(SECOND, Duration::ZERO, pause)], |_, _| {});
    stage.settle(10 * SECOND);
    assert_eq!(*seen.borrow(), 1, "it would stand still for ever");
    assert!(stage.spans(10 * SECOND).is_empty());
}

/// A host's wall clock against the true one, in milliseconds.
fn ahead(stage: &Stage, host: &str) -> i128 {
    let (host, truth) = (stage.host(host).clock().now(), stage.clock().now());
    let micros = |at: steadfast_time::Timestamp| i128::from(at.as_micros());
    (micros(host) - micros(truth)) / 1_000
}

#[test]
fn disturbances_of_one_clock_overlap() {
    let mut stage = stage(7, Link::default());
    let fault = |clock| Fault::Clock { node: "c".into(), clock };
    let drift = |ppm, error| Clock { drift_ppm: ppm, error: Some(error), ..Clock::default() };
    let schedule = [
        planned(Duration::ZERO, 10 * SECOND, fault(drift(10_000, SECOND))),
        planned(2 * SECOND, 2 * SECOND, fault(drift(50_000, 2 * SECOND))),
        planned(3 * SECOND, 2 * SECOND, fault(Clock { jump_micros: -1_000, ..Clock::default() })),
    ];
    stage.direct(&schedule, |_, _| {});
    let error = |stage: &Stage| stage.host("c").clock().interval().error();
    stage.settle(3_500 * MS);
    assert_eq!(error(&stage), 2 * SECOND);
    stage.settle(2_500 * MS);
    assert_eq!(error(&stage), SECOND, "the first is still at work");
    stage.settle(4 * SECOND);
    // Ten seconds at a hundredth, and two at a twentieth.
    assert!((199..=201).contains(&ahead(&stage, "c")), "{} ms", ahead(&stage, "c"));
    stage.settle(SECOND);
    assert_eq!(error(&stage), Duration::ZERO);
}

/// When a program on `b` was running, every 50 ms.
fn ticking(stage: &Stage) -> Rc<RefCell<Vec<Duration>>> {
    let (host, clock, ticks) = (stage.host("b"), stage.clock(), Rc::new(RefCell::new(Vec::new())));
    let log = Rc::clone(&ticks);
    host.boot(move || {
        let (log, clock) = (Rc::clone(&log), clock.clone());
        async move {
            loop {
                log.borrow_mut().push(clock.monotonic().since_start());
                clock.sleep(50 * MS).await;
            }
        }
        .boxed_local()
    });
    ticks
}

#[test]
fn a_pause_lasts_as_long_as_the_report_says_whatever_else_hits_the_host() {
    let (pause, kill) = (Fault::Pause { node: "b".into() }, Fault::Kill { node: "b".into() });
    let schedule = [
        planned(100 * MS, 900 * MS, pause.clone()),
        planned(200 * MS, 100 * MS, kill),
        planned(500 * MS, 1_000 * MS, pause),
    ];
    let mut stage = stage(5, Link::default());
    stage.direct(&schedule, |_, _| {});
    let ticks = ticking(&stage);
    stage.settle(2 * SECOND);
    let within = |from, to| ticks.borrow().iter().filter(|at| **at > from && **at < to).count();
    assert_eq!(within(100 * MS, 1_500 * MS), 0, "{:?}", ticks.borrow());
    assert!(within(1_499 * MS, 2_000 * MS) > 5, "{:?}", ticks.borrow());
    let spans = stage.spans(2 * SECOND);
    let pauses: Vec<_> = spans.iter().filter(|it| it.label == "pause b").collect();
    assert_eq!((pauses[0].from, pauses[0].to), (0.1, 1.0));
    assert_eq!((pauses[1].from, pauses[1].to), (0.5, 1.5));
}

#[test]
fn after_healing_nothing_begins_or_ends() {
    let mut stage = stage(5, Link::default());
    let jump = Clock { jump_micros: 30_000_000, ..Clock::default() };
    let told = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&told);
    let schedule = [
        planned(SECOND, 4 * SECOND, Fault::Clock { node: "c".into(), clock: jump }),
        planned(SECOND, 4 * SECOND, Fault::Lie { node: "c".into(), share: 0.5 }),
        planned(3 * SECOND, SECOND, Fault::Kill { node: "b".into() }),
    ];
    stage.direct(&schedule, move |_, begins| log.borrow_mut().push(begins));
    stage.settle(2 * SECOND);
    stage.heal();
    stage.settle(1_500 * MS);
    assert!(stage.host("b").is_up());
    stage.settle(10 * SECOND);
    assert_eq!(ahead(&stage, "c"), 30_000, "it stays where it is");
    assert_eq!(*told.borrow(), [true]);
    assert_eq!(stage.spans(3 * SECOND).len(), 2);
}

#[test]
fn two_schedules_do_not_end_each_others_faults() {
    let mut stage = stage(5, Link::default());
    let cut = |to: &str| Fault::Partition { from: "a".into(), to: to.into(), one_way: false };
    stage.direct(&[planned(Duration::ZERO, SECOND, cut("b"))], |_, _| {});
    stage.direct(&[planned(100 * MS, 100 * MS, cut("c"))], |_, _| {});
    assert!(received(&mut stage).is_empty());
}
