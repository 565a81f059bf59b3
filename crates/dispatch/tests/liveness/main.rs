//! Couriers who fall silent get no offers, at about the time that φ says; couriers who do not are
//! never passed over, whatever happens to this process or to its wall clock.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

mod city;
#[path = "../simulation/pause.rs"]
mod pause;

use std::time::Duration;

use city::{City, FAR, NEAR, id};
use steadfast_dispatch::courier::liveness;
use steadfast_dispatch::service::Options;
use steadfast_resilience::detector;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A city whose couriers have beaten for ten minutes.
fn in_rhythm(options: Options, interval: u64) -> City {
    let mut city = City::new(options, Some(seconds(interval)));
    city.seconds(600);
    assert_eq!(city.who_gets_an_order().as_deref(), Some(NEAR));
    assert_eq!(city.heard(), [""; 0]);
    city
}

#[test]
fn whoever_goes_silent_is_passed_over_when_phi_says_so() {
    // The rhythm (5 s), the pause (40 s) and 5.6 deviations (of 1 s): 50.6 s.
    let mut city = in_rhythm(Options::default(), 5);
    city.silence_near(true);
    // The last heartbeat came at 600 s.
    let mut passed_over_after = None;
    while city.now().since_start() < seconds(680) {
        let silent = city.now().since_start() - seconds(600);
        let courier = city.who_gets_an_order();
        if courier.as_deref() == Some(FAR) {
            passed_over_after.get_or_insert(silent);
        } else {
            assert_eq!((courier.as_deref(), passed_over_after), (Some(NEAR), None), "{silent:?}");
        }
    }
    let after = passed_over_after.unwrap();
    assert!(seconds(50) <= after && after < Duration::from_millis(51_700), "{after:?}");
    let counts = city.liveness().counts;
    assert_eq!((counts.watched, counts.suspected, counts.suspicions), (2, 1, 1));
    assert_eq!(city.heard(), ["detector couriers: near: silent for 50.6 s, φ = 8.0"]);

    // One sign of life is enough; nothing was amiss, as it turns out.
    city.heartbeat(NEAR);
    assert_eq!(city.who_gets_an_order().as_deref(), Some(NEAR));
    let liveness = city.liveness();
    assert_eq!((liveness.counts.suspected, liveness.counts.false_suspicions), (0, 1));
    // One in less than a courier-hour.
    assert!(liveness.false_suspect_rate > detector::FALSE_SUSPECT_RATE_MAX);
    assert_eq!(city.heard().len(), 1);
}

#[test]
fn an_order_that_waits_goes_to_whoever_comes_back() {
    let mut city = City::new(Options::default(), None);
    city.seconds(100);
    let order = city.place();
    city.seconds(10);
    assert_eq!(city.courier_of(order), None);
    city.heartbeat(FAR);
    city.seconds(10);
    assert_eq!(city.courier_of(order).as_deref(), Some(FAR));
}

/// The ceiling, not the rhythm, in the first minutes.
#[test]
fn before_a_rhythm_is_known_the_timeout_decides() {
    let mut city = City::new(Options::default(), None);
    city.sim.run_for(Duration::from_millis(59_500));
    assert_eq!(city.liveness().counts.suspected, 0);
    city.seconds(2);
    assert_eq!(city.liveness().counts.suspected, 2);
    assert_eq!(city.who_gets_an_order(), None);
}

/// A detector that is quick enough for a stall of 40 s to matter.
fn quick(stall_tolerance: Duration) -> Options {
    let detector = detector::Options {
        acceptable_pause: seconds(10),
        stall_tolerance,
        ..liveness::detector()
    };
    Options { detector, ..Options::default() }
}

#[test]
fn the_platforms_own_stall_isolates_nobody() {
    for (options, stall) in [(quick(seconds(1)), 40), (Options::default(), 90)] {
        let mut city = in_rhythm(options, 5);
        city.stall(seconds(stall));
        // Before anybody could send another heartbeat.
        assert_eq!(city.who_gets_an_order().as_deref(), Some(NEAR));
        city.seconds(60);
        let counts = city.liveness().counts;
        assert_eq!((counts.suspicions, counts.stalls), (0, 1));
        assert!(counts.stalled > seconds(stall - 3), "{:?}", counts.stalled);
        assert_eq!(city.heard(), [""; 0]);
    }
}

#[test]
fn twin_without_pause_awareness_everybody_is_isolated() {
    let unaware = Options::default();
    let detector = detector::Options { stall_tolerance: Duration::MAX, ..unaware.detector };
    for (options, stall) in
        [(quick(Duration::MAX), 40), (Options { detector, ..Options::default() }, 90)]
    {
        let mut city = in_rhythm(options, 5);
        city.stall(seconds(stall));
        assert_eq!(city.who_gets_an_order(), None);
        assert_eq!(city.liveness().counts.suspicions, 2);
    }
}

