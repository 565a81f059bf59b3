//! This process's own stalls, false suspicions, and what is said of them.
#![cfg(test)]

use std::sync::Arc;
use std::time::Duration;

use steadfast_time::Monotonic;

use super::{Detector, Full, Monitor, Options};
use crate::event::{Events, Recorder};

fn at(ms: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_millis(ms))
}

const OPTIONS: fn() -> Options = || Options { samples: 64, ..Options::default() };

fn monitor(options: Options) -> Monitor<u32> {
    Monitor::new(options, Events::silent("peers")).unwrap()
}

/// Ten peers that beat once a second, each at its own moment, until a multiple of a second.
fn in_rhythm(options: Options, until: u64) -> Monitor<u32> {
    let mut peers = monitor(options);
    for now in (0..until).step_by(100) {
        if now % 1_000 == 0 {
            assert!(peers.tick(at(now)).is_empty());
        }
        let beats = u32::try_from(now % 1_000 / 100).unwrap();
        peers.heartbeat(at(now), &beats).unwrap();
    }
    peers
}

#[test]
fn an_own_stall_of_thirty_seconds_kills_nobody() {
    let mut peers = in_rhythm(OPTIONS(), 60_000);
    assert!(peers.tick(at(90_000)).is_empty());
    // Everybody was about to beat; what they sent meanwhile is lost, the next one is due.
    for now in (90_100..92_000).step_by(100) {
        assert!(peers.tick(at(now)).is_empty(), "at {now} ms");
    }
    assert_eq!(peers.counts().stalls, 1);
    // 60,000 was a tick that never came, 59,900 the last heartbeat.
    assert_eq!(peers.counts().stalled, Duration::from_millis(90_000 - 59_900 - 1_000));
}

#[test]
fn twin_without_pause_awareness_it_kills_everybody() {
    let unaware = Options { stall_tolerance: Duration::MAX, ..OPTIONS() };
    let mut peers = in_rhythm(unaware, 60_000);
    assert_eq!(peers.tick(at(90_000)).len(), 10);
    for peer in 0..10 {
        assert!(peers.heartbeat(at(90_100), &peer).unwrap().unwrap().was_false);
    }
    assert_eq!(peers.counts().false_suspicions, 10);
    // Ten in ten peer-minutes and a half each: the objective is missed by far.
    assert!(peers.false_suspect_rate(at(90_100)) > super::FALSE_SUSPECT_RATE_MAX);
}

#[test]
fn whoever_is_dead_is_found_after_the_stall_too() {
    let mut peers = in_rhythm(OPTIONS(), 60_000);
    let mut found = Vec::new();
    for now in (90_000..100_000).step_by(100) {
        // All but number 3 go on.
        let beats = u32::try_from(now % 1_000 / 100).unwrap();
        if beats != 3 {
            peers.heartbeat(at(now), &beats).unwrap();
        }
        found.extend(peers.tick(at(now)).into_iter().map(|(peer, _)| (peer, now)));
    }
    // As long after the stall as after a heartbeat: one second, the pause, five deviations.
    assert!(matches!(found[..], [(3, 94_500..=94_700)]), "{found:?}");
}

#[test]
fn a_process_that_stalls_all_the_time_still_finds_the_dead() {
    let mut peers = in_rhythm(OPTIONS(), 60_000);
    let mut now = 60_000;
    let mut ran = 0;
    // Runs for half a second, stands still for ten.
    while peers.counts().suspected < 10 {
        for _ in 0..5 {
            now += 100;
            ran += 100;
            peers.tick(at(now));
        }
        now += 10_000;
        peers.tick(at(now));
        assert!(now < 200_000, "the dead are never found");
    }
    // One second of each stall counts as a tick's ordinary distance.
    assert!(ran <= 3_000, "{ran} ms of running");
}

#[test]
fn what_a_stall_did_to_the_rhythm_is_not_learnt() {
    let mut peer = Detector::new(&OPTIONS()).unwrap();
    (0..100).for_each(|beat| peer.heartbeat(at(beat * 1_000)));
    let before = (peer.history().unwrap().mean(), peer.allowance());
    peer.stalled(at(130_000), Duration::from_secs(30));
    peer.heartbeat(at(130_200));
    assert_eq!((peer.history().unwrap().mean(), peer.allowance()), before);
    // The next one is a sample again.
    peer.heartbeat(at(133_200));
    assert!(peer.history().unwrap().mean() > before.0);
}

