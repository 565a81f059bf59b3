//! The machine's rules, one by one.

use super::*;
use crate::timestamp::Timestamp;

fn at(millis: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_millis(millis))
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn apart(offset: i64, error: u64) -> Measured {
    Measured { offset: Offset::from_millis(offset), error: ms(error) }
}

/// A good observation at a second.
fn good(second: u64) -> Observation {
    let wall = Timestamp::from_millis(1_790_000_000_000) + Duration::from_secs(second);
    Observation {
        at: at(second * 1_000),
        interval: Interval::around(wall, ms(20)),
        status: Status::Synchronized,
        reference: None,
        peers: Vec::new(),
        stall: Duration::ZERO,
    }
}

fn health() -> Health {
    Health::new(Options::default()).unwrap()
}

fn quarantine(seen: &Observation) -> Option<Reason> {
    match health().observe(seen) {
        None => None,
        Some(Transition::Quarantine { reason }) => Some(reason),
        Some(Transition::Readmit { .. }) => panic!("it was not out"),
    }
}

#[test]
fn an_uncertain_clock_goes_and_comes_back_after_the_hold_and_enough_good_readings() {
    let mut health = health();
    assert_eq!(health.observe(&good(0)), None);
    let mut bad = good(1);
    bad.interval = Interval::around(bad.interval.middle(), ms(251));
    let reason = Reason::Uncertain { error: ms(251) };
    assert_eq!(health.observe(&bad), Some(Transition::Quarantine { reason }));
    bad.at = at(2_000);
    bad.interval = Interval::around(bad.interval.middle() + ms(1_000), ms(900));
    assert_eq!(health.observe(&bad), None, "said once");
    assert!(matches!(health.state(), State::Quarantined { since, .. } if since == at(1_000)));
    for second in 3..12 {
        assert_eq!(health.observe(&good(second)), None, "{second}: the hold is 10 s");
    }
    let back = Transition::Readmit { after: ms(11_000) };
    assert_eq!(health.observe(&good(12)), Some(back));
    assert_eq!(health.observe(&good(13)), None);
}

#[test]
fn a_clock_on_the_edge_does_not_flap() {
    let mut health = health();
    let mut changes = 0;
    for second in 0..600 {
        let mut seen = good(second);
        if second % 4 == 0 {
            seen.interval = Interval::around(seen.interval.middle(), ms(300));
        }
        changes += usize::from(health.observe(&seen).is_some());
    }
    assert_eq!(changes, 1);
    // The broken twin: without hysteresis every edge is a change.
    let eager = Options { good_readings: 1, hold: Duration::ZERO, ..Options::default() };
    let mut health = Health::new(eager).unwrap();
    let mut flaps = 0;
    for second in 0..600 {
        let mut seen = good(second);
        if second % 4 == 0 {
            seen.interval = Interval::around(seen.interval.middle(), ms(300));
        }
        flaps += usize::from(health.observe(&seen).is_some());
    }
    assert_eq!(flaps, 300);
}

#[test]
fn cockroach_s_rule_half_of_the_others_by_four_fifths_of_the_bound() {
    // 500 ms · 80 % = 400 ms (CockroachDB's documentation on clock synchronisation).
    let with = |peers: &[Measured]| quarantine(&Observation { peers: peers.to_vec(), ..good(0) });
    assert_eq!(with(&[apart(400, 0), apart(-400, 0), apart(0, 0)]), None, "400 is not beyond");
    let half = Some(Reason::Peers { apart: 2, of: 4 });
    assert_eq!(with(&[apart(401, 0), apart(-401, 0), apart(0, 0), apart(3, 0)]), half);
    assert_eq!(with(&[apart(401, 0), apart(0, 0), apart(3, 0)]), None, "one liar of three");
    assert_eq!(with(&[apart(450, 60), apart(450, 60)]), None, "may be a slow network");
    assert_eq!(with(&[]), None, "alone");
}

#[test]
fn the_other_reasons() {
    let off = Observation { reference: Some(apart(-460, 50)), ..good(0) };
    let offset = Offset::from_millis(-460);
    assert_eq!(quarantine(&off), Some(Reason::Offset { offset }));
    let free = Observation { status: Status::FreeRunning, ..good(0) };
    assert_eq!(quarantine(&free), None);
    let strict = Options { synchronized_only: true, ..Options::default() };
    let reason = Reason::Unsynchronized;
    let mut health = Health::new(strict).unwrap();
    assert_eq!(health.observe(&free), Some(Transition::Quarantine { reason }));
    let stalled = Observation { stall: ms(3_000), ..good(0) };
    assert_eq!(quarantine(&stalled), None, "off by default");
    let mut health =
        Health::new(Options { max_stall: Some(ms(2_999)), ..Options::default() }).unwrap();
    let reason = Reason::Stalled { length: ms(3_000) };
    assert_eq!(health.observe(&stalled), Some(Transition::Quarantine { reason }));
}

#[test]
fn a_jump_puts_out_and_the_new_time_is_as_good_as_the_old() {
    let mut health = health();
    assert_eq!(health.observe(&good(0)), None);
    let hour = 3_600;
    let shifted = |second: u64| Observation { at: at(second * 1_000), ..good(second + hour) };
    let by = Offset::from_millis(3_600_000);
    let reason = Reason::Jumped { by };
    assert_eq!(health.observe(&shifted(1)), Some(Transition::Quarantine { reason }));
    let back = (2..20).find(|second| health.observe(&shifted(*second)).is_some());
    assert_eq!(back, Some(11));
}

#[test]
fn an_offset_that_nobody_bounds_is_no_panic() {
    let options = Options { max_offset: Duration::MAX, tolerated_share: 1.0, ..Options::default() };
    let far = Observation { reference: Some(apart(i64::MAX, 0)), ..good(0) };
    assert_eq!(Health::new(options).unwrap().observe(&far), None);
}

#[test]
fn the_skew_is_the_worst_that_is_believed() {
    let mut health = health();
    assert_eq!(health.clock_skew_p99(), None);
    let peers = vec![apart(5, 1), apart(-30, 4), apart(9_000, 0)];
    health.observe(&Observation { peers, ..good(0) });
    assert_eq!(health.clock_skew_p99(), Some(ms(34)), "the median peer, not the liar");
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let with = |options: Options| Health::new(options).unwrap_err();
    let base = Options::default();
    assert_eq!(with(Options { tolerated_share: 0.0, ..base }), Invalid::Share);
    assert_eq!(with(Options { tolerated_share: f64::NAN, ..base }), Invalid::Share);
    assert_eq!(with(Options { max_jump: Duration::ZERO, ..base }), Invalid::Zero);
    let wide = with(Options { max_uncertainty: ms(501), ..base });
    assert!(wide.to_string().contains("max_uncertainty"), "{wide}");
}