#[test]
fn whoever_died_before_the_stall_is_found_after_it() {
    let mut city = in_rhythm(quick(seconds(1)), 5);
    city.silence_near(true);
    city.seconds(10);
    city.stall(seconds(40));
    city.seconds(18);
    assert_eq!(city.liveness().counts.suspected, 0);
    city.seconds(6);
    assert_eq!(city.liveness().counts.suspected, 1);
    assert_eq!(city.who_gets_an_order().as_deref(), Some(FAR));
}

#[test]
fn a_wall_clock_that_is_set_isolates_nobody() {
    let mut city = in_rhythm(Options::default(), 5);
    for micros in [600_000_000, -1_200_000_000] {
        city.sim.sim_clock().jump_wall(micros);
        assert_eq!(city.who_gets_an_order().as_deref(), Some(NEAR));
        city.seconds(30);
        assert_eq!(city.liveness().counts.suspicions, 0);
    }
}

#[test]
fn nobody_is_watched_when_the_timeout_is_off() {
    let options = Options { heartbeat_timeout: None, ..Options::default() };
    let mut city = City::new(options, None);
    city.seconds(3_600);
    assert_eq!(city.who_gets_an_order().as_deref(), Some(NEAR));
    assert_eq!(city.services.couriers.liveness(), None);
}

#[test]
fn what_a_courier_does_is_a_sign_of_life() {
    let mut city = City::new(Options::default(), None);
    let standby = city.standby();
    // No heartbeat ever; but every forty seconds a step, one after the other.
    let mut steps = 0;
    for _ in 0..5 {
        let order = city.place();
        city.seconds(1);
        let (couriers, orders) = (city.services.couriers.clone(), city.services.orders.clone());
        assert_eq!(city.courier_of(order).as_deref(), Some(NEAR));
        let assignment = orders.get(order, None).unwrap().assignment.unwrap();
        for step in 0..3 {
            city.seconds(40);
            let couriers = couriers.clone();
            city.sim.block_on(async move {
                let (near, id) = (id(NEAR), assignment);
                match step {
                    0 => couriers.arrived(id, near).await,
                    1 => couriers.picked_up(id, near).await,
                    _ => couriers.delivered(id, near, None).await,
                }
                .unwrap()
            });
            steps += 1;
        }
    }
    assert_eq!(steps, 15);
    // The other one did nothing at all.
    assert_eq!(city.liveness().counts.suspicions, 1);
    assert!(city.heard()[0].contains("far"));
    // Another process learns from the journal what was delivered, every two minutes here.
    let counts = standby.couriers.liveness().unwrap().counts;
    assert!(counts.false_suspicions >= 4, "{counts:?}");
}

#[test]
fn whoever_does_not_work_is_not_suspected() {
    let mut city = City::new(Options::default(), None);
    // One shift is over before the silence is too long, the other has not begun.
    city.shift(NEAR, 0.0, Duration::ZERO, seconds(30));
    city.shift(FAR, 1_000.0, seconds(300), seconds(4_000));
    city.seconds(100);
    assert_eq!((city.heard(), city.liveness().counts.watched), (vec![], 0));
    // Who has not been heard of when the shift begins gets nothing until then.
    city.seconds(300);
    assert_eq!(city.who_gets_an_order(), None);
    city.heartbeat(FAR);
    assert_eq!(city.who_gets_an_order().as_deref(), Some(FAR));
    assert_eq!(city.liveness().counts.suspicions, 0);
    // Suspected at work, and gone home since.
    city.seconds(70);
    assert_eq!(city.liveness().counts.suspected, 1);
    city.seconds(4_000);
    assert_eq!((city.liveness().counts.suspected, city.liveness().counts.watched), (0, 0));
}

#[test]
fn a_suspected_app_that_starts_over_had_really_gone() {
    let mut city = City::new(Options::default(), None);
    city.seconds(100);
    assert_eq!(city.liveness().counts.suspected, 2);
    city.shift(NEAR, 0.0, Duration::ZERO, seconds(3_600));
    city.heartbeat(FAR);
    let counts = city.liveness().counts;
    assert_eq!((counts.suspected, counts.suspicions, counts.false_suspicions), (0, 2, 1));
}

#[test]
fn options_that_make_no_sense_are_named() {
    let detector = detector::Options { threshold: 0.0, ..liveness::detector() };
    let error = Options { detector, ..Options::default() }.check().unwrap_err();
    assert_eq!(error.to_string(), "detector.threshold = 0: must be above 0 and at most 100");
    let off = Options { detector, heartbeat_timeout: None, ..Options::default() };
    assert_eq!(off.check(), Ok(()));
}
