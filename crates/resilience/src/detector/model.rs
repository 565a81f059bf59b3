//! The monitor against a slow, obvious one: a list of single detectors that are all asked at
//! every tick, and a log of every millisecond that somebody was trusted.
#![cfg(test)]

use std::time::Duration;

use fastrand::Rng;
use steadfast_time::Monotonic;

use super::{Detector, Distribution, Monitor, Options};
use crate::event::Events;

const PEERS: usize = 6;

struct Peer {
    detector: Detector,
    suspected: bool,
    incarnation: u64,
}

struct Model {
    options: Options,
    peers: Vec<Option<Peer>>,
    heard: u64,
    settles: u64,
    peer_ms: u64,
    false_suspicions: u64,
    suspicions: u64,
    stalls: u64,
}

fn at(ms: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_millis(ms))
}

impl Model {
    fn new(options: Options) -> Self {
        let peers = (0..PEERS).map(|_| None).collect();
        let (heard, settles, peer_ms) = (0, 0, 0);
        let (false_suspicions, suspicions, stalls) = (0, 0, 0);
        Self { options, peers, heard, settles, peer_ms, false_suspicions, suspicions, stalls }
    }

    fn pass(&mut self, now: u64) {
        let gap = now - self.heard;
        let late = gap.saturating_sub(self.options.tick.as_millis() as u64);
        let is_stall = late > self.options.stall_tolerance.as_millis() as u64;
        let trusted = self.peers.iter().flatten().filter(|peer| !peer.suspected).count() as u64;
        self.peer_ms += trusted * if is_stall { gap - late } else { gap };
        if is_stall {
            for peer in self.peers.iter_mut().flatten() {
                peer.detector.stalled(at(now), Duration::from_millis(late));
            }
            self.settles = now + self.options.tick.as_millis() as u64;
            self.stalls += 1;
        }
        self.heard = now;
    }

    fn heartbeat(&mut self, now: u64, key: usize, incarnation: u64) -> Option<bool> {
        self.pass(now);
        let settling = now < self.settles;
        let mut detector = Detector::new(&self.options).unwrap();
        match &mut self.peers[key] {
            Some(peer) if peer.incarnation == incarnation => {
                if settling {
                    peer.detector.stalled(at(now), Duration::ZERO);
                }
                peer.detector.heartbeat(at(now));
                let was_suspected = std::mem::take(&mut peer.suspected);
                self.false_suspicions += u64::from(was_suspected);
                was_suspected.then_some(true)
            }
            place => {
                detector.heartbeat(at(now));
                let before = place.replace(Peer { detector, suspected: false, incarnation });
                before.is_some_and(|peer| peer.suspected).then_some(false)
            }
        }
    }

    fn tick(&mut self, now: u64) -> Vec<usize> {
        self.pass(now);
        let mut suspected = Vec::new();
        for (key, peer) in self.peers.iter_mut().enumerate() {
            if let Some(peer) = peer
                && !peer.suspected
                && peer.detector.is_suspected(at(now))
            {
                peer.suspected = true;
                suspected.push(key);
            }
        }
        self.suspicions += suspected.len() as u64;
        suspected
    }
}

fn agree(seed: u64, distribution: Distribution, steps: u32) -> [u64; 4] {
    let mut rng = Rng::with_seed(seed);
    let options = Options {
        distribution,
        samples: 8,
        acceptable_pause: Duration::from_millis(200),
        silence_max: rng.bool().then_some(Duration::from_secs(12)),
        ..Options::default()
    };
    let mut model = Model::new(options);
    let mut monitor = Monitor::new(options, Events::silent("peers")).unwrap();
    // Nothing has come in yet, so that there is no stall to begin with.
    model.tick(0);
    monitor.tick(at(0));
    let (mut now, mut incarnation) = (0, 0);
    for step in 0..steps {
        now += match rng.u32(..200) {
            0 => rng.u64(2_500..30_000),
            1..=10 => 0,
            _ => rng.u64(..400),
        };
        let key = rng.usize(..PEERS);
        match rng.u32(..100) {
            0 => {
                model.pass(now);
                let was_watched = model.peers[key].take().is_some();
                assert_eq!(monitor.forget(at(now), &key), was_watched, "step {step}");
            }
            1..=60 => {
                // The last ones beat rarely, so that they are suspected rightly and wrongly.
                if key > 1 && rng.u32(..key as u32 * 4) > 0 {
                    continue;
                }
                if rng.u32(..100) == 0 {
                    incarnation += 1;
                }
                let known = model.peers[key].as_ref().map_or(incarnation, |peer| peer.incarnation);
                let same = if rng.u32(..20) == 0 { incarnation } else { known };
                let expected = model.heartbeat(now, key, same);
                let trusted = monitor.heartbeat_of(at(now), &key, same).unwrap();
                assert_eq!(trusted.map(|trusted| trusted.was_false), expected, "step {step}");
            }
            _ => {
                let expected = model.tick(now);
                assert_eq!(monitor.overdue(at(now)), expected, "step {step}");
                let found: Vec<usize> =
                    monitor.tick(at(now)).into_iter().map(|(key, _)| key).collect();
                assert_eq!(found, expected, "step {step}");
            }
        }
        for (key, peer) in model.peers.iter().enumerate() {
            assert_eq!(monitor.is_watched(&key), peer.is_some(), "step {step}");
            let suspected = peer.as_ref().is_some_and(|peer| peer.suspected);
            assert_eq!(monitor.is_suspected(&key), suspected, "step {step}");
        }
        assert_eq!(monitor.suspects().count(), monitor.counts().suspected);
    }
    model.tick(now);
    monitor.tick(at(now));
    let counts = monitor.counts();
    assert_eq!(counts.watched, model.peers.iter().flatten().count());
    assert_eq!(counts.suspicions, model.suspicions);
    assert_eq!(counts.false_suspicions, model.false_suspicions);
    assert_eq!(counts.stalls, model.stalls);
    assert_eq!(counts.peer_time, Duration::from_millis(model.peer_ms));
    [counts.suspicions, counts.false_suspicions, counts.stalls, counts.suspected as u64]
}

#[test]
fn it_agrees_with_one_that_asks_everybody_every_time() {
    for (seed, distribution) in (1..).zip(Distribution::ALL) {
        let [suspicions, false_suspicions, stalls, _] = agree(seed, distribution, 100_000);
        // A run in which nothing happened would prove nothing.
        assert!(suspicions > 100 && stalls > 100, "{distribution}: {suspicions}, {stalls}");
        assert!(false_suspicions > 10 && false_suspicions < suspicions, "{false_suspicions}");
    }
}