#[test]
fn heartbeats_that_waited_in_a_buffer_are_no_rhythm() {
    let mut peers = in_rhythm(OPTIONS(), 60_000);
    let before = peers.phi(at(60_100), &0);
    // The heartbeats come before the tick, thirty at once.
    for _ in 0..30 {
        assert_eq!(peers.heartbeat(at(90_000), &0), Ok(None));
    }
    assert!(peers.tick(at(90_000)).is_empty());
    peers.heartbeat(at(91_000), &0).unwrap();
    let after = peers.phi(at(91_000 + 1_100), &0);
    assert!((before.unwrap() - after.unwrap()).abs() < 1e-9, "{before:?} {after:?}");
}

#[test]
fn a_busy_ticker_is_no_excuse() {
    let mut peers = in_rhythm(OPTIONS(), 60_000);
    // No tick for ten seconds, but heartbeats of one peer came in all the time: whoever else
    // had sent one would have been heard.
    (60..70).for_each(|second| drop(peers.heartbeat(at(second * 1_000), &0)));
    assert_eq!(peers.tick(at(70_000)).len(), 9);
    assert_eq!(peers.counts().stalls, 0);
}

#[test]
fn a_peer_that_started_anew_had_really_gone() {
    let mut peers = monitor(OPTIONS());
    for (peer, first) in [(1, 10), (2, 20)] {
        peers.heartbeat_of(at(0), &peer, first).unwrap();
    }
    peers.heartbeat(at(0), &3).unwrap();
    (1..=20).for_each(|second| drop(peers.tick(at(second * 1_000))));
    assert_eq!(peers.counts().suspected, 3);
    let back = |result: Result<Option<super::Trusted>, Full>| result.unwrap().unwrap().was_false;
    assert!(back(peers.heartbeat_of(at(20_000), &1, 10)));
    assert!(!back(peers.heartbeat_of(at(20_000), &2, 21)));
    assert!(!back(peers.restarted(at(20_000), &3)));
    assert_eq!((peers.counts().suspicions, peers.counts().false_suspicions), (3, 1));
    // One that starts anew before anybody has noticed is not suspected, and learns anew.
    peers.heartbeat_of(at(21_000), &1, 10).unwrap();
    assert_eq!(peers.heartbeat_of(at(21_100), &1, 11), Ok(None));
}

#[test]
fn other_signs_of_life_end_the_silence_and_say_nothing_of_the_rhythm() {
    let mut peer = Detector::new(&OPTIONS()).unwrap();
    (0..100).for_each(|beat| peer.heartbeat(at(beat * 1_000)));
    let before = peer.allowance();
    peer.seen(at(99_990));
    assert_eq!(peer.silence(at(100_000)), Duration::from_millis(10));
    peer.heartbeat(at(100_000));
    assert_eq!(peer.allowance(), before);
}

#[test]
fn a_peer_that_has_become_slower_is_believed_after_a_while() {
    let mut peers = monitor(Options { acceptable_pause: Duration::ZERO, ..OPTIONS() });
    let mut now = 0;
    let mut last_suspicion = 0;
    for beat in 0_u64..500 {
        let interval = if beat < 200 { 1_000 } else { 5_000 };
        for _ in 0..interval / 500 {
            now += 500;
            if !peers.tick(at(now)).is_empty() {
                last_suspicion = beat;
            }
        }
        peers.heartbeat(at(now), &0).unwrap();
    }
    assert!((200..230).contains(&last_suspicion), "suspected at heartbeat {last_suspicion}");
}

#[test]
fn no_more_peers_are_watched_than_there_is_room_for() {
    let mut peers = monitor(Options { peers_max: 2, ..OPTIONS() });
    assert_eq!(peers.heartbeat(at(0), &1), Ok(None));
    assert_eq!(peers.seen(at(0), &2), Ok(None));
    assert_eq!(peers.heartbeat(at(0), &3), Err(Full { watched: 2 }));
    assert_eq!(peers.heartbeat(at(0), &1), Ok(None));
    assert!(peers.forget(at(0), &2) && !peers.forget(at(0), &2));
    assert_eq!(peers.heartbeat(at(0), &3), Ok(None));
}

#[test]
fn it_says_what_it_decides() {
    let recorder = Arc::new(Recorder::default());
    let events = Events::to("couriers", recorder.clone());
    let mut peers = Monitor::new(OPTIONS(), events).unwrap();
    for second in 0..60 {
        peers.heartbeat(at(second * 1_000), &"ada").unwrap();
        peers.tick(at(second * 1_000));
    }
    (60..70).for_each(|second| drop(peers.tick(at(second * 1_000))));
    peers.heartbeat(at(70_000), &"ada").unwrap();
    let lines: Vec<String> = recorder.take().iter().map(ToString::to_string).collect();
    let expected = [
        "detector couriers: ada: silent for 5 s, φ = 23.1",
        "detector couriers: ada: back after being falsely suspected for 6 s",
    ];
    assert_eq!(lines, expected);
}
